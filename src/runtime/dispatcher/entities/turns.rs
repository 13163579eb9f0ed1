//! Turns of entities: loaded, begun, finished, committed, failed.
//!
//! Owns: the hand-over to JavaScript and to the store. Must never: let a caller hear of an operation
//! before its turn is durable.

use std::collections::VecDeque;

use crate::core::entity::{EntityCommit, EntityMessage, EntityReply, EntityVerdict};
use crate::core::error::{ErrorCode, engine_failure, raw};
use crate::core::ids::entity_parts;
use crate::core::limits::{CRASHES, SUSPECT_DEATHS};
use crate::core::mailbox::{Intake, Mailbox, Waiting};
use crate::core::message::{Delivery, Message};
use crate::core::replay::Problem;
use crate::core::{InstanceKey, Payload, TimeMs};
use crate::provider::transaction::Work;
use crate::provider::{LoadedEntity, ProviderError, ProviderErrorKind};

use super::super::super::protocol::{
    EntityActivation, EntityOutcome, LogLevel, OperationResult, OperationStart,
};
use super::super::failures::failed_operation;
use super::super::overdue::poisoned;
use super::super::{Dispatcher, Step, too_large};
use super::Phase;

impl Dispatcher {
    /// A message for an entity.
    pub(in crate::runtime::dispatcher) fn deliver_to_entity(
        &mut self,
        key: InstanceKey,
        delivery: Delivery,
        opening: bool,
        step: &mut Step,
    ) {
        match (delivery.key, delivery.message) {
            (Some(stored), Message::Entity(message)) => {
                self.entities.deliver(key, Waiting { key: stored, message }, opening);
            }
            (stored, other) => {
                if let Message::TimerSet { task, fire_at } = other {
                    self.timers.add(fire_at, key, task);
                } else {
                    self.entities.changed(key);
                }
                step.work.extend(stored.map(|stored| Work::Forget(vec![stored])));
            }
        }
    }

    /// The store has answered.
    pub fn entity_loaded(
        &mut self,
        key: InstanceKey,
        answer: Result<Option<LoadedEntity>, ProviderError>,
        step: &mut Step,
    ) {
        let entities = &mut self.entities;
        entities.loads_in_flight -= 1;
        if self.held.lets_go_of(key) {
            return entities.forget(key);
        }
        let Some(live) = entities.lives.get_mut(&key) else { return };
        let LoadedEntity { row, messages } = match answer {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return entities.forget(key),
            Err(error) => {
                step.log(LogLevel::Error, "", format!("An entity could not be loaded: {error}"));
                match error.kind {
                    // Its messages stay where they are.
                    ProviderErrorKind::Corrupt => entities.forget(key),
                    _ => entities.failed_loads.push(key),
                }
                return;
            }
        };
        live.fill(row);
        let mut stored = VecDeque::with_capacity(messages.len());
        for message in messages {
            match Message::decode(&message.body) {
                Ok(Message::Entity(decoded)) => {
                    stored.push_back(Waiting { key: message.key, message: decoded });
                }
                Ok(_) => {}
                Err(cause) => {
                    let text = format!("A message for entity '{}' is unreadable: {cause}", live.id);
                    step.log(LogLevel::Error, &live.id, text);
                }
            }
        }
        // What has been delivered before is in both. The rest of what was stored will be delivered.
        live.early = stored.iter().map(|waiting| waiting.key).collect();
        let early = &mut live.early;
        let came = std::mem::take(&mut live.mailbox).into_all();
        stored.extend(came.into_iter().filter(|waiting| !early.remove(&waiting.key)));
        live.mailbox = Mailbox::new(stored);
        entities.measure(key);
        entities.become_idle(key);
    }

    /// Gives every entity its next turn for which there is one.
    pub(in crate::runtime::dispatcher) fn run_entities(&mut self, step: &mut Step) {
        while !self.entities.runnable.is_empty() {
            for key in std::mem::take(&mut self.entities.runnable) {
                self.run_entity(key, step);
            }
        }
        let options = &self.options;
        self.entities.evict(options.cached_instances, options.cached_bytes);
        self.entities.send_loads(step);
    }

