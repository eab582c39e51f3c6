-- +goose Up
-- What a SlapOS master keeps. A record without data is one that is gone: who has read it before is to hear of that. Revisions grow with each
-- transaction; records that nobody follows have 0.
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
INSERT INTO slap_turn VALUES (0, 0);

-- +goose Down
DROP TABLE slap_turn;
DROP TABLE slap_records;
