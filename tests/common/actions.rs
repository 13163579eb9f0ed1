//! Words for what code asks for and what comes of it, so that a test reads as a script.

use durafn::core::action::{Action, Group};
use durafn::core::commit::End;
use durafn::core::history::{ChildEnd, ChildStatus};
use durafn::core::message::Message;
use durafn::core::retry::Retry;
use durafn::core::turn::TurnOutcome;
use durafn::core::{TaskId, TimeMs};
use serde::Serialize;

use super::payload;

pub(crate) fn call(name: &str) -> Action {
    Action::CallActivity { name: name.into(), input: None, retry: None, group: None }
}

pub(crate) fn call_with(name: &str, input: &impl Serialize) -> Action {
    let input = Some(payload(input));
    Action::CallActivity { name: name.into(), input, retry: None, group: None }
}

pub(crate) fn call_retried(name: &str, retry: Retry) -> Action {
    Action::CallActivity { name: name.into(), input: None, retry: Some(retry), group: None }
}

pub(crate) fn call_in_group(name: &str, group: Group) -> Action {
    Action::CallActivity { name: name.into(), input: None, retry: None, group: Some(group) }
}

pub(crate) fn child(name: &str, id: Option<&str>) -> Action {
    let instance_id = id.map(str::to_owned);
    Action::CallSubOrchestrator {
        name: name.into(),
        instance_id,
        version: None,
        input: None,
        retry: None,
        group: None,
    }
}

pub(crate) fn child_in_group(name: &str, id: &str, group: Group) -> Action {
    let instance_id = Some(id.to_owned());
    let (version, input, retry, group) = (None, None, None, Some(group));
    Action::CallSubOrchestrator { name: name.into(), instance_id, version, input, retry, group }
}

pub(crate) fn child_retried(name: &str, id: Option<&str>, retry: Retry) -> Action {
    let instance_id = id.map(str::to_owned);
    Action::CallSubOrchestrator {
        name: name.into(),
        instance_id,
        version: None,
        input: None,
        retry: Some(retry),
        group: None,
    }
}

pub(crate) fn timer(fire_at: TimeMs) -> Action {
    Action::CreateTimer { fire_at }
}

pub(crate) fn cancel(task: TaskId) -> Action {
    Action::CancelTimer { task }
}

pub(crate) fn wait(name: &str) -> Action {
    Action::WaitForEvent { name: name.into() }
}

pub(crate) fn cancel_wait(task: TaskId) -> Action {
    Action::CancelWait { task }
}

/// A policy of `attempts` in all, the second 100 ms after the first, doubling.
pub(crate) fn retry(attempts: u32) -> Retry {
    Retry {
        first_retry_interval_ms: 100.0,
        max_number_of_attempts: attempts,
        backoff_coefficient: 2.0,
        max_retry_interval_ms: None,
        retry_timeout_ms: None,
        jitter: 0.0,
        ask: false,
    }
}

/// The same, with `retryIf`.
pub(crate) fn retry_asking(attempts: u32) -> Retry {
    Retry { ask: true, ..retry(attempts) }
}

pub(crate) fn nothing() -> TurnOutcome {
    TurnOutcome::default()
}

pub(crate) fn asks(actions: impl IntoIterator<Item = Action>) -> TurnOutcome {
    TurnOutcome { actions: actions.into_iter().collect(), ..TurnOutcome::default() }
}

pub(crate) fn answers(answers: impl IntoIterator<Item = (TaskId, bool)>) -> TurnOutcome {
    TurnOutcome { answers: answers.into_iter().collect(), ..TurnOutcome::default() }
}

pub(crate) fn returns(result: &impl Serialize) -> TurnOutcome {
    ends(End::Complete { result: Some(payload(result)) })
}

pub(crate) fn throws(failure: &impl Serialize) -> TurnOutcome {
    ends(End::Fail { failure: payload(failure) })
}

pub(crate) fn continues(input: &impl Serialize) -> TurnOutcome {
    ends(End::ContinueAsNew { input: Some(payload(input)), events: Vec::new() })
}

pub(crate) fn ends(end: End) -> TurnOutcome {
    TurnOutcome { end: Some(end), ..TurnOutcome::default() }
}

pub(crate) fn completed(task: TaskId, result: &impl Serialize) -> Message {
    Message::TaskCompleted { task, result: Some(payload(result)) }
}

pub(crate) fn failed(task: TaskId, failure: &impl Serialize) -> Message {
    Message::TaskFailed { task, failure: payload(failure) }
}

pub(crate) fn fired(task: TaskId) -> Message {
    Message::TimerFired { task }
}

pub(crate) fn raised(name: &str, input: &impl Serialize) -> Message {
    Message::EventRaised { name: name.to_owned(), input: Some(payload(input)) }
}

pub(crate) fn call_entity(entity_id: &str, operation: &str, input: &impl Serialize) -> Action {
    let (entity_id, operation) = (entity_id.to_owned(), operation.into());
    Action::CallEntity { entity_id, operation, input: Some(payload(input)) }
}

pub(crate) fn signal_entity(entity_id: &str, operation: &str, input: &impl Serialize) -> Action {
    let (entity_id, operation) = (entity_id.to_owned(), operation.into());
    Action::SignalEntity { entity_id, operation, input: Some(payload(input)), fire_at: None }
}

pub(crate) fn signal_later(
    entity_id: &str,
    operation: &str,
    input: &impl Serialize,
    fire_at: TimeMs,
) -> Action {
    let (entity_id, operation) = (entity_id.to_owned(), operation.into());
    let (input, fire_at) = (Some(payload(input)), Some(fire_at));
    Action::SignalEntity { entity_id, operation, input, fire_at }
}

pub(crate) fn lock<const N: usize>(entities: [&str; N]) -> Action {
    Action::LockEntities { entities: entities.map(str::to_owned).to_vec() }
}

pub(crate) fn release() -> Action {
    Action::ReleaseEntities {}
}

pub(crate) fn operation_completed(task: TaskId, result: &impl Serialize) -> Message {
    Message::EntityCompleted { task, result: Some(payload(result)) }
}

pub(crate) fn operation_failed(task: TaskId, failure: &impl Serialize) -> Message {
    Message::EntityFailed { task, failure: payload(failure) }
}

pub(crate) fn granted(task: TaskId) -> Message {
    Message::LockGranted { task }
}

pub(crate) fn child_completed(task: TaskId, result: &impl Serialize) -> Message {
    Message::ChildCompleted { task, result: Some(payload(result)) }
}

pub(crate) fn child_failed(task: TaskId, id: &str, failure: &impl Serialize) -> Message {
    let child = ChildEnd {
        name: "child".into(),
        instance_id: id.to_owned(),
        status: ChildStatus::Failed,
        failure: Some(payload(failure)),
        reason: None,
    };
    Message::ChildFailed { task, child }
}
