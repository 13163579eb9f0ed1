//! The reference model: a hub as maps in memory.
//!
//! Owns: what each operation of the contract means, said as plainly as it can be said. A transaction
//! works on a copy. Must never: be clever; it is what the other stores are compared with.
//! Proved by `tests/conformance.rs` and `tests/differential.rs`.

mod entities;
mod listing;

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::entity::EntityRow;
use crate::core::instance::{InstanceChange, InstanceHead, InstanceRow, NewInstance};
use crate::core::message::{Delivery, Message};
use crate::core::partition::Shares;
use crate::core::request::{Filter, HubSettings};
use crate::core::status::RuntimeStatus;
use crate::core::{ExecutionId, InstanceKey, MessageKey, TaskId, TimeMs, TurnNumber};

use crate::provider::page::Sieve;
use crate::provider::rows::{Clear, HistoryPlace, NewMessage};
use crate::provider::snapshot::Lines;
use crate::provider::{
    Arrivals, Epoch, Listing, Loaded, Ownership, Page, Provider, ProviderError, ProviderErrorKind,
    Purgeable, Reader, Result, Rows, Snapshot, StoreStats, StoredMessage, Synced, TaskRows,
    TimerRow,
};

/// A hub in memory, of which there is one view: nobody else writes to it.
#[derive(Debug, Default)]
pub struct MemoryProvider {
    tables: Tables,
    epoch: Epoch,
    owned: bool,
    /// What waited at the beginning has been given.
    begun: bool,
}

#[derive(Debug, Clone, Default)]
struct Tables {
    settings: HubSettings,
    instances: BTreeMap<InstanceKey, InstanceRow>,
    entities: BTreeMap<InstanceKey, EntityRow>,
    history: BTreeMap<Place, Vec<u8>>,
    messages: BTreeMap<MessageKey, NewMessage>,
    waits: BTreeMap<(InstanceKey, String), u32>,
    timers: BTreeMap<(InstanceKey, TaskId), TimeMs>,
    last_key: i64,
}

/// Where a row of history stands: whose it is, the turn, and 0 for the turn itself or the number of a notice
/// that follows it.
type Place = (InstanceKey, ExecutionId, TurnNumber, u32);

impl MemoryProvider {
    /// An empty hub.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Provider for MemoryProvider {
    fn transaction(
        &mut self,
        fence: Option<Epoch>,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<()> {
        if fence.is_some_and(|epoch| !self.owned || epoch != self.epoch) {
            let cause = "this process does not have it";
            let kind = ProviderErrorKind::LostOwnership;
            return Err(ProviderError::new(kind, "commit to the hub", cause));
        }
        let mut copy = self.tables.clone();
        work(&mut copy)?;
        self.tables = copy;
        Ok(())
    }

    fn acquire(&mut self, settings: &HubSettings) -> Result<Ownership> {
        self.epoch += 1;
        self.owned = true;
        self.tables.settings = settings.clone();
        let (hub_id, epoch) = ("memory".to_owned(), self.epoch);
        Ok(Ownership { hub_id, epoch, shares: Shares::WHOLE })
    }

    fn release(&mut self) -> Result<()> {
        self.owned = false;
        Ok(())
    }

    fn worker_lives(&mut self) -> Result<bool> {
        Ok(self.owned)
    }

    fn arrivals(&mut self) -> Result<Arrivals> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(Arrivals::default());
        }
        let rows = self.tables.instances.values();
        let held = |row: &&InstanceRow| {
            row.head.status == RuntimeStatus::Suspended && row.problem.is_some()
        };
        let ready = rows.clone().filter(|row| row.ready).map(|row| row.head.key).collect();
        let held = rows.filter(held).map(|row| row.head.key).collect();
        let messages = self.tables.messages.iter().filter(|(_, message)| message.taken);
        Ok(Arrivals {
            ready,
            messages: messages.map(delivery).collect(),
            held,
            ..Arrivals::default()
        })
    }

    fn maintain(&mut self, _idle: bool) -> Result<()> {
        Ok(())
    }

    fn reader(&self) -> Result<Option<Box<dyn Reader>>> {
        Ok(None)
    }

    fn hub_name(&mut self) -> Result<Option<String>> {
        Ok(None)
    }

    fn durability(&mut self) -> Result<Synced> {
        Ok(Synced { settings: "in memory".to_owned(), ..Synced::default() })
    }
}

