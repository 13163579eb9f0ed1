//! Timers: never early, cancelled at once, cleared when they are done.

use super::run::{Run, events, open};
use crate::common::actions::{asks, cancel, fired, nothing, timer};

#[test]
fn a_timer_does_not_fire_before_its_time() {
    let mut run = Run::new();
    assert_eq!(run.turn(1_000, &[], asks([timer(5_000)])).timers_set, [(0, 5_000)]);
    assert!(run.told(4_999, &[fired(0)]).is_empty());
    assert!(run.begun().is_empty());
    assert_eq!(run.told(5_000, &[fired(0)]), [r#"{"ok":{"task":0}}"#]);
    assert_eq!(run.does(nothing()).timers_cleared, [0]);
}

#[test]
fn a_timer_waits_for_wall_time_even_if_the_instances_time_is_ahead_of_it() {
    let mut run = Run::new();
    run.turn(10_000, &[], asks([timer(5_000)]));
    assert!(run.told(4_000, &[fired(0)]).is_empty(), "the clock ran back");
    assert_eq!(run.told(5_000, &[fired(0)]).len(), 1);
    assert_eq!(run.does(nothing()).record.time_ms, 10_000);
}

#[test]
fn a_timer_cancelled_in_the_turn_that_made_it_never_reaches_the_store() {
    let mut run = Run::new();
    let commit = run.turn(1, &[], asks([timer(9), cancel(0), timer(8)]));
    assert_eq!(commit.timers_set, [(1, 8)]);
    assert!(commit.timers_cleared.is_empty());
    assert_eq!(events(&commit).len(), 3, "history tells of it all the same");
    assert_eq!(open(&run.replay(1).0), open(&run.execution));
}

#[test]
fn a_timer_cancelled_later_is_cleared_and_its_firing_dropped() {
    let mut run = Run::new();
    run.turn(1, &[], asks([timer(9), timer(5)]));
    let commit = run.turn(5, &[fired(1)], asks([cancel(0)]));
    assert_eq!(commit.timers_cleared, [1, 0]);
    assert!(run.told(9, &[fired(0)]).is_empty());
}

#[test]
fn a_cancellation_takes_no_task_id() {
    let mut run = Run::new();
    run.turn(1, &[], asks([timer(9), cancel(0), timer(9)]));
    assert_eq!(run.execution.next_task(), 2);
    assert!(run.execution.task(1).is_some());
}

#[test]
fn a_timer_fires_once() {
    let mut run = Run::new();
    run.turn(1, &[], asks([timer(2)]));
    assert_eq!(run.told(3, &[fired(0), fired(0)]).len(), 1);
}
