//! What happens to entities in a transaction: messages to them, their turns, their locks, their end.
//!
//! Owns: the rows that an entity comes to be with and goes with, and that a lock is granted only to
//! an execution that is still there: whoever ends one sends word to all entities that it had or
//! wanted, so no lock outlives its owner. Must never: grant one after that word.
//! Proved by `tests/conformance.rs` and `tests/simulation.rs`.

use crate::core::entity::{
    EntityChange, EntityCommit, EntityLock, EntityMessage, EntityReply, EntitySend, EntityVerdict,
    Grant, Signal,
};
use crate::core::error::Error;
use crate::core::ids::fold_entity_id;
use crate::core::instance::{InstanceHead, ParentLink};
use crate::core::message::Message;
use crate::core::request::{self, Answer};
use crate::core::status::RuntimeStatus;
use crate::core::{ExecutionId, InstanceKey, TaskId, TimeMs};

use super::command::Verdict;
use super::{Context, Effect, answers};
use crate::provider::rows::NewMessage;
use crate::provider::{ProviderError, ProviderErrorKind, Result, Rows};

/// Calls that are made anew by what no work names: entities that nobody has foreseen.
pub(super) fn call_again(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    calls: Vec<(TaskId, Signal)>,
    context: &mut Context<'_>,
) -> Result<()> {
    let ids: Vec<String> =
        calls.iter().map(|(_, signal)| fold_entity_id(&signal.entity_id)).collect();
    rows.foresee_entities(&ids)?;
    let calls = calls.into_iter().map(|(task, signal)| EntitySend::Call { task, signal });
    send(rows, head.key, head.exec, &calls.collect::<Vec<_>>(), context)
}

/// Sends what a turn of an orchestration has for entities.
pub(super) fn send(
    rows: &mut dyn Rows,
    key: InstanceKey,
    exec: ExecutionId,
    sends: &[EntitySend],
    context: &mut Context<'_>,
) -> Result<()> {
    for send in sends {
        match send {
            EntitySend::Call { task, signal } => {
                let caller = ParentLink { key, exec, task: *task };
                operate(rows, signal, Some(caller), context)?;
            }
            EntitySend::Signal(signal) => operate(rows, signal, None, context)?,
            EntitySend::Lock(lock) => {
                let owner = ParentLink { key, exec, task: lock.task };
                want(rows, owner, &lock.entities, context)?;
            }
            EntitySend::Unlock(lock) => unlock(rows, key, exec, lock, context)?,
        }
    }
    Ok(())
}

/// A caller's signal.
pub(super) fn signal(
    rows: &mut dyn Rows,
    signal: &Signal,
    context: &mut Context<'_>,
) -> Result<Verdict> {
    if let Err(error) = request::check_signal(signal, &context.hub) {
        return Ok(Err(error));
    }
    operate(rows, signal, None, context)?;
    Ok(Ok(Answer::Done))
}

/// Callers' signals, one after the other.
pub(super) fn signal_all<T: Copy>(
    rows: &mut dyn Rows,
    signals: &[(T, Signal)],
    context: &mut Context<'_>,
) -> Result<Vec<(T, std::result::Result<(), Error>)>> {
    let mut verdicts = Vec::with_capacity(signals.len());
    for (of, given) in signals {
        verdicts.push((*of, signal(rows, given, context)?.map(|_| ())));
    }
    Ok(verdicts)
}

/// Removes an entity that nothing is under way with.
pub(super) fn purge(rows: &mut dyn Rows, id: &str, context: &mut Context<'_>) -> Result<Verdict> {
    let head = rows.entity_by_id(&fold_entity_id(id))?;
    let awaited = match &head {
        Some(head) => rows.entity_is_awaited(head.key)?,
        None => false,
    };
    match (request::decide_entity_purge(id, head.as_ref(), awaited), head) {
        (Err(error), _) => Ok(Err(error)),
        (Ok(true), Some(head)) => {
            remove(rows, head.key, context)?;
            context.note_change(rows, head.key)?;
            Ok(Ok(Answer::Deleted { deleted: usize::from(head.exists) }))
        }
        (Ok(_), _) => Ok(Ok(Answer::Deleted { deleted: 0 })),
    }
}

