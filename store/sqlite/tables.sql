CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
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
  held INTEGER NOT NULL DEFAULT 0, aim_reserve INTEGER NOT NULL DEFAULT 0, aim_spare INTEGER NOT NULL DEFAULT 0, aim_until INTEGER NOT NULL DEFAULT 0, no_room INTEGER NOT NULL DEFAULT 0, unreachable INTEGER NOT NULL DEFAULT 0,
  UNIQUE (name, digest)
);
CREATE TABLE numbers (name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
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
, share TEXT NOT NULL DEFAULT '', project TEXT NOT NULL DEFAULT '');
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
, project TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '');
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
, project TEXT NOT NULL DEFAULT '');
CREATE TABLE answers (
  owner TEXT NOT NULL,
  key TEXT NOT NULL,
  digest TEXT NOT NULL,
  time INTEGER NOT NULL,
  status INTEGER NOT NULL,
  type TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX answers_time ON answers (time);
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  used INTEGER NOT NULL,
  used_from TEXT NOT NULL,
  data TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX audit_time ON audit (time);
CREATE UNIQUE INDEX leases_live ON leases (instance, share) WHERE ended = 0;
CREATE TABLE rooms (
  row INTEGER PRIMARY KEY,
  source_key INTEGER NOT NULL,
  cores INTEGER NOT NULL,
  memory INTEGER NOT NULL,
  disk INTEGER NOT NULL,
  gpus INTEGER NOT NULL
);
CREATE INDEX rooms_least ON rooms (source_key, cores, memory, row);
CREATE INDEX leases_id ON leases (id);
CREATE TABLE slap_records (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  revision INTEGER NOT NULL,
  name TEXT NOT NULL,
  place TEXT NOT NULL,
  tree TEXT NOT NULL,
  host TEXT NOT NULL,
  computer TEXT NOT NULL,
  data BLOB,
  PRIMARY KEY (kind, key)
);
CREATE INDEX slap_revision ON slap_records (revision) WHERE revision > 0;
CREATE UNIQUE INDEX slap_name ON slap_records (name) WHERE name <> '';
CREATE UNIQUE INDEX slap_place ON slap_records (place) WHERE place <> '';
CREATE INDEX slap_tree ON slap_records (tree) WHERE tree <> '';
CREATE INDEX slap_host ON slap_records (host) WHERE host <> '';
CREATE INDEX slap_computer ON slap_records (computer, kind, key) WHERE computer <> '';
CREATE TABLE slap_turn (revision INTEGER NOT NULL, forgotten INTEGER NOT NULL);
CREATE UNIQUE INDEX leases_name ON leases (name, project) WHERE ended = 0 AND name <> '';
INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (4, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (5, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (6, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (7, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (8, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (10, 1);
INSERT INTO goose_db_version (version_id, is_applied) VALUES (11, 1);
INSERT INTO slap_turn (revision, forgotten) VALUES (0, 0);
