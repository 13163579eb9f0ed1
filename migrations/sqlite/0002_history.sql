-- Schema 2: history in the order of its instances.
--
-- A turn writes one page of history instead of two, that of the row and that of an index over it, and
-- an instance is read from neighbouring pages. seq counts the rows of an instance.
--
-- hub.commit_seq goes: it was written by each commit only to notice a commit that came back after its
-- sync had failed. A worker whose commit is in doubt now gives the hub up.

CREATE TABLE history_2 (
    iid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    exec INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (iid, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO history_2 (iid, seq, exec, body)
    SELECT iid, row_number() OVER (PARTITION BY iid ORDER BY hid), exec, body FROM history;

DROP TABLE history;
ALTER TABLE history_2 RENAME TO history;

ALTER TABLE hub DROP COLUMN commit_seq;
