//! Rules of core, carried out on the rows of a store.
//!
//! Owns: what each kind of work reads, decides (by asking core) and writes, the same for every
//! store. Must never: start or end a transaction, or write before everything that may refuse the
//! item has been checked: an item is taken or refused alone, without a savepoint.
//! Proved by `tests/conformance.rs`.

mod answers;
mod command;
mod ending;
mod entity;
mod foresight;
mod rewind;
mod task;
mod turn;

use std::collections::HashMap;

pub use command::apply_command;
pub use entity::apply_entity;
pub use foresight::Foresight;
pub use turn::apply_turn;
use turn::write_turn;

use crate::core::commit::{TurnCommit, TurnVerdict};
use crate::core::entity::{EntityChange, EntityCommit, EntityVerdict, Signal};
use crate::core::entropy::Entropy;
use crate::core::error::Error;
use crate::core::instance::{InstanceChange, ParentLink};
use crate::core::message::{Delivery, Message};
use crate::core::partition::Parts;
use crate::core::replay::Problem;
use crate::core::request::{self, Answer, Command, HubFacts, HubSettings, StartSpec};
use crate::core::status::RuntimeStatus;
use crate::core::task::{ActivityTask, Claim, Claimed, TaskRef};
use crate::core::{ExecutionId, InstanceKey, MessageKey, Payload, TaskId, TimeMs, error};

use super::rows::NewMessage;
use super::{Result, Rows};

/// One thing to be done in a transaction.
#[derive(Debug, Clone)]
pub enum Work {
    /// Write a turn.
    Turn(Box<TurnCommit>),
    /// Start an instance whose first turn has run already, in the worker that started it.
    Begin(Box<Begin>),
    /// Write a turn of an entity.
    Entity(Box<EntityCommit>),
    /// Signals of callers, each with who asked.
    Signals(Vec<(u32, Signal)>),
    /// The time of these scheduled signals has come: entity, and number of the timer.
    Due(Vec<(InstanceKey, TaskId)>),
    /// Write down why an entity carries out no operations; `None`: nothing keeps it from it.
    MarkEntity(InstanceKey, Option<Box<Problem>>),
    /// Count that the process may die of the operations of these entities, or that it did not.
    EntityCrashes {
        /// The entities.
        keys: Vec<InstanceKey>,
        /// It may; else the counts are cleared.
        counts: bool,
    },
    /// Carry out a caller's command.
    Command(Command),
    /// Keep what no turn can take at once.
    Keep {
        /// Whose it is.
        key: InstanceKey,
        /// The execution it is for.
        exec: ExecutionId,
        /// The messages.
        messages: Vec<Message>,
    },
    /// Drop messages that nothing waits for.
    Forget(Vec<MessageKey>),
    /// Write down why an instance does not get on.
    Park {
        /// The instance.
        key: InstanceKey,
        /// Why.
        problem: Box<Problem>,
        /// What becomes of it.
        how: Park,
    },
    /// A held instance runs again.
    Unpark(InstanceKey),
    /// Count that the process may die of running these.
    CountCrash(Vec<InstanceKey>),
    /// These did not take the process down.
    ClearCrash(Vec<InstanceKey>),
    /// Replace the hub's settings.
    PutSettings(HubSettings),
    /// These partitions are others' to take.
    Give(Parts),
    /// Any worker may run these activities, as far as their executions still wait for them.
    Offer {
        /// The activities.
        tasks: Vec<ActivityTask>,
        /// This worker runs them already, and goes on.
        running: bool,
    },
    /// Take activities to run.
    Claim(Claim),
    /// An activity that this worker has taken has ended.
    Report {
        /// Which.
        of: TaskRef,
        /// How.
        message: Message,
    },
}

