-- +goose Up
-- A lease's name is its project's own: what another project calls its leases is nobody's business.
DROP INDEX leases_name;
CREATE UNIQUE INDEX leases_name ON leases (name, project) WHERE ended = 0 AND name <> '';

-- +goose Down
DROP INDEX leases_name;
CREATE UNIQUE INDEX leases_name ON leases (name) WHERE ended = 0 AND name <> '';
