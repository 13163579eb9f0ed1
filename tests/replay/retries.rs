//! Retries as durable timers: back-off, `retryIf`, jitter, and what the code sees of them.

use durafn::core::execution::OpenTask;
use durafn::core::retry::Retry;

use super::run::{Run, events, open};
use crate::common::actions::{
    answers, asks, call_retried, child_failed, child_retried, completed, failed, fired, nothing,
    retry, retry_asking,
};

#[test]
fn a_failure_without_a_policy_is_the_codes() {
    let mut run = Run::new();
    run.turn(1, &[], asks([crate::common::actions::call("a")]));
    assert_eq!(run.told(2, &[failed(0, &"no")]), [r#"{"fail":{"task":0,"failure":"no"}}"#]);
    assert!(!run.does(nothing()).ready);
}

#[test]
fn a_failed_attempt_waits_as_a_timer_and_the_code_does_not_run() {
    let mut run = Run::new();
    run.turn(1_000, &[], asks([call_retried("a", retry(3))]));
    assert!(run.told(2_000, &[failed(0, &"no")]).is_empty());
    assert!(!run.begun().needs_code() && !run.begun().is_empty());
    let commit = run.does(nothing());
    assert_eq!(events(&commit), [r#"{"TaskFailed":{"k":0,"f":"no","a":2100}}"#]);
    assert_eq!(commit.timers_set, [(0, 2_100)]);
    assert!(!commit.ready, "nothing but the timer brings it on");
}

#[test]
fn the_next_attempt_begins_when_the_delay_is_over_and_not_before() {
    let mut run = Run::new();
    run.turn(1_000, &[], asks([call_retried("a", retry(3))]));
    run.turn(2_000, &[failed(0, &"no")], nothing());
    assert!(run.told(2_099, &[fired(0)]).is_empty() && run.begun().is_empty());
    run.told(2_100, &[fired(0)]);
    let commit = run.does(nothing());
    assert_eq!(events(&commit), [r#"{"TaskRetried":{"k":0}}"#]);
    assert_eq!((commit.timers_cleared, commit.activities), (vec![0], vec![0]));
    assert!(commit.ready);
}

#[test]
fn delays_grow_and_the_last_failure_is_the_codes() {
    let mut run = Run::new();
    run.turn(0, &[], asks([call_retried("a", retry(3))]));
    assert_eq!(run.turn(0, &[failed(0, &1)], nothing()).timers_set, [(0, 100)]);
    run.turn(100, &[fired(0)], nothing());
    assert_eq!(run.turn(100, &[failed(0, &2)], nothing()).timers_set, [(0, 300)]);
    run.turn(300, &[fired(0)], nothing());
    assert_eq!(run.told(300, &[failed(0, &3)]), [r#"{"fail":{"task":0,"failure":3}}"#]);
    run.does(nothing());
    let (again, turns) = run.replay(1);
    assert_eq!(turns.len(), 2, "the code runs at the start and at the end");
    assert_eq!(open(&again), open(&run.execution));
}

#[test]
fn a_result_that_comes_during_the_delay_is_dropped() {
    let mut run = Run::new();
    run.turn(0, &[], asks([call_retried("a", retry(2))]));
    run.turn(0, &[failed(0, &1)], nothing());
    run.told(50, &[completed(0, &1), failed(0, &2)]);
    assert!(run.begun().is_empty());
}

#[test]
fn retry_if_is_asked_with_the_failure_and_the_attempt() {
    let mut run = Run::new();
    run.turn(0, &[], asks([call_retried("a", retry_asking(3))]));
    let told = run.told(10, &[failed(0, &"no")]);
    assert_eq!(told, [r#"{"ask":{"task":0,"failure":"no","attempt":1}}"#]);
    let commit = run.does(answers([(0, true)]));
    assert_eq!(events(&commit), [r#"{"TaskFailed":{"k":0,"f":"no","a":110}}"#]);
    run.turn(110, &[fired(0)], nothing());
    assert_eq!(
        run.told(120, &[failed(0, &"no")])[0],
        r#"{"ask":{"task":0,"failure":"no","attempt":2}}"#
    );
}

#[test]
fn an_answer_of_no_is_recorded_as_the_failure_and_not_asked_again() {
    let mut run = Run::new();
    run.turn(0, &[], asks([call_retried("a", retry_asking(3))]));
    let commit = run.turn(10, &[failed(0, &"no")], answers([(0, false)]));
    assert_eq!(events(&commit), [r#"{"TaskFailed":{"k":0,"f":"no"}}"#]);
    let (again, turns) = run.replay(1);
    assert_eq!(
        crate::common::json(&turns[1].resolutions[0]),
        r#"{"fail":{"task":0,"failure":"no"}}"#
    );
    assert_eq!(open(&again), open(&run.execution));
}

#[test]
fn a_task_is_asked_about_once_a_turn() {
    let mut run = Run::new();
    run.turn(0, &[], asks([call_retried("a", retry_asking(3))]));
    assert_eq!(run.told(10, &[failed(0, &1), failed(0, &2), completed(0, &3)]).len(), 1);
    assert_eq!(events(&run.does(answers([(0, true)]))).len(), 1);
}

#[test]
fn the_last_attempt_is_not_asked_about() {
    let mut run = Run::new();
    run.turn(0, &[], asks([call_retried("a", retry_asking(1))]));
    assert_eq!(run.told(10, &[failed(0, &1)]), [r#"{"fail":{"task":0,"failure":1}}"#]);
}

#[test]
fn a_missing_answer_is_a_defect_that_is_reported() {
    let mut run = Run::new();
    run.turn(0, &[], asks([call_retried("a", retry_asking(2))]));
    run.told(10, &[failed(0, &1)]);
    let mut execution = run.execution.clone();
    let turn = durafn::core::turn::Turn::begin(
        &mut execution,
        0,
        &[durafn::core::message::Delivery { key: None, exec: None, message: failed(0, &1) }],
        10,
        &mut run.entropy,
    );
    let finished = turn.finish(7, 0, &mut execution, true, nothing(), &mut run.entropy);
    assert_eq!(finished.unwrap_err().code, durafn::core::error::ErrorCode::Internal);
}

#[test]
fn jitter_is_drawn_once_and_the_time_recorded() {
    let policy = Retry { jitter: 1.0, ..retry(2) };
    let mut run = Run::new();
    run.turn(0, &[], asks([call_retried("a", policy)]));
    let (_, at) = run.turn(0, &[failed(0, &1)], nothing()).timers_set[0];
    assert!((0..100).contains(&at), "{at}");
    let again = run.replay(1).0;
    let Some(OpenTask::Activity(call)) = again.task(0) else { panic!("the task is open") };
    assert_eq!(call.again_at, Some(at));
}

#[test]
fn another_attempt_of_a_child_gets_a_fresh_id_unless_the_code_chose_one() {
    for (chosen, first, second) in [(None, "fresh-1", "fresh-2"), (Some("mine"), "mine", "mine")] {
        let mut run = Run::new();
        let commit = run.turn(0, &[], asks([child_retried("c", chosen, retry(2))]));
        assert_eq!(commit.children[0].instance_id, first);
        run.turn(0, &[child_failed(0, first, &"no")], nothing());
        let commit = run.turn(100, &[fired(0)], nothing());
        assert_eq!(commit.children[0].instance_id, second);
        assert_eq!(open(&run.replay(1).0), open(&run.execution));
    }
}

#[test]
fn the_end_of_an_earlier_attempts_child_is_dropped() {
    let mut run = Run::new();
    run.turn(0, &[], asks([child_retried("c", None, retry(3))]));
    run.turn(0, &[child_failed(0, "fresh-1", &1)], nothing());
    run.turn(100, &[fired(0)], nothing());
    run.told(110, &[child_failed(0, "fresh-1", &1)]);
    assert!(run.begun().is_empty());
    run.told(120, &[child_failed(0, "fresh-2", &1)]);
    assert!(!run.begun().is_empty());
}

#[test]
fn retry_if_of_a_child_is_asked_with_its_end() {
    let mut run = Run::new();
    run.turn(0, &[], asks([child_retried("c", Some("x"), retry_asking(2))]));
    let told = run.told(1, &[child_failed(0, "x", &"no")]);
    let end = r#"{"name":"child","instanceId":"x","status":"Failed","failure":"no"}"#;
    assert_eq!(told, [format!(r#"{{"ask":{{"task":0,"attempt":1,"child":{end}}}}}"#)]);
    let commit = run.does(answers([(0, false)]));
    assert_eq!(
        events(&commit),
        [format!(r#"{{"SubOrchestrationInstanceFailed":{{"k":0,"f":{end}}}}}"#)]
    );
}
