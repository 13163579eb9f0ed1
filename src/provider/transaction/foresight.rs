//! What a transaction will look at, as far as its work tells before it begins.
//!
//! Owns: which rows each kind of work reads. Must never: be relied on: what it leaves out is read when it
//! is needed, one by one. Proved by `tests/conformance.rs` over PostgreSQL.

use crate::core::commit::TurnCommit;
use crate::core::ids::fold_name;
use crate::core::request::Command;
use crate::core::task::TaskRef;
use crate::core::{ExecutionId, InstanceKey};

use super::Work;

/// See the module's text.
#[derive(Debug, Clone, Default)]
pub struct Foresight {
    /// Instances by key.
    pub keys: Vec<InstanceKey>,
    /// Executions of which the last turn is looked at.
    pub turns: Vec<(InstanceKey, ExecutionId)>,
    /// Instances by id, some of which need not be there.
    pub ids: Vec<String>,
    /// Those of `keys` whose execution ends: their parents are read, and events that were taken.
    pub ending: Vec<InstanceKey>,
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

    fn add(&mut self, work: &Work) {
        match work {
            Work::Turn(commit) => {
                self.keys.push(commit.key);
                self.turns.push((commit.key, commit.exec));
                if commit.end.is_some() {
                    self.ending.push(commit.key);
                }
                self.kept.extend(commit.waits_opened.iter().map(|wait| (commit.key, wait.clone())));
                self.turn(commit);
            }
            Work::Begin(begin) => {
                self.ids.extend(begin.spec.instance_id.clone());
                self.starts += 1;
                if let Some(commit) = &begin.commit {
                    self.turn(commit);
                }
            }
            Work::Command(command) => self.command(command),
            Work::Keep { key, messages, .. } => {
                self.keys.push(*key);
                self.messages += messages.len();
            }
            Work::Park { key, .. } | Work::Unpark(key) => self.keys.push(*key),
            Work::CountCrash(keys) | Work::ClearCrash(keys) => self.keys.extend(keys),
            Work::Entity(commit) => {
                self.messages += commit.replies.len() + commit.signals.len() + 1;
                self.keys.extend(commit.replies.iter().map(|reply| reply.to.key));
                self.keys.extend(commit.grant.as_ref().map(|grant| grant.owner.key));
            }
            Work::Signals(signals) => self.messages += signals.len(),
            Work::Offer { tasks, .. } => self.keys.extend(tasks.iter().map(|task| task.of.key)),
            Work::Report { of, .. } => {
                self.reports.push(*of);
                self.messages += 1;
            }
            // Entities are looked at one by one.
            Work::Due(_)
            | Work::MarkEntity(..)
            | Work::EntityCrashes { .. }
            | Work::Forget(_)
            | Work::PutSettings(_)
            | Work::Claim(_)
            | Work::Give(_) => {}
        }
    }

    fn turn(&mut self, commit: &TurnCommit) {
        self.ids.extend(commit.children.iter().map(|child| child.instance_id.clone()));
        self.starts += commit.children.len();
        self.messages += usize::from(commit.end.is_some()) + commit.sends.len();
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Start(specs) => {
                self.ids.extend(specs.iter().filter_map(|spec| spec.instance_id.clone()));
                self.starts += specs.len();
            }
            Command::RaiseEvent { instance_id, name, .. } => {
                self.ids.push(instance_id.clone());
                self.waits.push((instance_id.clone(), fold_name(name)));
                self.messages += 1;
            }
            Command::Control { instance_id, .. }
            | Command::Rewind { instance_id, .. }
            | Command::Restart { instance_id, .. }
            | Command::Purge { instance_id } => self.ids.push(instance_id.clone()),
            Command::SignalEntity(_) => self.messages += 1,
            Command::PurgeKeys(keys) => self.keys.extend(keys),
        }
    }
}
