//! Entities in PostgreSQL: their rows inside a transaction, and questions about them.
//!
//! Owns: the statements on `entities`. Whoever looks at an entity in a transaction has its row for
//! himself (`locks.rs`), so that nobody sends it a message while it is being removed. Must never: decide
//! anything.
//! Proved by `tests/conformance.rs` and `tests/differential.rs`.

use tokio_postgres::Row;

use crate::core::entity::{EntityChange, EntityHead, EntityRow};
use crate::core::ids::partition_of;
use crate::core::instance::ParentLink;
use crate::core::limits::PAGE_SCAN_ROWS;
use crate::core::partition::key_in;
use crate::core::request::EntityFilter;
use crate::core::{InstanceKey, Payload, TimeMs};
use crate::provider::page::{self, EntitySieve};
use crate::provider::{
    EntityListing, EntityReader, EntityRows, LoadedEntity, Page, Result, payload_from,
};

use super::batch::{DELETE_MESSAGES, DELETE_TIMERS, signed};
use super::columns::{self, column, corrupt, number};
use super::listing::{ids_from, sql_limit};
use super::query::{BEGIN_READING, END_READING, Source};
use super::rows::{PostgresRows, READING, no_key};
use super::session::Ask;

macro_rules! head_columns {
    () => {
        "eid, lock_iid, lock_exec, lock_task, state IS NOT NULL, scheduled, version"
    };
}

/// Where the id stands behind those.
const HEAD_ID: usize = 7;

macro_rules! row_columns {
    () => {
        concat!(head_columns!(), ", id, updated_ms, crashes, problem, state")
    };
}

/// By id, see `locks.rs`.
pub(super) const HEADS: &str = concat!(
    "SELECT ",
    head_columns!(),
    ", id FROM hub.entities WHERE eid = ANY(ARRAY(SELECT unnest($1::bigint[]) \
     UNION SELECT eid FROM hub.entities WHERE id = ANY($2::text[]))) ORDER BY id FOR NO KEY UPDATE"
);
pub(super) const ROW: &str =
    concat!("SELECT ", row_columns!(), " FROM hub.entities WHERE eid = $1");
pub(super) const ROW_BY_ID: &str =
    concat!("SELECT ", row_columns!(), " FROM hub.entities WHERE id = $1");
pub(super) const CRASHES: &str = "SELECT crashes FROM hub.entities WHERE eid = $1";
/// Another process may have made one meanwhile: then it is found when the transaction is begun anew.
const INSERT: &str = "INSERT INTO hub.entities (eid, id, scheduled, updated_ms, crashes) \
    SELECT eid, id, 0, updated_ms, 0 \
    FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS new(eid, id, updated_ms)";
const NEW_KEYS: &str = "SELECT nextval('hub.eids') FROM generate_series(1, $1::integer)";
pub(super) const UPDATE: &str = "UPDATE hub.entities SET \
    state = CASE WHEN $2::integer & 1 <> 0 THEN $3::bytea ELSE state END, \
    problem = CASE WHEN $2 & 2 <> 0 THEN $4::bytea ELSE problem END, \
    lock_iid = CASE WHEN $2 & 4 <> 0 THEN $5::bigint ELSE lock_iid END, \
    lock_exec = CASE WHEN $2 & 4 <> 0 THEN $6::integer ELSE lock_exec END, \
    lock_task = CASE WHEN $2 & 4 <> 0 THEN $7::bigint ELSE lock_task END, \
    scheduled = coalesce($8::bigint, scheduled), updated_ms = coalesce($9::bigint, updated_ms), \
    crashes = coalesce($10::integer, crashes), version = coalesce($11::bigint, version) \
    WHERE eid = $1";
pub(super) const DELETE: &str = "DELETE FROM hub.entities WHERE eid = $1";
pub(super) const AWAITED: &str = "SELECT EXISTS (SELECT 1 FROM hub.messages WHERE iid = $1)";
pub(super) const MESSAGES: &str =
    "SELECT mid, exec, body FROM hub.messages WHERE iid = $1 AND taken ORDER BY mid";
pub(super) const IN_RANGE: &str = "SELECT id, eid, state IS NOT NULL, updated_ms FROM hub.entities \
    WHERE id >= $1 AND ($2::text IS NULL OR id < $2) ORDER BY id LIMIT $3";
pub(super) const EVERY_ENTITY: &str = concat!("SELECT ", row_columns!(), " FROM hub.entities");

/// An entity that comes to be.
#[derive(Debug)]
pub(super) struct NewEntity {
    eid: i64,
    id: String,
    made_ms: TimeMs,
}

/// Asks for entities and locks them.
pub(super) fn heads<'a>(keys: &[InstanceKey], ids: &'a [String]) -> Ask<'a> {
    let eids: Vec<i64> = keys.iter().map(|key| -key).collect();
    Ask::new(HEADS).with(eids).with(ids)
}