/// A message that cannot be read arrives as a change of its instance, whose loading finds it.
fn delivery((key, message): (&MessageKey, &NewMessage)) -> (InstanceKey, Delivery) {
    let delivery = match Message::decode(&message.body) {
        Ok(decoded) => Delivery { key: Some(*key), exec: message.exec, message: decoded },
        Err(_) => Delivery { key: None, exec: None, message: Message::Changed },
    };
    (message.key, delivery)
}

impl Reader for MemoryProvider {
    fn find(&mut self, id: &str) -> Result<Option<InstanceRow>> {
        Ok(self.tables.by_id(id).cloned())
    }

    fn load(&mut self, key: InstanceKey) -> Result<Option<Loaded>> {
        let Some(row) = self.tables.instances.get(&key).cloned() else { return Ok(None) };
        let exec = row.head.exec;
        let messages = self.tables.messages.iter();
        let messages = messages
            .filter(|(_, message)| message.key == key && message.taken)
            .filter(|(_, message)| message.exec.is_none_or(|of| of == exec))
            .map(stored)
            .collect();
        let history = self.tables.bodies(key, exec);
        let last_turn = self.tables.last_turn(key, exec);
        Ok(Some(Loaded { row, history, last_turn, messages, away: Vec::new() }))
    }

    fn history_after(
        &mut self,
        key: InstanceKey,
        after: HistoryPlace,
        bytes: usize,
    ) -> Result<Vec<(HistoryPlace, Vec<u8>)>> {
        let Some(row) = self.tables.instances.get(&key) else { return Ok(Vec::new()) };
        let mut place = HistoryPlace::default();
        let (mut rows, mut read) = (Vec::new(), 0_usize);
        for ((.., turn, notice), body) in self.tables.rows_of(key, row.head.exec) {
            match notice {
                0 => place.turn = *turn,
                _ => place.notice += 1,
            }
            let is_behind = place.turn > after.turn || place.notice > after.notice;
            if is_behind && read < bytes {
                read = read.saturating_add(body.len());
                rows.push((place, body.clone()));
            }
        }
        Ok(rows)
    }

    fn list(&mut self, filter: &Filter, page: &Page) -> Result<Listing> {
        let sieve = Sieve::of(filter);
        let (passing, cursor) = self.tables.page(&sieve, page)?;
        let rows = passing.into_iter().map(|(_, row)| row.clone()).collect();
        Ok(Listing { rows, cursor })
    }

    fn count(&mut self, filter: &Filter) -> Result<u64> {
        Ok(self.tables.passing(&Sieve::of(filter)).len() as u64)
    }

    fn purgeable(
        &mut self,
        filter: &Filter,
        completed_before: Option<TimeMs>,
        page: &Page,
    ) -> Result<Purgeable> {
        let before = completed_before.unwrap_or(TimeMs::MAX);
        let sieve = Sieve::of_ended(filter, completed_before);
        let (mut passing, cursor) = self.tables.page(&sieve, page)?;
        passing.retain(|(_, row)| row.completed_ms.is_some_and(|time| time < before));
        Ok(Purgeable { keys: passing.into_iter().map(|(_, row)| row.head.key).collect(), cursor })
    }

    fn ready(&mut self, from: InstanceKey, limit: usize) -> Result<Vec<InstanceKey>> {
        let rows = self.tables.instances.range(from..);
        Ok(rows.filter(|(_, row)| row.ready).map(|(key, _)| *key).take(limit).collect())
    }

    fn timers_after(
        &mut self,
        after: TimerRow,
        until: TimeMs,
        limit: usize,
    ) -> Result<Vec<TimerRow>> {
        let timers = self.tables.timers.iter();
        let mut due: Vec<TimerRow> = timers
            .map(|(&(key, task), &fire_at)| TimerRow { fire_at, key, task })
            .filter(|timer| timer.fire_at <= until && *timer > after)
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }

    fn stats(&mut self) -> Result<StoreStats> {
        Ok(StoreStats::default())
    }

