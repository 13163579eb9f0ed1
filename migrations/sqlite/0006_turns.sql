-- Schema 6: each turn is named by its number, so that none can be written twice, or beside another.
--
-- hid of a turn is iid * 2^23 and its number in the execution, from 1. A notice, which a turn that is under
-- way need not know of, stands below zero: -(iid * 2^23) - 1 and less for each one, with the number of the
-- turn that it follows in `after`. Until now both had the number of the row in its instance.
--
-- entities.version counts the turns of an entity. It stands before the payloads.

ALTER TABLE history ADD COLUMN after INTEGER;

-- What is left over is no longer part of anything, and would be in the way.
DELETE FROM history WHERE EXISTS (
    SELECT 1 FROM leftovers WHERE leftovers.iid = hid >> 23 AND history.exec <= leftovers.exec
);
DELETE FROM leftovers;

-- The record of a notice ends with its mark, as that is the last of its fields.
CREATE TEMP TABLE places AS
    SELECT hid, place, after FROM (
        SELECT hid,
            CASE WHEN notice THEN -(hid >> 23 << 23) - sum(notice) OVER of_instance
                ELSE (hid >> 23 << 23) + sum(NOT notice) OVER of_instance END AS place,
            CASE WHEN notice THEN sum(NOT notice) OVER of_instance END AS after
        FROM (
            SELECT hid, substr(body, -11) = CAST('],"x":true}' AS BLOB) AS notice FROM history
        )
        WINDOW of_instance AS (PARTITION BY hid >> 23 ORDER BY hid ROWS UNBOUNDED PRECEDING)
    ) WHERE place <> hid;

-- By way of places that nobody has, as one row's new place may be another's old one.
UPDATE history SET hid = hid + (1 << 62) WHERE hid IN (SELECT hid FROM places);
UPDATE history SET hid = places.place, after = places.after
    FROM places WHERE history.hid = places.hid + (1 << 62);
DROP TABLE places;

CREATE TABLE entities_6 (
    eid INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    lock_iid INTEGER,
    lock_exec INTEGER,
    lock_task INTEGER,
    scheduled INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    problem BLOB,
    state BLOB
) STRICT;

INSERT INTO entities_6
    SELECT eid, id, lock_iid, lock_exec, lock_task, scheduled, 0, updated_ms, crashes, problem, state
    FROM entities;

-- A key is never given again, also that of an entity that is gone.
DELETE FROM sqlite_sequence WHERE name = 'entities_6';
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'entities_6', seq FROM sqlite_sequence WHERE name = 'entities';

DROP TABLE entities;
ALTER TABLE entities_6 RENAME TO entities;