/// Gives back what an instance that ends had for itself or wanted.
pub(super) fn unlock_all(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    context: &mut Context<'_>,
) -> Result<()> {
    let Some(text) = &head.locks else { return Ok(()) };
    let lock = EntityLock::decode(text).map_err(|cause| {
        ProviderError::new(ProviderErrorKind::Corrupt, "reading the locks of an instance", cause)
    })?;
    unlock(rows, head.key, head.exec, &lock, context)
}

/// Writes a turn of an entity, or refuses it and writes nothing.
///
/// # Errors
/// Those of the store.
pub fn apply_entity(
    rows: &mut dyn Rows,
    commit: &EntityCommit,
    context: &mut Context<'_>,
) -> Result<EntityVerdict> {
    if !rows.owns(commit.key) {
        return Ok(EntityVerdict::Gone);
    }
    let Some(head) = rows.entity(commit.key)? else {
        return Ok(EntityVerdict::Gone);
    };
    if head.version != commit.version {
        return Ok(EntityVerdict::Stale);
    }
    rows.remove_messages(&commit.consumed)?;
    for reply in &commit.replies {
        answer(rows, reply, context)?;
    }
    for signal in &commit.signals {
        operate(rows, signal, None, context)?;
    }
    let mut lock = if commit.releases { None } else { head.lock };
    if let Some(grant) = &commit.grant
        && let Some(owner) = owner_of(rows, grant)?
    {
        lock = Some(owner);
        if grant.then.is_empty() {
            let granted = Message::LockGranted { task: owner.task };
            context.deliver(rows, owner.key, Some(owner.exec), granted)?;
        } else {
            want(rows, owner, &grant.then, context)?;
        }
    }
    let exists = commit.state.as_ref().map_or(head.exists, Option::is_some);
    if !exists && lock.is_none() && !rows.entity_is_awaited(head.key)? {
        remove(rows, head.key, context)?;
        return Ok(EntityVerdict::Committed { lock: None, removed: true });
    }
    let change = EntityChange {
        state: commit.state.clone(),
        lock: (lock != head.lock).then_some(lock),
        updated_ms: commit.operated.then_some(context.hub.now_ms),
        version: Some(head.version + 1),
        problem: commit.recovers.then_some(None),
        crashes: commit.recovers.then_some(0),
        ..EntityChange::default()
    };
    rows.update_entity(head.key, &change)?;
    Ok(EntityVerdict::Committed { lock, removed: false })
}

/// Counts that the process may die of what these entities are about to carry out, or that it did not.
pub(super) fn count_crashes(rows: &mut dyn Rows, keys: &[InstanceKey], counts: bool) -> Result<()> {
    for key in keys {
        if let Some(crashes) = rows.entity_crashes(*key)? {
            let crashes = Some(if counts { crashes + 1 } else { 0 });
            rows.update_entity(*key, &EntityChange { crashes, ..EntityChange::default() })?;
        }
    }
    Ok(())
}

/// Signals whose time has come are messages like any other from now on.
pub(super) fn fall_due(
    rows: &mut dyn Rows,
    timers: &[(InstanceKey, TaskId)],
    context: &mut Context<'_>,
) -> Result<()> {
    for &(key, slot) in timers {
        rows.clear_timer(key, slot)?;
        let Some(stored) = rows.take_kept_event(key, &slot.to_string())? else { continue };
        let message = Message::decode(&stored.body).map_err(|cause| {
            ProviderError::new(ProviderErrorKind::Corrupt, "reading a scheduled signal", cause)
        })?;
        context.pass_on(key, stored.key, message);
    }
    Ok(())
}

// ---------------------------------------------------------------------------------- messages

/// An operation goes to an entity, which comes to be with it.
fn operate(
    rows: &mut dyn Rows,
    signal: &Signal,
    caller: Option<ParentLink>,
    context: &mut Context<'_>,
) -> Result<()> {
    let Signal { entity_id, operation, input, fire_at } = signal;
    let message =
        EntityMessage::Operation { name: operation.clone(), input: input.clone(), caller };
    let entity = found_or_made(rows, &fold_entity_id(entity_id), context)?;
    match fire_at.filter(|at| *at > context.hub.now_ms) {
        None => context.deliver(rows, entity, None, Message::Entity(message)),
        Some(at) => schedule(rows, entity, message, at, context),
    }
}

