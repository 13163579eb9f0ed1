//! Questions to a hub in PostgreSQL.
//!
//! Owns: `Reader`, for whatever has a connection. Each answer is of one committed state.
//! Must never: write. Proved by `tests/conformance.rs` and `tests/differential.rs`.

use std::collections::HashMap;
use std::path::Path;

use tokio_postgres::Row;

use crate::core::entity::EntityRow;
use crate::core::instance::InstanceRow;
use crate::core::request::Filter;
use crate::core::{InstanceKey, TimeMs};
use crate::provider::HistoryPlace;
use crate::provider::rows::NewMessage;
use crate::provider::snapshot::Lines;
use crate::provider::{
    Listing, Loaded, Page, ProviderError, ProviderErrorKind, Purgeable, Reader, Result, Settled,
    Snapshot, StoreStats, TableStats, TimerRow, decode_settings,
};

use super::columns::{self, Unreadable, column, row_columns};
use super::entities::{self, EVERY_ENTITY};
use super::history;
use super::listing;
use super::session::{Ask, Session};
use super::tasks::AWAY;

/// A transaction that sees one state throughout.
pub(super) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
pub(super) const END_READING: &str = "COMMIT";
pub(super) const FIND: &str =
    concat!("SELECT ", row_columns!(), " FROM hub.instances WHERE id = $1");
/// Whether each is there, of those that are not open.
pub(super) const SETTLED: &str = "SELECT w.place, i.id IS NOT NULL \
    FROM unnest($1::text[]) WITH ORDINALITY AS w(id, place) \
    LEFT JOIN hub.instances AS i ON i.id = w.id WHERE i.id IS NULL OR i.completed_ms IS NOT NULL";
pub(super) const ROW: &str =
    concat!("SELECT ", row_columns!(), " FROM hub.instances WHERE iid = $1");
pub(super) const HISTORY: &str = "SELECT body, number FROM hub.history WHERE iid = $1 \
    AND exec = (SELECT exec FROM hub.instances WHERE iid = $1) \
    ORDER BY coalesce(after, number), number DESC";
pub(super) const MESSAGES: &str = "SELECT mid, exec, body FROM hub.messages WHERE iid = $1 AND taken \
    AND (exec IS NULL OR exec = (SELECT exec FROM hub.instances WHERE iid = $1)) ORDER BY mid";
pub(super) const READY_FROM: &str =
    "SELECT iid FROM hub.instances WHERE iid >= $1 AND ready ORDER BY iid LIMIT $2";
pub(super) const TIMERS_DUE: &str = "SELECT fire_at, iid, task FROM hub.timers WHERE fire_at <= $1 \
    AND (fire_at, iid, task) > ($2, $3, $4) ORDER BY fire_at, iid, task LIMIT $5";
pub(super) const EVERY_INSTANCE: &str = concat!("SELECT ", row_columns!(), " FROM hub.instances");
pub(super) const EVERY_ROW: &str = "SELECT iid, exec, body FROM hub.history \
    ORDER BY iid, exec, coalesce(after, number), number DESC";
pub(super) const EVERY_MESSAGE: &str =
    "SELECT iid, exec, event, taken, body FROM hub.messages ORDER BY mid";
pub(super) const EVERY_WAIT: &str = "SELECT iid, event, open FROM hub.waits";
pub(super) const EVERY_TIMER: &str = "SELECT iid, task, fire_at FROM hub.timers";
pub(super) const SETTINGS: &str = "SELECT settings FROM hub.hub";

/// Most whole rows that are read in one go.
const ROWS_AT_ONCE: usize = 100;

/// As the server counts it for its own vacuuming.
const STATS: &str = "SELECT relname::text, n_live_tup, n_dead_tup, pg_total_relation_size(relid), \
    (extract(epoch FROM greatest(last_vacuum, last_autovacuum)) * 1000)::bigint \
    FROM pg_stat_user_tables WHERE schemaname = \
     (SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
      WHERE c.oid = 'hub.hub'::regclass) ORDER BY relname";

/// What has a connection to a hub.
pub(super) trait Source: Send {
    /// The connection, made anew if it was lost.
    fn connection(&mut self) -> Result<&mut Session>;
}