/// Inserts entities, by id.
pub(super) fn insert(new: &[NewEntity]) -> Ask<'_> {
    let mut new: Vec<&NewEntity> = new.iter().collect();
    new.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ask::new(INSERT)
        .with(new.iter().map(|entity| entity.eid).collect::<Vec<_>>())
        .with(new.iter().map(|entity| entity.id.as_str()).collect::<Vec<_>>())
        .with(new.iter().map(|entity| entity.made_ms).collect::<Vec<_>>())
}

/// Changes one.
pub(super) fn update(key: InstanceKey, change: &EntityChange) -> Ask<'_> {
    let lock = change.lock.flatten();
    let fields = i32::from(change.state.is_some())
        | i32::from(change.problem.is_some()) << 1
        | i32::from(change.lock.is_some()) << 2;
    Ask::new(UPDATE)
        .with(-key)
        .with(fields)
        .with(bytes(change.state.as_ref()))
        .with(bytes(change.problem.as_ref()))
        .with(lock.map(|lock| lock.key))
        .with(lock.map(|lock| signed(lock.exec)))
        .with(lock.map(|lock| i64::from(lock.task)))
        .with(change.scheduled.map(i64::from))
        .with(change.updated_ms)
        .with(change.crashes.map(signed))
        .with(change.version)
}

impl PostgresRows<'_> {
    pub(super) fn learn_entities(
        &mut self,
        keys: &[InstanceKey],
        ids: &[String],
        rows: &[Row],
    ) -> Result<()> {
        let known = &mut self.known;
        known.entities.extend(keys.iter().map(|key| (*key, None)));
        known.entity_keys.extend(ids.iter().map(|id| (id.clone(), None)));
        for row in rows {
            let head = head(row)?;
            known.entity_keys.insert(column(row, HEAD_ID)?, Some(head.key));
            known.entities.insert(head.key, Some(head));
        }
        Ok(())
    }
}

impl EntityRows for PostgresRows<'_> {
    fn entity_by_id(&mut self, id: &str) -> Result<Option<EntityHead>> {
        self.lock_entities(&[], &[id.to_owned()])?;
        match self.known.entity_keys.get(id).copied().flatten() {
            Some(key) => self.entity(key),
            None => Ok(None),
        }
    }

    fn entity(&mut self, key: InstanceKey) -> Result<Option<EntityHead>> {
        self.lock_entities(&[key], &[])?;
        Ok(self.known.entities.get(&key).cloned().flatten())
    }

    fn entity_crashes(&mut self, key: InstanceKey) -> Result<Option<u32>> {
        self.lock_entities(&[key], &[])?;
        let rows = self.read(READING, Ask::new(CRASHES).with(-key))?;
        let crashes = |row: &Row| number("an entity", column::<i32>(row, 0)?);
        rows.first().map(crashes).transpose()
    }

    fn foresee_entities(&mut self, ids: &[String]) -> Result<()> {
        self.lock_entities(&[], ids)
    }

    fn insert_entity(&mut self, id: &str, now_ms: TimeMs) -> Result<InstanceKey> {
        if self.known.new_entities.is_empty() {
            self.known.new_entities = self.more_keys(NEW_KEYS)?;
        }
        let number = self.known.new_entities.pop_front().ok_or_else(no_key)?;
        let eid = key_in(partition_of(id, self.partitions), number, self.partitions);
        let head = EntityHead { key: -eid, lock: None, exists: false, scheduled: 0, version: 0 };
        self.known.entities.insert(-eid, Some(head));
        self.known.entity_keys.insert(id.to_owned(), Some(-eid));
        self.batch.entities.push(NewEntity { eid, id: id.to_owned(), made_ms: now_ms });
        Ok(-eid)
    }

    fn update_entity(&mut self, key: InstanceKey, change: &EntityChange) -> Result<()> {
        self.lock_entities(&[key], &[])?;
        if let Some(Some(head)) = self.known.entities.get_mut(&key) {
            head.change(change);
        }
        self.batch.entity_changes.push((key, change.clone()));
        Ok(())
    }

    fn remove_entity(&mut self, key: InstanceKey) -> Result<()> {
        self.lock_entities(&[key], &[])?;
        self.known.entities.insert(key, None);
        for known in self.known.entity_keys.values_mut() {
            *known = known.filter(|known| *known != key);
        }
        let operation = "remove an entity";
        let keys: &[InstanceKey] = &[key];
        self.read(operation, Ask::new(DELETE_MESSAGES).with(keys))?;
        self.read(operation, Ask::new(DELETE_TIMERS).with(keys))?;
        self.read(operation, Ask::new(DELETE).with(-key)).map(|_| ())
    }

    fn entity_is_awaited(&mut self, key: InstanceKey) -> Result<bool> {
        let rows = self.read("look for messages", Ask::new(AWAITED).with(key))?;
        rows.first().map_or(Ok(false), |row| column(row, 0))
    }
}

