//! Entities: what waits for one, what its next turn takes of that, and what a turn changes.
//!
//! Owns: who may have an operation carried out while an entity is locked, and in which order. An
//! entity has no history: its state is what its operations made of it, one after the other. Must
//! never: read a row or run an operation. Proved by the tests below, `tests/conformance.rs` and
//! `tests/simulation.rs`.

use std::collections::{HashSet, VecDeque};

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
}

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
    /// See [`EntityRow::updated_ms`].
    pub updated_ms: Option<TimeMs>,
    /// See [`EntityRow::problem`].
    pub problem: Option<Option<Payload>>,
    /// See [`EntityRow::crashes`].
    pub crashes: Option<u32>,
}

impl EntityChange {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { state, lock, scheduled, updated_ms, problem, crashes } = self;
        state.is_none()
            && lock.is_none()
            && scheduled.is_none()
            && updated_ms.is_none()
            && problem.is_none()
            && crashes.is_none()
    }
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

/// A message that waits for an entity.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Key of its row.
    pub key: MessageKey,
    /// What it is.
    pub message: EntityMessage,
}

/// What a turn takes of what waits.
#[derive(Debug, Default)]
pub struct Intake {
    /// Operations, to be carried out in this order.
    pub operations: Vec<Waiting>,
    /// Whoever has the lock gives it back.
    pub releases: bool,
    /// The lock is to be granted, after the operations.
    pub grant: Option<Grant>,
    /// Messages that are done with, beside the operations.
    pub spent: Vec<Waiting>,
}

impl Intake {
    /// Whether there is nothing for a turn.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.spent.is_empty()
    }

    /// Only the first of its operations were carried out: the rest waits again, and what comes after.
    pub fn cut(&mut self, done: usize, waiting: &mut VecDeque<Waiting>) {
        if done >= self.operations.len() {
            return;
        }
        waiting.extend(self.operations.drain(done..).chain(self.spent.drain(..)));
        waiting.make_contiguous().sort_by_key(|waiting| waiting.key);
        self.releases = false;
        self.grant = None;
    }

    /// Keys of the messages that it took.
    #[must_use]
    pub fn keys(&self) -> Vec<MessageKey> {
        self.operations.iter().chain(&self.spent).map(|waiting| waiting.key).collect()
    }

    /// Takes what the next turn of an entity carries out, at most so many operations. While it is
    /// locked, operations of others wait, in their order. A wish for the lock waits for what stands
    /// before it, and what stands behind it waits for it.
    pub fn take(waiting: &mut VecDeque<Waiting>, lock: Option<&ParentLink>, most: usize) -> Self {
        let plain = |waiting: &&Waiting| matches!(waiting.message, EntityMessage::Operation { .. });
        let first = waiting.iter().take(most).take_while(plain).count();
        if lock.is_none() && (first == waiting.len() || first == most) {
            return Self { operations: waiting.drain(..first).collect(), ..Self::default() };
        }
        Self::take_some(waiting, lock, most)
    }

    fn take_some(waiting: &mut VecDeque<Waiting>, lock: Option<&ParentLink>, most: usize) -> Self {
        // Wishes that were given up before they were granted.
        let given_up: HashSet<ParentLink> = waiting.iter().filter_map(given_up).collect();
        let mut intake = Self::default();
        let mut left = VecDeque::with_capacity(waiting.len());
        // Nothing is taken from here on.
        let mut is_full = false;
        for item in waiting.drain(..) {
            if is_full {
                left.push_back(item);
                continue;
            }
            match &item.message {
                EntityMessage::Operation { caller, .. } => {
                    let may = lock.is_none_or(|lock| caller.is_some_and(|of| is_of(&of, lock)));
                    if may {
                        intake.operations.push(item);
                        is_full = intake.operations.len() >= most;
                    } else {
                        left.push_back(item);
                    }
                }
                EntityMessage::Lock { owner, .. } if given_up.contains(owner) => {
                    intake.spent.push(item);
                }
                EntityMessage::Lock { owner, then } if lock.is_none() => {
                    intake.grant = Some(Grant { owner: *owner, then: then.clone() });
                    intake.spent.push(item);
                    is_full = true;
                }
                EntityMessage::Lock { .. } => left.push_back(item),
                EntityMessage::Unlock { owner } => {
                    intake.releases = lock == Some(owner);
                    intake.spent.push(item);
                    is_full = intake.releases;
                }
            }
        }
        *waiting = left;
        intake
    }
}

fn given_up(waiting: &Waiting) -> Option<ParentLink> {
    match &waiting.message {
        EntityMessage::Unlock { owner } => Some(*owner),
        _ => None,
    }
}

