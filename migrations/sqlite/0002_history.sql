-- Schema 2: history in the order of its instances.
--
-- A turn writes one page of history instead of two, that of the row and that of an index over it, and
-- an instance is read from neighbouring pages.
--
-- hid is iid * 2^23 and the number of the row in its instance, from 1. It is one integer, not a primary
-- key of two columns: to find a place among those, SQLite compares whole rows, and reads all of a row
-- of some MB for each comparison with it.
--
-- hub.commit_seq goes: it was written by each commit only to notice a commit that came back after its
-- sync had failed. A worker whose commit is in doubt now gives the hub up.

CREATE TABLE history_2 (
    hid INTEGER PRIMARY KEY,
    exec INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

INSERT INTO history_2 (hid, exec, body)
    SELECT (iid << 23) + row_number() OVER (PARTITION BY iid ORDER BY hid), exec, body FROM history
    ORDER BY 1;

DROP TABLE history;
ALTER TABLE history_2 RENAME TO history;

ALTER TABLE hub DROP COLUMN commit_seq;
