-- Schema 4: each turn is named by its number, as in SQLite (migrations/sqlite/0006_turns.sql).
--
-- history.number is that of a turn in its execution, from 1. A notice has one below zero, less for each one,
-- and in `after` the number of the turn that it follows.
-- entities.version counts the turns of an entity.

ALTER TABLE hub.history ADD COLUMN number bigint, ADD COLUMN after bigint;

-- The record of a notice ends with its mark, as that is the last of its fields.
UPDATE hub.history AS h SET
    number = CASE WHEN p.notice THEN -p.notices ELSE p.turns END,
    after = CASE WHEN p.notice THEN p.turns END
FROM (
    SELECT iid, hid, notice,
        count(*) FILTER (WHERE notice) OVER of_execution AS notices,
        count(*) FILTER (WHERE NOT notice) OVER of_execution AS turns
    FROM (
        SELECT iid, hid, exec, substring(body FROM greatest(octet_length(body) - 10, 1))
            = convert_to('],"x":true}', 'UTF8') AS notice FROM hub.history
    ) AS marked
    WINDOW of_execution AS (PARTITION BY iid, exec ORDER BY hid)
) AS p
WHERE h.iid = p.iid AND h.hid = p.hid;

ALTER TABLE hub.history DROP COLUMN hid, ALTER COLUMN number SET NOT NULL;
ALTER TABLE hub.history ADD PRIMARY KEY (iid, exec, number);

ALTER TABLE hub.entities ADD COLUMN version bigint NOT NULL DEFAULT 0;

-- How workers left whose lease ran out: whether their process died, and what they had. An owner in parts that
-- is in neither table has ended in peace.
CREATE TABLE hub.departed (
    epoch bigint PRIMARY KEY,
    died boolean NOT NULL,
    parts smallint[] NOT NULL,
    left_at timestamptz NOT NULL
);

CREATE INDEX instances_blamed ON hub.instances (iid) WHERE crashes > 1;
CREATE INDEX entities_blamed ON hub.entities (eid) WHERE crashes > 0;

UPDATE hub.hub SET version = 4;