    fn run_entity(&mut self, key: InstanceKey, step: &mut Step) {
        let most = self.options.entity_operations;
        let entities = &mut self.entities;
        let Some(live) = entities.lives.get_mut(&key) else { return };
        if live.phase != Phase::Idle || entities.is_draining || self.held.lets_go_of(key) {
            return;
        }
        let most = live.most(most);
        let bytes = self.options.exchange_bytes;
        live.intake = Intake::take(&mut live.mailbox, live.lock.as_ref(), most, bytes);
        if live.intake.is_empty() {
            return;
        }
        if live.intake.operations.is_empty() {
            live.phase = Phase::Committing;
            step.work.push(Work::Entity(Box::new(live.commit(key))));
            return;
        }
        let name = entity_parts(&live.id).map_or("", |(name, _)| name);
        if !entities.names.contains(name) {
            return self.entity_unregistered(key, step);
        }
        if live.crashes + 1 >= CRASHES {
            return self.operation_poisoned(key, step);
        }
        if std::mem::take(&mut live.recovered) {
            // What stood in the store at the open may be what ended the process before.
            live.take_back();
            if live.crashes >= SUSPECT_DEATHS {
                live.phase = Phase::Suspect;
                entities.suspects.insert((live.crashes, key));
                return;
            }
            live.phase = Phase::Counting;
            live.crashes += 1;
            step.work.push(Work::EntityCrashes { keys: vec![key], counts: true });
            return;
        }
        self.activate(key, step);
    }

    fn activate(&mut self, key: InstanceKey, step: &mut Step) {
        let token = self.token(key);
        let Some(live) = self.entities.lives.get_mut(&key) else { return };
        live.phase = Phase::Running(token);
        let operations = live.intake.operations.iter().filter_map(start_of).collect();
        let (id, state) = (live.id.clone(), live.state.clone());
        let activation = EntityActivation { token, key, id, operations, state };
        if !self.is_too_large(&activation) {
            return step.out.entities.push(activation);
        }
        self.tokens.remove(&token);
        let message = "The operation's input and the entity's state together are more than can be handed over at \
                       once, so it is not carried out. Keep large data elsewhere and pass references.";
        let Some(live) = self.entities.lives.get_mut(&key) else { return };
        live.intake.cut(1, &mut live.mailbox);
        self.fail_operations(key, ErrorCode::PayloadTooLarge, message, step);
    }

    /// That the entity may take the process down has been written.
    pub(in crate::runtime::dispatcher) fn entity_counted(&mut self, key: InstanceKey) {
        let phase = self.entities.lives.get(&key).map(|live| live.phase);
        if phase == Some(Phase::Counting) {
            self.entities.become_idle(key);
        }
    }

    /// JavaScript has carried operations out, all or the first of them.
    pub fn entity_done(&mut self, outcome: EntityOutcome, step: &mut Step) {
        let Some(key) = self.tokens.remove(&outcome.token) else { return };
        let Some(live) = self.entities.lives.get_mut(&key) else { return };
        if live.phase != Phase::Running(outcome.token) {
            return;
        }
        if outcome.results.is_empty() {
            return self.entity_lost(key);
        }
        let EntityOutcome { results, state, deleted, signals, .. } = outcome;
        live.intake.cut(results.len(), &mut live.mailbox);
        let mut commit = live.commit(key);
        commit.signals = signals;
        if deleted {
            commit.state = Some(None);
        } else if let Some(state) = state {
            commit.state = Some(Some(state));
        }
        for (waiting, result) in live.intake.operations.iter().zip(results) {
            let EntityMessage::Operation { name, caller, .. } = &waiting.message else { continue };
            let outcome = within(result, self.options.payload_bytes);
            if let Err(failure) = &outcome {
                // Who calls hears of it, who signals does not.
                let level = if caller.is_some() { LogLevel::Warn } else { LogLevel::Error };
                step.log(level, &live.id, failed_operation(&live.id, name, failure));
            }
            commit.replies.extend(caller.map(|to| EntityReply { to, outcome }));
        }
        live.phase = Phase::Committing;
        step.work.push(Work::Entity(Box::new(commit)));
    }

    /// Nothing was run: the thread has died that was to do it.
    pub(in crate::runtime::dispatcher) fn entity_lost(&mut self, key: InstanceKey) {
        let Some(live) = self.entities.lives.get_mut(&key) else { return };
        live.take_back();
        self.entities.become_idle(key);
    }

    /// A turn came back from the store.
    pub(in crate::runtime::dispatcher) fn entity_committed(
        &mut self,
        commit: &EntityCommit,
        verdict: &EntityVerdict,
    ) {
        let key = commit.key;
        let Some(live) = self.entities.lives.get_mut(&key) else { return };
        if live.phase != Phase::Committing || live.version != commit.version {
            return;
        }
        match verdict {
            EntityVerdict::Stale => self.entities.reload(key),
            EntityVerdict::Gone | EntityVerdict::Committed { removed: true, .. } => {
                self.entities.forget(key);
            }
            EntityVerdict::Committed { lock, .. } => {
                live.lock = *lock;
                live.version += 1;
                live.intake = Intake::default();
                if let Some(state) = &commit.state {
                    live.state.clone_from(state);
                }
                if commit.recovers {
                    live.has_problem = false;
                    live.crashes = 0;
                }
                self.entities.measure(key);
                self.entities.become_idle(key);
            }
        }
    }

