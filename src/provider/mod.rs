//! Storage: what a store must be able to do, and the stores that can.
//!
//! Owns: the contract (`Provider`, `Reader`, `Rows`) and `transaction`, the one place in which rules
//! of core meet rows. Must never: let a store decide anything; a store keeps rows and gives them
//! back, it does not look into an event or compare a status except where a query names one.
//! Proved by `tests/conformance.rs` (every store) and `tests/differential.rs` (against `memory`).

pub mod error;
pub mod memory;
mod page;
pub mod postgres;
pub mod rows;
mod snapshot;
pub mod sqlite;
pub mod transaction;

use std::path::Path;

use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

use crate::core::entity::EntityRow;
use crate::core::instance::InstanceRow;
use crate::core::message::Delivery;
pub use crate::core::partition::Epoch;
use crate::core::partition::{Parts, Shares};
use crate::core::request::{EntityFilter, Filter, HubSettings};
use crate::core::task::{Served, TaskRef, TasksWait};
use crate::core::{InstanceKey, MessageKey, Payload, TaskId, TimeMs, TurnNumber};
pub use error::{ProviderError, ProviderErrorKind, Result};
pub use postgres::hints::{Hint, Hints, Listener, mark};
pub use rows::{EntityRows, HistoryPlace, Rows, TaskRows};

/// What a worker gets with the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Unique to the hub, for ever.
    pub hub_id: String,
    /// The epoch under which the worker commits. Each worker that takes a hub gets the next one.
    pub epoch: Epoch,
    /// What of the hub it has, to begin with.
    pub shares: Shares,
}

/// What a worker of several learns when it looks at who has what, see [`Provider::balance`].
#[derive(Debug, Default)]
pub struct Balanced {
    /// Partitions that it has got.
    pub gained: Parts,
    /// All that waits in them.
    pub arrivals: Arrivals,
    /// How many partitions it is to give.
    pub give: usize,
    /// What the other workers run.
    pub others: Peers,
    /// Activities that this worker has taken to run.
    pub taken: Vec<TaskRef>,
}

/// What the other workers of a hub run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// Folded names of their orchestrators.
    pub orchestrators: Vec<String>,
    /// Their activities.
    pub activities: Vec<Served>,
}

