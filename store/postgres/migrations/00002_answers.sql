-- +goose Up
-- What was answered to requests with a key, so that they can be answered the same by any controller.
CREATE TABLE answers (
  owner text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  time bigint NOT NULL,
  status bigint NOT NULL,
  type text COLLATE "C" NOT NULL,
  body bytea,
  PRIMARY KEY (owner, key)
);
CREATE INDEX answers_time ON answers (time);

-- +goose Down
DROP TABLE answers;
