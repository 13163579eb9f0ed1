//! The rows of a hub, inside one transaction.
//!
//! Owns: the primitive operations that `transaction` is made of. Must never: refuse anything: the
//! caller has checked. Each operation is one or two statements of SQL at most.

use crate::core::entity::{EntityChange, EntityHead};
use crate::core::instance::{InstanceChange, InstanceHead, InstanceRow, NewInstance};
use crate::core::partition::Parts;
use crate::core::request::HubSettings;
use crate::core::task::{ActivityTask, Claim, Claimed, TaskRef};
use crate::core::{ExecutionId, InstanceKey, MessageKey, TaskId, TimeMs, TurnNumber};

use super::{Result, StoredMessage};

/// A place in the history of an execution: what has been read up to there. The default is its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryPlace {
    /// Number of the last turn.
    pub turn: TurnNumber,
    /// How many notices.
    pub notice: i64,
}

/// A message to be stored.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Whom it is for.
    pub key: InstanceKey,
    /// The execution it is for; `None` for whichever is there.
    pub exec: Option<ExecutionId>,
    /// Of an event: its folded name.
    pub event: Option<String>,
    /// Of an event: a wait has taken it. Other messages are `true`, but for answers that are kept for a
    /// failed execution.
    pub taken: bool,
    /// See `Message::encode`.
    pub body: Vec<u8>,
}

/// What to remove of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// What belongs to its current execution: history, waits, timers, and messages but for events
    /// that no wait has taken.
    Execution,
    /// What an ended instance has no use for: waits, timers, messages. Its row and history stay.
    Ended,
    /// Everything, its row and history included.
    All,
}

/// Entities, as a store keeps them. Their messages and timers are those of every other key.
pub trait EntityRows {
    /// What rules need to know of an entity, by id.
    fn entity_by_id(&mut self, id: &str) -> Result<Option<EntityHead>>;
    /// The same, by key.
    fn entity(&mut self, key: InstanceKey) -> Result<Option<EntityHead>>;
    /// Says that these are looked at next, all of them, by folded id: a store that locks rows locks them in
    /// the order in which everybody does.
    fn foresee_entities(&mut self, _ids: &[String]) -> Result<()> {
        Ok(())
    }
    /// A new entity, without a state. None has its id.
    fn insert_entity(&mut self, id: &str, now_ms: TimeMs) -> Result<InstanceKey>;
    /// Changes the fields that are set.
    fn update_entity(&mut self, key: InstanceKey, change: &EntityChange) -> Result<()>;
    /// Removes an entity with its messages and timers.
    fn remove_entity(&mut self, key: InstanceKey) -> Result<()>;
    /// How often in a row the process has died with operations of it under way.
    fn entity_crashes(&mut self, key: InstanceKey) -> Result<Option<u32>>;
    /// Whether a message waits for the entity, or will when its time has come.
    fn entity_is_awaited(&mut self, key: InstanceKey) -> Result<bool>;
}

/// Activities that any worker of a hub may run. A hub that one worker has keeps none: what it runs stands
/// in history.
pub trait TaskRows {
    /// Keeps activities that are not there yet; with `running`, as taken by this worker.
    fn offer_tasks(&mut self, _tasks: &[ActivityTask], _running: bool) -> Result<()> {
        Ok(())
    }
    /// Takes activities that wait, the oldest of each name first.
    fn claim_tasks(&mut self, _claim: &Claim) -> Result<Vec<Claimed>> {
        Ok(Vec::new())
    }
    /// Removes an activity that this worker has taken: `false` if it has it no more.
    fn end_task(&mut self, _of: TaskRef) -> Result<bool> {
        Ok(false)
    }
}

