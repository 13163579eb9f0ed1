//! More instances than there are places for in memory: what is held of them, counted.

use durafn::core::request::{Command, Filter, OnConflict, StartSpec, UnmatchedEvents};
use durafn::core::status::RuntimeStatus;
use durafn::provider::Reader;
use durafn::runtime::dispatcher::DispatcherOptions;

use super::world::World;
use crate::common::payload;

const CROWD: usize = 300;
const PLACES: usize = 10;
const KEYS: usize = 25;

/// A world in which nothing goes wrong by itself, with few places.
fn world() -> World {
    let mut world = World::new(1);
    world.options = DispatcherOptions {
        cached_instances: PLACES,
        cached_bytes: 1_000_000,
        active_instances: PLACES,
        backlog_keys: KEYS,
        concurrent_activities: 3,
        ..world.options
    };
    world
}

fn starts(program: &str, count: usize) -> Command {
    let start = |n| StartSpec {
        name: program.to_owned(),
        instance_id: Some(format!("{program}-{n}")),
        version: None,
        input: None,
        on_conflict: OnConflict::Error,
    };
    Command::Start((0..count).map(start).collect())
}

fn raise(world: &mut World, id: String) {
    let command =
        Command::RaiseEvent { instance_id: id, name: "go".to_owned(), input: Some(payload(&1)) };
    world.call_from_elsewhere(command).unwrap();
}

fn count(world: &mut World, status: RuntimeStatus) -> usize {
    let filter = Filter { runtime_status: vec![status], ..Filter::default() };
    usize::try_from(world.store.count(&filter).unwrap()).unwrap()
}

/// Moves on until nothing is left to do, and says what was held at most: instances, keys, and
/// executions in JavaScript.
fn settle(world: &mut World) -> [usize; 3] {
    let mut most = [0; 3];
    for _ in 0..20 {
        while world.step() {
            let process = world.process();
            let now = [
                process.dispatcher.live_instances(),
                process.dispatcher.waiting_instances(),
                process.host.live_executions(),
            ];
            for (most, now) in most.iter_mut().zip(now) {
                *most = now.max(*most);
            }
        }
        world.pass_time(500);
    }
    most
}

#[test]
fn a_crowd_that_starts_waits_in_the_store_and_all_of_it_runs() {
    for elsewhere in [true, false] {
        let mut world = world();
        world.open();
        if elsewhere {
            world.call_from_elsewhere(starts("sequence", CROWD)).unwrap();
        } else {
            world.call(starts("sequence", CROWD));
        }
        let [lives, keys, executions] = settle(&mut world);
        assert_eq!(count(&mut world, RuntimeStatus::Completed), CROWD);
        assert!(lives <= PLACES && executions <= PLACES, "{lives} and {executions} in memory");
        assert!(keys <= KEYS, "{keys} keys are held");
    }
}

#[test]
fn single_starts_begin_ahead_only_while_there_is_room() {
    let mut world = world();
    world.open();
    settle(&mut world);
    let Command::Start(specs) = starts("sequence", CROWD) else { unreachable!() };
    for spec in specs {
        world.call(Command::Start(vec![spec]));
    }
    let [lives, keys, executions] = settle(&mut world);
    assert_eq!(count(&mut world, RuntimeStatus::Completed), CROWD);
    assert!(lives <= PLACES && executions <= PLACES, "{lives} and {executions} in memory");
    assert!(keys <= KEYS, "{keys} keys are held");
}

#[test]
fn a_crowd_that_stands_in_the_store_at_the_open_is_loaded_bit_by_bit() {
    let mut world = world();
    world.open();
    world.call_from_elsewhere(starts("sequence", CROWD)).unwrap();
    world.crash();
    world.open();
    let [lives, keys, _] = settle(&mut world);
    assert_eq!(count(&mut world, RuntimeStatus::Completed), CROWD);
    assert!(lives <= PLACES && keys <= KEYS, "{lives} in memory, {keys} keys");
}

#[test]
fn instances_that_wait_cost_no_memory_and_an_event_for_each_no_more_than_the_places() {
    let mut world = world();
    world.open();
    world.call_from_elsewhere(starts("waits", CROWD)).unwrap();
    let [lives, _, executions] = settle(&mut world);
    assert_eq!(count(&mut world, RuntimeStatus::Running), CROWD);
    // Those that rest, and those under way.
    assert!(lives <= 2 * PLACES && executions <= 2 * PLACES, "{lives}, {executions} in memory");
    for _ in 0..3 {
        for n in 0..CROWD {
            raise(&mut world, format!("waits-{n}"));
        }
        let [lives, _, executions] = settle(&mut world);
        assert!(lives <= PLACES && executions <= PLACES, "{lives} and {executions} in memory");
    }
    assert_eq!(count(&mut world, RuntimeStatus::Completed), CROWD);
    assert_eq!(world.process().dispatcher.live_instances(), 0);
}

#[test]
fn what_something_came_for_goes_before_what_starts() {
    let mut world = world();
    world.settings.unmatched_events = UnmatchedEvents::Buffer;
    world.open();
    world.call_from_elsewhere(starts("waits", 1)).unwrap();
    settle(&mut world);
    world.call_from_elsewhere(starts("sequence", CROWD)).unwrap();
    while world.process().dispatcher.waiting_instances() < KEYS {
        assert!(world.step());
    }
    for _ in 0..3 {
        raise(&mut world, "waits-0".to_owned());
    }
    while count(&mut world, RuntimeStatus::Completed) < CROWD / 2 {
        assert!(world.step());
    }
    let row = world.store.find("waits-0").unwrap().unwrap();
    assert_eq!(row.head.status, RuntimeStatus::Completed);
}
