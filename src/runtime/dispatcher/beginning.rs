//! Starts made in the worker's own process: the first turn runs before the start is stored, and both
//! are one transaction.
//!
//! Owns: instances that have no key yet. Must never: answer the caller, or let anything out of the
//! first turn, before both are durable; or let a command to the instance overtake its start.
//! Worth one commit of seven in an instance of five steps.

use crate::core::InstanceKey;
use crate::core::commit::{TurnCommit, TurnVerdict};
use crate::core::error::Error;
use crate::core::request::{Answer, Command, StartSpec};
use crate::core::version::version_of;
use crate::provider::transaction::{Begin, StartedInstance, Work};

use super::super::protocol::{Reply, RequestId};
use super::live::Beginning;
use super::{Dispatcher, Live, State, Step, TimeMs};

impl Step {
    pub(super) fn answer(&mut self, caller: RequestId, answer: &Result<Answer, Error>) {
        self.out.replies.push(match answer {
            Ok(answer) => Reply::ok(caller, answer),
            Err(error) => Reply::error(caller, error.clone()),
        });
    }

    pub(super) fn begin(&mut self, beginning: Beginning, commit: Option<TurnCommit>) {
        let Beginning { rid: caller, spec, commands } = beginning;
        self.work.push(Work::Begin(Box::new(Begin { caller, spec, commit })));
        self.commands.extend(commands);
    }
}

impl Dispatcher {
    /// Runs the first turn of a start ahead of its commit, or gives the start back if that cannot be.
    ///
    /// # Errors
    /// The start, to be carried out as a command.
    pub fn begin_ahead(
        &mut self,
        rid: RequestId,
        mut spec: StartSpec,
        now_ms: TimeMs,
    ) -> Result<(), StartSpec> {
        let default_version = self.options.versioning.default_version.as_deref();
        let version = version_of(spec.version.as_deref(), default_version);
        let known = self.runs(&spec.name, version.as_deref());
        let taken = spec.instance_id.as_ref().is_some_and(|id| self.ids.contains_key(id));
        let elsewhere = match &spec.instance_id {
            Some(id) => !self.held.has_id(id),
            None => !self.held.has_any(),
        };
        if self.closed || !known || taken || elsewhere || !self.may_begin() {
            return Err(spec);
        }
        let id = spec.instance_id.take().unwrap_or_else(|| self.own_id());
        spec.instance_id = Some(id.clone());
        spec.version = Some(version.clone().unwrap_or_default());
        self.last_handle -= 1;
        let key = self.last_handle;
        let mut live = Live::started(StartedInstance {
            key,
            id: id.clone(),
            name: spec.name.clone(),
            version,
            input: spec.input.clone(),
            parent: None,
            parent_id: None,
            scheduled_ms: now_ms,
        });
        live.beginning = Some(Beginning { rid, spec, commands: Vec::new() });
        self.bytes += live.bytes;
        self.ids.insert(id, key);
        self.lives.insert(key, Box::new(live));
        self.runnable.push(key);
        Ok(())
    }

    /// Keeps a command back if it is for an instance whose start has not been sent to the store.
    ///
    /// # Errors
    /// The command, if it can go.
    pub fn hold_back(&mut self, rid: RequestId, command: Command) -> Result<(), Command> {
        let key = command.instance_id().and_then(|id| self.ids.get(id));
        let beginning =
            key.and_then(|key| self.lives.get_mut(key)).and_then(|live| live.beginning.as_mut());
        match beginning {
            Some(beginning) => {
                beginning.commands.push((rid, command));
                Ok(())
            }
            None => Err(command),
        }
    }

    /// Sends a turn to the store, with the start of its instance if that is still to be written.
    pub(super) fn send_turn(&mut self, commit: TurnCommit, step: &mut Step) {
        let Some(live) = self.lives.get_mut(&commit.key) else { return };
        live.state = State::Committing;
        match live.beginning.take() {
            None => step.work.push(Work::Turn(Box::new(commit))),
            Some(beginning) => step.begin(beginning, Some(commit)),
        }
    }

    /// The first turn came to nothing; the start is carried out alone.
    pub(super) fn begin_alone(&mut self, key: InstanceKey, step: &mut Step) -> bool {
        let beginning = self.lives.get_mut(&key).and_then(|live| live.beginning.take());
        let Some(beginning) = beginning else { return false };
        self.forget(key, step);
        step.begin(beginning, None);
        true
    }

    /// A start and its first turn came back from the store.
    pub(super) fn begun(
        &mut self,
        begin: Begin,
        answer: &Result<Answer, Error>,
        key: Option<InstanceKey>,
        step: &mut Step,
    ) {
        step.answer(begin.caller, answer);
        let Some(mut commit) = begin.commit else { return };
        match key {
            // A timer of it that was read from the store was told before its key: it has been loaded.
            Some(key) if self.lives.contains_key(&key) => self.forget(commit.key, step),
            Some(key) => {
                self.rename(commit.key, key);
                commit.key = key;
                self.committed(commit, &TurnVerdict::Committed, step);
            }
            None => {
                self.forget(commit.key, step);
                // Whoever waits for the id waits for the instance that has it.
                step.watch.extend(begin.spec.instance_id);
            }
        }
    }

    /// An instance has got its key.
    fn rename(&mut self, from: InstanceKey, to: InstanceKey) {
        let Some(live) = self.lives.remove(&from) else { return };
        self.ids.insert(live.id.clone(), to);
        self.lives.insert(to, live);
    }
}
