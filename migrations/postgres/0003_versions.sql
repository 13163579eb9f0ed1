-- Schema 3: the version of an instance, as in SQLite (migrations/sqlite/0005_versions.sql).

ALTER TABLE hub.instances ADD COLUMN version text;

UPDATE hub.hub SET version = 3;