/// See [`Work::Begin`].
#[derive(Debug, Clone)]
pub struct Begin {
    /// Who asked, for whoever sent this. It is passed through.
    pub caller: u32,
    /// The start, with its id.
    pub spec: StartSpec,
    /// The first turn; its key is not yet known. Without one, only the start is written.
    pub commit: Option<TurnCommit>,
}

/// See [`Work::Park`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Park {
    /// The problem is told; the instance goes on when it can.
    Mark,
    /// The instance is suspended until it is resumed.
    Hold,
    /// The instance fails.
    Fail,
}

/// What became of a piece of work.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Of a turn.
    Turn(TurnVerdict),
    /// Of a start with its first turn.
    Begun {
        /// What the caller hears.
        answer: std::result::Result<Answer, Error>,
        /// The new instance; `None` if there is none, or its first turn was not written.
        key: Option<InstanceKey>,
    },
    /// Of a turn of an entity.
    Entity(EntityVerdict),
    /// Of signals, each with who asked.
    Signals(Vec<(u32, std::result::Result<(), Error>)>),
    /// Of a command.
    Command(std::result::Result<Answer, Error>),
    /// Activities that this worker is to run.
    Claimed(Vec<Claimed>),
    /// Of anything else.
    Done,
}

/// What a committed transaction means for instances, in order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A new instance is ready to begin.
    Started(StartedInstance),
    /// A message came for an instance.
    Delivered {
        /// For.
        key: InstanceKey,
        /// What.
        delivery: Delivery,
    },
    /// The row of an instance was changed by something that is not a turn of it.
    Changed {
        /// The instance.
        key: InstanceKey,
    },
    /// There is a new entity, without a state.
    EntityMade {
        /// Its key.
        key: InstanceKey,
        /// Its id.
        id: String,
    },
    /// A signal to an entity has been scheduled.
    TimerSet {
        /// The entity.
        key: InstanceKey,
        /// Number of the timer.
        task: TaskId,
        /// When it is due.
        fire_at: TimeMs,
    },
    /// An instance has ended, by a turn or from outside.
    Ended {
        /// Its id.
        instance_id: String,
    },
}

impl Effect {
    /// Whose row or message it is about.
    #[must_use]
    pub fn key(&self) -> Option<InstanceKey> {
        match self {
            Self::Started(started) => Some(started.key),
            Self::Delivered { key, .. }
            | Self::Changed { key }
            | Self::EntityMade { key, .. }
            | Self::TimerSet { key, .. } => Some(*key),
            Self::Ended { .. } => None,
        }
    }
}

/// See [`Effect::Started`].
#[derive(Debug, Clone)]
pub struct StartedInstance {
    /// Its key.
    pub key: InstanceKey,
    /// Its id.
    pub id: String,
    /// Name of its orchestrator.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its input.
    pub input: Option<Payload>,
    /// Set for a sub-orchestration.
    pub parent: Option<ParentLink>,
    /// Id of the parent.
    pub parent_id: Option<String>,
    /// When it was scheduled.
    pub scheduled_ms: i64,
}

/// What work may go by beside the rows.
pub struct Context<'a> {
    /// Settings, time, whether a worker lives.
    pub hub: HubFacts<'a>,
    /// This process is no worker: one that lives must be told by a message.
    pub foreign: bool,
    /// Fresh ids.
    pub entropy: &'a mut dyn Entropy,
    /// What follows, to be acted on once the transaction is durable.
    pub effects: Vec<Effect>,
    /// Keys of entities that this transaction has come upon, by id.
    entities: HashMap<String, InstanceKey>,
}

impl<'a> Context<'a> {
    /// Of one transaction.
    #[must_use]
    pub fn new(hub: HubFacts<'a>, foreign: bool, entropy: &'a mut dyn Entropy) -> Self {
        Self { hub, foreign, entropy, effects: Vec::new(), entities: HashMap::new() }
    }
}

