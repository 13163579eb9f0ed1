-- Schema 5: the version of an instance, given at its start and never changed. NULL: it has none. It stands
-- last, so that no row has to be written anew.

ALTER TABLE instances ADD COLUMN version TEXT;
