-- +goose Up
-- Whose: what belongs to a project. '' is the default one.
ALTER TABLE leases ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE waiters ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE waiters ADD COLUMN detail TEXT NOT NULL DEFAULT ''; -- what no query asks for, as JSON

-- +goose Down
ALTER TABLE leases DROP COLUMN project;
ALTER TABLE events DROP COLUMN project;
ALTER TABLE waiters DROP COLUMN project;
ALTER TABLE waiters DROP COLUMN detail;
