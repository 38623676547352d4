-- How long a computer's full information may be: nobody could read one that is longer than a client takes.
--
-- `bytes` of a computer is no less than what is written of its partitions, instances, shared instances and supplies there, where a
-- character may take more bytes than in the database (wire/marshal/writer.rs): `&`, `<` and `>` nine, and one that is not ASCII six more
-- than each of its own bytes behind the first. In documents `&` begins what takes four more there; and a parameter takes one byte more
-- than its 33 or more here. `growth` is what came since the revision before, whose bytes were `settled`.
ALTER TABLE computer ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE computer ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE computer ADD COLUMN growth INTEGER NOT NULL DEFAULT 0;

-- What a text takes there at most, and a document.
CREATE VIEW instance_bytes AS
SELECT number, root, computer,
    length(text) + 6 * (octet_length(text) - length(text)) + 8 * (3 * length(text)
        - length(replace(text, '&', '')) - length(replace(text, '<', '')) - length(replace(text, '>', '')))
    + length(document) + length(document) / 32 + 6 * (octet_length(document) - length(document))
        + 4 * (length(document) - length(replace(document, '&', '')))
    + 512 AS bytes
FROM (
    SELECT i.number, i.root, i.computer,
        i.title || ifnull(r.title, i.title) || i.release || i.release || i.release || i.software_type AS text,
        i.parameters || i.connection AS document
    FROM instance AS i LEFT JOIN instance AS r ON r.number = i.root WHERE i.shared = 0
    UNION ALL
    SELECT i.number, i.root, h.computer, i.reference || i.reference || i.software_type, i.parameters
    FROM instance AS i JOIN instance AS h ON h.number = i.host WHERE i.shared = 1
);

CREATE VIEW address_bytes AS
SELECT computer, partition, position,
    length(text) + 6 * (octet_length(text) - length(text)) + 8 * (3 * length(text)
        - length(replace(text, '&', '')) - length(replace(text, '<', '')) - length(replace(text, '>', '')))
    + 64 AS bytes
FROM (SELECT computer, partition, position, interface || address AS text FROM partition_address);

CREATE VIEW supply_bytes AS
SELECT computer, url,
    2 * (length(url) + 6 * (octet_length(url) - length(url)) + 8 * (3 * length(url)
        - length(replace(url, '&', '')) - length(replace(url, '<', '')) - length(replace(url, '>', ''))))
    + 2 * length(computer) + 512 AS bytes
FROM supply;

-- An instance that is given a partition is counted by the program, in the same write as its computer's revision (`own_bytes`).
CREATE TRIGGER instance_comes AFTER INSERT ON instance WHEN new.shared = 1 BEGIN
    UPDATE computer SET bytes = computer.bytes + b.bytes FROM instance_bytes AS b
    WHERE b.number = new.number AND computer.reference = b.computer;
END;
CREATE TRIGGER instance_goes BEFORE DELETE ON instance BEGIN
    UPDATE computer SET bytes = computer.bytes - b.bytes FROM instance_bytes AS b
    WHERE b.number = old.number AND computer.reference = b.computer;
END;
CREATE TRIGGER instance_will_change
BEFORE UPDATE OF release, software_type, parameters, connection, host ON instance
WHEN (old.release, old.software_type, old.parameters, old.connection, old.host)
    IS NOT (new.release, new.software_type, new.parameters, new.connection, new.host) BEGIN
    UPDATE computer SET bytes = computer.bytes - b.bytes FROM instance_bytes AS b
    WHERE b.number = old.number AND computer.reference = b.computer;
END;
CREATE TRIGGER instance_changed
AFTER UPDATE OF release, software_type, parameters, connection, host ON instance
WHEN (old.release, old.software_type, old.parameters, old.connection, old.host)
    IS NOT (new.release, new.software_type, new.parameters, new.connection, new.host) BEGIN
    UPDATE computer SET bytes = computer.bytes + b.bytes FROM instance_bytes AS b
    WHERE b.number = new.number AND computer.reference = b.computer;
END;

