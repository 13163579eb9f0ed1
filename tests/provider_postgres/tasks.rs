//! Activities that any worker may run: offered, taken, reported, freed.

use std::time::Duration;

use durafn::core::message::Message;
use durafn::core::request::{Command, Control};
use durafn::core::task::{ActivityTask, Claim, Claimed, Served, TaskRef, TasksWait};
use durafn::core::turn::TurnOutcome;
use durafn::provider::transaction::{Outcome, Work};
use durafn::runtime::clock::instant;

use crate::common::actions::call;
use crate::common::hub::{Hub, Store, start};
use crate::common::payload;
use crate::common::postgres::Schema;

fn member(schema: &Schema) -> Hub {
    Hub::over(Store::postgres_in(schema, 10_000))
}

fn served(limit: Option<usize>) -> Vec<Served> {
    vec![Served { name: "a".to_owned(), limit }]
}

/// An instance that has called so many activities, which are offered to all.
fn offered(hub: &mut Hub, id: &str, calls: u32) -> Vec<TaskRef> {
    hub.work(Work::Command(start(id)));
    let actions = (0..calls).map(|_| call("A")).collect();
    hub.turn(id, &[], TurnOutcome { actions, ..TurnOutcome::default() });
    let key = hub.key(id);
    let refs: Vec<TaskRef> = (0..calls).map(|task| TaskRef { key, exec: 0, task }).collect();
    hub.work(Work::Offer { tasks: refs.iter().map(|of| task(*of, id)).collect(), running: false });
    refs
}

fn task(of: TaskRef, id: &str) -> ActivityTask {
    ActivityTask {
        of,
        attempt: 1,
        instance_id: id.to_owned(),
        name: "A".into(),
        input: Some(payload(&of.task)),
    }
}

fn claim(hub: &mut Hub, room: usize, limit: Option<usize>) -> Vec<Claimed> {
    match hub.work(Work::Claim(Claim { room, served: served(limit) })) {
        Outcome::Claimed(claimed) => claimed,
        other => panic!("not the outcome of a claim: {other:?}"),
    }
}

fn refs(claimed: &[Claimed]) -> Vec<TaskRef> {
    let mut refs: Vec<TaskRef> = claimed.iter().map(|claimed| claimed.task.of).collect();
    refs.sort();
    refs
}

fn done(of: TaskRef) -> Work {
    let message = Message::TaskCompleted { task: of.task, result: Some(payload(&"done")) };
    Work::Report { of, message }
}

fn waits(hub: &mut Hub, limit: Option<usize>) -> TasksWait {
    hub.store.serve(&served(limit));
    hub.store.arrivals().unwrap().tasks
}

#[test]
fn a_task_is_taken_once_and_its_result_comes_to_the_owner_once() {
    let schema = Schema::fresh();
    let (mut owner, mut other) = (member(&schema), member(&schema));
    let all = offered(&mut owner, "i", 3);
    assert_eq!(owner.store.load(all[0].key).unwrap().unwrap().away, [0, 1, 2]);
    let first = claim(&mut other, 2, None);
    assert_eq!(refs(&first), all[..2], "the oldest first");
    let input = first[0].task.input.as_ref().map(|input| input.get().to_owned());
    assert_eq!(input, Some(first[0].task.of.task.to_string()));
    assert_eq!(refs(&claim(&mut owner, 9, None)), all[2..]);
    assert!(claim(&mut other, 9, None).is_empty());
    other.work(done(all[0]));
    other.work(done(all[0]));
    owner.work(done(all[1]));
    let messages = owner.store.arrivals().unwrap().messages;
    assert_eq!(messages.len(), 1, "once, and not from who has not taken it");
    assert_eq!(owner.store.load(all[0].key).unwrap().unwrap().away, [1, 2]);
}

