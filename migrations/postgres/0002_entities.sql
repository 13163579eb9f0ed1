-- Schema 2: entities, as in SQLite (migrations/sqlite/0004_entities.sql). The key of an entity's messages
-- and timers is -eid; its partition, eid % 256.

CREATE SEQUENCE hub.eids;

CREATE TABLE hub.entities (
    eid bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    lock_iid bigint,
    lock_exec integer,
    lock_task bigint,
    scheduled bigint NOT NULL,
    updated_ms bigint NOT NULL,
    crashes integer NOT NULL,
    problem bytea,
    state bytea
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX entities_by_id ON hub.entities (id);

ALTER TABLE hub.instances ADD COLUMN locks text;

UPDATE hub.hub SET version = 2;