/// A store, as the one thread that writes to it sees it.
///
/// All methods may fail with a [`ProviderError`]; its kind says what that means for the caller.
pub trait Provider: Reader {
    /// Runs `work` in one transaction that is durable when this returns `Ok`. With `fence`, the
    /// transaction first checks that the hub still belongs to that epoch (`LostOwnership`).
    /// If `work` fails, nothing is written.
    fn transaction(
        &mut self,
        fence: Option<Epoch>,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<()>;

    /// Told before a transaction of what it will be asked for, so that a store far away can read all of
    /// it at once.
    fn foresee(&mut self, _work: &mut dyn Iterator<Item = &transaction::Work>) {}

    /// The same if it can begin without waiting for another process; else `None`.
    fn at_once(
        &mut self,
        fence: Option<Epoch>,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<Option<()>> {
        self.transaction(fence, work).map(Some)
    }

    /// Takes the hub for this process, with the settings under which it runs: `HubInUse` while another
    /// worker has it, if it is one that only one can have. Whoever sees that a worker lives sees its
    /// settings.
    fn acquire(&mut self, settings: &HubSettings) -> Result<Ownership>;

    /// Takes it anew after `LostOwnership` or `InDoubt`: `None` if a worker that has lost it must end.
    fn join_again(&mut self, _settings: &HubSettings) -> Result<Option<Ownership>> {
        Ok(None)
    }

    /// Of a hub that several workers share: takes partitions that are nobody's, as far as they are due to
    /// this worker. Cheap, and to be called at any time; `None` if it is not time to look.
    fn balance(&mut self) -> Result<Option<Balanced>> {
        Ok(None)
    }

    /// Told which activities this worker runs, whenever that changes: [`Arrivals::tasks`] is about these.
    fn serve(&mut self, _activities: &[Served]) {}

    /// This worker will end soon: others are to have what it gives.
    fn leave(&mut self) -> Result<()> {
        Ok(())
    }

    /// What the store's own clock says, in milliseconds since 1970, if workers go by that one.
    fn server_ms(&mut self) -> Result<Option<TimeMs>> {
        Ok(None)
    }

    /// Whether other workers that live share the hub.
    fn has_company(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Gives the hub back.
    fn release(&mut self) -> Result<()>;

    /// Leaves it to other workers, as one that does not answer. `blamed`: it may be for one of the activities
    /// that it has taken, which are counted as if it had died.
    fn hand_over(&mut self, _blamed: bool) -> Result<()> {
        self.release()
    }

    /// Whether a live worker, in this process or another, has the hub.
    fn worker_lives(&mut self) -> Result<bool>;

    /// What has come since the last call that another process wrote (and, at the first call, all
    /// that waits): see [`Arrivals`]. Cheap when nothing has.
    fn arrivals(&mut self) -> Result<Arrivals>;

    /// The same, if the last transactions came upon all of it: no look of its own.
    fn arrivals_found(&mut self) -> Option<Arrivals> {
        None
    }

    /// Begins to hear what other processes tell, if there is a way; `listener` is told on another thread.
    fn listen(&mut self, _listener: Listener) -> Option<Arc<Hints>> {
        None
    }

    /// How long a worker need not look for anything, as it is told; `None`: it is told nothing.
    fn pause(&self) -> Option<Duration> {
        None
    }

    /// Housekeeping between transactions, when there is time for it: `idle` says that nothing waits.
    fn maintain(&mut self, idle: bool) -> Result<()>;

    /// A second view of the store for reading on another thread, if it has one.
    fn reader(&self) -> Result<Option<Box<dyn Reader>>>;

    /// The name that the hub was given, if it was.
    fn hub_name(&mut self) -> Result<Option<String>>;

    /// What of acknowledged commits outlives a crash.
    fn durability(&mut self) -> Result<Synced>;
}

/// Questions to a store. Each sees one committed state.
pub trait Reader: EntityReader {
    /// The row of an instance, by id.
    fn find(&mut self, id: &str) -> Result<Option<InstanceRow>>;

    /// Of these instances the rows of those that have ended, and nothing for those that are not there.
    fn settled(&mut self, ids: &[String]) -> Result<Vec<Settled>> {
        let mut settled = Vec::new();
        for id in ids {
            let row = self.find(id)?;
            if row.as_ref().is_none_or(|row| row.head.status.has_ended()) {
                settled.push((id.clone(), row));
            }
        }
        Ok(settled)
    }

    /// Whether the store is still where it was opened: `Gone` if nobody would find it any more.
    fn is_there(&mut self) -> Result<()> {
        Ok(())
    }

    /// An instance with all that is needed to run it again.
    fn load(&mut self, key: InstanceKey) -> Result<Option<Loaded>>;

    /// Rows of history of the instance's current execution behind that place, oldest first, each with the place
    /// behind it: no more than about so
    /// many bytes, and at least one if there is any.
    fn history_after(
        &mut self,
        key: InstanceKey,
        after: HistoryPlace,
        bytes: usize,
    ) -> Result<Vec<(HistoryPlace, Vec<u8>)>>;

    /// Bodies of all of them.
    fn history(&mut self, key: InstanceKey) -> Result<Vec<Vec<u8>>> {
        let (mut bodies, mut after) = (Vec::new(), HistoryPlace::default());
        loop {
            let rows = self.history_after(key, after, usize::MAX)?;
            let Some((last, _)) = rows.last() else { return Ok(bodies) };
            after = *last;
            bodies.extend(rows.into_iter().map(|(_, body)| body));
        }
    }

    /// A page of instances in the order in which they were scheduled; with `id_prefix`, in the order
    /// of their ids.
    fn list(&mut self, filter: &Filter, page: &Page) -> Result<Listing>;

    /// How many instances pass the filter.
    fn count(&mut self, filter: &Filter) -> Result<u64>;

    /// Ended instances that pass the filter and, with `completed_before`, ended before that time, among the
    /// next `page.top` rows of each range of the filter: whoever goes on where it ended looks at each once.
    fn purgeable(
        &mut self,
        filter: &Filter,
        completed_before: Option<TimeMs>,
        page: &Page,
    ) -> Result<Purgeable>;

    /// Keys of ready instances from `from` on, in their order, at most `limit`.
    fn ready(&mut self, from: InstanceKey, limit: usize) -> Result<Vec<InstanceKey>>;

    /// Timers due at or before `until`, earliest first, at most `limit`.
    fn timers_due(&mut self, until: TimeMs, limit: usize) -> Result<Vec<TimerRow>> {
        let first = TimerRow { fire_at: TimeMs::MIN, key: InstanceKey::MIN, task: 0 };
        self.timers_after(first, until, limit)
    }

    /// The same of those behind that one.
    fn timers_after(
        &mut self,
        after: TimerRow,
        until: TimeMs,
        limit: usize,
    ) -> Result<Vec<TimerRow>>;

    /// What the store holds and how it fares.
    fn stats(&mut self) -> Result<StoreStats>;

    /// Copies the whole store, as it is now, to a new file.
    fn backup(&mut self, file: &Path) -> Result<()>;

    /// The whole content in a canonical form, for comparing two stores in tests.
    fn snapshot(&mut self) -> Result<Snapshot>;
}

/// See [`Provider::durability`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// The store's settings, for people: for SQLite the value of `PRAGMA synchronous`.
    pub settings: String,
    /// What is not as it should be, each with its remedy.
    pub warnings: Vec<String>,
}

/// The id of an instance that is not open, and its row if there is one.
pub type Settled = (String, Option<InstanceRow>);

/// See [`Reader::stats`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStats {
    /// Bytes that it takes, indexes included.
    pub bytes: u64,
    /// Those of them that are free for what comes; `None` if the store does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Its tables, if it counts what is in them.
    pub tables: Vec<TableStats>,
}

/// See [`StoreStats::tables`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableStats {
    /// Name of the table.
    pub name: String,
    /// About how many rows it has.
    pub rows: u64,
    /// About how many more were changed or removed and take room until it is vacuumed.
    pub dead_rows: u64,
    /// Bytes that it takes, indexes included.
    pub bytes: u64,
    /// When it was last vacuumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vacuumed_ms: Option<TimeMs>,
}