/// See the module's text.
pub trait Rows: EntityRows + TaskRows {
    /// What rules need to know of an instance, by key.
    fn head(&mut self, key: InstanceKey) -> Result<Option<InstanceHead>>;
    /// The same, by id.
    fn head_by_id(&mut self, id: &str) -> Result<Option<InstanceHead>>;
    /// The whole row.
    fn row(&mut self, key: InstanceKey) -> Result<Option<InstanceRow>>;
    /// A new row in status `Pending`, ready, with execution 0. No instance has its id.
    fn insert_instance(&mut self, new: &NewInstance) -> Result<InstanceKey>;
    /// Changes the fields that are set.
    fn update_instance(&mut self, key: InstanceKey, change: &InstanceChange) -> Result<()>;
    /// Removes what `what` says.
    fn clear(&mut self, key: InstanceKey, what: Clear) -> Result<()>;
    /// Open instances whose parent it is.
    fn open_children(&mut self, key: InstanceKey) -> Result<Vec<InstanceHead>>;

    /// Whether the execution has the turn before that number, and not that one.
    fn is_next_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
    ) -> Result<bool>;
    /// Adds a turn to the history of an execution: the next one.
    fn append_turn(
        &mut self,
        key: InstanceKey,
        exec: ExecutionId,
        turn: TurnNumber,
        body: &[u8],
    ) -> Result<()>;
    /// Adds a notice to the history of an execution, behind its last turn. It has no number: a turn that
    /// is under way does not have to know of it.
    fn append_notice(&mut self, key: InstanceKey, exec: ExecutionId, body: &[u8]) -> Result<()>;
    /// The history of an execution, oldest first.
    fn history(&mut self, key: InstanceKey, exec: ExecutionId) -> Result<Vec<Vec<u8>>>;
    /// Removes a turn from it: the last one.
    fn remove_turn(&mut self, key: InstanceKey, exec: ExecutionId, turn: TurnNumber) -> Result<()>;

    /// Stores a message. Its key is greater than that of every message before it.
    fn insert_message(&mut self, message: &NewMessage) -> Result<MessageKey>;
    /// Messages of an instance or entity, oldest first: those that are taken, or those that are not.
    fn messages(&mut self, key: InstanceKey, taken: bool) -> Result<Vec<StoredMessage>>;
    /// Removes messages; those that are gone already are passed over.
    fn remove_messages(&mut self, keys: &[MessageKey]) -> Result<()>;
    /// Events of the instance that a wait has taken and no turn has consumed.
    fn taken_events(&mut self, key: InstanceKey) -> Result<Vec<MessageKey>>;
    /// Marks the oldest kept event of that name as taken and gives it, if there is one.
    fn take_kept_event(&mut self, key: InstanceKey, event: &str) -> Result<Option<StoredMessage>>;

    /// Opens one more wait for events of that folded name.
    fn open_wait(&mut self, key: InstanceKey, event: &str) -> Result<()>;
    /// Takes one open wait of that folded name: `false` if there is none.
    fn take_wait(&mut self, key: InstanceKey, event: &str) -> Result<bool>;

    /// Keeps a timer, in place of an older one of the same task.
    fn set_timer(&mut self, key: InstanceKey, task: TaskId, fire_at: TimeMs) -> Result<()>;
    /// Drops a timer; one that is gone already is passed over.
    fn clear_timer(&mut self, key: InstanceKey, task: TaskId) -> Result<()>;

    /// The hub's settings.
    fn settings(&mut self) -> Result<HubSettings>;
    /// Replaces them.
    fn put_settings(&mut self, settings: &HubSettings) -> Result<()>;

    /// Whether the instance or entity of that key is this worker's to run, of a hub that several share.
    fn owns(&self, _key: InstanceKey) -> bool {
        true
    }
    /// Gives partitions away: whoever takes them looks at all that waits in them.
    fn give(&mut self, _parts: Parts) -> Result<()> {
        Ok(())
    }

    /// Removes a bounded part of what is no longer part of anything: whether there may be more. A store
    /// that removes everything at once has nothing to do.
    fn tidy(&mut self) -> Result<bool> {
        Ok(false)
    }
}
