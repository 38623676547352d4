-- Allocations that write less. `vacancies` of a computer changes with each, but seldom whether there is one: only on that, `has_vacancy`,
-- an index depends now. And of a list of three texts or more SQLite makes a table of its own, for each row that is checked against it: the
-- lists become comparisons, which changes nothing on the disk (https://www.sqlite.org/lang_altertable.html#otheralter).
ALTER TABLE computer ADD COLUMN has_vacancy INTEGER NOT NULL DEFAULT 0 CHECK (has_vacancy IN (0, 1));
UPDATE computer SET has_vacancy = vacancies > 0;
DROP INDEX computer_with_vacancy;
CREATE INDEX computer_with_vacancy ON computer (sort_key, reference) WHERE has_vacancy = 1;

PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'state IN (''started'', ''stopped'', ''destroyed'')',
    'state = ''started'' OR state = ''stopped'' OR state = ''destroyed''')
WHERE type = 'table' AND name = 'instance';
UPDATE sqlite_schema SET sql = replace(sql,
    'kind IN (''computer'', ''partition'', ''release'', ''shared'')',
    'kind = ''computer'' OR kind = ''partition'' OR kind = ''release'' OR kind = ''shared''')
WHERE type = 'table' AND name = 'access_status';
PRAGMA writable_schema = RESET;
