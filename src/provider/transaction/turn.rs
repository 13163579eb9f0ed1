//! Writing a turn.
//!
//! Owns: the order of its writes. Must never: write before the turn is admitted.

use crate::core::InstanceKey;
use std::collections::BTreeMap;

use crate::core::commit::{CarriedEvent, ChildStart, End, Refusal, TurnCommit, TurnVerdict};
use crate::core::error::engine_failure;
use crate::core::history::{ChildEnd, ChildStatus};
use crate::core::ids::fold_name;
use crate::core::instance::{InstanceHead, NewInstance, ParentLink};
use crate::core::message::{Delivery, Message};
use crate::core::request::{self, OnConflict, StartDecision, StartSpec};
use crate::core::version::version_of;

use super::{Context, Effect, StartedInstance, answers, ending, entity};
use crate::provider::rows::{Clear, NewMessage};
use crate::provider::{ProviderError, ProviderErrorKind, Result, Rows};

/// Writes a turn of the instance, or refuses it and writes nothing.
///
/// # Errors
/// Those of the store.
pub fn apply_turn(
    rows: &mut dyn Rows,
    key: InstanceKey,
    commit: &TurnCommit,
    context: &mut Context<'_>,
) -> Result<TurnVerdict> {
    if !rows.owns(key) {
        return Ok(TurnVerdict::Refused(Refusal::Gone));
    }
    let head = rows.head(key)?;
    if let Err(refusal) = commit.admit(head.as_ref()) {
        return Ok(TurnVerdict::Refused(refusal));
    }
    if !rows.is_next_turn(key, commit.exec, commit.turn)? {
        return Ok(TurnVerdict::Refused(Refusal::OutOfTurn));
    }
    if commit.must_see_events() {
        let taken = rows.taken_events(key)?;
        if let Err(refusal) = commit.check_events_seen(&taken) {
            return Ok(TurnVerdict::Refused(refusal));
        }
    }
    let Some(head) = head else {
        return Ok(TurnVerdict::Refused(Refusal::Gone));
    };
    write_turn(rows, &head, commit, context)?;
    if let Some(change) = commit.row_change(&head) {
        rows.update_instance(key, &change)?;
    }
    Ok(TurnVerdict::Committed)
}

/// Writes all of an admitted turn but what it changes in the instance's own row.
pub(super) fn write_turn(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    commit: &TurnCommit,
    context: &mut Context<'_>,
) -> Result<()> {
    rows.remove_messages(&commit.consumed)?;
    match &commit.end {
        None => write_open(rows, head.key, commit, context)?,
        Some(end) => write_end(rows, head, commit, end, context)?,
    }
    for child in &commit.children {
        start_child(rows, head, commit, child, context)?;
    }
    entity::send(rows, head.key, commit.exec, &commit.sends, context)
}

fn write_open(
    rows: &mut dyn Rows,
    key: InstanceKey,
    commit: &TurnCommit,
    context: &mut Context<'_>,
) -> Result<()> {
    rows.append_turn(key, commit.exec, commit.turn, &commit.record.encode())?;
    for task in &commit.timers_cleared {
        rows.clear_timer(key, *task)?;
    }
    for (task, fire_at) in &commit.timers_set {
        rows.set_timer(key, *task, *fire_at)?;
    }
    for event in &commit.waits_opened {
        open_wait(rows, key, event, context)?;
    }
    for event in &commit.waits_closed {
        rows.take_wait(key, event)?;
    }
    Ok(())
}

/// A wait and a kept event of its name never stand beside each other: whichever comes second finds
/// the first. So an event that came while this turn ran is not overtaken by a later one.
fn open_wait(
    rows: &mut dyn Rows,
    key: InstanceKey,
    event: &str,
    context: &mut Context<'_>,
) -> Result<()> {
    let Some(kept) = rows.take_kept_event(key, event)? else {
        return rows.open_wait(key, event);
    };
    let message = Message::decode(&kept.body).map_err(|cause| {
        ProviderError::new(ProviderErrorKind::Corrupt, "reading a kept event", cause)
    })?;
    let delivery = Delivery { key: Some(kept.key), exec: None, message };
    context.effects.push(Effect::Delivered { key, delivery });
    Ok(())
}