    /// A turn can never be written: the first of its operations fails.
    pub(in crate::runtime::dispatcher) fn entity_unwritable(
        &mut self,
        commit: &EntityCommit,
        message: &str,
        step: &mut Step,
    ) {
        let key = commit.key;
        let Some(live) = self.entities.lives.get_mut(&key) else { return };
        step.log(LogLevel::Error, &live.id, message.to_owned());
        if !commit.operated {
            // No operation is at fault. All stays in the store until something more comes.
            return self.entities.forget(key);
        }
        live.take_back();
        live.intake = Intake::take(&mut live.mailbox, live.lock.as_ref(), 1, 0);
        self.fail_operations(key, ErrorCode::Internal, message, step);
    }

    /// The process has died too often of what the entity is to do next.
    fn operation_poisoned(&mut self, key: InstanceKey, step: &mut Step) {
        let message = format!(
            "The process died {CRASHES} times while this operation was under way, so it is not \
             carried out. Mend the entity's function that takes the process down."
        );
        self.fail_operations(key, ErrorCode::Poison, &message, step);
    }

    fn fail_operations(
        &mut self,
        key: InstanceKey,
        code: ErrorCode,
        message: &str,
        step: &mut Step,
    ) {
        let Some(live) = self.entities.lives.get_mut(&key) else { return };
        let mut commit = live.commit(key);
        commit.operated = false;
        commit.recovers = true;
        let failure = engine_failure(code, message);
        for waiting in &live.intake.operations {
            if let EntityMessage::Operation { name, caller, .. } = &waiting.message {
                step.log(LogLevel::Error, &live.id, failed_operation(&live.id, name, &failure));
                let outcome = Err(failure.clone());
                commit.replies.extend(caller.map(|to| EntityReply { to, outcome }));
            }
        }
        live.phase = Phase::Committing;
        step.work.push(Work::Entity(Box::new(commit)));
    }

    /// An activation has ended its thread too often.
    pub(in crate::runtime::dispatcher) fn entity_poisoned_thread(
        &mut self,
        key: InstanceKey,
        held_ms: TimeMs,
        step: &mut Step,
    ) {
        let Some(live) = self.entities.lives.get_mut(&key) else { return };
        live.intake.cut(1, &mut live.mailbox);
        let message = format!(
            "{}, so it fails. Mend the entity's function.",
            poisoned("this operation", held_ms)
        );
        self.fail_operations(key, ErrorCode::Poison, &message, step);
    }

    /// The name of an entity is not registered: what comes for it waits in the store.
    fn entity_unregistered(&mut self, key: InstanceKey, step: &mut Step) {
        let entities = &mut self.entities;
        let Some(live) = entities.lives.get(&key) else { return };
        let name = entity_parts(&live.id).map_or("", |(name, _)| name).to_owned();
        let message = format!(
            "No entity named '{name}' is registered in this worker; the operations of '{}' wait until \
             one is. Register it by app.entity().",
            live.id
        );
        step.warn(&live.id, message.clone());
        if !live.has_problem {
            let problem = Some(Box::new(Problem::new(ErrorCode::NotRegistered, message)));
            step.work.push(Work::MarkEntity(key, problem));
        }
        entities.unregistered.entry(name).or_default().insert(key);
        entities.waiting.insert(key);
        entities.forget(key);
    }
}

fn start_of(waiting: &Waiting) -> Option<OperationStart> {
    let EntityMessage::Operation { name, input, caller } = &waiting.message else { return None };
    let (name, input, is_signal) = (name.clone(), input.clone(), caller.is_none());
    Some(OperationStart { name, is_signal, input })
}

/// JavaScript checks payloads where they arise; this holds for whatever it lets through.
fn within(result: OperationResult, limit: usize) -> Result<Option<Payload>, Payload> {
    let OperationResult { ok, payload } = result;
    if !ok {
        return Err(payload.unwrap_or_else(|| raw(&())));
    }
    match too_large("result", payload.as_ref(), limit) {
        Some(failure) => Err(failure),
        None => Ok(payload),
    }
}
