//! Carrying out a rewind, of an instance and of the sub-orchestrations that it waits for.
//!
//! Owns: the rows that a rewind reads and writes. Must never: decide what is undone (that is
//! `core::rewind`), or leave an execution waiting for a child that nobody will tell it of.

use crate::core::error::{ErrorCode, engine_failure};
use crate::core::history::{ChildEnd, ChildStatus, HistoryEvent, HistoryRecord};
use crate::core::instance::{InstanceChange, InstanceHead, InstanceRow, ParentLink};
use crate::core::message::Message;
use crate::core::request::{self, Answer};
use crate::core::rewind::{AwaitedChild, Rewind, plan};
use crate::core::status::RuntimeStatus;
use crate::core::{Payload, TaskId};

use super::command::Verdict;
use super::ending::append_notice;
use super::{Context, entity, insert};
use crate::provider::{ProviderError, ProviderErrorKind, Result, Rows};

/// Rewinds a failed instance and the failed children that it waits for.
pub(super) fn rewind_tree(
    rows: &mut dyn Rows,
    id: &str,
    reason: Option<&Payload>,
    context: &mut Context<'_>,
) -> Result<Verdict> {
    let head = rows.head_by_id(id)?;
    if let Err(error) = request::check_rewind(id, head.as_ref()) {
        return Ok(Err(error));
    }
    let Some(head) = head else { return Ok(Ok(Answer::Done)) };
    let plan = plan_one(rows, &head)?;
    if plan.had_locks {
        return Ok(Err(request::not_rewindable_with_locks(id)));
    }
    let mut next = vec![(head, plan)];
    while let Some((head, plan)) = next.pop() {
        let children = rewind_one(rows, &head, plan, reason, context)?;
        for child in children {
            next.extend(rejoin(rows, &head, child)?);
        }
    }
    Ok(Ok(Answer::Done))
}

fn plan_one(rows: &mut dyn Rows, head: &InstanceHead) -> Result<Rewind> {
    let stored = rows.history(head.key, head.exec)?;
    let records: std::result::Result<Vec<HistoryRecord>, String> =
        stored.iter().map(|body| HistoryRecord::decode(body)).collect();
    let records = records.map_err(|cause| {
        ProviderError::new(ProviderErrorKind::Corrupt, "reading the history to rewind", cause)
    })?;
    Ok(plan(&records))
}

fn rewind_one(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    plan: Rewind,
    reason: Option<&Payload>,
    context: &mut Context<'_>,
) -> Result<Vec<AwaitedChild>> {
    if let Some(turn) = plan.undone {
        rows.remove_turn(head.key, head.exec, turn)?;
    }
    for message in &plan.messages {
        insert(rows, head.key, Some(head.exec), message)?;
    }
    for (task, fire_at) in plan.timers {
        rows.set_timer(head.key, task, fire_at)?;
    }
    for wait in plan.waits {
        rows.open_wait(head.key, &wait)?;
    }
    entity::call_again(rows, head, plan.calls, context)?;
    let now = context.hub.now_ms;
    append_notice(rows, head, now, HistoryEvent::ExecutionRewound { reason: reason.cloned() })?;
    let change = InstanceChange {
        status: Some(RuntimeStatus::Running),
        updated_ms: Some(now),
        completed_ms: Some(None),
        failure: Some(None),
        problem: Some(None),
        crashes: Some(context.first_crash()),
        ready: Some(true),
        ..InstanceChange::default()
    };
    rows.update_instance(head.key, &change)?;
    context.note_change(rows, head.key)?;
    Ok(plan.children)
}

/// A child that a rewound execution waits for. One that failed is given, to be rewound too; one that
/// runs will tell of its end; the end of any other is told here, as its parent had ended by then.
fn rejoin(
    rows: &mut dyn Rows,
    parent: &InstanceHead,
    child: AwaitedChild,
) -> Result<Option<(InstanceHead, Rewind)>> {
    let task = child.task;
    let link = ParentLink { key: parent.key, exec: parent.exec, task };
    let own = rows.head_by_id(&child.instance_id)?.filter(|head| head.parent == Some(link));
    let message = match own {
        Some(head) if head.status == RuntimeStatus::Failed => {
            let plan = plan_one(rows, &head)?;
            if !plan.had_locks {
                return Ok(Some((head, plan)));
            }
            rows.row(head.key)?.map(|row| ended(task, row))
        }
        Some(head) if !head.status.has_ended() => return Ok(None),
        Some(head) => rows.row(head.key)?.map(|row| ended(task, row)),
        None if child.postponed => return Ok(None),
        None => None,
    };
    let message = message.unwrap_or_else(|| Message::ChildFailed { task, child: lost(child) });
    insert(rows, parent.key, Some(parent.exec), &message)?;
    Ok(None)
}

/// What a child tells that has ended and stays so.
fn ended(task: TaskId, row: InstanceRow) -> Message {
    if row.head.status == RuntimeStatus::Completed {
        return Message::ChildCompleted { task, result: row.output };
    }
    let failed = row.head.status == RuntimeStatus::Failed;
    let child = ChildEnd {
        name: row.head.name.into(),
        instance_id: row.head.id,
        status: if failed { ChildStatus::Failed } else { ChildStatus::Terminated },
        failure: row.failure,
        reason: row.output,
    };
    Message::ChildFailed { task, child }
}

/// The end of a child that is no longer there: as it was told before, if it was.
fn lost(child: AwaitedChild) -> ChildEnd {
    let AwaitedChild { name, instance_id, end, .. } = child;
    end.unwrap_or_else(|| {
        let error = request::not_found(&instance_id);
        ChildEnd {
            name,
            failure: Some(engine_failure(ErrorCode::InstanceNotFound, &error.message)),
            instance_id,
            status: ChildStatus::Failed,
            reason: None,
        }
    })
}
