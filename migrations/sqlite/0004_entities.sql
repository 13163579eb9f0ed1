-- Schema 4: entities.
--
-- The key of an entity's messages and timers is -eid, so that they are never taken for those of an
-- instance. Its state, like each payload, stands last. An entity without a state, whom nobody has for
-- himself and whom nothing waits for, has no row.
--
-- messages: an operation that is not to be carried out yet is one that is not taken, and its event is
-- the number of its timer.
--
-- instances.locks: the entities that an instance has for itself or has asked for. It is NULL but inside
-- a critical section, and stands last so that no row has to be written anew; where it is NULL, SQLite
-- knows so from the row's header and reads none of the payloads before it.

CREATE TABLE entities (
    eid INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    lock_iid INTEGER,
    lock_exec INTEGER,
    lock_task INTEGER,
    scheduled INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    problem BLOB,
    state BLOB
) STRICT;

ALTER TABLE instances ADD COLUMN locks TEXT;
