-- `floor` is the latest timestamp of the partitions that a computer had and that were dropped by a format: a partition that comes
-- back under an old name must not be given a timestamp that it had before.
ALTER TABLE computer ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;

-- What the last format no longer had has no place in it: such partitions come by name.
UPDATE partition SET position = 0 WHERE listed = 0;
