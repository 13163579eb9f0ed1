//! The rows of a hub in PostgreSQL, inside one transaction.
//!
//! Owns: what is known of the rows without asking again, and when the gathered writes must be sent.
//! Must never: refuse anything, or answer from what it knows where it does not know all.
//! Proved by `tests/conformance.rs` and `tests/differential.rs`.
//!
//! A statement that is sent and waited for costs as much as a whole transaction of SQLite. So all that is
//! foreseen is read and locked in one go (`locks.rs`); rules then read from memory; and what they write is
//! sent in one go at the end (`batch.rs`). What was not foreseen is read when it is asked for.

use std::collections::VecDeque;

use tokio_postgres::Row;

use crate::core::ids::partition_of;
use crate::core::instance::{InstanceChange, InstanceHead, InstanceRow, NewInstance};
use crate::core::partition::{Epoch, Parts, key_in, partition_of_key};
use crate::core::request::HubSettings;
use crate::core::{ExecutionId, InstanceKey, MessageKey, TaskId, TimeMs, TurnNumber};
use crate::provider::rows::{Clear, NewMessage};
use crate::provider::{
    ProviderError, ProviderErrorKind, Result, Rows, StoredMessage, decode_settings, encode_settings,
};

use super::batch::Batch;
use super::columns::{self, Unreadable, column, row_columns, stored};
use super::hints::Message;
use super::known::Known;
use super::locks::Later;
use super::membership;
use super::session::{Ask, Session};

pub(super) const TAKEN_EVENTS: &str = "SELECT iid, mid FROM hub.messages \
    WHERE iid = ANY($1) AND taken AND event >= '' ORDER BY mid";
pub(super) const MESSAGES: &str =
    "SELECT mid, exec, body FROM hub.messages WHERE iid = $1 AND taken = $2 ORDER BY mid";
pub(super) const KEPT_EVENTS: &str = "SELECT w.iid, w.event, m.mid, m.exec, m.body \
    FROM unnest($1::bigint[], $2::text[]) AS w(iid, event) CROSS JOIN LATERAL \
     (SELECT mid, exec, body FROM hub.messages WHERE iid = w.iid AND NOT taken AND event = w.event \
      ORDER BY mid LIMIT 1) AS m";
pub(super) const WAITS: &str = "SELECT i.iid, e.event, coalesce(w.open, 0) \
    FROM unnest($1::text[], $2::text[]) AS e(id, event) JOIN hub.instances AS i ON i.id = e.id \
    LEFT JOIN hub.waits AS w ON w.iid = i.iid AND w.event = e.event";
pub(super) const WAIT: &str = "SELECT open FROM hub.waits WHERE iid = $1 AND event = $2";
pub(super) const INSTANCE_KEYS: &str =
    "SELECT nextval('hub.iids') FROM generate_series(1, $1::integer)";
pub(super) const MESSAGE_KEYS: &str =
    "SELECT nextval('hub.mids') FROM generate_series(1, $1::integer)";
pub(super) const ROW: &str =
    concat!("SELECT ", row_columns!(), " FROM hub.instances WHERE iid = $1");
/// The open ones.
pub(super) const CHILDREN: &str = "SELECT iid FROM hub.instances \
    WHERE parent_iid = $1 AND completed_ms IS NULL ORDER BY iid";
/// Of the workers that live, the last one first; of the last one that lived, if none does.
pub(super) const SETTINGS: &str = "(SELECT settings FROM hub.workers \
     WHERE lease_until > clock_timestamp() ORDER BY epoch DESC) \
    UNION ALL SELECT settings FROM hub.hub \
     WHERE NOT EXISTS (SELECT 1 FROM hub.workers WHERE lease_until > clock_timestamp())";
pub(super) const PUT_SETTINGS: &str = "UPDATE hub.hub SET settings = $1";
pub(super) const PUT_OWN_SETTINGS: &str = "UPDATE hub.workers SET settings = $2 WHERE epoch = $1";

/// Keys asked for at a time where they were not foreseen.
const MORE_KEYS: i32 = 16;
pub(super) const READING: &str = "read instances";

/// See the module's text.
pub(super) struct PostgresRows<'s> {
    pub(super) session: &'s mut Session,
    /// How many partitions the hub has.
    pub(super) partitions: u16,
    /// Who writes, if it is a worker.
    pub(super) epoch: Option<Epoch>,
    /// Its partitions. The owners of others are told of what it writes.
    pub(super) mine: Parts,
    /// What others are told when it is written.
    pub(super) told: Message,
    /// An activity that this worker had taken is done.
    pub(super) reported: bool,
    pub(super) known: Known,
    pub(super) batch: Batch,
    /// See `locks.rs`.
    pub(super) later: Later,
}

impl<'s> PostgresRows<'s> {
    /// Of a worker that has those partitions, or of a client.
    pub(super) fn new(
        session: &'s mut Session,
        partitions: u16,
        worker: Option<(Epoch, Parts)>,
    ) -> Self {
        Self {
            session,
            partitions,
            epoch: worker.map(|(epoch, _)| epoch),
            mine: worker.map_or(Parts::NONE, |(_, mine)| mine),
            told: Message::default(),
            reported: false,
            known: Known::default(),
            batch: Batch::default(),
            later: Later::default(),
        }
    }