/// `Reader` for a type that is a [`Source`]. (Not for all such types: SQLite has that.)
macro_rules! answers_questions {
    ($($source:ty),*) => {
        $(
        impl Reader for $source {
            fn find(&mut self, id: &str) -> Result<Option<InstanceRow>> {
                let rows = self.connection()?.rows("find an instance", Ask::new(FIND).with(id))?;
                rows.first().map(|row| columns::instance(row, Unreadable::Refuse)).transpose()
            }

            fn settled(&mut self, ids: &[String]) -> Result<Vec<Settled>> {
                settled(self.connection()?, ids)
            }

            fn load(&mut self, key: InstanceKey) -> Result<Option<Loaded>> {
                let asks = [
                    Ask::new(BEGIN_READING),
                    Ask::new(ROW).with(key),
                    Ask::new(HISTORY).with(key),
                    Ask::new(MESSAGES).with(key),
                    Ask::new(AWAY).with(key),
                    Ask::new(END_READING),
                ];
                let found = self.connection()?.all("load an instance", &asks)?;
                let [_, row, turns, messages, away, _] = &found[..] else { return Ok(None) };
                let Some(row) = row.first() else { return Ok(None) };
                Ok(Some(Loaded {
                    row: columns::instance(row, Unreadable::Refuse)?,
                    last_turn: history::last_of(turns)?,
                    history: turns.iter().map(|row| column(row, 0)).collect::<Result<_>>()?,
                    messages: messages.iter().map(|row| columns::message(row, 0)).collect::<Result<_>>()?,
                    away: away.iter().map(|row| task_id(column(row, 0)?)).collect::<Result<_>>()?,
                }))
            }

            fn history_after(
                &mut self,
                key: InstanceKey,
                after: HistoryPlace,
                bytes: usize,
            ) -> Result<Vec<(HistoryPlace, Vec<u8>)>> {
                history::read_after(self.connection()?, key, after, bytes)
            }

            fn list(&mut self, filter: &Filter, page: &Page) -> Result<Listing> {
                listing::list(self.connection()?, filter, page)
            }

            fn count(&mut self, filter: &Filter) -> Result<u64> {
                listing::count(self.connection()?, filter)
            }

            fn purgeable(
                &mut self,
                filter: &Filter,
                completed_before: Option<TimeMs>,
                page: &Page,
            ) -> Result<Purgeable> {
                listing::purgeable(self.connection()?, filter, completed_before, page)
            }

            fn ready(&mut self, from: InstanceKey, limit: usize) -> Result<Vec<InstanceKey>> {
                let ask = Ask::new(READY_FROM).with(from).with(listing::sql_limit(limit));
                let rows = self.connection()?.rows("read ready instances", ask)?;
                rows.iter().map(|row| column(row, 0)).collect()
            }

            fn timers_after(
                &mut self,
                after: TimerRow,
                until: TimeMs,
                limit: usize,
            ) -> Result<Vec<TimerRow>> {
                let TimerRow { fire_at, key, task } = after;
                let ask = Ask::new(TIMERS_DUE).with(until).with(fire_at).with(key);
                let ask = ask.with(i64::from(task)).with(listing::sql_limit(limit));
                let rows = self.connection()?.rows("read timers", ask)?;
                let timer = |row: &Row| {
                    let task: i64 = column(row, 2)?;
                    Ok(TimerRow { fire_at: column(row, 0)?, key: column(row, 1)?, task: task_id(task)? })
                };
                rows.iter().map(timer).collect()
            }

            fn stats(&mut self) -> Result<StoreStats> {
                stats(self.connection()?)
            }

            fn backup(&mut self, _file: &Path) -> Result<()> {
                let cause = "a hub in PostgreSQL is copied with its tools, such as pg_dump";
                Err(ProviderError::new(ProviderErrorKind::Invalid, "copy the hub", cause))
            }

            fn snapshot(&mut self) -> Result<Snapshot> {
                snapshot(self.connection()?)
            }
        }
        )*
    };
}

answers_questions!(super::PostgresProvider, super::PostgresReader);

