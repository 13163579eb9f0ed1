//! Entities: what comes to one, what is stored of it, and what a turn changes.
//!
//! Owns: the shapes of these. An entity has no history: its state is what its operations made of it,
//! one after the other; `mailbox.rs` says in which order. Must never: read a row or run an operation.
//! Proved by `tests/conformance.rs` and `tests/simulation.rs`.

use serde::{Deserialize, Serialize};

use super::instance::ParentLink;
use super::{InstanceKey, MessageKey, Payload, TaskId, TimeMs};

/// What comes to an entity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum EntityMessage {
    /// An operation is to be carried out.
    #[serde(rename = "O")]
    Operation {
        /// Its name.
        #[serde(rename = "n")]
        name: String,
        /// Its input.
        #[serde(
            rename = "i",
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "super::present"
        )]
        input: Option<Payload>,
        /// The task that waits for its result; a signal has none.
        #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
        caller: Option<ParentLink>,
    },
    /// An orchestration wants to have the entity for itself.
    #[serde(rename = "L")]
    Lock {
        /// The task that waits for it, which is also the name of the lock.
        #[serde(rename = "o")]
        owner: ParentLink,
        /// Ids of the entities that are to be locked after this one, in this order.
        #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
        then: Vec<String>,
    },
    /// The orchestration wants it no longer, whether or not it has got it.
    #[serde(rename = "U")]
    Unlock {
        /// Of which lock.
        #[serde(rename = "o")]
        owner: ParentLink,
    },
}

/// The entities that an execution has asked to have for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityLock {
    /// The task that was told of it, or waits.
    #[serde(rename = "k")]
    pub task: TaskId,
    /// Their ids, in the order in which they are locked.
    #[serde(rename = "d")]
    pub entities: Vec<String>,
}

impl EntityLock {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// What an orchestration sends to entities with a turn.
#[derive(Debug, Clone)]
pub enum EntitySend {
    /// An operation, whose result a task waits for.
    Call {
        /// The task.
        task: TaskId,
        /// The operation.
        signal: Signal,
    },
    /// An operation.
    Signal(Signal),
    /// It wants to have some for itself.
    Lock(EntityLock),
    /// It wants them no longer.
    Unlock(EntityLock),
}

/// An operation whose result nobody waits for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signal {
    /// Id of the entity.
    pub entity_id: String,
    /// Name of the operation.
    pub operation: String,
    /// Its input.
    #[serde(default, deserialize_with = "super::present")]
    pub input: Option<Payload>,
    /// It is not to be carried out before this time.
    pub fire_at: Option<TimeMs>,
}

/// What rules need to know of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityHead {
    /// Its key, below zero.
    pub key: InstanceKey,
    /// Who has it for himself.
    pub lock: Option<ParentLink>,
    /// It has a state.
    pub exists: bool,
    /// How many signals have been scheduled for it so far.
    pub scheduled: u32,
    /// How many turns it has had.
    pub version: EntityVersion,
}

impl EntityHead {
    /// Takes in a change of its row.
    pub fn change(&mut self, change: &EntityChange) {
        let EntityChange { state, lock, scheduled, version, .. } = change;
        self.exists = state.as_ref().map_or(self.exists, Option::is_some);
        self.lock = lock.unwrap_or(self.lock);
        self.scheduled = scheduled.unwrap_or(self.scheduled);
        self.version = version.unwrap_or(self.version);
    }
}

/// See [`EntityHead::version`].
pub type EntityVersion = i64;

/// Everything stored in an entity's row.
#[derive(Debug, Clone)]
pub struct EntityRow {
    /// The head.
    pub head: EntityHead,
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: Option<Payload>,
    /// When it last carried out an operation.
    pub updated_ms: TimeMs,
    /// Why it does not carry any out, as JSON.
    pub problem: Option<Payload>,
    /// How often in a row the process has died with operations of it under way.
    pub crashes: u32,
}

/// A change of an entity's row: what is `None` stays. An inner `None` empties the field.
#[derive(Debug, Clone, Default)]
pub struct EntityChange {
    /// New state.
    pub state: Option<Option<Payload>>,
    /// See [`EntityHead::lock`].
    pub lock: Option<Option<ParentLink>>,
    /// See [`EntityHead::scheduled`].
    pub scheduled: Option<u32>,
    /// See [`EntityHead::version`].
    pub version: Option<EntityVersion>,
    /// See [`EntityRow::updated_ms`].
    pub updated_ms: Option<TimeMs>,
    /// See [`EntityRow::problem`].
    pub problem: Option<Option<Payload>>,
    /// See [`EntityRow::crashes`].
    pub crashes: Option<u32>,
}

/// An answer to a task that waits for an operation.
#[derive(Debug, Clone)]
pub struct EntityReply {
    /// The task.
    pub to: ParentLink,
    /// What the operation returned or threw.
    pub outcome: Result<Option<Payload>, Payload>,
}

/// A lock that is to be granted, if whoever wants it is still there.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Who.
    pub owner: ParentLink,
    /// The entities that come after this one.
    pub then: Vec<String>,
}

/// Everything that one turn of an entity changes, to be written at once or not at all.
#[derive(Debug, Clone, Default)]
pub struct EntityCommit {
    /// The entity.
    pub key: InstanceKey,
    /// The version that it follows, and no other.
    pub version: EntityVersion,
    /// Messages that it took.
    pub consumed: Vec<MessageKey>,
    /// Operations were carried out.
    pub operated: bool,
    /// New state, if it is another one.
    pub state: Option<Option<Payload>>,
    /// The lock was given back.
    pub releases: bool,
    /// The lock is to be granted, after that.
    pub grant: Option<Grant>,
    /// Answers to callers.
    pub replies: Vec<EntityReply>,
    /// What its operations have sent.
    pub signals: Vec<Signal>,
    /// The row holds a count of crashes or a problem that the turn disproves.
    pub recovers: bool,
}

/// What became of a turn of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityVerdict {
    /// Written.
    Committed {
        /// Who has the entity for himself now.
        lock: Option<ParentLink>,
        /// It had nothing left and is gone.
        removed: bool,
    },
    /// Not written: there is no such entity.
    Gone,
    /// Not written: the entity has had another turn.
    Stale,
}

impl EntityCommit {
    /// Bytes of payload in the commit, for bounding a transaction.
    #[must_use]
    pub fn weight(&self) -> usize {
        let bytes = |payload: &Option<Payload>| payload.as_ref().map_or(0, |text| text.get().len());
        let replies = self.replies.iter().map(|reply| match &reply.outcome {
            Ok(result) => bytes(result),
            Err(failure) => failure.get().len(),
        });
        let signals = self.signals.iter().map(|signal| 64 + bytes(&signal.input));
        self.state.as_ref().map_or(0, bytes) + replies.sum::<usize>() + signals.sum::<usize>() + 64
    }
}
