-- Trees of instances, and shared instances.
--
-- `root` is the root instance of the tree, NULL for a root, which a user requested. `requester` is the instance that requested it
-- last, NULL for a root. An instance that is not shared has a partition. A shared one has none: it has a reference, fixed when
-- it was created, and a `host`, an instance that is not shared; NULL after that one was freed. Numbers are never used again.
ALTER TABLE instance RENAME TO instance_of_version_1;

CREATE TABLE instance (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    root INTEGER REFERENCES instance (number),
    requester INTEGER REFERENCES instance (number),
    shared INTEGER NOT NULL CHECK (shared IN (0, 1)),
    computer TEXT,
    partition TEXT,
    reference TEXT,
    host INTEGER REFERENCES instance (number),
    release TEXT NOT NULL,
    software_type TEXT NOT NULL,
    parameters TEXT NOT NULL,
    connection TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'stopped', 'destroyed')),
    FOREIGN KEY (computer, partition) REFERENCES partition (computer, reference),
    CHECK ((root IS NULL) = (requester IS NULL)),
    CHECK ((shared = 1) = (computer IS NULL) AND (shared = 1) = (partition IS NULL)),
    CHECK ((shared = 1) = (reference IS NOT NULL) AND (shared = 1 OR host IS NULL)),
    CHECK (shared = 0 OR state <> 'destroyed')
) STRICT;

INSERT INTO instance
    (number, title, shared, computer, partition, release, software_type, parameters, connection, state)
SELECT number, title, 0, computer, partition, release, software_type, parameters, connection, state
FROM instance_of_version_1 ORDER BY number;

DROP TABLE instance_of_version_1;

-- The unique index on the partition is what makes it impossible to give one twice.
CREATE UNIQUE INDEX instance_of_partition ON instance (computer, partition) WHERE computer IS NOT NULL;
-- A title is that of one instance in its tree, and of one root; 0 stands for no root.
CREATE UNIQUE INDEX instance_title ON instance (ifnull(root, 0), title);
CREATE UNIQUE INDEX instance_reference ON instance (reference) WHERE reference IS NOT NULL;
CREATE INDEX instance_of_tree ON instance (root, shared) WHERE root IS NOT NULL;
CREATE INDEX instance_of_requester ON instance (requester) WHERE requester IS NOT NULL;
CREATE INDEX instance_of_host ON instance (host, reference) WHERE host IS NOT NULL;
CREATE INDEX instance_of_release ON instance (computer, release) WHERE computer IS NOT NULL;

-- The reports about shared instances are added: for them `computer` is empty, and `name` is the reference.
ALTER TABLE access_status RENAME TO access_status_of_version_1;

CREATE TABLE access_status (
    computer TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('computer', 'partition', 'release', 'shared')),
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    since INTEGER NOT NULL,
    log TEXT NOT NULL,
    about INTEGER NOT NULL,
    PRIMARY KEY (computer, kind, name)
) STRICT, WITHOUT ROWID;

INSERT INTO access_status SELECT * FROM access_status_of_version_1;

DROP TABLE access_status_of_version_1;