    fn backup(&mut self, _file: &Path) -> Result<()> {
        let cause = "the reference model has no file form";
        Err(ProviderError::new(ProviderErrorKind::Invalid, "copy the hub", cause))
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        let tables = &self.tables;
        let id = |key| {
            let instance = tables.instances.get(key).map(|row| row.head.id.as_str());
            let entity = tables.entities.get(key).map(|row| row.id.as_str());
            instance.or(entity).unwrap_or("(gone)")
        };
        let mut lines = Lines::default();
        lines.settings(&tables.settings);
        for row in tables.instances.values() {
            lines.instance(row, row.head.parent.as_ref().map(|link| id(&link.key)));
        }
        for row in tables.entities.values() {
            lines.entity(row, row.head.lock.as_ref().map(|lock| id(&lock.key)));
        }
        let mut places: BTreeMap<InstanceKey, usize> = BTreeMap::new();
        let mut place = |key| {
            let next = places.entry(key).or_default();
            *next += 1;
            *next
        };
        for ((key, exec, ..), body) in &tables.history {
            lines.history(id(key), place(*key), *exec, body);
        }
        for message in tables.messages.values() {
            lines.message(id(&message.key), place(message.key), message);
        }
        for ((key, event), open) in &tables.waits {
            lines.wait(id(key), event, *open);
        }
        for ((key, task), fire_at) in &tables.timers {
            lines.timer(id(key), *task, *fire_at);
        }
        Ok(lines.finish())
    }
}

fn stored((key, message): (&MessageKey, &NewMessage)) -> StoredMessage {
    StoredMessage { key: *key, exec: message.exec, body: message.body.clone() }
}

impl Tables {
    fn next_key(&mut self) -> i64 {
        self.last_key += 1;
        self.last_key
    }

    fn by_id(&self, id: &str) -> Option<&InstanceRow> {
        self.instances.values().find(|row| row.head.id == id)
    }

    fn bodies(&self, key: InstanceKey, exec: ExecutionId) -> Vec<Vec<u8>> {
        self.rows_of(key, exec).map(|(_, body)| body.clone()).collect()
    }

    fn rows_of(
        &self,
        key: InstanceKey,
        exec: ExecutionId,
    ) -> impl DoubleEndedIterator<Item = (&Place, &Vec<u8>)> {
        self.history.range((key, exec, 0, 0)..(key, exec + 1, 0, 0))
    }

    fn last_turn(&self, key: InstanceKey, exec: ExecutionId) -> TurnNumber {
        let rows = self.rows_of(key, exec).rev();
        rows.map(|(place, _)| place).find(|place| place.3 == 0).map_or(0, |place| place.2)
    }

    fn last_place(&self, key: InstanceKey, exec: ExecutionId) -> Place {
        self.rows_of(key, exec).next_back().map_or((key, exec, 0, 0), |(place, _)| *place)
    }
}

impl TaskRows for Tables {}

impl Rows for Tables {
    fn head(&mut self, key: InstanceKey) -> Result<Option<InstanceHead>> {
        Ok(self.instances.get(&key).map(|row| row.head.clone()))
    }

    fn head_by_id(&mut self, id: &str) -> Result<Option<InstanceHead>> {
        Ok(self.by_id(id).map(|row| row.head.clone()))
    }

    fn row(&mut self, key: InstanceKey) -> Result<Option<InstanceRow>> {
        Ok(self.instances.get(&key).cloned())
    }

    fn insert_instance(&mut self, new: &NewInstance) -> Result<InstanceKey> {
        let key = self.next_key();
        let row = InstanceRow {
            head: new.head(key),
            version: new.version.clone(),
            ready: new.begun.is_none_or(|first| first.ready),
            scheduled_ms: new.scheduled_ms,
            created_ms: new.begun.map(|first| first.time_ms),
            updated_ms: new.begun.map_or(new.scheduled_ms, |first| first.time_ms),
            completed_ms: None,
            parent_id: new.parent_id.clone(),
            input: new.input.clone(),
            output: None,
            failure: None,
            custom_status: None,
            problem: None,
        };
        self.instances.insert(key, row);
        Ok(key)
    }

    fn update_instance(&mut self, key: InstanceKey, change: &InstanceChange) -> Result<()> {
        let Some(row) = self.instances.get_mut(&key) else { return Ok(()) };
        let change = change.clone();
        row.head.change(&change);
        row.ready = change.ready.unwrap_or(row.ready);
        row.created_ms = change.created_ms.or(row.created_ms);
        row.updated_ms = change.updated_ms.unwrap_or(row.updated_ms);
        row.completed_ms = change.completed_ms.unwrap_or(row.completed_ms);
        row.custom_status = change.custom_status.or(row.custom_status.take());
        for (field, new) in [
            (&mut row.input, change.input),
            (&mut row.output, change.output),
            (&mut row.failure, change.failure),
            (&mut row.problem, change.problem),
        ] {
            if let Some(new) = new {
                *field = new;
            }
        }
        Ok(())
    }

