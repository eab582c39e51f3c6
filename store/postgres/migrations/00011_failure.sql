-- +goose Up
-- What failed last stands in a value of its own; until now it stood behind the reason to discard an instance.
UPDATE instances SET detail = substr(detail, 1, position('; discard: ' IN detail) - 1) || '","failure":"' ||
 substr(detail, position('; discard: ' IN detail) + 11)
 WHERE state = 'discarding' AND detail ~ '"reason":"([^"\\]|\\.)*; discard: ';

-- +goose Down
UPDATE instances SET detail = replace(detail, '","failure":"', '; discard: ');
