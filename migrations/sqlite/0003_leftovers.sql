-- Schema 3: history that is removed bit by bit.
--
-- Rows of history of instance iid, of executions up to exec, that are no longer part of anything: a
-- purge or a continue-as-new had too many of them for one transaction. An iid is never used again, and
-- an execution's number only grows, so no row that is to stay can come to be among them.

CREATE TABLE leftovers (
    iid INTEGER PRIMARY KEY,
    exec INTEGER NOT NULL
) STRICT;