-- Of a root, all of its tree is told.
CREATE TRIGGER title_will_change BEFORE UPDATE OF title ON instance BEGIN
    UPDATE computer SET bytes = computer.bytes - b.bytes FROM (
        SELECT i.computer, sum(i.bytes) AS bytes FROM instance_bytes AS i
        WHERE i.number = old.number OR i.root = old.number GROUP BY i.computer) AS b
    WHERE computer.reference = b.computer;
END;
CREATE TRIGGER title_changed AFTER UPDATE OF title ON instance BEGIN
    UPDATE computer SET bytes = computer.bytes + b.bytes FROM (
        SELECT i.computer, sum(i.bytes) AS bytes FROM instance_bytes AS i
        WHERE i.number = new.number OR i.root = new.number GROUP BY i.computer) AS b
    WHERE computer.reference = b.computer;
END;

-- A partition is counted as if there were an instance in it.
CREATE TRIGGER partition_comes AFTER INSERT ON partition BEGIN
    UPDATE computer SET bytes = bytes + 1536 + 6 * length(new.computer) + 6 * length(new.reference)
    WHERE reference = new.computer;
END;
CREATE TRIGGER partition_goes AFTER DELETE ON partition BEGIN
    UPDATE computer SET bytes = bytes - 1536 - 6 * length(old.computer) - 6 * length(old.reference)
    WHERE reference = old.computer;
END;
CREATE TRIGGER address_comes AFTER INSERT ON partition_address BEGIN
    UPDATE computer SET bytes = computer.bytes + b.bytes FROM address_bytes AS b
    WHERE b.computer = new.computer AND b.partition = new.partition AND b.position = new.position
        AND computer.reference = b.computer;
END;
CREATE TRIGGER address_goes BEFORE DELETE ON partition_address BEGIN
    UPDATE computer SET bytes = computer.bytes - b.bytes FROM address_bytes AS b
    WHERE b.computer = old.computer AND b.partition = old.partition AND b.position = old.position
        AND computer.reference = b.computer;
END;
CREATE TRIGGER supply_comes AFTER INSERT ON supply BEGIN
    UPDATE computer SET bytes = computer.bytes + b.bytes FROM supply_bytes AS b
    WHERE b.computer = new.computer AND b.url = new.url AND computer.reference = b.computer;
END;
CREATE TRIGGER supply_goes BEFORE DELETE ON supply BEGIN
    UPDATE computer SET bytes = computer.bytes - b.bytes FROM supply_bytes AS b
    WHERE b.computer = old.computer AND b.url = old.url AND computer.reference = b.computer;
END;
CREATE TRIGGER supply_will_move BEFORE UPDATE OF url ON supply BEGIN
    UPDATE computer SET bytes = computer.bytes - b.bytes FROM supply_bytes AS b
    WHERE b.computer = old.computer AND b.url = old.url AND computer.reference = b.computer;
END;
CREATE TRIGGER supply_moved AFTER UPDATE OF url ON supply BEGIN
    UPDATE computer SET bytes = computer.bytes + b.bytes FROM supply_bytes AS b
    WHERE b.computer = new.computer AND b.url = new.url AND computer.reference = b.computer;
END;

-- All that was there before.
UPDATE computer SET bytes = computer.bytes + b.bytes
FROM (SELECT i.computer, sum(i.bytes) AS bytes FROM instance_bytes AS i GROUP BY i.computer) AS b
WHERE computer.reference = b.computer;
UPDATE computer SET bytes = computer.bytes + b.bytes
FROM (SELECT a.computer, sum(a.bytes) AS bytes FROM address_bytes AS a GROUP BY a.computer) AS b
WHERE computer.reference = b.computer;
UPDATE computer SET bytes = computer.bytes + b.bytes
FROM (SELECT s.computer, sum(s.bytes) AS bytes FROM supply_bytes AS s GROUP BY s.computer) AS b
WHERE computer.reference = b.computer;
UPDATE computer SET bytes = computer.bytes + b.bytes
FROM (SELECT p.computer, sum(1536 + 6 * length(p.computer) + 6 * length(p.reference)) AS bytes
    FROM partition AS p GROUP BY p.computer) AS b
WHERE computer.reference = b.computer;
UPDATE computer SET settled = bytes;
