-- +goose Up
-- What decisions rest on stands in columns and values of its own; until now the beginnings of texts said it, and negative counts.
ALTER TABLE sources ADD COLUMN no_room INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN unreachable INTEGER NOT NULL DEFAULT 0;
UPDATE sources SET no_room = -failures, failures = 0 WHERE failures < 0;
UPDATE sources SET unreachable = unixepoch(substr(last_error, 28, 20)) * 1000000000, last_error = substr(last_error, 50)
 WHERE last_error LIKE 'it cannot be reached since %' AND unixepoch(substr(last_error, 28, 20)) IS NOT NULL;
UPDATE instances SET detail = '{"cause":"unanswered",' || substr(detail, 2) WHERE detail LIKE '%"reason":"the answer to its creation was lost%';
UPDATE instances SET detail = '{"cause":"room",' || substr(detail, 2) WHERE detail LIKE '%"reason":"it makes room for somebody who waits for %';
UPDATE instances SET detail = '{"cause":"ended",' || substr(detail, 2) WHERE detail LIKE '%"reason":"its computer has ended: %';
UPDATE instances SET detail = '{"cause":"waiter",' || substr(detail, 2) WHERE detail LIKE '%"reason":"somebody waits for it"%';
UPDATE instances SET detail = '{"cause":"stop",' || substr(detail, 2) WHERE detail LIKE '%"reason":"it is being stopped"%';
UPDATE instances SET detail = '{"cause":"start",' || substr(detail, 2) WHERE detail LIKE '%"reason":"it is being started"%';
UPDATE instances SET detail = '{"fill":true,' || substr(detail, 2) WHERE detail LIKE '%"wanted":"cache:%';
UPDATE leases SET detail = '{"cause":"ended",' || substr(detail, 2) WHERE why LIKE 'its computer has ended: %' AND detail LIKE '{"%';
-- what wants could not be made is learned anew: it is over in minutes anyway
DELETE FROM meta WHERE name LIKE 'note:hitches/%';

-- +goose Down
ALTER TABLE sources DROP COLUMN no_room;
ALTER TABLE sources DROP COLUMN unreachable;
