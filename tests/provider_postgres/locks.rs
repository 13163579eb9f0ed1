//! Rows are locked in one order: two transactions that want the same ones in two orders wait for each other
//! at most once, and the server need not undo one of them.
//!
//! Each test has two transactions of two pieces of work, which meet between these: neither goes on before the
//! other is there too, or waits for a lock.

use std::sync::atomic::{AtomicUsize, Ordering};

use durafn::core::entity::Signal;
use durafn::core::message::Message;
use durafn::core::request::{Command, Control, HubFacts, HubSettings, OnConflict, StartSpec};
use durafn::core::task::{ActivityTask, Claim, Served, TaskRef};
use durafn::core::turn::TurnOutcome;
use durafn::provider::Provider;
use durafn::provider::postgres::{PostgresOptions, PostgresProvider};
use durafn::provider::transaction::{Context, Outcome, Work, apply};

use crate::common::SeededEntropy;
use crate::common::actions::{asks, call, child, signal_entity};
use crate::common::hub::{Hub, Store, control_all, spec, start, terminate};
use crate::common::postgres::Schema;

/// A process, its epoch if it is a worker, and its work.
type Process = (Box<dyn Provider>, Option<i64>, [Work; 2]);

/// Runs both, each in a transaction of a process of its own: how often the rules ran.
fn cross(schema: &Schema, both: [Process; 2]) -> usize {
    let (there, runs) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for (number, (mut provider, fence, works)) in both.into_iter().enumerate() {
            scope.spawn(move || {
                let settings =
                    HubSettings { orchestrators: vec!["f".into()], ..HubSettings::default() };
                let prefix = if number == 0 { "one" } else { "other" };
                let mut entropy = SeededEntropy::with_prefix(number as u64, prefix);
                provider.foresee(&mut works.iter());
                let _arrives = Arrives(there);
                let mut met = false;
                provider
                    .transaction(fence, &mut |rows| {
                        runs.fetch_add(1, Ordering::SeqCst);
                        let hub =
                            HubFacts { settings: &settings, worker_lives: true, now_ms: 1_000 };
                        let mut context = Context::new(hub, fence.is_none(), &mut entropy);
                        apply(rows, &works[0], &mut context)?;
                        if !std::mem::replace(&mut met, true) {
                            there.fetch_add(1, Ordering::SeqCst);
                            while there.load(Ordering::SeqCst) < 2 && !schema.has_waiting() {
                                std::thread::yield_now();
                            }
                        }
                        apply(rows, &works[1], &mut context)?;
                        Ok(())
                    })
                    .unwrap();
            });
        }
    });
    runs.load(Ordering::SeqCst)
}

/// Whoever has ended, well or not, need not be waited for.
struct Arrives<'a>(&'a AtomicUsize);

impl Drop for Arrives<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn client(schema: &Schema, distributed: bool) -> Box<dyn Provider> {
    let options = PostgresOptions { distributed, ..schema.options_without_deadlocks() };
    Box::new(PostgresProvider::open(&options).unwrap())
}

fn signal(id: &str) -> Work {
    let (entity_id, operation) = (id.to_owned(), "x".to_owned());
    Work::Signals(vec![(1, Signal { entity_id, operation, input: None, fire_at: None })])
}

/// Two clients carry these out, the second one in the other order.
fn cross_clients(schema: &Schema, distributed: bool, works: [Work; 2]) -> usize {
    let mut back = works.clone();
    back.reverse();
    let of = |works| (client(schema, distributed), None, works);
    cross(schema, [of(works), of(back)])
}

#[test]
fn of_entities_that_are_there() {
    for distributed in [false, true] {
        let schema = Schema::fresh();
        let mut hub = Hub::of_client(Store::of(client(&schema, distributed)));
        hub.transact(&[signal("@e@b"), signal("@e@a")]).unwrap();
        let runs = cross_clients(&schema, distributed, ["@e@a", "@E@b"].map(signal));
        assert_eq!(runs, 2, "one waits, and both run once");
    }
}

#[test]
fn of_entities_that_come_to_be() {
    let schema = Schema::fresh();
    let runs = cross_clients(&schema, false, ["@e@a", "@e@b"].map(signal));
    assert_eq!(runs, 3, "who comes second finds what the first one made");
    let mut hub = Hub::of_client(Store::of(client(&schema, false)));
    for id in ["@e@a", "@e@b"] {
        assert_eq!(hub.rows("message", id).len(), 2);
    }
}

