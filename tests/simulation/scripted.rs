//! What befalls one instance and not the others: code that differs, rows that are damaged, a program
//! that takes the process down, a name that nobody registers.

use std::collections::BTreeSet;
use std::ops::Bound;

use durafn::core::InstanceKey;
use durafn::core::entity::Signal;
use durafn::core::error::{Error, ErrorCode};
use durafn::core::limits::{TIMERS_HELD, TIMERS_READ};
use durafn::core::request::{Command, Control, OnConflict, StartSpec};
use durafn::core::status::RuntimeStatus;
use durafn::provider::transaction::Work;
use durafn::provider::{EntityReader, Provider, Reader, Rows, TimerRow};
use durafn::runtime::dispatcher::{DispatcherOptions, Step};
use durafn::runtime::protocol::OnNondeterminism;
use durafn::runtime::timers::Timers;
use serde::Serialize;
use serde_json::Value;

use super::world::World;
use crate::common::payload;

/// A world in which nothing goes wrong by itself, and everything has room.
fn world() -> World {
    let mut world = World::new(1);
    world.options = DispatcherOptions {
        cached_instances: 100,
        active_instances: 100,
        backlog_keys: 100,
        cached_bytes: 1_000_000,
        concurrent_activities: 100,
        ..world.options
    };
    world
}

fn start(world: &mut World, program: &str, id: &str) {
    let spec = StartSpec {
        name: program.to_owned(),
        instance_id: Some(id.to_owned()),
        version: None,
        input: None,
        on_conflict: OnConflict::Error,
    };
    world.call_from_elsewhere(Command::Start(vec![spec])).unwrap();
}

fn control(world: &mut World, id: &str, control: Control) {
    let (instance_id, reason) = (id.to_owned(), Some(payload(&"why")));
    let command = Command::Control { instance_id, control, reason, recursive: false };
    world.call_from_elsewhere(command).unwrap();
}

/// An event makes the worker look at the instance.
fn raise(world: &mut World, id: &str, input: &impl Serialize) {
    let (instance_id, name) = (id.to_owned(), "go".to_owned());
    let input = Some(payload(input));
    world.call_from_elsewhere(Command::RaiseEvent { instance_id, name, input }).unwrap();
}

/// Until nothing happens any more for ten seconds.
fn settle(world: &mut World) {
    for _ in 0..20 {
        while world.step() {}
        world.pass_time(500);
    }
}

/// Until something that has begun is written.
fn settle_until(world: &mut World, done: impl Fn(&mut World) -> bool) {
    while !done(world) {
        if !world.step() {
            world.pass_time(100);
        }
    }
}

fn status(world: &mut World, id: &str) -> RuntimeStatus {
    world.store.find(id).unwrap().unwrap().head.status
}

fn problem(world: &mut World, id: &str) -> String {
    let problem = world.store.find(id).unwrap().unwrap().problem;
    problem.map_or_else(String::new, |problem| {
        let problem: Value = serde_json::from_str(problem.get()).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    })
}

fn key(world: &mut World, id: &str) -> InstanceKey {
    world.store.find(id).unwrap().unwrap().head.key
}

/// `a` waits for events, and its history says that it asked for an activity.
fn with_other_history(world: &mut World) {
    world.open();
    start(world, "waits", "a");
    start(world, "sequence", "other");
    settle(world);
    world.close();
    rewrite(world, r#""EventAwaited":{"k":0,"n":"go"}"#, r#""TaskScheduled":{"k":0,"n":"go"}"#);
}

/// Changes the one row of the history of `a`.
fn rewrite(world: &mut World, from: &str, to: &str) {
    let key = key(world, "a");
    let work = &mut |rows: &mut dyn Rows| {
        let body = rows.history(key, 0)?.remove(0);
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(from), "{body}");
        rows.remove_turn(key, 0, 1)?;
        rows.append_turn(key, 0, 1, body.replace(from, to).as_bytes())
    };
    world.store.transaction(None, work).unwrap();
}

#[test]
fn code_that_differs_from_history_is_held_and_tried_at_each_open_and_on_resume() {
    let mut world = world();
    with_other_history(&mut world);
    world.open();
    raise(&mut world, "a", &1);
    settle(&mut world);
    for _ in 0..2 {
        assert_eq!(status(&mut world, "a"), RuntimeStatus::Suspended);
        assert_eq!(problem(&mut world, "a"), "Nondeterminism");
        assert_eq!(status(&mut world, "other"), RuntimeStatus::Completed, "others run on");
        control(&mut world, "a", Control::Resume);
        settle(&mut world);
    }
    world.close();
    rewrite(&mut world, r#""TaskScheduled""#, r#""EventAwaited""#);
    world.open();
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Running, "the code is as it was");
    assert_eq!(problem(&mut world, "a"), "");
    assert_eq!(world.process().dispatcher.live_instances(), 1);
}