impl Context<'_> {
    /// What a count of crashes begins at: an instance that a worker has at once is under way.
    fn first_crash(&self) -> u32 {
        u32::from(self.hub.worker_lives)
    }

    /// Whether another process runs the instance or entity of that key.
    fn is_foreign(&self, rows: &dyn Rows, key: InstanceKey) -> bool {
        self.foreign || !rows.owns(key)
    }

    /// Tells the worker, wherever it is, that an instance's row was changed.
    fn note_change(&mut self, rows: &mut dyn Rows, key: InstanceKey) -> Result<()> {
        if self.is_foreign(rows, key) {
            if self.hub.worker_lives {
                insert(rows, key, None, &Message::Changed)?;
            }
        } else {
            self.effects.push(Effect::Changed { key });
        }
        Ok(())
    }

    /// Stores a message for an instance and passes it on.
    fn deliver(
        &mut self,
        rows: &mut dyn Rows,
        key: InstanceKey,
        exec: Option<ExecutionId>,
        message: Message,
    ) -> Result<()> {
        let stored = insert(rows, key, exec, &message)?;
        let delivery = Delivery { key: Some(stored), exec, message };
        self.effects.push(Effect::Delivered { key, delivery });
        Ok(())
    }

    /// Passes a message on that is stored already.
    fn pass_on(&mut self, key: InstanceKey, stored: MessageKey, message: Message) {
        let delivery = Delivery { key: Some(stored), exec: None, message };
        self.effects.push(Effect::Delivered { key, delivery });
    }

    /// Tells the worker, wherever it is, of a timer of an entity.
    fn note_timer(
        &mut self,
        rows: &mut dyn Rows,
        key: InstanceKey,
        task: TaskId,
        fire_at: TimeMs,
    ) -> Result<()> {
        if !self.is_foreign(rows, key) {
            self.effects.push(Effect::TimerSet { key, task, fire_at });
        } else if self.hub.worker_lives {
            insert(rows, key, None, &Message::TimerSet { task, fire_at })?;
        }
        Ok(())
    }
}

/// Carries out one piece of work.
///
/// # Errors
/// Those of the store; the whole transaction is then lost. A refusal is an [`Outcome`].
pub fn apply(rows: &mut dyn Rows, work: &Work, context: &mut Context<'_>) -> Result<Outcome> {
    let outcome = carry_out(rows, work, context)?;
    // Who runs the others is told by the store.
    context.effects.retain(|effect| effect.key().is_none_or(|key| rows.owns(key)));
    Ok(outcome)
}

fn carry_out(rows: &mut dyn Rows, work: &Work, context: &mut Context<'_>) -> Result<Outcome> {
    match work {
        Work::Turn(commit) => Ok(Outcome::Turn(apply_turn(rows, commit.key, commit, context)?)),
        Work::Begin(begin) => command::begin(rows, begin, context),
        Work::Entity(commit) => Ok(Outcome::Entity(apply_entity(rows, commit, context)?)),
        Work::Signals(signals) => Ok(Outcome::Signals(entity::signal_all(rows, signals, context)?)),
        Work::Due(timers) => {
            entity::fall_due(rows, timers, context)?;
            Ok(Outcome::Done)
        }
        Work::MarkEntity(key, problem) => {
            if !rows.owns(*key) {
                return Ok(Outcome::Done);
            }
            let problem = Some(problem.as_deref().map(error::raw));
            let change = EntityChange { problem, ..EntityChange::default() };
            rows.update_entity(*key, &change)?;
            Ok(Outcome::Done)
        }
        Work::EntityCrashes { keys, counts } => {
            let keys = owned(rows, keys);
            entity::count_crashes(rows, &keys, *counts)?;
            Ok(Outcome::Done)
        }
        Work::Command(command) => Ok(Outcome::Command(apply_command(rows, command, context)?)),
        Work::Keep { key, exec, messages } => {
            answers::store(rows, *key, *exec, messages)?;
            Ok(Outcome::Done)
        }
        Work::Forget(keys) => {
            rows.remove_messages(keys)?;
            Ok(Outcome::Done)
        }
        Work::Park { key, problem, how } => {
            park(rows, *key, problem, *how, context)?;
            Ok(Outcome::Done)
        }
        Work::Unpark(key) => {
            unpark(rows, *key)?;
            Ok(Outcome::Done)
        }
        Work::CountCrash(keys) => {
            let keys = owned(rows, keys);
            set_crashes(rows, &keys, |crashes| crashes + 1)?;
            Ok(Outcome::Done)
        }
        Work::ClearCrash(keys) => {
            let keys = owned(rows, keys);
            set_crashes(rows, &keys, |_| 0)?;
            Ok(Outcome::Done)
        }
        Work::Give(parts) => {
            rows.give(*parts)?;
            Ok(Outcome::Done)
        }
        Work::Offer { tasks, running } => {
            task::offer(rows, tasks, *running)?;
            Ok(Outcome::Done)
        }
        Work::Claim(claim) => Ok(Outcome::Claimed(rows.claim_tasks(claim)?)),
        Work::Report { of, message } => {
            task::report(rows, *of, message, context)?;
            Ok(Outcome::Done)
        }
        Work::PutSettings(settings) => {
            rows.put_settings(settings)?;
            Ok(Outcome::Done)
        }
    }
}

