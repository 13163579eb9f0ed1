-- Schema 1: a task hub.
--
-- Every index is paid for at each start and each end of an instance. What each is for:
--   instances.id          every call names an instance by its id; ids with a prefix, in order.
--   instances_by_status   listings, counts and purges: one range for each status asked for, merged.
--   instances_by_name     the same for a name. With no name and no status all seven ranges of
--                         instances_by_status are merged, so time alone needs no index.
--   instances_ready       what a worker has to look at when it takes the hub.
--   instances_by_parent   recursive calls.
-- The key (scheduled_ms, iid) ends both listing indexes: SQLite adds iid to each by itself.
--
-- AUTOINCREMENT: a key is never used again, so that what another process wrote is what stands above
-- the greatest key seen so far.
-- Payloads are BLOBs that hold JSON text. They stand last in their row, so that a row's head is read
-- without them.

CREATE TABLE hub (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    hub_id TEXT NOT NULL,
    hub_name TEXT,
    owner TEXT,
    epoch INTEGER NOT NULL,
    commit_seq INTEGER NOT NULL,
    settings TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

INSERT INTO hub VALUES (
    1, lower(hex(randomblob(16))), NULL, NULL, 0, 0, '{}',
    CAST(unixepoch('subsec') * 1000 AS INTEGER)
);

CREATE TABLE instances (
    iid INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    exec INTEGER NOT NULL,
    status INTEGER NOT NULL,
    ready INTEGER NOT NULL,
    scheduled_ms INTEGER NOT NULL,
    created_ms INTEGER,
    updated_ms INTEGER NOT NULL,
    completed_ms INTEGER,
    parent_iid INTEGER,
    parent_exec INTEGER,
    parent_task INTEGER,
    parent_id TEXT,
    crashes INTEGER NOT NULL,
    problem BLOB,
    custom_status BLOB,
    input BLOB,
    output BLOB,
    failure BLOB
) STRICT;

CREATE INDEX instances_by_status ON instances (status, scheduled_ms);
CREATE INDEX instances_by_name ON instances (name_folded, status, scheduled_ms);
CREATE INDEX instances_ready ON instances (iid) WHERE ready = 1;
CREATE INDEX instances_by_parent ON instances (parent_iid) WHERE parent_iid IS NOT NULL;

-- One row a turn, in the order of the turns: that of hid.
CREATE TABLE history (
    hid INTEGER PRIMARY KEY,
    iid INTEGER NOT NULL,
    exec INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX history_by_instance ON history (iid, exec);

-- taken is 0 only for an event that no wait has taken.
CREATE TABLE messages (
    mid INTEGER PRIMARY KEY AUTOINCREMENT,
    iid INTEGER NOT NULL,
    exec INTEGER,
    event TEXT,
    taken INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX messages_by_instance ON messages (iid, taken, event);

CREATE TABLE waits (
    iid INTEGER NOT NULL,
    event TEXT NOT NULL,
    open INTEGER NOT NULL,
    PRIMARY KEY (iid, event)
) STRICT, WITHOUT ROWID;

CREATE TABLE timers (
    iid INTEGER NOT NULL,
    task INTEGER NOT NULL,
    fire_at INTEGER NOT NULL,
    PRIMARY KEY (iid, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX timers_by_time ON timers (fire_at, iid, task);