#[test]
fn of_instances_that_come_to_be() {
    let schema = Schema::fresh();
    let begin = |id: &str| {
        let on_conflict = OnConflict::Return;
        Work::Command(Command::Start(vec![StartSpec { on_conflict, ..spec("f", id) }]))
    };
    assert_eq!(cross_clients(&schema, false, ["a", "b"].map(begin)), 3);
}

/// A parent with a child, each with its id.
fn family(hub: &mut Hub) {
    hub.command(start("parent")).unwrap();
    hub.turn("parent", &[], asks([child("f", Some("child"))]));
    hub.command(start("other")).unwrap();
}

#[test]
fn of_a_tree_that_is_ended_from_above_and_from_below() {
    let schema = Schema::fresh();
    family(&mut Hub::over(Store::of(client(&schema, false))));
    let above = Work::Command(control_all("parent", Control::Terminate));
    let below = Work::Command(terminate("child"));
    let other = || Work::Command(terminate("other"));
    let of = |works| (client(&schema, false), None, works);
    // The child ends first, and tells its parent; or the parent, and then the child is looked for.
    assert_eq!(cross(&schema, [of([below, other()]), of([other(), above])]), 2);
}

#[test]
fn of_an_entity_that_is_signalled_by_the_turn_of_an_instance_that_another_one_ends() {
    let schema = Schema::fresh();
    let mut worker = Hub::over(Store::of(client(&schema, false)));
    worker.command(start("a")).unwrap();
    worker.transact(&[signal("@e@a")]).unwrap();
    let commit = worker.prepare("a", &[], asks([signal_entity("@e@a", "x", &1)]));
    let turn = Work::Turn(Box::new(commit));
    let epoch = worker.epoch;
    let own = (worker.store, Some(epoch), [turn, Work::Forget(Vec::new())]);
    let others = (client(&schema, false), None, [signal("@e@a"), Work::Command(terminate("a"))]);
    assert_eq!(cross(&schema, [own, others]), 2);
}

#[test]
fn of_a_task_that_is_reported_while_its_instance_is_ended() {
    let schema = Schema::fresh();
    let mut worker = Hub::over(Store::of(client(&schema, false)));
    for id in ["a", "b"] {
        worker.command(start(id)).unwrap();
        worker.turn(id, &[], TurnOutcome { actions: vec![call("A")], ..TurnOutcome::default() });
    }
    let tasks = ["a", "b"].map(|id| ActivityTask {
        of: TaskRef { key: worker.key(id), exec: 0, task: 0 },
        attempt: 1,
        instance_id: id.to_owned(),
        name: "A".into(),
        input: None,
    });
    worker.work(Work::Offer { tasks: tasks.to_vec(), running: false });
    let served = vec![Served { name: "a".to_owned(), limit: Some(9) }];
    let Outcome::Claimed(claimed) = worker.work(Work::Claim(Claim { room: 9, served })) else {
        panic!("it claims")
    };
    assert_eq!(claimed.len(), 2);
    let done = |of: TaskRef| {
        let message = Message::TaskCompleted { task: of.task, result: None };
        Work::Report { of, message }
    };
    let epoch = worker.epoch;
    let reports = [done(tasks[1].of), done(tasks[0].of)];
    let own = (worker.store, Some(epoch), reports);
    let ends = ["a", "b"].map(|id| Work::Command(terminate(id)));
    assert_eq!(cross(&schema, [own, (client(&schema, false), None, ends)]), 2);
}

#[test]
fn what_nobody_has_foreseen_is_locked_in_that_order_too() {
    let schema = Schema::fresh();
    let mut hub = Hub::of_client(Store::of(client(&schema, false)));
    hub.transact(&[signal("@e@b"), signal("@e@a")]).unwrap();
    let mut provider = client(&schema, false);
    let mut seen = Vec::new();
    provider
        .transaction(None, &mut |rows| {
            seen.push(());
            for id in ["@e@b", "@e@a", "@e@c"] {
                rows.entity_by_id(id)?;
            }
            Ok(())
        })
        .unwrap();
    // The first is locked; with the second it begins anew, and so with the third.
    assert_eq!(seen.len(), 3);
}
