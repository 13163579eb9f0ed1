//! Workers that share a hub: who has what, and until when.

use std::sync::mpsc::channel;
use std::time::Duration;

use durafn::core::commit::{Refusal, TurnVerdict};
use durafn::core::partition::{Parts, partition_of_key};
use durafn::core::request::HubSettings;
use durafn::core::turn::TurnOutcome;
use durafn::provider::postgres::{PostgresOptions, PostgresProvider};
use durafn::provider::transaction::Work;
use durafn::provider::{Arrivals, Provider, ProviderErrorKind, Reader};
use durafn::runtime::clock::instant;

use crate::common::actions::wait;
use crate::common::hub::{Hub, Store, raise, start};
use crate::common::postgres::Schema;

const LEASE_MS: i64 = 900;
const LEASE: Duration = Duration::from_millis(LEASE_MS.unsigned_abs());
const WHOLE: usize = 256;

fn opened(schema: &Schema) -> PostgresProvider {
    PostgresProvider::open(&PostgresOptions { lease_ms: LEASE_MS, ..schema.options() }).unwrap()
}

fn member(schema: &Schema) -> Hub {
    Hub::over(Store::postgres_in(schema, 10_000))
}

/// Looks until it is time to, and gives what it got and what it is to give.
fn balance(hub: &mut dyn Provider) -> (Parts, Arrivals, usize) {
    let begun = instant();
    loop {
        if let Some(balanced) = hub.balance().unwrap() {
            return (balanced.gained, balanced.arrivals, balanced.give);
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "it never looks");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn gains(hub: &mut Hub, partitions: usize) -> Arrivals {
    let (gained, arrivals, _) = balance(&mut *hub.store);
    assert_eq!(gained.len(), partitions);
    arrivals
}

fn asks(name: &str) -> TurnOutcome {
    TurnOutcome { actions: vec![wait(name)], ..TurnOutcome::default() }
}

#[test]
fn a_second_worker_gets_its_half_once_the_first_has_given_it() {
    let schema = Schema::fresh();
    let mut first = member(&schema);
    let mut second = member(&schema);
    gains(&mut second, 0);
    let (gained, _, give) = balance(&mut *first.store);
    assert_eq!((gained.len(), give), (0, WHOLE / 2));
    gains(&mut second, 0);
    first.work(Work::Give((0..128).collect()));
    gains(&mut second, WHOLE / 2);
    let (gained, _, give) = balance(&mut *first.store);
    assert_eq!((gained.len(), give), (0, 0));
}

#[test]
fn what_waits_in_a_partition_that_changed_hands_arrives_at_its_new_owner() {
    let schema = Schema::fresh();
    let (mut first, mut second) = (member(&schema), member(&schema));
    assert!(first.store.arrivals().unwrap().is_empty());
    first.work(Work::Command(start("ready")));
    first.work(Work::Command(start("waits")));
    first.turn("waits", &[], asks("go"));
    let keys = ["ready", "waits"].map(|id| first.key(id));
    let parts: Parts = keys.iter().map(|key| partition_of_key(*key, 256)).collect();
    first.work(Work::Give(parts));
    // Nobody has them now, and the event is told to nobody's worker.
    first.command(raise("waits", "go", &1)).unwrap();
    assert_eq!(first.effects, [""; 0]);
    let arrivals = gains(&mut second, parts.len());
    assert_eq!(arrivals.ready, [keys[0]]);
    assert_eq!(arrivals.messages.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [keys[1]]);
    assert!(second.store.arrivals().unwrap().is_empty(), "what has been told is not told again");
    // From now on the first writes for the second as a client does.
    first.command(raise("waits", "go", &2)).unwrap();
    first.work(Work::Command(start("more")));
    let arrivals = second.store.arrivals().unwrap();
    assert!(arrivals.ready.is_empty() && arrivals.messages.is_empty(), "kept, and somebody else's");
    assert!(first.store.arrivals().unwrap().is_empty());
}

#[test]
fn a_turn_of_an_instance_in_a_partition_that_was_given_is_refused() {
    let schema = Schema::fresh();
    let mut first = member(&schema);
    first.work(Work::Command(start("a")));
    let commit = first.prepare("a", &[], asks("go"));
    let part = partition_of_key(first.key("a"), 256);
    first.work(Work::Give([part].into_iter().collect()));
    assert_eq!(first.commit(commit), TurnVerdict::Refused(Refusal::Gone));
}

#[test]
fn a_worker_that_is_silent_is_ousted_and_writes_nothing_more() {
    let schema = Schema::fresh();
    let mut zombie = Hub::over(Store::postgres_in(&schema, LEASE_MS));
    zombie.work(Work::Command(start("before")));
    let silent = instant();
    let mut heir = opened(&schema);
    let ownership = heir.acquire(&HubSettings::default()).unwrap();
    assert_eq!((ownership.epoch, ownership.shares.parts.len()), (zombie.epoch + 1, 0));
    let mut gained = Parts::NONE;
    while gained.is_empty() {
        heir.maintain(true).unwrap();
        gained = balance(&mut heir).0;
    }
    assert_eq!(gained.len(), WHOLE);
    assert!(silent.elapsed() < LEASE + Duration::from_secs(1), "{:?}", silent.elapsed());
    for n in 0..50 {
        let error = zombie.transact(&[Work::Command(start(&format!("after-{n}")))]).unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::LostOwnership, "{}", error.message);
    }
    assert!(heir.find("before").unwrap().is_some());
    assert_eq!(heir.snapshot().unwrap().0.iter().filter(|line| line.contains("after-")).count(), 0);
    // It may join again, and gets its share as everybody does.
    let again = zombie.store.join_again(&HubSettings::default()).unwrap().unwrap();
    assert_eq!((again.epoch, again.shares.parts.len()), (ownership.epoch + 1, 0));
}

#[test]
fn a_process_that_stops_within_a_transaction_holds_nobody_up() {
    let schema = Schema::fresh();
    let (stopped, is_stopped) = channel();
    let (go, goes_on) = channel::<()>();
    let stop = || {
        let mut zombie = Hub::over(Store::postgres_in(&schema, LEASE_MS));
        zombie.work(Work::Command(start("a")));
        zombie.at_commit = Some(Box::new(move || {
            stopped.send(()).ok();
            goes_on.recv().ok();
        }));
        zombie.transact(&[Work::Command(raise("a", "go", &1))]).unwrap_err()
    };
    std::thread::scope(|scope| {
        let zombie = scope.spawn(stop);
        is_stopped.recv().unwrap();
        let silent = instant();
        let client = PostgresProvider::open(&schema.options()).unwrap();
        let mut client = Hub::of_client(Store::of(Box::new(client)));
        // What it has locked is free before its lease is over.
        client.command(raise("a", "go", &2)).unwrap();
        assert!(silent.elapsed() < LEASE, "{:?}", silent.elapsed());
        let mut heir = opened(&schema);
        heir.acquire(&HubSettings::default()).unwrap();
        while balance(&mut heir).0.is_empty() {
            heir.maintain(true).unwrap();
        }
        assert!(silent.elapsed() < LEASE + Duration::from_secs(1), "{:?}", silent.elapsed());
        drop(go);
        assert_eq!(zombie.join().unwrap().kind, ProviderErrorKind::LostOwnership);
    });
}

#[test]
fn whoever_looks_does_not_wait_for_a_silent_worker() {
    let schema = Schema::fresh();
    let (mut silent, mut heir) = (opened(&schema), opened(&schema));
    silent.acquire(&HubSettings::default()).unwrap();
    heir.acquire(&HubSettings::default()).unwrap();
    std::thread::scope(|scope| {
        let lock = "BEGIN; SELECT FROM hub.workers WHERE epoch = 1 FOR UPDATE; \
            SELECT pg_sleep(3); COMMIT";
        scope.spawn(|| schema.run(lock));
        std::thread::sleep(LEASE + Duration::from_millis(100));
        heir.maintain(true).unwrap();
        let begun = instant();
        assert!(balance(&mut heir).0.is_empty());
        assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    });
    assert_eq!(balance(&mut heir).0.len(), WHOLE);
}

#[test]
fn workers_learn_at_once_who_comes_who_goes_and_what_is_given() {
    let schema = Schema::fresh();
    let (mut first, mut second) = (opened(&schema), opened(&schema));
    first.acquire(&HubSettings::default()).unwrap();
    let looks = |worker: &mut PostgresProvider, at_once: bool| {
        worker.arrivals().unwrap();
        let balanced = worker.balance().unwrap();
        assert_eq!(balanced.is_some(), at_once);
        balanced.map_or((0, 0), |balanced| (balanced.gained.len(), balanced.give))
    };
    looks(&mut first, false);
    second.acquire(&HubSettings::default()).unwrap();
    assert_eq!(looks(&mut first, true), (0, WHOLE / 2));
    looks(&mut first, false);
    let half: Parts = (0..128).collect();
    first.transaction(Some(1), &mut |rows| rows.give(half)).unwrap();
    assert_eq!(looks(&mut second, true), (WHOLE / 2, 0));
    first.leave().unwrap();
    assert_eq!(looks(&mut first, true), (0, WHOLE / 2), "it looks itself");
    looks(&mut second, true);
    first.release().unwrap();
    assert_eq!(looks(&mut second, true), (WHOLE / 2, 0));
    looks(&mut second, false);
}

#[test]
fn partitions_that_were_taken_by_a_statement_whose_answer_was_lost_are_found() {
    let schema = Schema::fresh();
    let mut worker = opened(&schema);
    worker.acquire(&HubSettings::default()).unwrap();
    let half: Parts = (0..128).collect();
    worker.transaction(Some(1), &mut |rows| rows.give(half)).unwrap();
    schema.run("UPDATE hub.parts SET epoch = 1 WHERE epoch IS NULL");
    assert_eq!(balance(&mut worker).0, half);
    assert!(balance(&mut worker).0.is_empty(), "once");
}

#[test]
fn a_worker_that_was_kept_from_joining_half_way_does_not_stand_in_its_own_way() {
    let schema = Schema::fresh();
    let mut worker = opened(&schema);
    schema.run(
        "CREATE FUNCTION hub.refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'not now'; END $$; \
         CREATE TRIGGER refuse BEFORE UPDATE ON hub.parts EXECUTE FUNCTION hub.refuse()",
    );
    let error = worker.acquire(&HubSettings::default()).unwrap_err();
    assert!(error.message.contains("not now"), "{error}");
    schema.run("DROP TRIGGER refuse ON hub.parts");
    let joined = worker.acquire(&HubSettings::default()).unwrap();
    assert_eq!(joined.shares.parts.len(), WHOLE, "nobody waits for a lease to run out");
}

#[test]
fn a_worker_that_writes_or_keeps_house_keeps_what_it_has() {
    let schema = Schema::fresh();
    let mut first = Hub::over(Store::postgres_in(&schema, LEASE_MS));
    let mut second = opened(&schema);
    second.acquire(&HubSettings::default()).unwrap();
    let begun = instant();
    while begun.elapsed() < LEASE * 3 {
        first.store.maintain(true).unwrap();
        second.maintain(true).unwrap();
        if let Some(balanced) = second.balance().unwrap() {
            assert!(balanced.gained.is_empty());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    first.work(Work::Command(start("a")));
}

#[test]
fn a_server_that_has_gone_back_in_time_is_noticed() {
    let schema = Schema::fresh();
    let mut worker = member(&schema);
    worker.work(Work::Command(start("a")));
    worker.work(Work::Command(start("b")));
    schema.run("UPDATE hub.workers SET commits = commits - 1");
    let error = worker.transact(&[Work::Command(start("c"))]).unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::LostOwnership);
    assert!(error.message.contains("back in time"), "{}", error.message);
    let again = worker.store.join_again(&HubSettings::default()).unwrap().unwrap();
    assert_eq!(again.shares.parts.len(), WHOLE, "its own row does not stand in its way");
}

#[test]
fn whether_a_worker_lives_goes_by_its_lease() {
    let schema = Schema::fresh();
    let mut client = opened(&schema);
    assert!(!client.worker_lives().unwrap());
    let mut worker = opened(&schema);
    worker.acquire(&HubSettings::default()).unwrap();
    assert!(client.worker_lives().unwrap());
    worker.release().unwrap();
    assert!(!client.worker_lives().unwrap());
}

#[test]
fn the_settings_of_a_hub_are_those_of_all_its_workers() {
    let schema = Schema::fresh();
    let settings =
        |name: &str| HubSettings { orchestrators: vec![name.to_owned()], ..HubSettings::default() };
    let (mut first, mut second) = (opened(&schema), opened(&schema));
    let mut client = opened(&schema);
    let names = |client: &mut PostgresProvider| {
        let mut names = Vec::new();
        client
            .transaction(None, &mut |rows| {
                names = rows.settings()?.orchestrators;
                Ok(())
            })
            .unwrap();
        names
    };
    first.acquire(&settings("f")).unwrap();
    second.acquire(&settings("g")).unwrap();
    assert_eq!(names(&mut client), ["g", "f"]);
    let other = balance_names(&mut first);
    assert_eq!(other, ["g"]);
    first.release().unwrap();
    assert_eq!(names(&mut client), ["g"]);
    second.release().unwrap();
    assert_eq!(names(&mut client), ["g"], "those of the last one that lived");
}

fn balance_names(worker: &mut PostgresProvider) -> Vec<String> {
    loop {
        if let Some(balanced) = worker.balance().unwrap() {
            return balanced.others.orchestrators;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
