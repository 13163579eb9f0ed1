//! Entities in an orchestration: what is sent and when, what is told, what a replay compares.

use durafn::core::action::Action;
use durafn::core::entity::EntitySend;

use super::run::{Run, events};
use crate::common::actions::{
    asks, call, call_entity, granted, lock, nothing, operation_completed, operation_failed,
    release, returns, signal_entity,
};
use crate::common::json;

fn sends(sends: &[EntitySend]) -> Vec<String> {
    let words = |send: &EntitySend| match send {
        EntitySend::Call { task, signal } => {
            format!("call {task} {} {}", signal.entity_id, signal.operation)
        }
        EntitySend::Signal(signal) => format!("signal {} {}", signal.entity_id, signal.operation),
        EntitySend::Lock(lock) => format!("lock {} {}", lock.task, lock.entities.join(" ")),
        EntitySend::Unlock(lock) => format!("unlock {} {}", lock.task, lock.entities.join(" ")),
    };
    sends.iter().map(words).collect()
}

#[test]
fn calls_and_signals_go_in_the_order_of_the_asking_and_signals_make_no_task() {
    let mut run = Run::new();
    let actions = [signal_entity("@A@1", "x", &1), call_entity("@B@K", "y", &2), call("z")];
    let commit = run.turn(1, &[], asks(actions));
    assert_eq!(sends(&commit.sends), ["signal @a@1 x", "call 0 @b@K y"]);
    assert_eq!(
        events(&commit)[..2],
        [
            r#"{"EntityOperationSignaled":{"d":"@a@1","n":"x","i":1}}"#,
            r#"{"EntityOperationCalled":{"k":0,"d":"@b@K","n":"y","i":2}}"#,
        ]
    );
    assert_eq!(run.told(2, &[operation_completed(0, &7)]), [r#"{"ok":{"task":0,"value":7}}"#]);
    run.does(nothing());
    assert!(run.told(3, &[operation_completed(0, &8)]).is_empty(), "an answer comes once");
}

#[test]
fn a_failed_operation_fails_its_task_and_no_other_kind_of_message_does() {
    let mut run = Run::new();
    run.turn(1, &[], asks([call_entity("@a@1", "x", &1), call("y")]));
    assert!(run.told(2, &[granted(0), operation_completed(1, &1)]).is_empty());
    assert_eq!(
        run.told(3, &[operation_failed(0, &"no")]),
        [r#"{"fail":{"task":0,"failure":"no"}}"#]
    );
}

#[test]
fn a_lock_is_in_the_row_from_the_asking_to_the_giving_back() {
    let mut run = Run::new();
    let commit = run.turn(1, &[], asks([lock(["@b@1", "@A@1", "@a@1"])]));
    assert_eq!(sends(&commit.sends), ["lock 0 @a@1 @b@1"]);
    assert_eq!(json(&commit.locks), r#"{"k":0,"d":["@a@1","@b@1"]}"#);
    assert_eq!(run.told(2, &[granted(0)]), [r#"{"ok":{"task":0}}"#]);
    let commit = run.does(asks([call("x"), release()]));
    assert_eq!(sends(&commit.sends), ["unlock 0 @a@1 @b@1"]);
    assert_eq!(commit.locks, Some(None));
    let commit = run.turn(3, &[], returns(&1));
    assert!(commit.sends.is_empty() && commit.locks.is_none());
}

#[test]
fn an_end_inside_a_section_gives_back_and_a_second_section_ends_the_first() {
    let mut run = Run::new();
    run.turn(1, &[], asks([lock(["@a@1"]), call("x")]));
    let commit = run.turn(2, &[granted(0)], asks([lock(["@b@1"])]));
    assert_eq!(sends(&commit.sends), ["unlock 0 @a@1", "lock 2 @b@1"]);
    assert_eq!(run.execution.open().count(), 2);
    let commit = run.turn(3, &[], returns(&1));
    assert_eq!(sends(&commit.sends), ["unlock 2 @b@1"]);
    assert_eq!(commit.locks, Some(None));
}

#[test]
fn a_replay_compares_entities_operations_and_locks_and_not_inputs() {
    let differs = |then: Action, now: Action| {
        let mut run = Run::new();
        run.turn(1, &[], asks([then]));
        run.replay_as(1, &[asks([now])]).err().map(|problem| problem.actual.unwrap())
    };
    let then = || call_entity("@a@1", "x", &1);
    assert_eq!(differs(then(), call_entity("@A@1", "x", &2)), None);
    let said = differs(then(), call_entity("@a@2", "x", &1));
    assert_eq!(said.as_deref(), Some("callEntity('@a@2', 'x')"));
    let said = differs(then(), call_entity("@a@1", "X", &1));
    assert_eq!(said.as_deref(), Some("callEntity('@a@1', 'X')"));
    let said = differs(then(), signal_entity("@a@1", "x", &1));
    assert_eq!(said.as_deref(), Some("signalEntity('@a@1', 'x')"));
    assert_eq!(differs(lock(["@b@1", "@a@1"]), lock(["@a@1", "@b@1"])), None);
    let said = differs(lock(["@a@1"]), lock(["@a@1", "@b@1"]));
    assert_eq!(said.as_deref(), Some("lock('@a@1', '@b@1')"));
    assert_eq!(differs(release(), release()), None);
}