/// First which ones: most of those that are asked about are open.
fn settled(session: &mut Session, ids: &[String]) -> Result<Vec<Settled>> {
    let operation = "look for instances that have ended";
    let mut settled = Vec::new();
    let mut ended: Vec<String> = Vec::new();
    for row in session.rows(operation, Ask::new(SETTLED).with(ids))? {
        let (place, is_there): (i64, bool) = (column(&row, 0)?, column(&row, 1)?);
        // By its place: what comes back of a text need not be what was asked for.
        let Some(id) = usize::try_from(place - 1).ok().and_then(|place| ids.get(place)) else {
            continue;
        };
        let id = id.clone();
        if is_there {
            ended.push(id);
        } else {
            settled.push((id, None));
        }
    }
    for ids in ended.chunks(ROWS_AT_ONCE) {
        let asks: Vec<Ask<'_>> = ids.iter().map(|id| Ask::new(FIND).with(id.as_str())).collect();
        for (id, rows) in ids.iter().zip(session.all(operation, &asks)?) {
            let row = rows.first().map(|row| columns::instance(row, Unreadable::Refuse));
            settled.push((id.clone(), row.transpose()?));
        }
    }
    Ok(settled)
}

fn task_id(stored: i64) -> Result<u32> {
    u32::try_from(stored).map_err(|error| {
        ProviderError::new(ProviderErrorKind::Corrupt, "read a task's number", error)
    })
}

fn stats(session: &mut Session) -> Result<StoreStats> {
    let rows = session.rows("read the hub's size", Ask::new(STATS))?;
    let count = |row: &Row, index| column::<i64>(row, index).map(i64::unsigned_abs);
    let table = |row: &Row| {
        Ok(TableStats {
            name: column(row, 0)?,
            rows: count(row, 1)?,
            dead_rows: count(row, 2)?,
            bytes: count(row, 3)?,
            vacuumed_ms: column(row, 4)?,
        })
    };
    let tables: Vec<TableStats> = rows.iter().map(table).collect::<Result<_>>()?;
    let bytes = tables.iter().map(|table| table.bytes).sum();
    Ok(StoreStats { bytes, free_bytes: None, tables })
}

fn snapshot(session: &mut Session) -> Result<Snapshot> {
    let operation = "read the whole hub";
    let texts = [
        BEGIN_READING,
        SETTINGS,
        EVERY_INSTANCE,
        EVERY_ENTITY,
        EVERY_ROW,
        EVERY_MESSAGE,
        EVERY_WAIT,
        EVERY_TIMER,
        END_READING,
    ];
    let found = session.all(operation, &texts.map(Ask::new))?;
    let [_, settings, instances, entities, history, messages, waits, timers, _] = &found[..] else {
        return Ok(Lines::default().finish());
    };
    let mut lines = Lines::default();
    let corrupt = |cause| ProviderError::new(ProviderErrorKind::Corrupt, operation, cause);
    for row in settings {
        lines.settings(&decode_settings(column(row, 0)?).map_err(corrupt)?);
    }
    let instances: Vec<InstanceRow> = instances
        .iter()
        .map(|row| columns::instance(row, Unreadable::Refuse))
        .collect::<Result<_>>()?;
    let entities: Vec<EntityRow> = entities.iter().map(entities::entity).collect::<Result<_>>()?;
    let ids: HashMap<InstanceKey, &str> = instances
        .iter()
        .map(|row| (row.head.key, row.head.id.as_str()))
        .chain(entities.iter().map(|row| (row.head.key, row.id.as_str())))
        .collect();
    let id = |key: InstanceKey| ids.get(&key).copied().unwrap_or("(gone)");
    for row in &instances {
        lines.instance(row, row.head.parent.map(|link| id(link.key)));
    }
    for row in &entities {
        lines.entity(row, row.head.lock.map(|lock| id(lock.key)));
    }
    let mut places: HashMap<InstanceKey, usize> = HashMap::new();
    let mut place = |key: InstanceKey| {
        let next = places.entry(key).or_default();
        *next += 1;
        *next
    };
    for row in history {
        let (key, body): (InstanceKey, Vec<u8>) = (column(row, 0)?, column(row, 2)?);
        let exec = columns::exec(row, 1)?.unwrap_or_default();
        lines.history(id(key), place(key), exec, &body);
    }
    for row in messages {
        let message = NewMessage {
            key: column(row, 0)?,
            exec: columns::exec(row, 1)?,
            event: column(row, 2)?,
            taken: column(row, 3)?,
            body: column(row, 4)?,
        };
        lines.message(id(message.key), place(message.key), &message);
    }
    for row in waits {
        let (event, open): (String, i32) = (column(row, 1)?, column(row, 2)?);
        lines.wait(id(column(row, 0)?), &event, open.unsigned_abs());
    }
    for row in timers {
        lines.timer(id(column(row, 0)?), task_id(column(row, 1)?)?, column(row, 2)?);
    }
    Ok(lines.finish())
}
