//! What is removed bit by bit, the size of the hub's file, and that of its log.

use durafn::core::request::Filter;
use durafn::provider::rows::Clear;
use durafn::provider::{ProviderErrorKind as Kind, Reader};

use crate::*;

/// More rows of history than one transaction removes.
const LONG: i64 = 25_000;

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.len())
}

fn count(folder: &Folder, table: &str) -> i64 {
    let conn = rusqlite::Connection::open(folder.hub()).unwrap();
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// Rows of history that each call of `maintain` removes, until there is nothing to do.
fn tidy(folder: &Folder, provider: &mut SqliteProvider, until: i64) -> Vec<i64> {
    let mut removed = Vec::new();
    let mut left = count(folder, "history");
    while left > until {
        provider.maintain(true).unwrap();
        let now = count(folder, "history");
        removed.push(left - now);
        left = now;
    }
    removed
}

fn with_long_history(provider: &mut SqliteProvider, epoch: Epoch) -> InstanceKey {
    let key = start(provider, Some(epoch), "long").unwrap();
    transact(provider, Some(epoch), |rows| {
        (1..=25_000)
            .try_for_each(|turn| rows.append_turn(key, 0, turn, turn.to_string().as_bytes()))
    })
    .unwrap();
    key
}

#[test]
fn a_long_history_is_purged_in_pieces() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let key = with_long_history(&mut provider, epoch);
    transact(&mut provider, Some(epoch), |rows| rows.clear(key, Clear::All)).unwrap();
    assert!(provider.find("long").unwrap().is_none() && provider.load(key).unwrap().is_none());
    let left = count(&folder, "history");
    assert!((LONG - 10_000..LONG).contains(&left), "{left} rows are left");

    // Whoever opens the hub next goes on with it.
    drop(provider);
    let (mut provider, _) = worker(&folder.hub());
    let removed = tidy(&folder, &mut provider, 0);
    assert!(removed.iter().all(|rows| *rows <= 2_000), "{removed:?}");
    provider.maintain(true).unwrap();
    assert_eq!(count(&folder, "leftovers"), 0);
}

#[test]
fn many_histories_in_one_transaction_are_removed_in_pieces_too() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let keys: Vec<InstanceKey> = (0..30)
        .map(|n| {
            let key = start(&mut provider, Some(epoch), &format!("{n}")).unwrap();
            transact(&mut provider, Some(epoch), |rows| {
                (1..=1_000).try_for_each(|turn| rows.append_turn(key, 0, turn, b"x"))
            })
            .unwrap();
            key
        })
        .collect();
    transact(&mut provider, Some(epoch), |rows| {
        keys.iter().try_for_each(|key| rows.clear(*key, Clear::All))
    })
    .unwrap();
    assert_eq!(provider.count(&Filter::default()).unwrap(), 0);
    assert_eq!(count(&folder, "history"), 20_000);
    tidy(&folder, &mut provider, 0);
}

#[test]
fn a_long_history_that_goes_on_anew_leaves_the_new_one_alone() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let key = with_long_history(&mut provider, epoch);
    let next = |provider: &mut SqliteProvider, exec: u32| {
        transact(provider, Some(epoch), |rows| {
            rows.clear(key, Clear::Execution)?;
            let change = durafn::core::instance::InstanceChange {
                exec: Some(exec),
                ..durafn::core::instance::InstanceChange::default()
            };
            rows.update_instance(key, &change)
        })
        .unwrap();
        let body = format!("of {exec}");
        transact(provider, Some(epoch), |rows| rows.append_turn(key, exec, 1, body.as_bytes()))
            .unwrap();
        assert_eq!(provider.history(key).unwrap(), [body.clone().into_bytes()]);
        assert_eq!(provider.load(key).unwrap().unwrap().history, [body.into_bytes()]);
    };
    next(&mut provider, 1);
    provider.maintain(true).unwrap();
    next(&mut provider, 2);
    next(&mut provider, 3);
    tidy(&folder, &mut provider, 1);
    provider.maintain(true).unwrap();
    assert_eq!(provider.history(key).unwrap(), [b"of 3".to_vec()]);
    assert_eq!(count(&folder, "leftovers"), 0);
}

