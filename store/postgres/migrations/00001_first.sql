-- +goose Up
-- Text is compared byte for byte, whatever the database's own order. Times are nanoseconds since 1970, 0: none.
CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);

-- The numbers of handles. None is given twice.
CREATE SEQUENCE workers;

-- One row, which whoever writes holds until his end: the number of transactions that have written, and the last numbers
-- that were given to records, all of which only grow. done has for each worker the version of its last
-- transaction, by which one whose connection broke while it committed finds out what became of it.
CREATE TABLE turn (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version bigint NOT NULL DEFAULT 0,
  instance bigint NOT NULL DEFAULT 0,
  lease bigint NOT NULL DEFAULT 0,
  waiter bigint NOT NULL DEFAULT 0,
  event bigint NOT NULL DEFAULT 0,
  done jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
INSERT INTO turn DEFAULT VALUES;

-- One row for each definition that a source's name was ever given.
CREATE TABLE sources (
  key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  place text COLLATE "C" NOT NULL,
  definition bytea,
  failures bigint NOT NULL DEFAULT 0,
  paused bigint NOT NULL DEFAULT 0,
  last_error text COLLATE "C" NOT NULL DEFAULT '',
  aim_reserve bigint NOT NULL DEFAULT 0,
  aim_spare bigint NOT NULL DEFAULT 0,
  aim_until bigint NOT NULL DEFAULT 0,
  UNIQUE (name, digest)
);

-- Each transaction that changes instances brings these in step before it ends, once for all that it changed. They are
-- apart from the definitions, which may be long, as a row is written whole.
CREATE TABLE counts (
  key bigint PRIMARY KEY REFERENCES sources (key),
  creating bigint NOT NULL DEFAULT 0,
  setting_up bigint NOT NULL DEFAULT 0,
  ready bigint NOT NULL DEFAULT 0,
  leased bigint NOT NULL DEFAULT 0,
  cleaning bigint NOT NULL DEFAULT 0,
  failed bigint NOT NULL DEFAULT 0,
  discarding bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- The last number given to an instance of a source of this name.
CREATE TABLE numbers (name text COLLATE "C" PRIMARY KEY, last bigint NOT NULL);

-- A row's number is never used again: it tells a name's record from a later one of the same name.
CREATE TABLE instances (
  row bigint PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  source text COLLATE "C" NOT NULL,
  source_key bigint NOT NULL REFERENCES sources (key),
  state text COLLATE "C" NOT NULL,
  since bigint NOT NULL,
  generation bigint NOT NULL,
  uses bigint NOT NULL,
  worker bigint NOT NULL,
  basis bigint NOT NULL,
  ready_at bigint NOT NULL,
  child text COLLATE "C" NOT NULL,
  detail text COLLATE "C" NOT NULL, -- what no query asks for and few changes touch, as JSON; '' where there is nothing
  created bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX instances_ready ON instances (source_key, row) WHERE state = 'ready';
CREATE INDEX instances_moving ON instances (source_key, row) WHERE state NOT IN ('ready', 'leased');
CREATE INDEX instances_child ON instances (child) WHERE child <> '';

CREATE TABLE leases (
  row bigint PRIMARY KEY,
  id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  instance text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  given bigint NOT NULL,
  used bigint NOT NULL,
  expires bigint NOT NULL,
  deadline bigint NOT NULL,
  ended bigint NOT NULL,
  why text COLLATE "C" NOT NULL,
  pid bigint NOT NULL,
  worker bigint NOT NULL,
  detail text COLLATE "C" NOT NULL -- what no query asks for, as JSON
);
CREATE UNIQUE INDEX leases_live ON leases (instance) WHERE ended = 0;
CREATE UNIQUE INDEX leases_name ON leases (name) WHERE ended = 0 AND name <> '';
CREATE INDEX leases_id ON leases (id);
CREATE INDEX leases_deadline ON leases (deadline) WHERE ended = 0 AND deadline > 0;
CREATE INDEX leases_bound ON leases (row) WHERE ended = 0 AND (pid > 0 OR worker <> 0);

CREATE TABLE waiters (
  id bigint PRIMARY KEY,
  source text COLLATE "C" NOT NULL,
  wants bigint[] NOT NULL,
  count bigint NOT NULL,
  owner text COLLATE "C" NOT NULL,
  worker bigint NOT NULL,
  since bigint NOT NULL
);

CREATE TABLE events (
  id bigint PRIMARY KEY,
  time bigint NOT NULL,
  kind text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  instance text COLLATE "C" NOT NULL,
  lease text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  text text COLLATE "C" NOT NULL,
  data text COLLATE "C" NOT NULL
);

-- +goose Down
DROP TABLE events;
DROP TABLE waiters;
DROP TABLE leases;
DROP TABLE instances;
DROP TABLE numbers;
DROP TABLE counts;
DROP TABLE sources;
DROP TABLE turn;
DROP SEQUENCE workers;
DROP TABLE meta;
