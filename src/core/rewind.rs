//! Rewind: the last turn of a failed execution is undone, so that it runs again.
//!
//! Owns: what is kept of that turn. What its tasks had succeeded in comes back as messages; the
//! activities and sub-orchestrations whose failure it was told run once more. What was under way when the
//! execution failed is waited for: an answer that came meanwhile was kept. Must never: touch an
//! earlier turn: what they did stands. Proved by `tests/conformance.rs`.

use super::entity::Signal;
use super::error::{ErrorCode, engine_failure};
use super::execution::{Execution, OpenTask};
use super::history::{ChildEnd, HistoryEvent, HistoryRecord};
use super::ids::fold_name;
use super::message::Message;
use super::{Name, TaskId, TimeMs, TurnNumber};

/// What a rewind does.
#[derive(Debug)]
pub struct Rewind {
    /// The execution failed inside a critical section, whose locks were given back then: others may
    /// have changed the entities since, so it cannot go on from there.
    pub had_locks: bool,
    /// The turn that goes, the last one; `None` if the execution did not fail in a turn.
    pub undone: Option<TurnNumber>,
    /// Messages that come again, in the order in which the turn had them.
    pub messages: Vec<Message>,
    /// Sub-orchestrations that the execution waits for after the rewind.
    pub children: Vec<AwaitedChild>,
    /// Without a child that runs again, the turn would be told the same failures as before: it was told
    /// of some, and nothing else of what failed is tried anew.
    pub needs_child: bool,
    /// Operations of entities that are called again.
    pub calls: Vec<(TaskId, Signal)>,
    /// Tasks whose answer may have come while the execution had failed; with a call that is made again
    /// if it was a failure.
    pub answers: Vec<(TaskId, Option<Signal>)>,
    /// Timers that are set again.
    pub timers: Vec<(TaskId, TimeMs)>,
    /// Waits that are open again, by folded name, one entry a wait.
    pub waits: Vec<String>,
}

/// See [`Rewind::children`].
#[derive(Debug)]
pub struct AwaitedChild {
    /// The task it answers to.
    pub task: TaskId,
    /// Name of its orchestrator.
    pub name: Name,
    /// Its id.
    pub instance_id: String,
    /// How it ended, if the undone turn was told.
    pub end: Option<ChildEnd>,
    /// It may not have been started: a later turn does.
    pub postponed: bool,
}

/// Plans the rewind of an execution that failed.
#[must_use]
pub fn plan(records: &[HistoryRecord]) -> Rewind {
    // If the engine failed it, the last turn is not at fault and stands.
    let undone = records.iter().rposition(|record| !record.notice).filter(|last| {
        matches!(records[*last].events.last(), Some(HistoryEvent::ExecutionFailed {}))
    });
    let kept = &records[..undone.unwrap_or(records.len())];
    let mut execution = Execution::default();
    for record in kept.iter().filter(|record| !record.notice) {
        execution.begin_turn(record.time_ms);
        record.events.iter().for_each(|event| execution.apply(event));
        execution.end_turn();
    }
    let events = undone.map_or(&[][..], |undone| &records[undone].events);
    let messages: Vec<Message> =
        events.iter().filter_map(|event| again(event, &execution)).collect();
    let mut plan = Rewind {
        had_locks: execution.lock().is_some(),
        undone: undone.map(|_| execution.turns() + 1),
        messages,
        children: Vec::new(),
        needs_child: needs_child(events),
        calls: Vec::new(),
        answers: Vec::new(),
        timers: Vec::new(),
        waits: Vec::new(),
    };
    for (task, open) in execution.open() {
        match open {
            OpenTask::Timer { fire_at } => plan.timers.push((task, *fire_at)),
            OpenTask::Activity(call) => match call.again_at {
                Some(at) => plan.timers.push((task, at)),
                None => plan.answers.push((task, None)),
            },
            OpenTask::Child { call, instance_id, .. } => match call.again_at {
                Some(at) => plan.timers.push((task, at)),
                None if plan.comes_again(task) => {}
                None => plan.children.push(AwaitedChild {
                    task,
                    name: call.name.clone(),
                    instance_id: instance_id.clone(),
                    end: end_of(task, events),
                    postponed: execution.is_postponed(task),
                }),
            },
            OpenTask::Event { name, .. } => plan.waits.push(fold_name(name)),
            OpenTask::Entity { .. } if plan.comes_again(task) => {}
            OpenTask::Entity { .. } if failed_operation(task, events) => {
                plan.calls.extend(called(task, kept));
            }
            OpenTask::Entity { .. } => {
                plan.answers.push((task, called(task, kept).map(|(_, signal)| signal)));
            }
            OpenTask::Lock { .. } => {}
        }
    }
    plan.close_waits_of_messages();
    plan
}

