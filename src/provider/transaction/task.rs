//! Activities that run in another worker than their instance's.
//!
//! Owns: that nothing is offered that no execution waits for, and that a result counts once.
//! Proved by `tests/provider_postgres/tasks.rs`.

use crate::core::message::Message;
use crate::core::task::{ActivityTask, TaskRef};

use super::Context;
use crate::provider::{Result, Rows};

pub(super) fn offer(rows: &mut dyn Rows, tasks: &[ActivityTask], running: bool) -> Result<()> {
    let mut wanted = Vec::with_capacity(tasks.len());
    for task in tasks {
        let head = rows.head(task.of.key)?;
        if head.is_some_and(|head| head.exec == task.of.exec && !head.status.has_ended()) {
            wanted.push(task.clone());
        }
    }
    rows.offer_tasks(&wanted, running)
}

pub(super) fn report(
    rows: &mut dyn Rows,
    of: TaskRef,
    message: &Message,
    context: &mut Context<'_>,
) -> Result<()> {
    // One that is gone is of an execution that has ended, or is another worker's by now.
    if rows.end_task(of)? {
        context.deliver(rows, of.key, Some(of.exec), message.clone())?;
    }
    Ok(())
}