    /// Sends the gathered writes, and `last` behind them.
    pub(super) fn send(&mut self, last: Option<Ask<'_>>) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let mut asks = batch.asks();
        asks.extend(last);
        if asks.is_empty() { Ok(()) } else { self.session.all("write rows", &asks).map(|_| ()) }
    }

    /// Reads what was not foreseen, as it is after the writes so far.
    pub(super) fn read(&mut self, operation: &str, ask: Ask<'_>) -> Result<Vec<Row>> {
        self.send(None)?;
        self.session.rows(operation, ask)
    }

    pub(super) fn more_keys(&mut self, text: &'static str) -> Result<VecDeque<i64>> {
        let rows = self.session.rows("make keys", Ask::new(text).with(MORE_KEYS))?;
        rows.iter().map(|row| column(row, 0)).collect()
    }

    /// Tells whoever has the partition.
    fn ring(&mut self, key: InstanceKey, message: Option<MessageKey>) {
        if !self.owns(key) {
            let part = partition_of_key(key, self.partitions);
            self.told.rung.insert(part);
            self.batch.ring(stored(part), key, message);
        }
    }
}

impl Rows for PostgresRows<'_> {
    fn head(&mut self, key: InstanceKey) -> Result<Option<InstanceHead>> {
        self.lock_heads(&[key], &[])?;
        Ok(self.known.heads.entry(key).or_default().clone())
    }

    fn head_by_id(&mut self, id: &str) -> Result<Option<InstanceHead>> {
        self.lock_heads(&[], &[id])?;
        match *self.known.keys.entry(id.to_owned()).or_default() {
            Some(key) => self.head(key),
            None => Ok(None),
        }
    }

    fn row(&mut self, key: InstanceKey) -> Result<Option<InstanceRow>> {
        let rows = self.read(READING, Ask::new(ROW).with(key))?;
        rows.first().map(|row| columns::instance(row, Unreadable::Refuse)).transpose()
    }

    fn insert_instance(&mut self, new: &NewInstance) -> Result<InstanceKey> {
        if self.known.instance_keys.is_empty() {
            self.known.instance_keys = self.more_keys(INSTANCE_KEYS)?;
        }
        let number = self.known.instance_keys.pop_front().ok_or_else(no_key)?;
        let key = key_in(partition_of(&new.id, self.partitions), number, self.partitions);
        self.known.learn_head(new.head(key));
        self.known.taken.insert(key, Vec::new());
        self.batch.insert_instance(key, new.clone());
        self.ring(key, None);
        Ok(key)
    }

    fn update_instance(&mut self, key: InstanceKey, change: &InstanceChange) -> Result<()> {
        if let Some(Some(head)) = self.known.heads.get_mut(&key) {
            head.change(change);
        }
        self.batch.update_instance(key, change);
        Ok(())
    }

    fn clear(&mut self, key: InstanceKey, what: Clear) -> Result<()> {
        if self.batch.meets(key, what) {
            self.send(None)?;
        }
        self.known.forget(key, what);
        self.batch.clear(key, what);
        Ok(())
    }

    fn open_children(&mut self, key: InstanceKey) -> Result<Vec<InstanceHead>> {
        let rows = self.read(READING, Ask::new(CHILDREN).with(key))?;
        let keys: Vec<InstanceKey> =
            rows.iter().map(|row| column(row, 0)).collect::<Result<_>>()?;
        self.lock_heads(&keys, &[])?;
        let heads = keys.iter().filter_map(|key| self.known.heads.get(key)?.clone());
        Ok(heads.filter(|head| !head.status.has_ended()).collect())
    }

    fn is_next_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
    ) -> Result<bool> {
        Ok(self.last_turn(key, exec)?.saturating_add(1) == turn)
    }

    fn append_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
        body: &[u8],
    ) -> Result<()> {
        if self.batch.has_notices(key) {
            self.send(None)?;
        }
        self.known.turns.insert((key, exec), turn);
        self.batch.append_turn(key, exec, turn, body);
        Ok(())
    }

    fn append_notice(&mut self, key: InstanceKey, exec: ExecutionId, body: &[u8]) -> Result<()> {
        self.batch.append_notice(key, exec, body);
        Ok(())
    }

    fn history(&mut self, key: InstanceKey, exec: ExecutionId) -> Result<Vec<Vec<u8>>> {
        self.read_history(key, exec)
    }

    fn remove_turn(&mut self, key: InstanceKey, exec: ExecutionId, turn: TurnNumber) -> Result<()> {
        self.known.turns.remove(&(key, exec));
        self.batch.remove_turn(key, exec, turn);
        Ok(())
    }

    fn insert_message(&mut self, message: &NewMessage) -> Result<MessageKey> {
        if self.known.message_keys.is_empty() {
            self.known.message_keys = self.more_keys(MESSAGE_KEYS)?;
        }
        let key = self.known.message_keys.pop_front().ok_or_else(no_key)?;
        match &message.event {
            Some(_) if message.taken => {
                if let Some(taken) = self.known.taken.get_mut(&message.key) {
                    taken.push(key);
                }
            }
            Some(event) => {
                let oldest = self.known.kept.get_mut(&(message.key, event.clone()));
                if let Some(oldest @ None) = oldest {
                    let (exec, body) = (message.exec, message.body.clone());
                    *oldest = Some(StoredMessage { key, exec, body });
                }
            }
            None => {}
        }
        if message.taken {
            self.ring(message.key, Some(key));
        }
        self.batch.insert_message(key, message.clone());
        Ok(key)
    }

    fn remove_messages(&mut self, keys: &[MessageKey]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        for taken in self.known.taken.values_mut().filter(|taken| !taken.is_empty()) {
            taken.retain(|key| !keys.contains(key));
        }
        self.batch.remove_messages(keys);
        Ok(())
    }

    fn messages(&mut self, key: InstanceKey, taken: bool) -> Result<Vec<StoredMessage>> {
        let rows = self.read("read messages", Ask::new(MESSAGES).with(key).with(taken))?;
        rows.iter().map(|row| columns::message(row, 0)).collect()
    }

    fn taken_events(&mut self, key: InstanceKey) -> Result<Vec<MessageKey>> {
        if !self.known.taken.contains_key(&key) {
            let keys: &[InstanceKey] = &[key];
            let rows = self.read("read taken events", Ask::new(TAKEN_EVENTS).with(keys))?;
            let taken: Result<Vec<MessageKey>> = rows.iter().map(|row| column(row, 1)).collect();
            self.known.taken.insert(key, taken?);
        }
        Ok(self.known.taken.get(&key).cloned().unwrap_or_default())
    }

    fn take_kept_event(&mut self, key: InstanceKey, event: &str) -> Result<Option<StoredMessage>> {
        let wait = (key, event.to_owned());
        let found = if let Some(known) = self.known.kept.remove(&wait) {
            known
        } else {
            let keys: &[InstanceKey] = &[key];
            let events: &[&str] = &[event];
            let ask = Ask::new(KEPT_EVENTS).with(keys).with(events);
            let rows = self.read("read a kept event", ask)?;
            rows.first().map(|row| columns::message(row, 2)).transpose()?
        };
        match &found {
            // Which one is the oldest now is not known.
            Some(message) => {
                if let Some(taken) = self.known.taken.get_mut(&key) {
                    taken.push(message.key);
                }
                self.batch.take_event(message.key);
            }
            None => {
                self.known.kept.insert(wait, None);
            }
        }
        Ok(found)
    }

    fn open_wait(&mut self, key: InstanceKey, event: &str) -> Result<()> {
        if let Some(open) = self.known.waits.get_mut(&(key, event.to_owned())) {
            *open += 1;
        }
        self.batch.add_waits(key, event, 1);
        Ok(())
    }

    fn take_wait(&mut self, key: InstanceKey, event: &str) -> Result<bool> {
        let wait = (key, event.to_owned());
        let open = if let Some(open) = self.known.waits.get(&wait) {
            *open
        } else {
            let rows = self.read("read a wait", Ask::new(WAIT).with(key).with(event))?;
            rows.first().map_or(Ok(0), |row| column(row, 0))?
        };
        let taken = open > 0;
        self.known.waits.insert(wait, open - i32::from(taken));
        if taken {
            self.batch.add_waits(key, event, -1);
        }
        Ok(taken)
    }

    fn set_timer(&mut self, key: InstanceKey, task: TaskId, fire_at: TimeMs) -> Result<()> {
        self.batch.set_timer(key, task, Some(fire_at));
        Ok(())
    }

    fn clear_timer(&mut self, key: InstanceKey, task: TaskId) -> Result<()> {
        self.batch.set_timer(key, task, None);
        Ok(())
    }

    fn settings(&mut self) -> Result<HubSettings> {
        let rows = self.read("read settings", Ask::new(SETTINGS))?;
        let corrupt =
            |cause: String| ProviderError::new(ProviderErrorKind::Corrupt, "read settings", cause);
        let mut all = rows.iter().map(|row| decode_settings(column(row, 0)?).map_err(corrupt));
        let mut settings = all.next().ok_or_else(|| corrupt("the hub has none".to_owned()))??;
        for other in all {
            settings.orchestrators.extend(other?.orchestrators);
        }
        Ok(settings)
    }

    fn put_settings(&mut self, settings: &HubSettings) -> Result<()> {
        let text = encode_settings(settings);
        let hub = Ask::new(PUT_SETTINGS).with(text.clone());
        let own = Ask::new(PUT_OWN_SETTINGS).with(self.epoch).with(text);
        self.session.all("put settings", &[hub, own]).map(|_| ())
    }

    fn owns(&self, key: InstanceKey) -> bool {
        self.mine.has(partition_of_key(key, self.partitions))
    }

    fn give(&mut self, parts: Parts) -> Result<()> {
        membership::give(self.session, self.epoch, parts)?;
        self.mine = self.mine.without(parts);
        self.told.called = true;
        Ok(())
    }
}

pub(super) fn no_key() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Permanent, "make keys", "the sequence gave none")
}
