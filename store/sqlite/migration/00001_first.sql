-- +goose Up
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row for each definition that a source's name was ever given. Each transaction that changes instances brings the
-- counts in step before it ends, once for all that it changed.
CREATE TABLE sources (
  key INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  type TEXT NOT NULL,
  place TEXT NOT NULL,
  definition BLOB,
  failures INTEGER NOT NULL DEFAULT 0,
  paused INTEGER NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT '',
  creating INTEGER NOT NULL DEFAULT 0,
  setting_up INTEGER NOT NULL DEFAULT 0,
  ready INTEGER NOT NULL DEFAULT 0,
  leased INTEGER NOT NULL DEFAULT 0,
  cleaning INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  discarding INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0,
  UNIQUE (name, digest)
);

-- The last number given to an instance of a source of this name.
CREATE TABLE numbers (name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;

-- A row's number is never used again: it tells a name's record from a later one of the same name.
CREATE TABLE instances (
  row INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  source TEXT NOT NULL,
  source_key INTEGER NOT NULL REFERENCES sources (key),
  state TEXT NOT NULL,
  since INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  worker INTEGER NOT NULL,
  basis INTEGER NOT NULL,
  ready_at INTEGER NOT NULL,
  child TEXT NOT NULL,
  detail TEXT NOT NULL, -- what no query asks for and few changes touch, as JSON; '' where there is nothing
  created INTEGER NOT NULL
);
CREATE INDEX instances_ready ON instances (source_key, row) WHERE state = 'ready';
CREATE INDEX instances_moving ON instances (source_key, row) WHERE state NOT IN ('ready', 'leased');
CREATE INDEX instances_child ON instances (child) WHERE child <> '';

CREATE TABLE leases (
  row INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  instance TEXT NOT NULL,
  owner TEXT NOT NULL,
  generation INTEGER NOT NULL,
  given INTEGER NOT NULL,
  used INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  why TEXT NOT NULL,
  pid INTEGER NOT NULL,
  worker INTEGER NOT NULL,
  detail TEXT NOT NULL -- what no query asks for, as JSON
);
-- A lease is found by its instance; the indexes are of the living ones only: of those that ended there are many, an index over them is written at a different place with each
-- hand-out, and a person who asks for one can wait for the table to be read.
CREATE UNIQUE INDEX leases_live ON leases (instance) WHERE ended = 0;
CREATE UNIQUE INDEX leases_name ON leases (name) WHERE ended = 0 AND name <> '';
CREATE INDEX leases_deadline ON leases (deadline) WHERE ended = 0 AND deadline > 0;
CREATE INDEX leases_bound ON leases (row) WHERE ended = 0 AND (pid > 0 OR worker <> 0);

CREATE TABLE waiters (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  source TEXT NOT NULL,
  wants TEXT NOT NULL,
  count INTEGER NOT NULL,
  owner TEXT NOT NULL,
  worker INTEGER NOT NULL,
  since INTEGER NOT NULL
);

CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  kind TEXT NOT NULL,
  source TEXT NOT NULL,
  instance TEXT NOT NULL,
  lease TEXT NOT NULL,
  owner TEXT NOT NULL,
  text TEXT NOT NULL,
  data TEXT NOT NULL
);

-- +goose Down
DROP TABLE events;
DROP TABLE waiters;
DROP TABLE leases;
DROP TABLE instances;
DROP TABLE numbers;
DROP TABLE sources;
DROP TABLE meta;
