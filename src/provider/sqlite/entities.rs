//! Entities in SQLite: their rows inside a transaction, and questions about them.
//!
//! Owns: the statements on `entities`, and that the key of an entity is its number below zero. Must
//! never: decide anything. Proved by `tests/conformance.rs` and `tests/differential.rs`.

use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};

use crate::core::entity::{EntityChange, EntityHead, EntityRow};
use crate::core::instance::ParentLink;
use crate::core::limits::PAGE_SCAN_ROWS;
use crate::core::request::EntityFilter;
use crate::core::{InstanceKey, TimeMs};
use crate::provider::page::{self, EntitySieve};
use crate::provider::{
    EntityListing, EntityReader, EntityRows, LoadedEntity, Page, Result, StoredMessage,
    payload_from,
};

use super::listing::ids_from;
use super::query::Source;
use super::rows::{Assignments, DELETE_MESSAGES, DELETE_TIMERS, NULL, SqliteRows, blob, integer};
use super::statement::{Sql, column, corrupt};

macro_rules! head_columns {
    () => {
        "eid, lock_iid, lock_exec, lock_task, state IS NOT NULL, scheduled, version"
    };
}

macro_rules! row_columns {
    () => {
        concat!(head_columns!(), ", id, updated_ms, crashes, problem, state")
    };
}

pub(super) const HEAD: &str = concat!("SELECT ", head_columns!(), " FROM entities WHERE eid = ?1");
pub(super) const HEAD_BY_ID: &str =
    concat!("SELECT ", head_columns!(), " FROM entities WHERE id = ?1");
pub(super) const ROW: &str = concat!("SELECT ", row_columns!(), " FROM entities WHERE eid = ?1");
pub(super) const ROW_BY_ID: &str =
    concat!("SELECT ", row_columns!(), " FROM entities WHERE id = ?1");
pub(super) const CRASHES: &str = "SELECT crashes FROM entities WHERE eid = ?1";
pub(super) const INSERT: &str =
    "INSERT INTO entities (id, scheduled, version, updated_ms, crashes) VALUES (?1, 0, 0, ?2, 0)";
pub(super) const DELETE: &str = "DELETE FROM entities WHERE eid = ?1";
pub(super) const AWAITED: &str = "SELECT EXISTS (SELECT 1 FROM messages WHERE iid = ?1)";
pub(super) const MESSAGES: &str =
    "SELECT mid, exec, body FROM messages WHERE iid = ?1 AND taken = 1 ORDER BY mid";
pub(super) const IN_RANGE: &str = "SELECT id, eid, state IS NOT NULL, updated_ms FROM entities \
    WHERE id >= ?1 AND id < ?2 ORDER BY id";
pub(super) const ALL: &str = concat!("SELECT ", row_columns!(), " FROM entities");

impl EntityRows for SqliteRows<'_> {
    fn entity_by_id(&mut self, id: &str) -> Result<Option<EntityHead>> {
        self.sql.one("read an entity", HEAD_BY_ID, [id], head)
    }

    fn entity(&mut self, key: InstanceKey) -> Result<Option<EntityHead>> {
        self.sql.one("read an entity", HEAD, [-key], head)
    }

    fn entity_crashes(&mut self, key: InstanceKey) -> Result<Option<u32>> {
        self.sql.one("read an entity", CRASHES, [-key], |row| column(row, 0))
    }

    fn insert_entity(&mut self, id: &str, now_ms: TimeMs) -> Result<InstanceKey> {
        self.sql.run("insert an entity", INSERT, params![id, now_ms])?;
        Ok(-self.sql.0.last_insert_rowid())
    }

    fn update_entity(&mut self, key: InstanceKey, change: &EntityChange) -> Result<()> {
        let mut set = Assignments::to("entities", "eid");
        set.add("state", change.state.as_ref().map(|state| blob(state.as_ref())));
        if let Some(lock) = &change.lock {
            let part = |of: fn(&ParentLink) -> i64| {
                Some(lock.as_ref().map_or(NULL, |lock| integer(of(lock))))
            };
            set.add("lock_iid", part(|lock| lock.key));
            set.add("lock_exec", part(|lock| lock.exec.into()));
            set.add("lock_task", part(|lock| lock.task.into()));
        }
        set.add("scheduled", change.scheduled.map(integer));
        set.add("version", change.version.map(integer));
        set.add("updated_ms", change.updated_ms.map(integer));
        set.add("problem", change.problem.as_ref().map(|problem| blob(problem.as_ref())));
        set.add("crashes", change.crashes.map(integer));
        let Some(sql) = set.statement() else { return Ok(()) };
        let values = set.values.into_iter().chain([integer(-key)]);
        self.sql.run("update an entity", &sql, params_from_iter(values)).map(|_| ())
    }

    fn remove_entity(&mut self, key: InstanceKey) -> Result<()> {
        let operation = "remove an entity";
        self.sql.run(operation, DELETE_MESSAGES, [key])?;
        self.sql.run(operation, DELETE_TIMERS, [key])?;
        self.sql.run(operation, DELETE, [-key]).map(|_| ())
    }

    fn entity_is_awaited(&mut self, key: InstanceKey) -> Result<bool> {
        let found = self.sql.one("look for messages", AWAITED, [key], |row| column(row, 0))?;
        Ok(found.unwrap_or_default())
    }
}