#[test]
fn one_that_is_lent_and_ends_in_the_same_commit_is_over() {
    let schema = Schema::fresh();
    let mut owner = member(&schema);
    owner.work(Work::Command(start("i")));
    owner.turn("i", &[], TurnOutcome { actions: vec![call("A")], ..TurnOutcome::default() });
    let of = TaskRef { key: owner.key("i"), exec: 0, task: 0 };
    let lent = Work::Offer { tasks: vec![task(of, "i")], running: true };
    owner.transact(&[lent, done(of)]).unwrap();
    let loaded = owner.store.load(of.key).unwrap().unwrap();
    assert_eq!((loaded.away.len(), loaded.messages.len()), (0, 1));
}

#[test]
fn no_more_of_a_name_are_taken_than_its_limit_by_all_workers_together() {
    let schema = Schema::fresh();
    let (mut owner, mut other) = (member(&schema), member(&schema));
    offered(&mut owner, "i", 5);
    let limit = Some(3);
    assert_eq!(waits(&mut other, limit), TasksWait { free: false, limited: true });
    assert_eq!(waits(&mut other, None), TasksWait { free: true, limited: false });
    let first = claim(&mut owner, 2, limit);
    assert_eq!(first.len(), 2);
    assert_eq!(claim(&mut other, 9, limit).len(), 1);
    assert!(claim(&mut other, 9, limit).is_empty());
    assert!(!waits(&mut other, limit).any(), "its limit is reached");
    owner.work(done(first[0].task.of));
    assert!(waits(&mut other, limit).limited);
    assert_eq!(claim(&mut other, 9, limit).len(), 1);
}

#[test]
fn what_an_execution_no_longer_waits_for_is_not_offered_and_its_tasks_go() {
    let schema = Schema::fresh();
    let (mut owner, mut other) = (member(&schema), member(&schema));
    let all = offered(&mut owner, "i", 2);
    assert_eq!(claim(&mut other, 1, None).len(), 1);
    let (instance_id, control) = ("i".to_owned(), Control::Terminate);
    let terminate = Command::Control { instance_id, control, reason: None, recursive: false };
    owner.command(terminate).unwrap();
    assert!(claim(&mut owner, 9, None).is_empty());
    let before = other.snapshot();
    other.work(done(all[0]));
    owner.work(Work::Offer { tasks: vec![task(all[1], "i")], running: false });
    assert_eq!(other.snapshot(), before);
    assert!(claim(&mut owner, 9, None).is_empty());
}

#[test]
fn what_a_worker_had_taken_is_free_once_it_is_gone() {
    let schema = Schema::fresh();
    let mut owner = member(&schema);
    let all = offered(&mut owner, "i", 2);
    let mut leaver = member(&schema);
    assert_eq!(claim(&mut leaver, 1, None)[0].claims, 1);
    leaver.store.release().unwrap();
    let again = claim(&mut owner, 1, None);
    assert_eq!((refs(&again), again[0].claims), (vec![all[0]], 1), "nobody died of it");
    // One that is silent for too long, and lives.
    let mut silent = Hub::over(Store::postgres_in(&schema, 900));
    assert_eq!(refs(&claim(&mut silent, 1, None)), all[1..]);
    let begun = instant();
    let freed = loop {
        owner.store.maintain(true).unwrap();
        owner.store.balance().unwrap();
        let claimed = claim(&mut owner, 9, None);
        if !claimed.is_empty() {
            break claimed;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "it is never freed");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((refs(&freed), freed[0].claims), (vec![all[1]], 1), "nor of this");
    silent.transact(&[done(all[1])]).unwrap_err();
}

#[test]
fn what_a_worker_runs_already_is_offered_as_taken_by_it() {
    let schema = Schema::fresh();
    let mut owner = member(&schema);
    owner.work(Work::Command(start("i")));
    owner.turn("i", &[], TurnOutcome { actions: vec![call("A")], ..TurnOutcome::default() });
    let of = TaskRef { key: owner.key("i"), exec: 0, task: 0 };
    owner.work(Work::Offer { tasks: vec![task(of, "i")], running: true });
    assert!(claim(&mut owner, 9, None).is_empty());
    assert_eq!(owner.store.load(of.key).unwrap().unwrap().away, [0]);
    owner.work(done(of));
    assert_eq!(owner.effects, [r#"delivered to i: {"TaskCompleted":{"task":0,"result":"done"}}"#]);
}
