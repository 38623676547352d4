-- Instances that this master passed on to other masters: under which title there, and for whom; a user has no computer and partition.
CREATE TABLE forwarded (
    master TEXT NOT NULL,
    title TEXT NOT NULL,
    computer TEXT,
    partition TEXT,
    PRIMARY KEY (master, title),
    CHECK ((computer IS NULL) = (partition IS NULL))
) STRICT, WITHOUT ROWID;
