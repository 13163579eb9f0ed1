//! Rewind: the last turn of a failed execution is undone, so that it runs again.
//!
//! Owns: what is kept of that turn. What its tasks had succeeded in comes back as messages; the
//! activities and sub-orchestrations whose failure it was told run once more. Must never: touch an
//! earlier turn: what they did stands. Proved by `tests/conformance.rs`.

use super::TaskId;
use super::execution::{Execution, OpenTask};
use super::history::{ChildEnd, HistoryEvent, HistoryRecord};
use super::message::Message;

/// What a rewind does.
#[derive(Debug)]
pub struct Rewind {
    /// Position of the row of history that goes.
    pub undone: usize,
    /// Messages that come again, in the order in which the turn had them.
    pub messages: Vec<Message>,
    /// Sub-orchestrations that did not complete, to be rewound too, with their tasks.
    pub children: Vec<(TaskId, ChildEnd)>,
    /// An activity is under way or due after the rewind.
    pub ready: bool,
    /// Timers that are set again.
    pub timers: Vec<(TaskId, i64)>,
    /// Waits that are open again, by name, one entry a wait.
    pub waits: Vec<String>,
}

/// Plans the rewind of an execution whose last turn failed; `None` if it has no turn.
#[must_use]
pub fn plan(records: &[HistoryRecord]) -> Option<Rewind> {
    let undone = records.iter().rposition(|record| !record.notice)?;
    let mut execution = Execution::default();
    for record in records[..undone].iter().filter(|record| !record.notice) {
        execution.begin_turn(record.time_ms);
        record.events.iter().for_each(|event| execution.apply(event));
    }
    let (mut messages, mut children) = (Vec::new(), Vec::new());
    for event in &records[undone].events {
        match event {
            HistoryEvent::TaskCompleted { task, result } => {
                messages.push(Message::TaskCompleted { task: *task, result: result.clone() });
            }
            HistoryEvent::SubOrchestrationInstanceCompleted { task, result } => {
                messages.push(Message::ChildCompleted { task: *task, result: result.clone() });
            }
            HistoryEvent::EventRaised { task, input } => {
                if let Some(OpenTask::Event { name, .. }) = execution.task(*task) {
                    let name = name.to_string();
                    messages.push(Message::EventRaised { name, input: input.clone() });
                }
            }
            HistoryEvent::SubOrchestrationInstanceFailed { task, child, again_at: None } => {
                children.push((*task, child.clone()));
            }
            _ => {}
        }
    }
    // An event that comes again is held by its wait; the other waits are open.
    let mut waits: Vec<String> = Vec::new();
    let mut timers = Vec::new();
    for (task, open) in execution.open() {
        match open {
            OpenTask::Timer { fire_at } => timers.push((task, *fire_at)),
            OpenTask::Activity(call) | OpenTask::Child { call, .. } => {
                timers.extend(call.again_at.map(|at| (task, at)));
            }
            OpenTask::Event { name, .. } => waits.push(super::ids::fold_name(name)),
        }
    }
    for message in &messages {
        if let Message::EventRaised { name, .. } = message {
            let folded = super::ids::fold_name(name);
            if let Some(taken) = waits.iter().position(|wait| *wait == folded) {
                waits.remove(taken);
            }
        }
    }
    Some(Rewind { undone, messages, children, ready: execution.ready(), timers, waits })
}
