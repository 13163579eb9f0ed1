//! What a transaction will look at, as far as its work tells before it begins.
//!
//! Owns: which rows each kind of work reads. Must never: be relied on: what it leaves out is read when it
//! is needed, or has the transaction begun anew. Proved by `tests/conformance.rs` over PostgreSQL.

use crate::core::commit::{End, TurnCommit};
use crate::core::entity::{EntityCommit, EntitySend};
use crate::core::ids::{fold_entity_id, fold_name};
use crate::core::request::{Command, Control, OnConflict, StartSpec};
use crate::core::task::TaskRef;
use crate::core::{ExecutionId, InstanceKey};

use super::{Park, Work};

/// See the module's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foresight {
    /// Instances by key.
    pub keys: Vec<InstanceKey>,
    /// Executions of which the last turn is looked at.
    pub turns: Vec<(InstanceKey, ExecutionId)>,
    /// Instances by id, some of which need not be there.
    pub ids: Vec<String>,
    /// Those of `keys` whose execution ends or that close a wait: their parents are read, and events that
    /// were taken.
    pub ending: Vec<InstanceKey>,
    /// Those of `ids` that may end: their parents are read.
    pub ending_ids: Vec<String>,
    /// Instances by id, with all under them that are open or failed.
    pub trees: Vec<String>,
    /// Entities by folded id, some of which need not be there.
    pub entity_ids: Vec<String>,
    /// Entities by key.
    pub entities: Vec<InstanceKey>,
    /// The hub's own row is looked at or written.
    pub hub: bool,
    /// Kept events that a wait may take, by instance and folded name.
    pub kept: Vec<(InstanceKey, String)>,
    /// Waits that an event may take, by instance id and folded name.
    pub waits: Vec<(String, String)>,
    /// New instances.
    pub starts: usize,
    /// New messages, at a guess.
    pub messages: usize,
    /// Activities that a worker has run for others.
    pub reports: Vec<TaskRef>,
}

impl Foresight {
    /// Of the work of one transaction.
    pub fn of<'w>(work: impl Iterator<Item = &'w Work>) -> Self {
        let mut all = Self::default();
        for work in work {
            all.add(work);
        }
        all
    }

    /// Rows that the work turned out to look at too.
    pub(in crate::provider) fn add_all(&mut self, more: Self) {
        self.keys.extend(more.keys);
        self.ids.extend(more.ids);
        self.entities.extend(more.entities);
        self.entity_ids.extend(more.entity_ids);
        self.hub |= more.hub;
    }

    /// Whether nothing is known beforehand.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, work: &Work) {
        match work {
            Work::Turn(commit) => {
                self.keys.push(commit.key);
                self.turns.push((commit.key, commit.exec));
                if commit.must_see_events() {
                    self.ending.push(commit.key);
                }
                self.kept.extend(commit.waits_opened.iter().map(|wait| (commit.key, wait.clone())));
                self.turn(commit);
            }
            Work::Begin(begin) => {
                self.start(&begin.spec);
                if let Some(commit) = &begin.commit {
                    self.turn(commit);
                }
            }
            Work::Command(command) => self.command(command),
            Work::Keep { key, messages, .. } => {
                self.keys.push(*key);
                self.messages += messages.len();
            }
            Work::Park { key, how, .. } => {
                self.keys.push(*key);
                self.ending.extend((*how == Park::Fail).then_some(*key));
            }
            Work::Unpark(key) => self.keys.push(*key),
            Work::CountCrash(keys) | Work::ClearCrash(keys) => self.keys.extend(keys),
            Work::Entity(commit) => self.entity(commit),
            Work::Signals(signals) => {
                self.messages += signals.len();
                self.operated(signals.iter().map(|(_, signal)| &signal.entity_id));
            }
            Work::Due(timers) => self.entities.extend(timers.iter().map(|(key, _)| *key)),
            Work::MarkEntity(key, _) => self.entities.push(*key),
            Work::EntityCrashes { keys, .. } => self.entities.extend(keys),
            Work::Offer { tasks, .. } => self.keys.extend(tasks.iter().map(|task| task.of.key)),
            Work::Report { of, .. } => {
                self.reports.push(*of);
                self.messages += 1;
            }
            Work::PutSettings(_) => self.hub = true,
            Work::Claim(claim) => self.hub |= claim.served.iter().any(|one| one.limit.is_some()),
            Work::Forget(_) | Work::Give(_) => {}
        }
    }

    fn entity(&mut self, commit: &EntityCommit) {
        self.messages += commit.replies.len() + commit.signals.len() + 1;
        self.entities.push(commit.key);
        self.keys.extend(commit.replies.iter().map(|reply| reply.to.key));
        self.operated(commit.signals.iter().map(|signal| &signal.entity_id));
        if let Some(grant) = &commit.grant {
            self.keys.push(grant.owner.key);
            self.entity_ids.extend(grant.then.first().cloned());
        }
    }

    fn operated<'s>(&mut self, ids: impl Iterator<Item = &'s String>) {
        self.entity_ids.extend(ids.map(|id| fold_entity_id(id)));
    }

    fn send(&mut self, send: &EntitySend) {
        match send {
            EntitySend::Call { signal, .. } | EntitySend::Signal(signal) => {
                self.operated(std::iter::once(&signal.entity_id));
            }
            EntitySend::Lock(lock) => self.entity_ids.extend(lock.entities.first().cloned()),
            EntitySend::Unlock(lock) => self.entity_ids.extend(lock.entities.iter().cloned()),
        }
    }

    fn start(&mut self, spec: &StartSpec) {
        self.starts += 1;
        self.ids.extend(spec.instance_id.clone());
        if spec.on_conflict == OnConflict::Terminate {
            self.ending_ids.extend(spec.instance_id.clone());
        }
    }

    fn turn(&mut self, commit: &TurnCommit) {
        self.ids.extend(commit.children.iter().map(|child| child.instance_id.clone()));
        self.starts += commit.children.len();
        let carried = match &commit.end {
            Some(End::ContinueAsNew { events, .. }) => events.len(),
            _ => 0,
        };
        self.messages += usize::from(commit.end.is_some()) + carried + commit.sends.len();
        commit.sends.iter().for_each(|send| self.send(send));
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Start(specs) => specs.iter().for_each(|spec| self.start(spec)),
            Command::RaiseEvent { instance_id, name, .. } => {
                self.ids.push(instance_id.clone());
                self.waits.push((instance_id.clone(), fold_name(name)));
                self.messages += 1;
            }
            Command::Control { instance_id, control, recursive, .. } => {
                self.ids.push(instance_id.clone());
                if *control == Control::Terminate {
                    self.ending_ids.push(instance_id.clone());
                }
                self.trees.extend(recursive.then(|| instance_id.clone()));
            }
            Command::Rewind { instance_id, .. } => {
                self.ids.push(instance_id.clone());
                self.trees.push(instance_id.clone());
            }
            Command::Purge { instance_id } if instance_id.starts_with('@') => {
                self.operated(std::iter::once(instance_id));
            }
            Command::Restart { instance_id, .. } | Command::Purge { instance_id } => {
                self.ids.push(instance_id.clone());
            }
            Command::SignalEntity(signal) => {
                self.messages += 1;
                self.operated(std::iter::once(&signal.entity_id));
            }
            Command::PurgeKeys(keys) => self.keys.extend(keys),
        }
    }
}
