//! A worker and clients in other processes.

use durafn::core::message::Message;
use durafn::core::turn::TurnOutcome;
use durafn::provider::Arrivals;
use durafn::provider::postgres::PostgresProvider;
use durafn::provider::transaction::{Outcome, Work};

use crate::common::actions::wait;
use crate::common::hub::{Hub, Store, raise, start};
use crate::common::postgres::Schema;

fn worker_and_client(schema: &Schema) -> (Hub, Hub) {
    let worker = Hub::over(Store::postgres_in(schema, 10_000));
    let client = client_of(schema);
    (worker, client)
}

fn client_of(schema: &Schema) -> Hub {
    Hub::of_client(Store::of(Box::new(PostgresProvider::open(&schema.options()).unwrap())))
}

fn asks(waits: &[&str]) -> TurnOutcome {
    TurnOutcome { actions: waits.iter().map(|name| wait(name)).collect(), ..TurnOutcome::default() }
}

fn empty(arrivals: &Arrivals) -> bool {
    arrivals.is_empty()
}

#[test]
fn what_a_client_writes_arrives_once() {
    let schema = Schema::fresh();
    let (mut worker, mut client) = worker_and_client(&schema);
    assert!(empty(&worker.store.arrivals().unwrap()));
    client.work(Work::Command(start("a")));
    let key = worker.key("a");
    let arrivals = worker.store.arrivals().unwrap();
    assert_eq!((arrivals.ready, arrivals.messages.len()), (vec![key], 0));
    worker.turn("a", &[], asks(&["go"]));
    client.command(raise("a", "go", &1)).unwrap();
    let arrivals = worker.store.arrivals().unwrap();
    let [(to, delivery)] = &arrivals.messages[..] else { panic!("{arrivals:?}") };
    assert_eq!(*to, key);
    assert!(matches!(delivery.message, Message::EventRaised { .. }));
    assert!(empty(&worker.store.arrivals().unwrap()));
}

#[test]
fn what_the_worker_writes_does_not_arrive() {
    let schema = Schema::fresh();
    let (mut worker, _) = worker_and_client(&schema);
    worker.store.arrivals().unwrap();
    worker.work(Work::Command(start("a")));
    worker.turn("a", &[], asks(&["go"]));
    worker.command(raise("a", "go", &1)).unwrap();
    assert!(empty(&worker.store.arrivals().unwrap()));
}

#[test]
fn a_message_that_was_consumed_before_it_arrived_does_not_arrive() {
    let schema = Schema::fresh();
    let (mut worker, mut client) = worker_and_client(&schema);
    worker.work(Work::Command(start("a")));
    worker.turn("a", &[], asks(&["go", "on"]));
    worker.store.arrivals().unwrap();
    client.key("a");
    client.command(raise("a", "go", &1)).unwrap();
    // The turn loads the instance with its messages, as after a restart.
    worker.turn("a", &[], TurnOutcome::default());
    assert!(empty(&worker.store.arrivals().unwrap()));
}

#[test]
fn clients_that_start_the_same_id_at_once_agree_on_one() {
    let schema = Schema::fresh();
    let (_worker, _client) = worker_and_client(&schema);
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let provider = PostgresProvider::open(&schema.options()).unwrap();
            std::thread::spawn(move || {
                let mut client = Hub::of_client(Store::of(Box::new(provider)));
                let mut started = 0;
                for n in 0..20 {
                    let works = [Work::Command(start(&format!("one-{n}")))];
                    let outcomes = client.transact(&works).unwrap();
                    started += outcomes.iter().filter(|outcome| is_started(outcome)).count();
                }
                started
            })
        })
        .collect();
    let started: usize = starts.into_iter().map(|start| start.join().unwrap()).sum();
    assert_eq!(started, 20);
}

fn is_started(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Command(Ok(_)))
}

#[test]
fn what_came_between_the_taking_of_a_hub_and_the_first_look_arrives_once() {
    let schema = Schema::fresh();
    let (mut worker, mut client) = worker_and_client(&schema);
    client.work(Work::Command(start("a")));
    let key = worker.key("a");
    assert_eq!(worker.store.arrivals().unwrap().ready, vec![key]);
    assert!(empty(&worker.store.arrivals().unwrap()));
}