/// Whether a task is of the execution that has the lock.
fn is_of(task: &ParentLink, lock: &ParentLink) -> bool {
    task.key == lock.key && task.exec == lock.exec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(key: InstanceKey, task: TaskId) -> ParentLink {
        ParentLink { key, exec: 0, task }
    }

    fn operation(name: &str, caller: Option<ParentLink>) -> EntityMessage {
        EntityMessage::Operation { name: name.to_owned(), input: None, caller }
    }

    fn lock(owner: ParentLink) -> EntityMessage {
        EntityMessage::Lock { owner, then: Vec::new() }
    }

    fn unlock(owner: ParentLink) -> EntityMessage {
        EntityMessage::Unlock { owner }
    }

    fn queue(messages: impl IntoIterator<Item = EntityMessage>) -> VecDeque<Waiting> {
        (1..).zip(messages).map(|(key, message)| Waiting { key, message }).collect()
    }

    fn names(intake: &Intake) -> Vec<&str> {
        let mut names = Vec::new();
        for waiting in &intake.operations {
            match &waiting.message {
                EntityMessage::Operation { name, .. } => names.push(name.as_str()),
                other => panic!("no operation: {other:?}"),
            }
        }
        names
    }

    #[test]
    fn operations_are_taken_in_their_order_and_not_too_many() {
        let mut waiting = queue(["a", "b", "c"].map(|name| operation(name, None)));
        assert_eq!(names(&Intake::take(&mut waiting, None, 2)), ["a", "b"]);
        assert_eq!(names(&Intake::take(&mut waiting, None, 2)), ["c"]);
        assert!(Intake::take(&mut waiting, None, 2).is_empty());
    }

    #[test]
    fn a_wish_for_the_lock_waits_for_what_is_before_it_and_holds_up_what_is_behind() {
        let owner = link(7, 0);
        let mut waiting = queue([operation("a", None), lock(owner), operation("b", None)]);
        let intake = Intake::take(&mut waiting, None, 10);
        assert_eq!(names(&intake), ["a"]);
        assert_eq!(intake.grant.as_ref().map(|grant| grant.owner), Some(owner));
        assert_eq!(intake.keys(), [1, 2]);
        assert!(Intake::take(&mut waiting, Some(&owner), 10).is_empty());
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn while_it_is_locked_only_the_holders_operations_are_taken_until_it_is_given_back() {
        let holder = link(7, 0);
        let mut waiting = queue([
            operation("other", None),
            operation("mine", Some(link(7, 3))),
            lock(link(8, 0)),
            unlock(holder),
            operation("late", Some(link(7, 4))),
        ]);
        let intake = Intake::take(&mut waiting, Some(&holder), 10);
        assert_eq!(names(&intake), ["mine"]);
        assert!(intake.releases && intake.grant.is_none());
        let next = Intake::take(&mut waiting, None, 10);
        assert_eq!(names(&next), ["other"]);
        assert_eq!(next.grant.as_ref().map(|grant| grant.owner), Some(link(8, 0)));
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn what_a_turn_did_not_get_to_waits_again_in_its_order() {
        let owner = link(7, 0);
        let mut waiting =
            queue([operation("a", None), operation("b", None), lock(owner), operation("c", None)]);
        let mut intake = Intake::take(&mut waiting, None, 10);
        intake.cut(1, &mut waiting);
        assert_eq!((names(&intake), intake.keys()), (vec!["a"], vec![1]));
        assert!(intake.grant.is_none());
        let next = Intake::take(&mut waiting, None, 10);
        assert_eq!((names(&next), next.grant.is_some()), (vec!["b"], true));
    }

    #[test]
    fn an_older_execution_of_the_holder_is_not_the_holder() {
        let holder = ParentLink { key: 7, exec: 1, task: 0 };
        let mut waiting = queue([operation("old", Some(link(7, 0)))]);
        assert!(Intake::take(&mut waiting, Some(&holder), 10).is_empty());
    }

    #[test]
    fn a_wish_that_is_given_up_is_never_granted() {
        let (gone, next) = (link(7, 0), link(8, 0));
        let mut waiting = queue([lock(gone), lock(next), unlock(gone)]);
        let intake = Intake::take(&mut waiting, None, 10);
        assert_eq!(intake.grant.as_ref().map(|grant| grant.owner), Some(next));
        assert_eq!(intake.keys(), [1, 2]);
        // What is left of the one that was given up is done with, and gives nothing back.
        let rest = Intake::take(&mut waiting, Some(&next), 10);
        assert!(!rest.releases && rest.keys() == [3] && waiting.is_empty());
    }
}
