-- +goose Up
-- A lease is given back by its id, also when it has ended before.
CREATE INDEX leases_id ON leases (id);

-- +goose Down
DROP INDEX leases_id;
