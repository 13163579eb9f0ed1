//! Turns that ask for more sub-orchestrations and timers than one commit starts.

use durafn::core::action::Action;
use durafn::core::commit::TurnCommit;

use super::run::{Run, events, open};
use crate::common::actions::{
    asks, call, cancel, child, child_completed, continues, fired, nothing, returns, timer,
};

const WIDTH: usize = 2_500;

fn children(count: usize) -> Vec<Action> {
    (0..count).map(|_| child("c", None)).collect()
}

fn last_event(commit: &TurnCommit) -> String {
    events(commit).pop().unwrap()
}

#[test]
fn a_wide_turn_starts_a_thousand_and_the_others_follow_in_their_order() {
    let mut run = Run::new();
    let first = run.turn(1, &[], asks(children(WIDTH)));
    assert_eq!(first.children.len(), 1_000);
    assert_eq!(last_event(&first), r#"{"StartsPostponed":{"k":1000}}"#);
    assert!(first.ready, "a worker that dies now goes on with them");

    let mut started: Vec<u32> = first.children.iter().map(|child| child.task).collect();
    for (more, ready) in [(1_000, true), (500, false)] {
        assert!(run.told(2, &[]).is_empty());
        assert!(!run.begun().is_empty() && !run.begun().needs_code());
        let next = run.does(nothing());
        assert_eq!((next.children.len(), next.ready), (more, ready));
        assert_eq!(events(&next).len(), 1, "and nothing else");
        started.extend(next.children.iter().map(|child| child.task));
    }
    assert_eq!(started, (0..2_500).collect::<Vec<u32>>());
    run.told(3, &[]);
    assert!(run.begun().is_empty(), "all are started");
}

#[test]
fn a_replay_knows_what_is_started_and_runs_the_code_once_for_it() {
    let mut run = Run::new();
    run.turn(1, &[], asks(children(WIDTH)));
    for _ in 0..3 {
        let (execution, told) = run.replay(1_000);
        assert_eq!(open(&execution), open(&run.execution));
        assert!(execution.postponed(9_999).eq(run.execution.postponed(9_999)));
        assert_eq!(told.len(), 1);
        run.turn(2, &[], nothing());
    }
}

#[test]
fn what_comes_meanwhile_is_told_while_the_others_are_started() {
    let mut run = Run::new();
    run.turn(1, &[], asks(children(WIDTH)));
    assert_eq!(run.told(2, &[child_completed(0, &"early")]).len(), 1);
    let second = run.does(asks([call("x"), child("late", None)]));
    assert_eq!((second.children.len(), second.activities.len()), (1_000, 1));
    let third = run.turn(3, &[], nothing());
    assert_eq!(third.children.len(), 501, "the new one after the others");
    assert_eq!(&*third.children[500].name, "late");
}

#[test]
fn timers_are_started_so_too_and_a_cancelled_one_never() {
    let mut run = Run::new();
    let all = (0..1_500).map(|_| timer(9_000)).chain([cancel(1_400)]);
    let first = run.turn(1, &[], asks(all));
    assert_eq!(first.timers_set.len(), 1_000);
    run.told(2, &[]);
    let second = run.does(asks([cancel(1_401)]));
    assert_eq!(second.timers_set.len(), 498, "one was gone, one goes in this turn");
    assert!(second.timers_set.iter().all(|(task, _)| ![1_400, 1_401].contains(task)));
    assert_eq!(second.timers_set[0], (1_000, 9_000));
    assert!(!run.execution.has_postponed());
}

/// A process that loads the execution knows its timers from history, and one may be due.
#[test]
fn a_postponed_timer_that_fires_is_not_set_any_more() {
    let mut run = Run::new();
    run.turn(1, &[], asks((0..1_001).map(|_| timer(5))));
    let second = run.turn(9, &[fired(1_000)], nothing());
    assert!(second.timers_set.is_empty() && !run.execution.has_postponed());
    let (execution, _) = run.replay(1);
    assert_eq!(open(&execution), open(&run.execution));
}

#[test]
fn a_turn_that_ends_starts_all_that_are_left() {
    for end in [returns(&1), continues(&1)] {
        let mut run = Run::new();
        run.turn(1, &[], asks(children(WIDTH)));
        run.told(2, &[child_completed(0, &1)]);
        let mut end = end;
        end.actions = children(1_200);
        let last = run.does(end);
        assert_eq!(last.children.len(), 1_500 + 1_200);
        assert!(!run.execution.has_postponed());
    }
}
