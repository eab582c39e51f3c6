-- +goose Up
-- What the director wants of a source for some time, in place of what is configured.
ALTER TABLE sources ADD COLUMN aim_reserve INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN aim_spare INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN aim_until INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE sources DROP COLUMN aim_reserve;
ALTER TABLE sources DROP COLUMN aim_spare;
ALTER TABLE sources DROP COLUMN aim_until;
