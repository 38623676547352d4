-- The first schema. Times are microseconds since 1970; no statement reads a clock.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `revision` grows in the transaction that changes what the computer's full information shows.
CREATE TABLE computer (
    reference TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    netmask TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `position` is the place in the computer's last format. `listed` is 0 when that format no longer had the
-- partition, which then stays only as long as its instance. `timestamp` outlives instances, so that it always grows.
CREATE TABLE partition (
    computer TEXT NOT NULL REFERENCES computer (reference),
    reference TEXT NOT NULL,
    position INTEGER NOT NULL,
    listed INTEGER NOT NULL CHECK (listed IN (0, 1)),
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (computer, reference)
) STRICT, WITHOUT ROWID;

CREATE TABLE partition_address (
    computer TEXT NOT NULL,
    partition TEXT NOT NULL,
    position INTEGER NOT NULL,
    interface TEXT NOT NULL,
    address TEXT NOT NULL,
    netmask TEXT NOT NULL,
    PRIMARY KEY (computer, partition, position),
    FOREIGN KEY (computer, partition) REFERENCES partition (computer, reference) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE supply (
    number INTEGER PRIMARY KEY,
    computer TEXT NOT NULL REFERENCES computer (reference),
    url TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('available', 'destroyed'))
) STRICT;

CREATE UNIQUE INDEX supply_of_computer ON supply (computer, url);

-- The unique index on the partition is what makes it impossible to give one twice.
CREATE TABLE instance (
    number INTEGER PRIMARY KEY,
    computer TEXT NOT NULL,
    partition TEXT NOT NULL,
    title TEXT NOT NULL,
    release TEXT NOT NULL,
    software_type TEXT NOT NULL,
    parameters TEXT NOT NULL,
    connection TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'stopped', 'destroyed')),
    FOREIGN KEY (computer, partition) REFERENCES partition (computer, reference)
) STRICT;

CREATE UNIQUE INDEX instance_of_partition ON instance (computer, partition);
CREATE UNIQUE INDEX instance_title ON instance (title);

-- The last report about a computer (name is empty), a partition's instance or a supplied release (name is its URL).
-- `about` is the timestamp of the partition that the report is about; 0 for the others.
CREATE TABLE access_status (
    computer TEXT NOT NULL REFERENCES computer (reference),
    kind TEXT NOT NULL CHECK (kind IN ('computer', 'partition', 'release')),
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    since INTEGER NOT NULL,
    log TEXT NOT NULL,
    about INTEGER NOT NULL,
    PRIMARY KEY (computer, kind, name)
) STRICT, WITHOUT ROWID;

-- Committed changes in commit order. `bytes` counts the bytes of all
-- earlier rows ever written, so that old rows can be dropped by size.
CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    command TEXT NOT NULL,
    answer TEXT NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