#[test]
fn code_that_differs_from_history_fails_if_the_hub_says_so() {
    let mut world = world();
    world.options.on_nondeterminism = OnNondeterminism::Fail;
    with_other_history(&mut world);
    world.open();
    raise(&mut world, "a", &1);
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Failed);
    let failure = world.store.find("a").unwrap().unwrap().failure.unwrap();
    assert!(failure.get().contains("\"code\":\"Nondeterminism\""), "{failure}");
    assert_eq!(world.process().dispatcher.live_instances(), 0);
}

#[test]
fn an_instance_whose_rows_cannot_be_read_is_held_and_the_hub_runs_on() {
    let mut world = world();
    world.open();
    start(&mut world, "waits", "a");
    settle(&mut world);
    world.close();
    let key = key(&mut world, "a");
    world.store.transaction(None, &mut |rows| rows.append_turn(key, 0, 2, b"\xff")).unwrap();
    world.open();
    raise(&mut world, "a", &1);
    start(&mut world, "sequence", "other");
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Suspended);
    assert_eq!(problem(&mut world, "a"), "CorruptHistory");
    assert_eq!(status(&mut world, "other"), RuntimeStatus::Completed);
    control(&mut world, "a", Control::Terminate);
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Terminated);
}

#[test]
fn what_takes_the_process_down_five_times_is_parked_until_it_is_resumed() {
    let mut world = world();
    world.open();
    start(&mut world, "sequence", "a");
    let runs = |world: &mut World| !world.process().host.running.is_empty();
    for death in 1..=5 {
        settle_until(&mut world, runs);
        assert!(problem(&mut world, "a").is_empty(), "death {death}");
        world.crash();
        world.open();
    }
    start(&mut world, "sequence", "other");
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Suspended);
    assert_eq!(problem(&mut world, "a"), "Poison");
    assert_eq!(status(&mut world, "other"), RuntimeStatus::Completed);
    world.close();
    world.open();
    settle(&mut world);
    assert_eq!(problem(&mut world, "a"), "Poison", "it is not tried again by itself");
    control(&mut world, "a", Control::Resume);
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Completed);
}

#[test]
fn an_operation_that_takes_the_process_down_five_times_fails_and_the_next_ones_are_carried_out() {
    let mut world = world();
    world.open();
    for _ in 0..3 {
        let (entity_id, operation) = ("@account@0".to_owned(), "add".to_owned());
        let signal = Signal { entity_id, operation, input: Some(payload(&1)), fire_at: None };
        world.call_from_elsewhere(Command::SignalEntity(signal)).unwrap();
    }
    let runs = |world: &mut World| !world.process().host.batches.is_empty();
    for _ in 1..=5 {
        settle_until(&mut world, runs);
        world.crash();
        world.open();
    }
    settle(&mut world);
    let state = world.store.find_entity("@account@0").unwrap().unwrap().state.unwrap();
    assert_eq!(state.get(), "[2,0]", "of three, the first has failed");
}

#[test]
fn a_process_that_is_killed_in_quick_succession_blames_no_operation() {
    let mut world = world();
    let (entity_id, operation) = ("@account@0".to_owned(), "add".to_owned());
    let signal = Signal { entity_id, operation, input: Some(payload(&1)), fire_at: None };
    world.call_from_elsewhere(Command::SignalEntity(signal)).unwrap();
    for _ in 0..12 {
        world.open();
        for _ in 0..4 {
            while world.process().host.batches.is_empty() && world.step() {}
            world.pass_time(100);
        }
        world.crash();
    }
    world.open();
    settle(&mut world);
    let state = world.store.find_entity("@account@0").unwrap().unwrap().state.unwrap();
    assert_eq!(state.get(), "[1,0]");
}

#[test]
fn a_process_that_is_closed_takes_nobody_down() {
    let mut world = world();
    for round in 0..8 {
        world.open();
        if round == 0 {
            start(&mut world, "waits", "a");
        }
        settle(&mut world);
        world.close();
        assert_eq!(world.store.find("a").unwrap().unwrap().head.crashes, 0);
    }
}

