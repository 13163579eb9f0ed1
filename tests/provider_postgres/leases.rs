//! Who has the hub, and until when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use durafn::provider::postgres::{PostgresOptions, PostgresProvider};
use durafn::provider::{Provider, ProviderErrorKind, Reader};
use durafn::runtime::clock::instant;

use crate::common::hub::{Hub, Store, start};
use crate::common::postgres::Schema;
use durafn::provider::transaction::Work;

const LEASE_MS: i64 = 900;

fn opened(schema: &Schema) -> PostgresProvider {
    PostgresProvider::open(&PostgresOptions { lease_ms: LEASE_MS, ..schema.options() }).unwrap()
}

#[test]
fn a_worker_that_lives_keeps_the_hub() {
    let schema = Schema::fresh();
    let mut first = opened(&schema);
    first.acquire().unwrap();
    let mut second = opened(&schema);
    let refused = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let error = second.acquire().unwrap_err();
            assert_eq!(error.kind, ProviderErrorKind::HubInUse);
            assert!(error.message.contains(&format!("process {}", std::process::id())));
            refused.store(true, Ordering::SeqCst);
        });
        let begun = instant();
        while !refused.load(Ordering::SeqCst) {
            first.maintain(true).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            assert!(begun.elapsed() < Duration::from_secs(20), "the second worker waits for ever");
        }
    });
    first.release().unwrap();
    second.acquire().unwrap();
}

#[test]
fn a_worker_that_is_silent_is_ousted_and_writes_nothing_more() {
    let schema = Schema::fresh();
    let mut zombie = Hub::over(Store::postgres_in(&schema, LEASE_MS));
    zombie.work(Work::Command(start("before")));
    let silent = instant();
    let mut heir = opened(&schema);
    assert_eq!(heir.acquire().unwrap().epoch, zombie.epoch + 1);
    let lease = Duration::from_millis(LEASE_MS.unsigned_abs());
    assert!(silent.elapsed() < lease + Duration::from_secs(1), "{:?}", silent.elapsed());
    for n in 0..50 {
        let error = zombie.transact(&[Work::Command(start(&format!("after-{n}")))]).unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::LostOwnership, "{}", error.message);
    }
    assert!(heir.find("before").unwrap().is_some());
    assert!(heir.find("after-0").unwrap().is_none());
    assert_eq!(heir.snapshot().unwrap().0.iter().filter(|line| line.contains("after-")).count(), 0);
}

#[test]
fn whether_a_worker_lives_goes_by_its_lease() {
    let schema = Schema::fresh();
    let mut client = opened(&schema);
    assert!(!client.worker_lives().unwrap());
    let mut worker = opened(&schema);
    worker.acquire().unwrap();
    assert!(client.worker_lives().unwrap());
    worker.release().unwrap();
    assert!(!client.worker_lives().unwrap());
}
