-- +goose Up
-- Several leases may have parts of an instance. share is '' for one that has all of it, else the lease's own id: so an instance has one of the former at
-- most, and any number of the latter. That it has not both is seen to when one is given.
ALTER TABLE leases ADD COLUMN share TEXT NOT NULL DEFAULT '';
DROP INDEX leases_live;
CREATE UNIQUE INDEX leases_live ON leases (instance, share) WHERE ended = 0;

-- What is free on the instances that leases have parts of, and where somebody may still be put; cores in millionths. The instance is named by its row.
CREATE TABLE rooms (
  row INTEGER PRIMARY KEY,
  source_key INTEGER NOT NULL,
  cores INTEGER NOT NULL,
  memory INTEGER NOT NULL,
  disk INTEGER NOT NULL,
  gpus INTEGER NOT NULL
);
CREATE INDEX rooms_least ON rooms (source_key, cores, memory, row);

-- +goose Down
DROP TABLE rooms;
DROP INDEX leases_live;
CREATE UNIQUE INDEX leases_live ON leases (instance) WHERE ended = 0;
ALTER TABLE leases DROP COLUMN share;