/// Those that are this worker's to run.
fn owned(rows: &dyn Rows, keys: &[InstanceKey]) -> Vec<InstanceKey> {
    keys.iter().copied().filter(|key| rows.owns(*key)).collect()
}

fn insert(
    rows: &mut dyn Rows,
    key: InstanceKey,
    exec: Option<ExecutionId>,
    message: &Message,
) -> Result<i64> {
    let event = match message {
        Message::EventRaised { name, .. } => Some(crate::core::ids::fold_name(name)),
        _ => None,
    };
    rows.insert_message(&NewMessage { key, exec, event, taken: true, body: message.encode() })
}

fn park(
    rows: &mut dyn Rows,
    key: InstanceKey,
    problem: &Problem,
    how: Park,
    context: &mut Context<'_>,
) -> Result<()> {
    let Some(head) = rows.head(key)?.filter(|_| rows.owns(key)) else {
        return Ok(());
    };
    if head.status.has_ended() {
        return Ok(());
    }
    let mut change = InstanceChange {
        updated_ms: Some(context.hub.now_ms),
        problem: Some(Some(error::raw(problem))),
        ..InstanceChange::default()
    };
    match how {
        Park::Mark => rows.update_instance(key, &change),
        Park::Hold => {
            change.status = Some(RuntimeStatus::Suspended);
            change.ready = Some(false);
            rows.update_instance(key, &change)
        }
        Park::Fail => {
            rows.update_instance(key, &change)?;
            let failure = error::engine_failure(problem.code, &problem.message);
            ending::fail(rows, &head, failure, context)
        }
    }
}

fn unpark(rows: &mut dyn Rows, key: InstanceKey) -> Result<()> {
    let Some(head) = rows.head(key)?.filter(|_| rows.owns(key)) else {
        return Ok(());
    };
    if head.status != RuntimeStatus::Suspended || !head.has_problem {
        return Ok(());
    }
    let change = InstanceChange {
        status: Some(request::open_status(&head)),
        ready: Some(true),
        problem: Some(None),
        crashes: Some(1),
        ..InstanceChange::default()
    };
    rows.update_instance(key, &change)
}

fn set_crashes(
    rows: &mut dyn Rows,
    keys: &[InstanceKey],
    count: impl Fn(u32) -> u32,
) -> Result<()> {
    for key in keys {
        if let Some(head) = rows.head(*key)? {
            let crashes = Some(count(head.crashes));
            rows.update_instance(*key, &InstanceChange { crashes, ..InstanceChange::default() })?;
        }
    }
    Ok(())
}
