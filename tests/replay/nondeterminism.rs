//! Code that no longer does what its history says: found in each kind, told with both sides.

use durafn::core::action::{Action, Group};
use durafn::core::error::ErrorCode;
use durafn::core::replay::Problem;
use durafn::core::turn::TurnOutcome;

use super::run::Run;
use crate::common::actions::{
    asks, call, call_in_group, call_retried, call_with, cancel, cancel_wait, child, completed,
    nothing, raised, retry, returns, timer, wait,
};

/// What a replay says of code that does `now` where history says `then`.
fn difference(then: Vec<Action>, now: TurnOutcome) -> Option<Box<Problem>> {
    let mut run = Run::new();
    run.turn(1, &[], asks(then));
    run.replay_as(1, &[now]).err()
}

fn sides(problem: &Problem) -> [&str; 3] {
    [&problem.history_event, &problem.expected, &problem.actual]
        .map(|side| side.as_deref().unwrap_or_default())
}

#[test]
fn inputs_times_policies_and_concurrency_may_differ_and_names_differ_in_case() {
    let then = vec![call_with("Pay", &1), timer(10), child("Sub", Some("s")), wait("Go")];
    let now = asks([call_retried("pAY", retry(9)), timer(99), child("sub", Some("s")), wait("GO")]);
    assert!(difference(then, now).is_none());
    let group = |limit| call_in_group("a", Group { id: 0, limit });
    assert!(difference(vec![group(1)], asks([group(8)])).is_none());
}

#[test]
fn another_kind_name_or_chosen_id_is_told_with_both_sides() {
    let timer_1 = vec![timer(9), cancel(0)];
    let cases: [(Vec<Action>, Action, [&str; 3]); 7] = [
        (
            vec![call("a")],
            wait("a"),
            ["event 0, TaskScheduled", "callActivity('a')", "waitForExternalEvent('a')"],
        ),
        (
            vec![wait("a")],
            wait("b"),
            ["event 0, EventAwaited", "waitForExternalEvent('a')", "waitForExternalEvent('b')"],
        ),
        (
            vec![timer(9)],
            call("a"),
            ["event 0, TimerCreated", "createTimer()", "callActivity('a')"],
        ),
        (
            vec![child("c", Some("x"))],
            child("c", Some("y")),
            [
                "event 0, SubOrchestrationInstanceCreated",
                "callSubOrchestrator('c', instanceId 'x')",
                "callSubOrchestrator('c', instanceId 'y')",
            ],
        ),
        (
            vec![child("c", None)],
            child("c", Some("y")),
            [
                "event 0, SubOrchestrationInstanceCreated",
                "callSubOrchestrator('c')",
                "callSubOrchestrator('c', instanceId 'y')",
            ],
        ),
        (timer_1, timer(9), ["event 1, TimerCanceled", "cancel() of timer 0", "createTimer()"]),
        (
            vec![wait("a"), cancel_wait(0)],
            cancel_wait(1),
            [
                "event 1, EventWaitCanceled",
                "cancel() of the wait 0 for an event",
                "cancel() of the wait 1 for an event",
            ],
        ),
    ];
    for (then, last, expected) in cases {
        let mut now: Vec<Action> = then[..then.len() - 1].to_vec();
        now.push(last);
        assert_eq!(sides(&difference(then, asks(now)).unwrap()), expected);
    }
}

#[test]
fn the_same_requests_in_another_order_differ() {
    let problem = difference(vec![call("a"), call("b")], asks([call("b"), call("a")])).unwrap();
    assert_eq!(sides(&problem)[0], "event 0, TaskScheduled");
}

#[test]
fn a_request_too_few_too_many_or_an_end_is_told() {
    let fewer = difference(vec![call("a"), call("b")], asks([call("a")])).unwrap();
    assert_eq!(
        sides(&fewer),
        ["event 1, TaskScheduled", "callActivity('b')", "nothing more in this turn"]
    );
    let more = difference(vec![call("a")], asks([call("a"), timer(1)])).unwrap();
    assert_eq!(
        sides(&more),
        ["event 1, the end of a turn", "nothing more in this turn", "createTimer()"]
    );
    let ended = difference(vec![call("a")], returns(&1)).unwrap();
    assert_eq!(sides(&ended), ["event 0, TaskScheduled", "callActivity('a')", "the end"]);
    let early = TurnOutcome { actions: vec![call("a")], ..returns(&1) };
    let early = difference(vec![call("a")], early).unwrap();
    assert_eq!(sides(&early)[2], "the end of the orchestration");
}

#[test]
fn the_message_says_where_what_and_what_to_do() {
    let problem = difference(vec![call("a")], asks([call("b")])).unwrap();
    assert_eq!(problem.code, ErrorCode::Nondeterminism);
    insta::assert_snapshot!(problem.message, @"The orchestrator does not do what its history says it did. At event 0, TaskScheduled, history says callActivity('a'); the code does callActivity('b'). Likely causes: the function was changed while this instance was open, or it depends on something that differs between runs (the clock, random numbers, the environment, I/O). Restore the code that ran before and resume the instance, or terminate it.");
}

/// Three turns, of which the middle one asks for nothing.
fn three_turns() -> Run {
    let mut run = Run::new();
    run.turn(1, &[], asks([call("a"), wait("e")]));
    run.turn(2, &[completed(0, &1)], nothing());
    run.turn(3, &[raised("e", &1)], asks([call("b")]));
    run
}

#[test]
fn a_difference_is_found_in_its_turn_and_not_made_up_for_in_a_later_one() {
    let early = [asks([call("a"), wait("e")]), asks([call("b")]), nothing()];
    for chunk in [1, 2, 3] {
        let problem = three_turns().replay_as(chunk, &early).unwrap_err();
        let place = "event 3, the end of a turn";
        assert_eq!(sides(&problem), [place, "nothing more in this turn", "callActivity('b')"]);
    }
}

#[test]
fn the_place_does_not_depend_on_how_many_turns_are_replayed_at_once() {
    let late = [asks([call("a"), wait("e")]), nothing(), asks([call("c")])];
    for chunk in [1, 2, 3] {
        let problem = three_turns().replay_as(chunk, &late).unwrap_err();
        assert_eq!(sides(&problem)[0], "event 4, TaskScheduled");
    }
}

#[test]
fn turns_that_were_not_run_are_not_taken_as_checked() {
    let run = three_turns();
    let mut replay = durafn::core::replay::Replay::new(run.stored());
    let turns =
        replay.next_turns(&mut durafn::core::execution::Execution::default(), 10, usize::MAX);
    assert_eq!(turns.len(), 3);
    assert!(replay.check(&[asks([call("a"), wait("e")])]).is_err());
}
