//! External events: found by name without regard to case, the newest wait first, one wait an event.

use durafn::core::history::{HistoryEvent, HistoryRecord};
use durafn::core::message::Message;

use super::run::{Run, events, open};
use crate::common::actions::{asks, cancel_wait, nothing, raised, wait};

#[test]
fn the_newest_wait_of_a_name_is_served_first() {
    let mut run = Run::new();
    let commit = run.turn(1, &[], asks([wait("go"), wait("go")]));
    assert_eq!(commit.waits_opened, ["go", "go"]);
    assert_eq!(run.told(2, &[raised("go", &1)]), [r#"{"ok":{"task":1,"value":1}}"#]);
    run.does(nothing());
    assert_eq!(run.told(3, &[raised("go", &2)]), [r#"{"ok":{"task":0,"value":2}}"#]);
}

#[test]
fn event_names_match_without_regard_to_case() {
    let mut run = Run::new();
    let commit = run.turn(1, &[], asks([wait("Go"), wait("GÖ")]));
    assert_eq!(commit.waits_opened, ["go", "gö"]);
    let told = run.told(2, &[raised("gO", &1), raised("gö", &2)]);
    assert_eq!(told, [r#"{"ok":{"task":0,"value":1}}"#, r#"{"ok":{"task":1,"value":2}}"#]);
    let commit = run.does(nothing());
    assert_eq!(events(&commit)[0], r#"{"EventRaised":{"k":0,"i":1}}"#);
}

#[test]
fn an_event_that_nothing_waits_for_is_dropped() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("go")]));
    assert!(run.told(2, &[raised("stop", &1)]).is_empty());
    assert_eq!(run.told(3, &[raised("go", &1), raised("go", &2)]).len(), 1, "one wait, one event");
}

#[test]
fn an_event_without_data_resolves_without_a_value() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("go")]));
    let message = Message::EventRaised { name: "go".to_owned(), input: None };
    assert_eq!(run.told(2, &[message]), [r#"{"ok":{"task":0}}"#]);
}

#[test]
fn a_wait_stays_open_until_an_event_resolves_it() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("a"), wait("b")]));
    run.turn(2, &[raised("a", &1)], asks([wait("a")]));
    let (again, _) = run.replay(1);
    assert_eq!(open(&again), open(&run.execution));
    assert_eq!(again.open().map(|(task, _)| task).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_notice_in_history_is_no_turn_and_changes_nothing() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("a")]));
    let events = vec![HistoryEvent::EventDiscarded { name: "b".into() }];
    run.records.push(HistoryRecord { time_ms: 99, events, notice: true, began: None });
    run.turn(3, &[raised("a", &1)], nothing());
    let (again, turns) = run.replay(10);
    assert_eq!(turns.len(), 2);
    assert_eq!(open(&again), open(&run.execution));
}

#[test]
fn a_change_from_outside_tells_the_code_nothing() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("a")]));
    assert!(run.told(2, &[Message::Changed]).is_empty());
    assert!(run.begun().is_empty());
}

#[test]
fn a_cancelled_wait_is_closed_and_takes_no_event() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("a"), wait("go"), wait("A")]));
    let commit = run.turn(2, &[raised("go", &1)], asks([cancel_wait(2)]));
    assert_eq!((&*commit.waits_closed, commit.must_see_events()), (&["a".to_owned()][..], true));
    assert_eq!(events(&commit)[1], r#"{"EventWaitCanceled":{"k":2}}"#);
    assert_eq!(run.told(3, &[raised("a", &1)]), [r#"{"ok":{"task":0,"value":1}}"#]);
    run.does(nothing());
    let (again, _) = run.replay(1);
    assert_eq!(open(&again), open(&run.execution));
}

#[test]
fn a_wait_that_opens_in_the_turn_in_which_another_closes_takes_its_place() {
    for actions in [[cancel_wait(0), wait("A")], [wait("A"), cancel_wait(0)]] {
        let mut run = Run::new();
        run.turn(1, &[], asks([wait("a"), wait("go")]));
        let commit = run.turn(2, &[raised("go", &1)], asks(actions));
        assert!(commit.waits_closed.is_empty() && commit.waits_opened.is_empty());
        assert_eq!(run.told(3, &[raised("a", &1)]), [r#"{"ok":{"task":2,"value":1}}"#]);
    }
    let mut run = Run::new();
    let commit = run.turn(1, &[], asks([wait("a"), cancel_wait(0)]));
    assert!(commit.waits_closed.is_empty() && commit.waits_opened.is_empty());
}
