//! A worker, clients and other programs on one file at the same time.
#![expect(clippy::disallowed_methods, reason = "these tests are about how long things take")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use durafn::core::request::Filter;
use durafn::provider::{ProviderErrorKind as Kind, Reader};

use crate::*;

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.len())
}

fn fill(provider: &mut dyn Provider, fence: Option<Epoch>, name: &str, count: usize) {
    transact(provider, fence, |rows| {
        for n in 0..count {
            rows.insert_instance(&instance(&format!("{name}-{n}"), "Order", 1))?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_busy_worker_lets_clients_through() {
    const CLIENTS: usize = 4;
    const CALLS: usize = 25;
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let mut commits = 0;
            while !done.load(Ordering::Relaxed) {
                fill(&mut provider, Some(epoch), &format!("own-{commits}"), 50);
                commits += 1;
            }
            commits
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|thread| {
                let mut client = client(&folder.hub());
                scope.spawn(move || {
                    let calls = (0..CALLS).map(|call| {
                        let began = Instant::now();
                        start(&mut client, None, &format!("client-{thread}-{call}")).unwrap();
                        began.elapsed()
                    });
                    calls.max().unwrap()
                })
            })
            .collect();
        let longest = clients.into_iter().map(|client| client.join().unwrap()).max().unwrap();
        done.store(true, Ordering::Relaxed);
        let commits = busy.join().unwrap();
        println!("longest call {longest:?}, commits of the worker {commits}");
        assert!(longest < Duration::from_secs(1), "a call took {longest:?}");
        assert!(commits >= 5, "the worker got {commits} commits through");
    });
}

#[test]
fn another_program_with_the_lock_is_only_a_delay() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let mut waiting = client(&folder.hub());
    let other = rusqlite::Connection::open(folder.hub()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let own = scope.spawn(|| start(&mut provider, Some(epoch), "own"));
        let foreign = scope.spawn(|| start(&mut waiting, None, "foreign"));
        std::thread::sleep(Duration::from_millis(700));
        other.execute_batch("COMMIT").unwrap();
        own.join().unwrap().unwrap();
        foreign.join().unwrap().unwrap();
    });
    assert!(began.elapsed() >= Duration::from_millis(700));
}

#[test]
fn a_reader_sees_commits_and_never_writes() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let mut reader = provider.reader().unwrap().unwrap();
    assert!(reader.find("a").unwrap().is_none());
    let key = start(&mut provider, Some(epoch), "a").unwrap();
    assert_eq!(reader.find("a").unwrap().unwrap().head.key, key);
    let in_between = transact(&mut provider, Some(epoch), |rows| {
        rows.insert_instance(&instance("b", "Order", 1))?;
        reader.find("b")
    });
    assert!(in_between.unwrap().is_none());
    assert!(reader.find("b").unwrap().is_some());
}

#[test]
fn a_copy_is_one_state_and_a_hub_of_its_own() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let mut reader = provider.reader().unwrap().unwrap();
    let done = AtomicBool::new(false);
    let copies = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Each transaction adds ten.
            for commit in 0.. {
                fill(&mut provider, Some(epoch), &format!("{commit}"), 10);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let copies: Vec<_> = (0..3).map(|n| folder.path().join(format!("copy-{n}.db"))).collect();
        for copy in &copies {
            std::thread::sleep(Duration::from_millis(20));
            reader.backup(copy).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        copies
    });
    assert_eq!(kind(reader.backup(&copies[0])), Kind::Invalid);
    assert_eq!(kind(reader.backup(&folder.path().join("none/copy.db"))), Kind::Invalid);
    let mut last = 0;
    for copy in &copies {
        let (mut hub, epoch) = worker(copy);
        let count = hub.count(&Filter::default()).unwrap();
        assert!(count % 10 == 0 && count >= last, "{count} after {last}");
        last = count;
        start(&mut hub, Some(epoch), "goes-on").unwrap();
        let mode: String = rusqlite::Connection::open(copy)
            .unwrap()
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }
}

#[test]
fn the_log_of_a_worker_stays_at_a_size() {
    let folder = Folder::new();
    let log = folder.path().join("hub.db-wal");
    let (mut provider, epoch) = worker(&folder.hub());
    let mut longest = 0;
    for commit in 0..150 {
        fill(&mut provider, Some(epoch), &format!("{commit}"), 300);
        provider.maintain(false).unwrap();
        longest = longest.max(size(&log));
    }
    assert!(size(&folder.hub()) > 4 << 20, "the log has been copied");
    assert!(longest < 40 << 20, "the log had {longest} bytes");
    provider.release().unwrap();
    drop(provider);
    assert_eq!(size(&log), 0, "the last one to go leaves no log");
}

#[test]
fn a_client_leaves_the_log_to_the_worker() {
    let folder = Folder::new();
    let log = folder.path().join("hub.db-wal");
    let before = {
        let mut provider = client(&folder.hub());
        let before = size(&folder.hub());
        for commit in 0..30 {
            fill(&mut provider, None, &format!("{commit}"), 1_000);
            provider.maintain(true).unwrap();
        }
        before
    };
    assert_eq!(size(&folder.hub()), before, "the hub's file is as it was");
    assert!(size(&log) > 4 << 20, "all is in the log");

    let (mut provider, _) = worker(&folder.hub());
    assert_eq!(provider.count(&Filter::default()).unwrap(), 30_000);
    provider.maintain(true).unwrap();
    assert!(size(&folder.hub()) > 1 << 20, "an idle worker copies it");
}

#[test]
fn the_log_of_a_client_stays_at_a_size_without_a_worker() {
    let folder = Folder::new();
    let log = folder.path().join("hub.db-wal");
    let mut provider = client(&folder.hub());
    let body = vec![b'x'; 4 << 20];
    let mut longest = 0;
    for key in 0..40 {
        transact(&mut provider, None, |rows| rows.append_turn(key, 0, 1, &body)).unwrap();
        provider.maintain(false).unwrap();
        longest = longest.max(size(&log));
    }
    assert!(longest < 48 << 20, "the log had {longest} bytes");
    assert!(size(&folder.hub()) > 100 << 20, "the log has been copied");
    drop(provider);
    let check: String = rusqlite::Connection::open(folder.hub())
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}