#[test]
fn an_instance_without_a_registered_orchestrator_waits_and_says_so() {
    let mut world = world();
    let all = world.registered.clone();
    world.registered.orchestrators.retain(|name| name != "waits");
    start(&mut world, "waits", "a");
    world.open();
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Pending);
    assert_eq!(problem(&mut world, "a"), "NotRegistered");
    assert_eq!(world.process().dispatcher.live_instances(), 0, "it waits in the store");
    world.process().dispatcher.register(&all);
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Running);
    assert_eq!(problem(&mut world, "a"), "");
}

#[test]
fn a_turn_that_can_never_be_written_parks_its_instance() {
    let mut world = world();
    world.open();
    start(&mut world, "sequence", "a");
    let wants_turn = |world: &mut World| {
        world.process().to_store.iter().any(|(_, work)| matches!(work, Work::Turn(_)))
    };
    settle_until(&mut world, wants_turn);
    let process = world.process();
    let (_, work) = process.to_store.pop_back().unwrap();
    let mut step = Step::default();
    let error = Error::new(ErrorCode::CorruptHistory, "no such column");
    process.dispatcher.unwritable(&work, &error, &mut step);
    world.perform(step);
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Suspended);
    assert_eq!(problem(&mut world, "a"), "CorruptHistory");
    assert_eq!(world.process().dispatcher.live_instances(), 0);
}

#[test]
fn an_execution_that_javascript_does_not_hold_is_made_again() {
    let mut world = world();
    world.open();
    start(&mut world, "waits", "a");
    settle(&mut world);
    for number in 0..3 {
        world.process().host.lose_executions();
        raise(&mut world, "a", &number);
        settle(&mut world);
    }
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Completed);
    let output = world.store.find("a").unwrap().unwrap().output.unwrap();
    assert_eq!(output.get(), "[0,1,2]");
}

#[test]
fn a_replay_whose_thread_dies_is_made_again() {
    let mut world = world();
    world.open();
    start(&mut world, "waits", "a");
    settle(&mut world);
    world.close();
    world.open();
    raise(&mut world, "a", &1);
    for death in 1..=2 {
        settle_until(&mut world, |world| !world.process().host.pending.is_empty());
        assert!(world.process().host.pending[0].replayed > 0, "death {death}");
        let World { process, rng, .. } = &mut world;
        process.as_mut().unwrap().host.lose_thread(rng);
    }
    settle(&mut world);
    assert_eq!(
        (status(&mut world, "a"), problem(&mut world, "a")),
        (RuntimeStatus::Running, String::new())
    );
    for number in [2, 3] {
        raise(&mut world, "a", &number);
        settle(&mut world);
    }
    let output = world.store.find("a").unwrap().unwrap().output.unwrap();
    assert_eq!(output.get(), "[1,2,3]");
}

#[test]
fn an_instance_that_ended_its_thread_too_often_is_parked_until_it_is_resumed() {
    let mut world = world();
    world.open();
    start(&mut world, "waits", "a");
    settle(&mut world);
    for (number, replays) in [(1, false), (2, true)] {
        raise(&mut world, "a", &number);
        settle_until(&mut world, |world| !world.process().host.pending.is_empty());
        let activation = world.process().host.pending.pop_front().unwrap();
        assert_eq!(activation.replayed > 0, replays);
        let mut step = Step::default();
        world.process().dispatcher.poisoned_thread(activation.token, 0, &mut step);
        world.perform(step);
        settle(&mut world);
        assert_eq!(status(&mut world, "a"), RuntimeStatus::Suspended);
        assert_eq!(problem(&mut world, "a"), "Poison");
        control(&mut world, "a", Control::Resume);
        settle(&mut world);
        world.close();
        world.open();
    }
    raise(&mut world, "a", &3);
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Completed);
    let output = world.store.find("a").unwrap().unwrap().output.unwrap();
    assert_eq!(output.get(), "[1,2,3]");
}

#[test]
fn instances_leave_memory_when_their_histories_are_too_large_for_it() {
    let mut world = world();
    world.options.cached_bytes = 1_500;
    world.open();
    for id in ["a", "b", "c"] {
        start(&mut world, "waits", id);
        settle(&mut world);
        raise(&mut world, id, &"x".repeat(1_000));
        settle(&mut world);
    }
    assert_eq!(world.process().dispatcher.live_instances(), 1);
    world.close();
    world.open();
    for id in ["a", "b", "c"] {
        raise(&mut world, id, &1);
    }
    settle(&mut world);
    assert_eq!(world.process().dispatcher.live_instances(), 1, "what is loaded counts as well");
}