fn schedule(
    rows: &mut dyn Rows,
    entity: InstanceKey,
    message: EntityMessage,
    fire_at: TimeMs,
    context: &mut Context<'_>,
) -> Result<()> {
    let slot = rows.entity(entity)?.map_or(0, |head| head.scheduled);
    let scheduled = Some(slot.wrapping_add(1));
    rows.update_entity(entity, &EntityChange { scheduled, ..EntityChange::default() })?;
    rows.insert_message(&NewMessage {
        key: entity,
        exec: None,
        event: Some(slot.to_string()),
        taken: false,
        body: Message::Entity(message).encode(),
    })?;
    rows.set_timer(entity, slot, fire_at)?;
    context.note_timer(rows, entity, slot, fire_at)
}

/// The first of the entities is asked; it passes the wish on when it is granted.
fn want(
    rows: &mut dyn Rows,
    owner: ParentLink,
    entities: &[String],
    context: &mut Context<'_>,
) -> Result<()> {
    let Some((first, then)) = entities.split_first() else { return Ok(()) };
    let entity = found_or_made(rows, first, context)?;
    let message = EntityMessage::Lock { owner, then: then.to_vec() };
    context.deliver(rows, entity, None, Message::Entity(message))
}

fn unlock(
    rows: &mut dyn Rows,
    key: InstanceKey,
    exec: ExecutionId,
    lock: &EntityLock,
    context: &mut Context<'_>,
) -> Result<()> {
    let owner = ParentLink { key, exec, task: lock.task };
    rows.foresee_entities(&lock.entities)?;
    for id in &lock.entities {
        // Those that the wish has not come to need not be there.
        if let Some(entity) = rows.entity_by_id(id)? {
            let message = Message::Entity(EntityMessage::Unlock { owner });
            context.deliver(rows, entity.key, None, message)?;
        }
    }
    Ok(())
}

fn found_or_made(rows: &mut dyn Rows, id: &str, context: &mut Context<'_>) -> Result<InstanceKey> {
    if let Some(known) = context.entities.get(id) {
        return Ok(*known);
    }
    let found = rows.entity_by_id(id)?;
    let key = if let Some(head) = found {
        head.key
    } else {
        let key = rows.insert_entity(id, context.hub.now_ms)?;
        context.effects.push(Effect::EntityMade { key, id: id.to_owned() });
        key
    };
    context.entities.insert(id.to_owned(), key);
    Ok(key)
}

fn remove(rows: &mut dyn Rows, key: InstanceKey, context: &mut Context<'_>) -> Result<()> {
    context.entities.retain(|_, known| *known != key);
    rows.remove_entity(key)
}

fn answer(rows: &mut dyn Rows, reply: &EntityReply, context: &mut Context<'_>) -> Result<()> {
    let ParentLink { key, exec, task } = reply.to;
    let Some(head) = rows.head(key)?.filter(|head| head.exec == exec) else { return Ok(()) };
    let message = match &reply.outcome {
        Ok(result) => Message::EntityCompleted { task, result: result.clone() },
        Err(failure) => Message::EntityFailed { task, failure: failure.clone() },
    };
    match head.status {
        RuntimeStatus::Failed => answers::keep(rows, key, exec, &message),
        status if status.has_ended() => Ok(()),
        _ => context.deliver(rows, key, Some(exec), message),
    }
}

/// Whether the call of a task waits for the entity, or is under way there.
pub(super) fn has_before_it(rows: &mut dyn Rows, id: &str, task: &ParentLink) -> Result<bool> {
    let Some(entity) = rows.entity_by_id(&fold_entity_id(id))? else { return Ok(false) };
    let is_it = |message| matches!(message, Ok(Message::Entity(EntityMessage::Operation { caller: Some(of), .. })) if of == *task);
    let waiting = rows.messages(entity.key, true)?;
    Ok(waiting.iter().any(|stored| is_it(Message::decode(&stored.body))))
}

/// Who gets a lock, if he is still there.
fn owner_of(rows: &mut dyn Rows, grant: &Grant) -> Result<Option<ParentLink>> {
    Ok(is_there(rows, &grant.owner)?.then_some(grant.owner))
}

fn is_there(rows: &mut dyn Rows, link: &ParentLink) -> Result<bool> {
    let head = rows.head(link.key)?;
    Ok(head.is_some_and(|head| head.exec == link.exec && !head.status.has_ended()))
}
