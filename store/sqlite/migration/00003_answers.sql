-- +goose Up
-- What was answered to requests that had a key, so that the same request again is answered the same.
CREATE TABLE answers (
  owner TEXT NOT NULL,
  key TEXT NOT NULL,
  digest TEXT NOT NULL,
  time INTEGER NOT NULL,
  status INTEGER NOT NULL,
  type TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX answers_time ON answers (time);

-- +goose Down
DROP TABLE answers;
