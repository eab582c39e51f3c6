-- +goose Up
-- Tokens of those who come by HTTP: their hashes alone. And what was done, by whom: what was written together lies together.
CREATE TABLE tokens (
  id text COLLATE "C" PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,
  used bigint NOT NULL,
  used_from text NOT NULL,
  data text NOT NULL
);
CREATE TABLE audit (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  time bigint NOT NULL,
  data bytea NOT NULL
);
CREATE INDEX audit_time ON audit (time);

-- +goose Down
DROP TABLE audit;
DROP TABLE tokens;