    fn clear(&mut self, key: InstanceKey, what: Clear) -> Result<()> {
        self.waits.retain(|(of, _), _| *of != key);
        self.timers.retain(|(of, _), _| *of != key);
        let keeps_events = what == Clear::Execution;
        self.messages.retain(|_, message| message.key != key || keeps_events && !message.taken);
        if what != Clear::Ended {
            self.history.retain(|(of, ..), _| *of != key);
        }
        if what == Clear::All {
            self.instances.remove(&key);
        }
        Ok(())
    }

    fn open_children(&mut self, key: InstanceKey) -> Result<Vec<InstanceHead>> {
        let heads = self.instances.values().map(|row| &row.head);
        let open = heads.filter(|head| head.parent.is_some_and(|link| link.key == key));
        Ok(open.filter(|head| !head.status.has_ended()).cloned().collect())
    }

    fn is_next_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
    ) -> Result<bool> {
        Ok(self.last_turn(key, exec) + 1 == turn)
    }

    fn append_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
        body: &[u8],
    ) -> Result<()> {
        self.history.insert((key, exec, turn, 0), body.to_vec());
        Ok(())
    }

    fn append_notice(&mut self, key: InstanceKey, exec: ExecutionId, body: &[u8]) -> Result<()> {
        let (.., turn, notice) = self.last_place(key, exec);
        self.history.insert((key, exec, turn, notice + 1), body.to_vec());
        Ok(())
    }

    fn history(&mut self, key: InstanceKey, exec: ExecutionId) -> Result<Vec<Vec<u8>>> {
        Ok(self.bodies(key, exec))
    }

    fn remove_turn(&mut self, key: InstanceKey, exec: ExecutionId, turn: TurnNumber) -> Result<()> {
        self.history.remove(&(key, exec, turn, 0));
        Ok(())
    }

    fn insert_message(&mut self, message: &NewMessage) -> Result<MessageKey> {
        let key = self.next_key();
        self.messages.insert(key, message.clone());
        Ok(key)
    }

    fn remove_messages(&mut self, keys: &[MessageKey]) -> Result<()> {
        self.messages.retain(|key, _| !keys.contains(key));
        Ok(())
    }

    fn messages(&mut self, key: InstanceKey, taken: bool) -> Result<Vec<StoredMessage>> {
        let all = self.messages.iter();
        let wanted = all.filter(|(_, message)| message.key == key && message.taken == taken);
        Ok(wanted.map(stored).collect())
    }

    fn taken_events(&mut self, key: InstanceKey) -> Result<Vec<MessageKey>> {
        let events = self.messages.iter().filter(|(_, message)| message.event.is_some());
        let of_this = events.filter(|(_, message)| message.key == key && message.taken);
        Ok(of_this.map(|(key, _)| *key).collect())
    }

    fn take_kept_event(&mut self, key: InstanceKey, event: &str) -> Result<Option<StoredMessage>> {
        let oldest = self.messages.iter_mut().find(|(_, message)| {
            message.key == key && !message.taken && message.event.as_deref() == Some(event)
        });
        let Some((place, message)) = oldest else { return Ok(None) };
        message.taken = true;
        Ok(Some(stored((place, message))))
    }

    fn open_wait(&mut self, key: InstanceKey, event: &str) -> Result<()> {
        *self.waits.entry((key, event.to_owned())).or_default() += 1;
        Ok(())
    }

    fn take_wait(&mut self, key: InstanceKey, event: &str) -> Result<bool> {
        let wait = (key, event.to_owned());
        let Some(open) = self.waits.get_mut(&wait) else { return Ok(false) };
        *open -= 1;
        if *open == 0 {
            self.waits.remove(&wait);
        }
        Ok(true)
    }

    fn set_timer(&mut self, key: InstanceKey, task: TaskId, fire_at: TimeMs) -> Result<()> {
        self.timers.insert((key, task), fire_at);
        Ok(())
    }

    fn clear_timer(&mut self, key: InstanceKey, task: TaskId) -> Result<()> {
        self.timers.remove(&(key, task));
        Ok(())
    }

    fn settings(&mut self) -> Result<HubSettings> {
        Ok(self.settings.clone())
    }

    fn put_settings(&mut self, settings: &HubSettings) -> Result<()> {
        self.settings = settings.clone();
        Ok(())
    }
}
