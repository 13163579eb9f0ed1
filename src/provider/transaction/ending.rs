//! Ending an instance from outside its code, and telling its parent of any end.
//!
//! Owns: what is written when an instance is terminated or failed by the engine.
//! Must never: be used for the end that the code itself brings about (`turn.rs`).

use crate::core::history::{ChildEnd, ChildStatus, HistoryEvent, HistoryRecord};
use crate::core::instance::{InstanceChange, InstanceHead, ParentLink};
use crate::core::message::Message;
use crate::core::status::RuntimeStatus;
use crate::core::{Payload, TimeMs};

use super::{Context, Effect, answers, entity};
use crate::provider::rows::Clear;
use crate::provider::{Result, Rows};

/// Ends an open instance as `Terminated`, with the reason as its output.
pub(super) fn terminate(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    reason: Option<&Payload>,
    context: &mut Context<'_>,
) -> Result<()> {
    let now = context.hub.now_ms;
    let reason = reason.cloned();
    let notice = HistoryEvent::ExecutionTerminated { reason: reason.clone() };
    append_notice(rows, head, now, notice)?;
    let change = InstanceChange {
        status: Some(RuntimeStatus::Terminated),
        output: Some(reason.clone()),
        problem: Some(None),
        ..InstanceChange::default()
    };
    let child = ChildEnd {
        name: head.name.as_str().into(),
        instance_id: head.id.clone(),
        status: ChildStatus::Terminated,
        failure: None,
        reason: reason.clone(),
    };
    end(rows, head, change, &child, context)
}

/// Ends an open instance as `Failed`.
pub(super) fn fail(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    failure: Payload,
    context: &mut Context<'_>,
) -> Result<()> {
    append_notice(rows, head, context.hub.now_ms, HistoryEvent::ExecutionFailed {})?;
    let change = InstanceChange {
        status: Some(RuntimeStatus::Failed),
        failure: Some(Some(failure.clone())),
        ..InstanceChange::default()
    };
    let child = ChildEnd {
        name: head.name.as_str().into(),
        instance_id: head.id.clone(),
        status: ChildStatus::Failed,
        failure: Some(failure),
        reason: None,
    };
    end(rows, head, change, &child, context)
}

fn end(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    mut change: InstanceChange,
    child: &ChildEnd,
    context: &mut Context<'_>,
) -> Result<()> {
    change.updated_ms = Some(context.hub.now_ms);
    change.ended(context.hub.now_ms);
    if head.locks.is_some() {
        change.locks = Some(None);
        entity::unlock_all(rows, head, context)?;
    }
    rows.update_instance(head.key, &change)?;
    if child.status == ChildStatus::Failed {
        answers::clear_failed(rows, head)?;
    } else {
        rows.clear(head.key, Clear::Ended)?;
    }
    let message =
        |parent: ParentLink| Some(Message::ChildFailed { task: parent.task, child: child.clone() });
    tell_parent(rows, head, message, context)?;
    context.note_change(rows, head.key)?;
    context.effects.push(Effect::Ended { instance_id: head.id.clone() });
    Ok(())
}

/// Passes the end of a sub-orchestration to its parent, if the execution that asked is still open.
pub(super) fn tell_parent(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    message: impl Fn(ParentLink) -> Option<Message>,
    context: &mut Context<'_>,
) -> Result<()> {
    let Some(link) = head.parent else {
        return Ok(());
    };
    let Some(message) = message(link) else {
        return Ok(());
    };
    match rows.head(link.key)? {
        Some(parent) if parent.exec == link.exec && !parent.status.has_ended() => {
            context.deliver(rows, link.key, Some(link.exec), message)
        }
        _ => Ok(()),
    }
}

/// Writes down something that was done to an instance from outside.
pub(super) fn append_notice(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    time_ms: TimeMs,
    event: HistoryEvent,
) -> Result<()> {
    let record = HistoryRecord { time_ms, events: vec![event], notice: true, began: None };
    rows.append_notice(head.key, head.exec, &record.encode())
}
