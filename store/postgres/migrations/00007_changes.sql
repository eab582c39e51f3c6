-- +goose Up
-- Which instances, and leases of them, the last transactions have changed, while several handles write in turns.
CREATE UNLOGGED TABLE changes (version bigint PRIMARY KEY, names text[] NOT NULL);

-- +goose Down
DROP TABLE changes;
