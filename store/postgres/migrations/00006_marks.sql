-- +goose Up
-- What was given to a request with a key: the request's mark, which instance of those it got this is, and the worker that gave it. A request that is made
-- again, of another controller, is found out by this, also while the first is still being served: no two leases that live are the same one of a request.
ALTER TABLE leases ADD COLUMN mark text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN nth bigint NOT NULL DEFAULT 0, ADD COLUMN giver bigint NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX leases_mark ON leases (mark, nth) WHERE ended = 0 AND mark <> '';

-- +goose Down
DROP INDEX leases_mark;
ALTER TABLE leases DROP COLUMN mark, DROP COLUMN nth, DROP COLUMN giver;