fn write_end(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    commit: &TurnCommit,
    end: &End,
    context: &mut Context<'_>,
) -> Result<()> {
    let message = |parent: ParentLink| match end {
        End::Complete { result } => {
            Some(Message::ChildCompleted { task: parent.task, result: result.clone() })
        }
        End::Fail { failure } => Some(Message::ChildFailed {
            task: parent.task,
            child: ChildEnd {
                name: head.name.as_str().into(),
                instance_id: head.id.clone(),
                status: ChildStatus::Failed,
                failure: Some(failure.clone()),
                reason: None,
            },
        }),
        End::ContinueAsNew { .. } => None,
    };
    if let End::ContinueAsNew { events, .. } = end {
        rows.clear(head.key, Clear::Execution)?;
        return carry_over(rows, head.key, events);
    }
    rows.append_turn(head.key, commit.exec, commit.turn, &commit.record.encode())?;
    if commit.awaits && matches!(end, End::Fail { .. }) {
        answers::clear_failed(rows, head)?;
    } else {
        rows.clear(head.key, Clear::Ended)?;
    }
    ending::tell_parent(rows, head, message, context)?;
    context.effects.push(Effect::Ended { instance_id: head.id.clone() });
    Ok(())
}

/// Events that were delivered and that no code has looked at are kept for the new execution, before those
/// that came later.
fn carry_over(rows: &mut dyn Rows, key: InstanceKey, events: &[CarriedEvent]) -> Result<()> {
    let mut by_name: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for CarriedEvent { name, input } in events {
        let message = Message::EventRaised { name: name.clone(), input: input.clone() };
        by_name.entry(fold_name(name)).or_default().push(message.encode());
    }
    for (event, mut bodies) in by_name {
        while let Some(later) = rows.take_kept_event(key, &event)? {
            rows.remove_messages(&[later.key])?;
            bodies.push(later.body);
        }
        for body in bodies {
            let event = Some(event.clone());
            rows.insert_message(&NewMessage { key, exec: None, event, taken: false, body })?;
        }
    }
    Ok(())
}

/// Starts a sub-orchestration, or tells the parent why it cannot be.
fn start_child(
    rows: &mut dyn Rows,
    parent: &InstanceHead,
    commit: &TurnCommit,
    child: &ChildStart,
    context: &mut Context<'_>,
) -> Result<()> {
    let spec = StartSpec {
        name: child.name.to_string(),
        instance_id: Some(child.instance_id.clone()),
        version: child.version.clone(),
        input: child.input.clone(),
        on_conflict: OnConflict::Error,
    };
    let holder = rows.head_by_id(&child.instance_id)?;
    let link = ParentLink { key: parent.key, exec: commit.exec, task: child.task };
    if child.postponed && holder.as_ref().is_some_and(|head| head.parent == Some(link)) {
        return Ok(());
    }
    let decision = request::check_start(&spec, &context.hub).and_then(|()| {
        request::decide_start(&child.instance_id, spec.on_conflict, holder.as_ref())
    });
    match decision {
        Err(error) => {
            if commit.end.is_some() {
                return Ok(());
            }
            let end = ChildEnd {
                name: child.name.clone(),
                instance_id: child.instance_id.clone(),
                status: ChildStatus::Failed,
                failure: Some(engine_failure(error.code, &error.message)),
                reason: None,
            };
            let message = Message::ChildFailed { task: child.task, child: end };
            context.deliver(rows, parent.key, Some(commit.exec), message)
        }
        Ok(StartDecision::Insert) => insert(rows, parent, commit, child, spec, context),
        Ok(_) => {
            if let Some(holder) = holder {
                rows.clear(holder.key, Clear::All)?;
            }
            insert(rows, parent, commit, child, spec, context)
        }
    }
}

fn insert(
    rows: &mut dyn Rows,
    parent: &InstanceHead,
    commit: &TurnCommit,
    child: &ChildStart,
    spec: StartSpec,
    context: &mut Context<'_>,
) -> Result<()> {
    let link = ParentLink { key: parent.key, exec: commit.exec, task: child.task };
    let default_version = context.hub.settings.default_version.as_deref();
    let new = NewInstance {
        id: child.instance_id.clone(),
        name: spec.name,
        version: version_of(spec.version.as_deref(), default_version),
        input: spec.input,
        parent: Some(link),
        parent_id: Some(parent.id.clone()),
        scheduled_ms: context.hub.now_ms,
        crashes: context.first_crash(),
        begun: None,
    };
    let key = rows.insert_instance(&new)?;
    context.effects.push(Effect::Started(StartedInstance::new(key, new)));
    Ok(())
}

impl StartedInstance {
    pub(super) fn new(key: i64, new: NewInstance) -> Self {
        Self {
            key,
            id: new.id,
            name: new.name,
            version: new.version,
            input: new.input,
            parent: new.parent,
            parent_id: new.parent_id,
            scheduled_ms: new.scheduled_ms,
        }
    }
}