#[test]
fn turns_that_go_on_anew_take_the_place_of_what_is_left_over() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let key = with_long_history(&mut provider, epoch);
    transact(&mut provider, Some(epoch), |rows| {
        rows.append_notice(key, 0, b"of the old one")?;
        rows.clear(key, Clear::Execution)?;
        let change = durafn::core::instance::InstanceChange {
            exec: Some(1),
            ..durafn::core::instance::InstanceChange::default()
        };
        rows.update_instance(key, &change)?;
        (1..=16_000).try_for_each(|turn| {
            assert!(rows.is_next_turn(key, 1, turn)? && !rows.is_next_turn(key, 1, turn + 1)?);
            rows.append_turn(key, 1, turn, b"new")
        })?;
        rows.append_notice(key, 1, b"noticed")
    })
    .unwrap();
    let loaded = provider.load(key).unwrap().unwrap();
    assert_eq!((loaded.last_turn, loaded.history.len()), (16_000, 16_001));
    assert!(loaded.history[..16_000].iter().all(|body| body == b"new"));
    let failed = transact(&mut provider, Some(epoch), |rows| rows.append_turn(key, 1, 9, b"twice"));
    assert_eq!(kind(failed), Kind::Permanent);
    tidy(&folder, &mut provider, 16_001);
    provider.maintain(true).unwrap();
    assert_eq!(count(&folder, "leftovers"), 0);
    assert_eq!(provider.history(key).unwrap().len(), 16_001);
}

#[test]
fn a_file_gives_back_what_a_purge_leaves() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let body = vec![b'x'; 2_000];
    let mut keys = Vec::new();
    for commit in 0..40 {
        transact(&mut provider, Some(epoch), |rows| {
            for n in 0..500 {
                let key = rows.insert_instance(&instance(&format!("{commit}-{n}"), "O", 1))?;
                rows.append_turn(key, 0, 1, &body)?;
                keys.push(key);
            }
            Ok(())
        })
        .unwrap();
        provider.maintain(true).unwrap();
    }
    let full = size(&folder.hub());
    assert!(full > 40 << 20, "it has {full} bytes");
    // All but the newest, whose pages stand last in the file and have to be moved.
    let kept = keys.split_off(keys.len() - 100);
    for batch in keys.chunks(500) {
        transact(&mut provider, Some(epoch), |rows| {
            batch.iter().try_for_each(|key| rows.clear(*key, Clear::All))
        })
        .unwrap();
    }
    let mut last = full;
    for _ in 0..200 {
        provider.maintain(true).unwrap();
        let now = size(&folder.hub());
        // A piece is small; the file is cut when the log is copied, every thousand pages of it.
        assert!(last.saturating_sub(now) < 16 << 20, "{last} to {now} bytes at once");
        last = now;
    }
    provider.release().unwrap();
    let left = size(&folder.hub());
    assert!(left < full / 3, "it has {left} bytes of {full}");
    for key in kept {
        assert_eq!(provider.history(key).unwrap(), std::slice::from_ref(&body));
    }
    let conn = rusqlite::Connection::open(folder.hub()).unwrap();
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_log_that_a_reader_made_long_is_short_again_after_it() {
    let folder = Folder::new();
    let log = folder.path().join("hub.db-wal");
    let (mut provider, epoch) = worker(&folder.hub());
    let write = |provider: &mut SqliteProvider, commits: usize, name: &str| {
        for commit in 0..commits {
            transact(provider, Some(epoch), |rows| {
                (0..300).try_for_each(|n| {
                    let id = format!("{name}-{commit}-{n}");
                    rows.insert_instance(&instance(&id, "O", 1)).map(|_| ())
                })
            })
            .unwrap();
            provider.maintain(false).unwrap();
        }
    };
    let reading = rusqlite::Connection::open(folder.hub()).unwrap();
    reading.execute_batch("BEGIN; SELECT count(*) FROM instances").unwrap();
    write(&mut provider, 250, "while it reads");
    assert!(size(&log) > 30 << 20, "the log has {} bytes", size(&log));
    reading.execute_batch("COMMIT").unwrap();
    write(&mut provider, 100, "after it");
    let left = size(&log);
    assert!(left < 18 << 20, "the log has {left} bytes");
}
