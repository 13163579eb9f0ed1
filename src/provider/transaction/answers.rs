//! Answers to a failed execution, which a rewind may let go on.
//!
//! Owns: how what a failed execution still waited for is kept until it is rewound, purged or replaced: as
//! messages that count as not taken, so nobody loads them. Must never: keep one for an execution that
//! ended otherwise. Proved by `tests/conformance.rs`.

use std::collections::HashMap;

use crate::core::instance::InstanceHead;
use crate::core::message::Message;
use crate::core::status::RuntimeStatus;
use crate::core::{ExecutionId, InstanceKey, TaskId};
use crate::provider::rows::{Clear, NewMessage};
use crate::provider::{ProviderError, ProviderErrorKind, Result, Rows, StoredMessage};

/// Removes what a failed instance has no use for. Answers that came and that no turn took are kept.
pub(super) fn clear_failed(rows: &mut dyn Rows, head: &InstanceHead) -> Result<()> {
    let came = rows.messages(head.key, true)?;
    rows.clear(head.key, Clear::Ended)?;
    for stored in came.iter().filter(|stored| stored.exec == Some(head.exec)) {
        keep(rows, head.key, head.exec, &decode(stored)?)?;
    }
    Ok(())
}

/// Keeps an answer for a failed execution. A failure of an activity is not: that runs again.
pub(super) fn keep(
    rows: &mut dyn Rows,
    key: InstanceKey,
    exec: ExecutionId,
    answer: &Message,
) -> Result<()> {
    if !matches!(
        answer,
        Message::TaskCompleted { .. }
            | Message::EntityCompleted { .. }
            | Message::EntityFailed { .. }
    ) {
        return Ok(());
    }
    let body = answer.encode();
    let kept = NewMessage { key, exec: Some(exec), event: None, taken: false, body };
    rows.insert_message(&kept).map(drop)
}

/// Stores what no turn can take at once.
pub(super) fn store(
    rows: &mut dyn Rows,
    key: InstanceKey,
    exec: ExecutionId,
    messages: &[Message],
) -> Result<()> {
    let Some(head) = rows.head(key)? else {
        return Ok(());
    };
    if head.exec != exec {
        return Ok(());
    }
    for message in messages {
        match head.status {
            RuntimeStatus::Failed => keep(rows, key, exec, message)?,
            status if status.has_ended() => {}
            _ => drop(super::insert(rows, key, Some(exec), message)?),
        }
    }
    Ok(())
}

/// Takes the answers that were kept for an instance. Of several to one task the first counts.
pub(super) fn take(rows: &mut dyn Rows, key: InstanceKey) -> Result<HashMap<TaskId, Message>> {
    let kept = rows.messages(key, false)?;
    let mut answers = HashMap::new();
    for stored in &kept {
        let answer = decode(stored)?;
        if let Some(task) = answer.task() {
            answers.entry(task).or_insert(answer);
        }
    }
    let keys: Vec<_> = kept.iter().map(|stored| stored.key).collect();
    rows.remove_messages(&keys)?;
    Ok(answers)
}

fn decode(stored: &StoredMessage) -> Result<Message> {
    Message::decode(&stored.body)
        .map_err(|cause| ProviderError::new(ProviderErrorKind::Corrupt, "reading an answer", cause))
}