impl<S: Source> EntityReader for S {
    fn find_entity(&mut self, id: &str) -> Result<Option<EntityRow>> {
        Sql(self.connection()?).one("find an entity", ROW_BY_ID, [id], entity)
    }

    fn load_entity(&mut self, key: InstanceKey) -> Result<Option<LoadedEntity>> {
        Sql(self.connection()?).reading(|sql| {
            let operation = "load an entity";
            let Some(row) = sql.one(operation, ROW, [-key], entity)? else { return Ok(None) };
            let messages = sql.all(operation, MESSAGES, [key], |row| {
                let (key, exec, body) = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
                Ok(StoredMessage { key, exec, body })
            })?;
            Ok(Some(LoadedEntity { row, messages }))
        })
    }

    fn list_entities(&mut self, filter: &EntityFilter, page: &Page) -> Result<EntityListing> {
        Sql(self.connection()?).reading(|sql| list(sql, filter, page))
    }
}

/// The rows of a range of ids that pass, looking at a bounded number of them.
fn list(sql: Sql<'_>, filter: &EntityFilter, page: &Page) -> Result<EntityListing> {
    let operation = "list entities";
    let sieve = EntitySieve::of(filter);
    let after = sieve.position(page)?;
    let (first, end): (String, Value) = ids_from(&sieve.prefix, after.as_deref());
    let size = page::size(page);
    let mut keys: Vec<(String, i64)> = Vec::new();
    let (mut looked_at, mut looked_to) = (0, None);
    sql.each(operation, IN_RANGE, params![first, end], |row| {
        if looked_at == PAGE_SCAN_ROWS {
            return Ok(false);
        }
        looked_at += 1;
        let id: String = column(row, 0)?;
        looked_to = (looked_at == PAGE_SCAN_ROWS).then(|| id.clone());
        if sieve.passes(column(row, 2)?, column(row, 3)?) {
            keys.push((id, column(row, 1)?));
        }
        Ok(keys.len() <= size)
    })?;
    let more = keys.len() > size;
    keys.truncate(size);
    let cursor = if more { keys.last().map(|(id, _)| id.clone()) } else { looked_to };
    let mut rows = Vec::with_capacity(keys.len());
    for (_, eid) in keys {
        rows.extend(sql.one(operation, ROW, [eid], entity)?);
    }
    Ok(EntityListing { rows, cursor: cursor.map(|id| EntitySieve::cursor(&id)) })
}

fn head(row: &Row<'_>) -> Result<EntityHead> {
    let iid: Option<i64> = column(row, 1)?;
    let lock = match iid {
        None => None,
        Some(key) => Some(ParentLink { key, exec: column(row, 2)?, task: column(row, 3)? }),
    };
    let eid: i64 = column(row, 0)?;
    Ok(EntityHead {
        key: -eid,
        lock,
        exists: column(row, 4)?,
        scheduled: column(row, 5)?,
        version: column(row, 6)?,
    })
}

pub(super) fn entity(row: &Row<'_>) -> Result<EntityRow> {
    let id: String = column(row, 7)?;
    let payload = |index, field: &str| {
        let bytes: Option<Vec<u8>> = column(row, index)?;
        let Some(bytes) = bytes else { return Ok(None) };
        let text = payload_from(bytes);
        text.map(Some).ok_or_else(|| corrupt(&id, format!("its {field} is not JSON text")))
    };
    Ok(EntityRow {
        head: head(row)?,
        updated_ms: column(row, 8)?,
        crashes: column(row, 9)?,
        problem: payload(10, "problem")?,
        state: payload(11, "state")?,
        id,
    })
}
