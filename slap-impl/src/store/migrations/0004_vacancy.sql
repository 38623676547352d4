-- What a large cloud needs to be fast: where a free partition is, and what changed since a document was made.
--
-- `sort_key` puts computers into their natural order (COMP-2 before COMP-10); the program computes it. `vacant` says that a partition
-- can be given away: it is listed and has no instance; `vacancies` counts those of a computer. `revision` of a partition is its
-- computer's at the last change of what is shown of it.
ALTER TABLE computer ADD COLUMN sort_key BLOB NOT NULL DEFAULT x'';
ALTER TABLE computer ADD COLUMN vacancies INTEGER NOT NULL DEFAULT 0 CHECK (vacancies >= 0);
ALTER TABLE partition ADD COLUMN vacant INTEGER NOT NULL DEFAULT 0 CHECK (vacant IN (0, 1));
ALTER TABLE partition ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

UPDATE partition SET vacant = listed = 1 AND NOT EXISTS (
    SELECT 1 FROM instance AS i WHERE i.computer = partition.computer AND i.partition = partition.reference);
UPDATE computer SET vacancies = (SELECT count(*) FROM partition AS p WHERE p.computer = computer.reference AND p.vacant = 1);

CREATE INDEX computer_order ON computer (sort_key, reference);
CREATE INDEX computer_with_vacancy ON computer (sort_key, reference) WHERE vacancies > 0;
CREATE INDEX partition_vacant ON partition (computer, position, reference) WHERE vacant = 1;
CREATE INDEX instance_that_hosts ON instance (release) WHERE shared = 0;
