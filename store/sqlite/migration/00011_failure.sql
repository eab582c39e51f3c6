-- +goose Up
-- What failed last stands in a value of its own; until now it stood behind the reason to discard an instance.
UPDATE instances SET detail = substr(detail, 1, instr(detail, '; discard: ') - 1) || '","failure":"' || substr(detail, instr(detail, '; discard: ') + 11)
 WHERE state = 'discarding' AND CASE WHEN json_valid(detail) THEN json_extract(detail, '$.reason') END LIKE '%; discard: %';

-- +goose Down
UPDATE instances SET detail = replace(detail, '","failure":"', '; discard: ');
