//! Work of the dispatcher's own that can never be written: nothing stands still for it, and nobody pays for another.

use durafn::core::error::{Error, ErrorCode};
use durafn::core::message::Message;
use durafn::core::partition::{Parts, Shares};
use durafn::core::request::{Command, OnConflict, StartSpec};
use durafn::core::status::RuntimeStatus;
use durafn::core::task::{TaskRef, TasksWait};
use durafn::provider::Reader;
use durafn::provider::transaction::Work;
use durafn::runtime::dispatcher::{Dispatcher, DispatcherOptions, Step};

use super::world::World;
use crate::common::SeededEntropy;

fn damaged() -> Error {
    Error::new(ErrorCode::CorruptHistory, "a row cannot be read")
}

/// A worker of several.
fn dispatcher() -> Dispatcher {
    let world = World::new(1);
    let shares = Shares { partitions: 256, parts: (0..256).collect::<Parts>() };
    let options = DispatcherOptions { shares, ..world.options };
    Dispatcher::new(options, &world.registered, Box::new(SeededEntropy::new(1)))
}

fn claims(dispatcher: &mut Dispatcher) -> Option<Work> {
    let mut step = Step::default();
    dispatcher.tasks_wait(TasksWait { free: false, limited: true });
    dispatcher.advance(1_000, &mut step);
    step.work.into_iter().find(|work| matches!(work, Work::Claim(_)))
}

#[test]
fn activities_are_taken_after_a_claim_that_could_not_be_made() {
    let mut dispatcher = dispatcher();
    let claim = claims(&mut dispatcher).unwrap();
    assert!(claims(&mut dispatcher).is_none(), "one at a time");
    dispatcher.unwritable(&claim, &damaged(), &mut Step::default());
    let mut step = Step::default();
    dispatcher.advance(1_000, &mut step);
    assert!(step.work.is_empty(), "not before somebody has looked again");
    assert!(claims(&mut dispatcher).is_some());
}

#[test]
fn a_result_that_cannot_be_stored_is_reported_as_a_failure() {
    let of = TaskRef { key: 256, exec: 0, task: 3 };
    let message = Message::TaskCompleted { task: 3, result: None };
    let mut step = Step::default();
    dispatcher().unwritable(&Work::Report { of, message }, &damaged(), &mut step);
    let [Work::Report { of: to, message: Message::TaskFailed { task: 3, failure } }] =
        &step.work[..]
    else {
        panic!("{:?}", step.work)
    };
    assert_eq!(*to, of);
    assert!(failure.get().contains("CorruptHistory"), "{failure}");
}

#[test]
fn what_is_about_several_is_tried_apart() {
    let mut step = Step::default();
    let pieces = [
        Work::Due(vec![(-1, 1), (-2, 2)]),
        Work::CountCrash(vec![1, 2]),
        Work::ClearCrash(vec![1, 2]),
        Work::EntityCrashes { keys: vec![-1, -2], counts: true },
    ];
    for work in pieces {
        dispatcher().unwritable(&work, &damaged(), &mut step);
        assert_eq!(step.work.len(), 2, "{work:?}");
        let alone = step.work.remove(0);
        step.work.clear();
        dispatcher().unwritable(&alone, &damaged(), &mut step);
        assert!(step.work.is_empty(), "{work:?}: one that is alone is given up");
    }
}

#[test]
fn an_instance_whose_deaths_cannot_be_counted_runs_all_the_same() {
    let mut world = World::new(1);
    world.open();
    let spec = StartSpec {
        name: "sequence".to_owned(),
        instance_id: Some("a".to_owned()),
        version: None,
        input: None,
        on_conflict: OnConflict::Error,
    };
    world.call_from_elsewhere(Command::Start(vec![spec])).unwrap();
    world.crash();
    world.open();
    let count = loop {
        let queue = &mut world.process().to_store;
        if let Some(at) = queue.iter().position(|(_, work)| matches!(work, Work::CountCrash(_))) {
            break queue.remove(at).unwrap().1;
        }
        if !world.step() {
            world.pass_time(100);
        }
    };
    let mut step = Step::default();
    world.process().dispatcher.unwritable(&count, &damaged(), &mut step);
    world.perform(step);
    for _ in 0..20 {
        while world.step() {}
        world.pass_time(500);
    }
    let status = world.store.find("a").unwrap().unwrap().head.status;
    assert_eq!(status, RuntimeStatus::Completed);
}