/// The reader thread sees a commit before the store thread has told of it.
#[test]
fn an_event_that_was_loaded_before_it_was_delivered_is_seen_once() {
    let mut world = world();
    world.options.cached_instances = 0;
    world.open();
    start(&mut world, "ticker", "a");
    while world.step() {}
    let (instance_id, name) = ("a".to_owned(), "go".to_owned());
    world.call(Command::RaiseEvent { instance_id, name, input: Some(payload(&1)) });
    world.exchange();
    world.commit();
    world.pass_time(40);
    world.exchange();
    world.read();
    for _ in 0..2 {
        world.exchange();
        world.run_code();
    }
    world.exchange();
    world.report();
    while world.step() {}
    let key = key(&mut world, "a");
    let history = world.store.history(key).unwrap().concat();
    let history = String::from_utf8(history).unwrap();
    assert_eq!(history.matches("EventRaised").count(), 1, "{history}");
}

#[test]
fn a_suspended_instance_runs_nothing_when_the_hub_is_opened() {
    let mut world = world();
    world.open();
    start(&mut world, "sequence", "a");
    settle_until(&mut world, |world| !world.process().host.running.is_empty());
    control(&mut world, "a", Control::Suspend);
    world.crash();
    world.open();
    while world.step() {
        assert!(world.process().host.running.is_empty());
    }
    assert_eq!(world.process().dispatcher.live_instances(), 0);
    control(&mut world, "a", Control::Resume);
    settle(&mut world);
    assert_eq!(status(&mut world, "a"), RuntimeStatus::Completed);
}

#[test]
fn a_timer_that_is_set_while_the_store_is_read_is_not_missed() {
    let row = |fire_at, task| TimerRow { fire_at, key: 1, task };
    let mut timers = Timers::default();
    let range = timers.read_more(1_000).unwrap();
    let until = range.until;
    assert!(timers.read_more(1_000).is_none(), "one reading at a time");
    timers.add(until, 1, 7);
    timers.add(until + 1, 1, 8);
    timers.add_read(range.end(), vec![row(500, 9)]);
    assert_eq!(timers.take_due(until + 1), [row(500, 9), row(until, 7)]);
    let later = timers.read_more(until).unwrap();
    timers.read_failed();
    assert!(timers.read_more(until).is_none() && timers.next_in(until) > 0, "but not at once");
    timers.retry();
    assert_eq!(timers.read_more(until), Some(later), "a reading that failed is made again");
}

#[test]
fn the_process_wakes_for_the_next_timer_or_reading() {
    let mut timers = Timers::default();
    let range = timers.read_more(1_000).unwrap();
    timers.add_read(range.end(), Vec::new());
    let reading = timers.next_in(1_000);
    assert!(reading > 0 && reading < range.until);
    timers.add(1_500, 1, 0);
    assert_eq!(timers.next_in(1_000), 500);
    assert_eq!(timers.next_in(9_999), 0, "never less than none");
    assert!(timers.take_due(1_499).is_empty());
    assert_eq!(timers.take_due(1_500).len(), 1);
}

#[test]
fn timers_of_one_instant_are_read_once_each_and_no_more_than_there_is_room_for() {
    const ALL: u32 = 250_000;
    let row = |task| TimerRow { fire_at: 30_000, key: 1, task };
    let mut store: BTreeSet<TimerRow> = (0..ALL).map(row).collect();
    let (mut timers, mut read, mut fired) = (Timers::default(), 0, 0);
    for now_ms in [0, 10_000, 29_999, 30_000] {
        loop {
            let due = timers.take_due(now_ms);
            fired += due.len();
            for row in &due {
                assert!(store.remove(row), "each fires once");
            }
            let Some(range) = timers.read_more(now_ms) else { break };
            let rows: Vec<TimerRow> = store
                .range((Bound::Excluded(range.after), Bound::Included(range.end())))
                .take(TIMERS_READ)
                .copied()
                .collect();
            read += rows.len();
            timers.add_read(range.read_to(&rows, TIMERS_READ), rows);
        }
        assert!(read - fired <= TIMERS_HELD, "{} are held", read - fired);
        let wakes = timers.next_in(now_ms);
        assert_eq!(wakes, if now_ms < 30_000 { 30_000 - now_ms } else { 30_000 });
    }
    assert_eq!((read, fired), (250_000, 250_000));
}