/// `EntityReader` for a type that is a [`Source`], as `query` has it for `Reader`.
macro_rules! answers_questions {
    ($($source:ty),*) => {
        $(
        impl EntityReader for $source {
            fn find_entity(&mut self, id: &str) -> Result<Option<EntityRow>> {
                let ask = Ask::new(ROW_BY_ID).with(id);
                let rows = self.connection()?.rows("find an entity", ask)?;
                rows.first().map(entity).transpose()
            }

            fn load_entity(&mut self, key: InstanceKey) -> Result<Option<LoadedEntity>> {
                let asks = [
                    Ask::new(BEGIN_READING),
                    Ask::new(ROW).with(-key),
                    Ask::new(MESSAGES).with(key),
                    Ask::new(END_READING),
                ];
                let found = self.connection()?.all("load an entity", &asks)?;
                let [_, row, messages, _] = &found[..] else { return Ok(None) };
                let Some(row) = row.first() else { return Ok(None) };
                let messages = messages.iter().map(|row| columns::message(row, 0));
                let messages = messages.collect::<Result<_>>()?;
                Ok(Some(LoadedEntity { row: entity(row)?, messages }))
            }

            fn list_entities(
                &mut self,
                filter: &EntityFilter,
                page: &Page,
            ) -> Result<EntityListing> {
                list(self, filter, page)
            }
        }
        )*
    };
}

answers_questions!(super::PostgresProvider, super::PostgresReader);

/// The rows of a range of ids that pass, looking at a bounded number of them.
fn list(source: &mut dyn Source, filter: &EntityFilter, page: &Page) -> Result<EntityListing> {
    let operation = "list entities";
    let sieve = EntitySieve::of(filter);
    let after = sieve.position(page)?;
    let (first, end) = ids_from(&sieve.prefix, after.as_deref());
    let (size, session) = (page::size(page), source.connection()?);
    let limit = sql_limit(PAGE_SCAN_ROWS);
    let ask = Ask::new(IN_RANGE).with(first).with(end).with(limit);
    let found = session.rows(operation, ask)?;
    let looked_at_all = found.len() < PAGE_SCAN_ROWS;
    let (mut passing, mut last): (Vec<(String, i64)>, Option<String>) = (Vec::new(), None);
    for row in &found {
        let id: String = column(row, 0)?;
        if sieve.passes(column(row, 2)?, column(row, 3)?) {
            passing.push((id.clone(), column(row, 1)?));
        }
        last = Some(id);
    }
    let more = passing.len() > size;
    passing.truncate(size);
    let cursor = if more {
        passing.last().map(|(id, _)| id.clone())
    } else {
        last.filter(|_| !looked_at_all)
    };
    let mut rows = Vec::with_capacity(passing.len());
    for (_, eid) in passing {
        let found = session.rows(operation, Ask::new(ROW).with(eid))?;
        rows.extend(found.first().map(entity).transpose()?);
    }
    Ok(EntityListing { rows, cursor: cursor.map(|id| EntitySieve::cursor(&id)) })
}

fn head(row: &Row) -> Result<EntityHead> {
    let iid: Option<i64> = column(row, 1)?;
    let lock = match iid {
        None => None,
        Some(key) => Some(ParentLink {
            key,
            exec: number("an entity", column::<i32>(row, 2)?)?,
            task: number("an entity", column::<i64>(row, 3)?)?,
        }),
    };
    let eid: i64 = column(row, 0)?;
    let scheduled = number("an entity", column::<i64>(row, 5)?)?;
    let (exists, version) = (column(row, 4)?, column(row, 6)?);
    Ok(EntityHead { key: -eid, lock, exists, scheduled, version })
}

pub(super) fn entity(row: &Row) -> Result<EntityRow> {
    let id: String = column(row, HEAD_ID)?;
    let payload = |index, field: &str| {
        let bytes: Option<Vec<u8>> = column(row, index)?;
        let Some(bytes) = bytes else { return Ok(None) };
        let text = payload_from(bytes);
        text.map(Some).ok_or_else(|| corrupt(&id, format!("its {field} is not JSON text")))
    };
    Ok(EntityRow {
        head: head(row)?,
        updated_ms: column(row, 8)?,
        crashes: number(&id, column::<i32>(row, 9)?)?,
        problem: payload(10, "problem")?,
        state: payload(11, "state")?,
        id,
    })
}

fn bytes(payload: Option<&Option<Payload>>) -> Option<&[u8]> {
    payload.and_then(|payload| payload.as_ref()).map(|payload| payload.get().as_bytes())
}