impl Rewind {
    fn comes_again(&self, task: TaskId) -> bool {
        self.messages.iter().any(|message| message.task() == Some(task))
    }

    /// An event that comes again is held by its wait; the other waits are open.
    fn close_waits_of_messages(&mut self) {
        for message in &self.messages {
            if let Message::EventRaised { name, .. } = message {
                let folded = fold_name(name);
                if let Some(taken) = self.waits.iter().position(|wait| *wait == folded) {
                    self.waits.remove(taken);
                }
            }
        }
    }
}

/// The message that caused an event of the undone turn, if it tells of a success.
fn again(event: &HistoryEvent, before: &Execution) -> Option<Message> {
    match event {
        HistoryEvent::TaskCompleted { task, result } => {
            Some(Message::TaskCompleted { task: *task, result: result.clone() })
        }
        HistoryEvent::SubOrchestrationInstanceCompleted { task, result } => {
            Some(Message::ChildCompleted { task: *task, result: result.clone() })
        }
        HistoryEvent::EntityOperationCompleted { task, result } => {
            Some(Message::EntityCompleted { task: *task, result: result.clone() })
        }
        HistoryEvent::EventRaised { task, input } => match before.task(*task) {
            Some(OpenTask::Event { name, .. }) => {
                Some(Message::EventRaised { name: name.to_string(), input: input.clone() })
            }
            _ => None,
        },
        _ => None,
    }
}

fn failed_operation(task: TaskId, events: &[HistoryEvent]) -> bool {
    let failed = |event: &HistoryEvent| matches!(event, HistoryEvent::EntityOperationFailed { task: of, .. } if *of == task);
    events.iter().any(failed)
}

/// The call of an operation, as it was made.
fn called(task: TaskId, records: &[HistoryRecord]) -> Option<(TaskId, Signal)> {
    records.iter().flat_map(|record| &record.events).find_map(|event| match event {
        HistoryEvent::EntityOperationCalled { task: of, entity_id, operation, input }
            if *of == task =>
        {
            let (entity_id, operation) = (entity_id.clone(), operation.to_string());
            Some((task, Signal { entity_id, operation, input: input.clone(), fire_at: None }))
        }
        _ => None,
    })
}

/// What is told of a call that is no longer before the entity and whose answer was not kept, as by an
/// engine that did not keep answers.
#[must_use]
pub fn lost_reply(task: TaskId, call: &Signal) -> Message {
    let Signal { entity_id, operation, .. } = call;
    let message = format!(
        "The orchestration had failed before entity '{entity_id}' answered to '{operation}', so it is \
         not known what became of it."
    );
    Message::EntityFailed { task, failure: engine_failure(ErrorCode::EntityReplyLost, &message) }
}

/// See [`Rewind::needs_child`].
fn needs_child(events: &[HistoryEvent]) -> bool {
    let mut told = false;
    for event in events {
        match event {
            HistoryEvent::TaskFailed { .. } | HistoryEvent::EntityOperationFailed { .. } => {
                return false;
            }
            HistoryEvent::SubOrchestrationInstanceFailed { again_at, .. } => {
                told |= again_at.is_none();
            }
            _ => {}
        }
    }
    told
}

fn end_of(task: TaskId, events: &[HistoryEvent]) -> Option<ChildEnd> {
    events.iter().find_map(|event| match event {
        HistoryEvent::SubOrchestrationInstanceFailed { task: of, child, .. } if *of == task => {
            Some(child.clone())
        }
        _ => None,
    })
}