/// Questions about entities. Each sees one committed state.
pub trait EntityReader: Send {
    /// The row of an entity, by id.
    fn find_entity(&mut self, id: &str) -> Result<Option<EntityRow>>;

    /// An entity with the messages that wait for it, oldest first.
    fn load_entity(&mut self, key: InstanceKey) -> Result<Option<LoadedEntity>>;

    /// A page of entities in the order of their ids.
    fn list_entities(&mut self, filter: &EntityFilter, page: &Page) -> Result<EntityListing>;
}

/// See [`EntityReader::load_entity`].
#[derive(Debug)]
pub struct LoadedEntity {
    /// Its row.
    pub row: EntityRow,
    /// Messages that wait for it; signals whose time has not come are not among them.
    pub messages: Vec<StoredMessage>,
}

/// A page of entities.
#[derive(Debug)]
pub struct EntityListing {
    /// The entities.
    pub rows: Vec<EntityRow>,
    /// Where the next page begins; `None` if this is the last.
    pub cursor: Option<String>,
}

/// See [`Provider::arrivals`].
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Ready instances.
    pub ready: Vec<InstanceKey>,
    /// Messages, oldest first, that are for a worker (an event kept without a wait is not).
    pub messages: Vec<(InstanceKey, Delivery)>,
    /// At the first call: instances that are held because of a problem.
    pub held: Vec<InstanceKey>,
    /// Whether activities wait that this worker runs.
    pub tasks: TasksWait,
    /// Partitions whose last owner has not died: what waits in them did not end a process.
    pub spared: Parts,
}

impl Arrivals {
    /// Whether nothing has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
            && self.messages.is_empty()
            && self.held.is_empty()
            && !self.tasks.any()
    }
}

/// See [`Reader::load`].
#[derive(Debug)]
pub struct Loaded {
    /// Its row.
    pub row: InstanceRow,
    /// Bodies of its history, oldest first.
    pub history: Vec<Vec<u8>>,
    /// Number of the last turn in it.
    pub last_turn: TurnNumber,
    /// Messages for its current execution, oldest first; kept events without a wait are not among
    /// them.
    pub messages: Vec<StoredMessage>,
    /// Activities of that execution that any worker may run, or that one runs.
    pub away: Vec<TaskId>,
}

/// A stored message as it is, its body not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its key.
    pub key: MessageKey,
    /// The execution it is for.
    pub exec: Option<u32>,
    /// See `Message::encode`.
    pub body: Vec<u8>,
}

/// A timer that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerRow {
    /// When it is due.
    pub fire_at: TimeMs,
    /// Whose it is.
    pub key: InstanceKey,
    /// Which.
    pub task: TaskId,
}

/// Where a page begins and how long it is.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Most instances on it.
    pub top: usize,
    /// The cursor of the page before.
    pub cursor: Option<String>,
}

/// See [`Reader::purgeable`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purgeable {
    /// Keys of those that pass, in the order in which they were looked at.
    pub keys: Vec<InstanceKey>,
    /// Where to look next; `None` if all was looked at.
    pub cursor: Option<String>,
}

/// A page of instances.
#[derive(Debug)]
pub struct Listing {
    /// The instances.
    pub rows: Vec<InstanceRow>,
    /// Where the next page begins; `None` if this is the last.
    pub cursor: Option<String>,
}

/// See [`Reader::snapshot`]: one line a row, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(pub Vec<String>);

/// The hub's settings as stored.
///
/// # Errors
/// What is wrong with the stored text.
pub fn decode_settings(text: &str) -> std::result::Result<HubSettings, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The stored form of the hub's settings.
#[must_use]
pub fn encode_settings(settings: &HubSettings) -> String {
    serde_json::to_string(settings).unwrap_or_default()
}

/// A payload from stored bytes, or `None` if they are not JSON text: the row is corrupt.
#[must_use]
pub fn payload_from(bytes: Vec<u8>) -> Option<Payload> {
    let text = String::from_utf8(bytes).ok()?;
    serde_json::value::RawValue::from_string(text).ok().map(Into::into)
}
