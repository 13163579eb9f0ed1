//! Workers whose lease ran out: whether they have died, and what they do when they come back.

use durafn::core::instance::InstanceChange;
use durafn::core::partition::{Parts, partition_of_key};
use durafn::core::request::HubSettings;
use durafn::core::turn::TurnOutcome;
use durafn::provider::postgres::{PostgresOptions, PostgresProvider};
use durafn::provider::transaction::Work;
use durafn::provider::{Arrivals, Provider, Reader, Rows};

use crate::common::actions::{call, wait};
use crate::common::hub::{Hub, Store, raise, start};
use crate::common::postgres::Schema;

const LEASE_MS: i64 = 900;

/// A worker that has run a turn of `a`, and is silent from then on.
fn silent(schema: &Schema) -> Hub {
    let mut hub = Hub::over(Store::postgres_in(schema, LEASE_MS));
    assert!(hub.store.arrivals().unwrap().is_empty());
    hub.work(Work::Command(start("a")));
    let actions = vec![call("x"), wait("go")];
    hub.turn("a", &[], TurnOutcome { actions, ..TurnOutcome::default() });
    hub
}

/// Another worker, once it has what the silent one had.
fn heir(schema: &Schema) -> (PostgresProvider, Arrivals) {
    let options = PostgresOptions { lease_ms: LEASE_MS, ..schema.options() };
    let mut heir = PostgresProvider::open(&options).unwrap();
    heir.acquire(&HubSettings::default()).unwrap();
    loop {
        heir.maintain(true).unwrap();
        match heir.balance().unwrap() {
            Some(balanced) if !balanced.gained.is_empty() => {
                assert_eq!(balanced.gained.len(), 256);
                return (heir, balanced.arrivals);
            }
            _ => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
}

#[test]
fn a_worker_whose_connection_lives_has_not_died() {
    let schema = Schema::fresh();
    let mut worker = silent(&schema);
    let (_heir, arrivals) = heir(&schema);
    assert_eq!(arrivals.spared.len(), 256);
    // It comes back, and may be silent once more.
    worker.store.join_again(&HubSettings::default()).unwrap().unwrap();
}

#[test]
fn a_worker_whose_connection_is_gone_has_died() {
    let schema = Schema::fresh();
    drop(silent(&schema));
    let (_heir, arrivals) = heir(&schema);
    assert_eq!((arrivals.spared, arrivals.ready.len()), (Parts::NONE, 1));
}

#[test]
fn a_worker_that_gives_a_partition_has_not_died() {
    let schema = Schema::fresh();
    let mut worker = Hub::over(Store::postgres_in(&schema, 10_000));
    worker.work(Work::Give((0..256).collect()));
    let (_heir, arrivals) = heir_of(&schema);
    assert!(arrivals.spared.len() >= 128);
}

fn heir_of(schema: &Schema) -> (PostgresProvider, Arrivals) {
    let mut heir = PostgresProvider::open(&schema.options()).unwrap();
    heir.acquire(&HubSettings::default()).unwrap();
    let arrivals = heir.arrivals().unwrap();
    (heir, arrivals)
}

#[test]
fn a_worker_that_was_cut_off_clears_what_it_is_blamed_for_when_it_is_back() {
    let schema = Schema::fresh();
    let mut worker = silent(&schema);
    let key = worker.key("a");
    schema.cut();
    let (mut heir, arrivals) = heir(&schema);
    assert_eq!(arrivals.spared, Parts::NONE, "it is taken for dead");
    // As a worker counts that takes over.
    let twice = InstanceChange { crashes: Some(2), ..InstanceChange::default() };
    let count = &mut |rows: &mut dyn Rows| rows.update_instance(key, &twice);
    heir.transaction(Some(worker.epoch + 1), count).unwrap();
    worker.store.join_again(&HubSettings::default()).unwrap().unwrap();
    assert_eq!(heir.find("a").unwrap().unwrap().head.crashes, 1);
}

#[test]
fn a_worker_that_wakes_after_its_lease_leaves_the_bells_to_the_new_owner() {
    let schema = Schema::fresh();
    let mut worker = silent(&schema);
    let key = worker.key("a");
    assert_ne!(partition_of_key(key, 256), 0);
    let (mut heir, _) = heir(&schema);
    let client = PostgresProvider::open(&schema.options()).unwrap();
    let mut client = Hub::of_client(Store::of(Box::new(client)));
    client.command(raise("a", "go", &1)).unwrap();
    // It does not know yet that it has lost its place: what it is told is void, and rings on.
    assert_eq!(worker.store.arrivals().unwrap().messages.len(), 1);
    let arrivals = heir.arrivals().unwrap();
    assert_eq!(arrivals.messages.iter().map(|(of, _)| *of).collect::<Vec<_>>(), [key]);
    assert!(heir.arrivals().unwrap().is_empty());
    // Once it knows, it has no bells at all.
    worker.transact(&[Work::ClearCrash(vec![key])]).unwrap_err();
    client.command(start("new")).unwrap();
    assert!(worker.store.arrivals().unwrap().is_empty());
    assert_eq!(heir.arrivals().unwrap().ready.len(), 1);
}
