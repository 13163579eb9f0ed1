//! Locks that nothing but their owner lets go of, whatever else a process does with the files.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

use std::process::Command;

use durafn::core::request::Filter;
use durafn::provider::{ProviderErrorKind as Kind, Reader};
use rusqlite::{Connection, ErrorCode};

use crate::*;

/// Opens and closes every file of the folder, as a program does that reads or copies it.
fn read_all(folder: &Folder) {
    for file in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::read(file.unwrap().path()).unwrap();
    }
}

fn size(folder: &Folder, name: &str) -> u64 {
    std::fs::metadata(folder.path().join(name)).unwrap().len()
}

/// Runs a test of this file in another process.
fn in_another_process(name: &str, folder: &Folder) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("provider_sqlite::locks::{name}");
    command.args(["--exact", &name, "--include-ignored", "--nocapture"]);
    let output = command.env("FOLDER", folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn hub_of_parent() -> PathBuf {
    PathBuf::from(std::env::var_os("FOLDER").unwrap()).join("hub.db")
}

/// Says whether another one writes, without waiting for it.
fn is_writing(conn: &Connection) -> bool {
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    match conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy), "{error}");
            true
        }
    }
}

#[test]
fn a_process_that_reads_the_files_keeps_its_locks_on_them() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let mut reader = provider.reader().unwrap().unwrap();
    start(&mut provider, Some(epoch), "a").unwrap();
    let (log, index) = (size(&folder, "hub.db-wal"), size(&folder, "hub.db-shm"));
    read_all(&folder);
    // Whoever finds no lock on the index cuts it to 3 bytes; the last one to go removes the log.
    in_another_process("child_that_is_a_client", &folder);
    in_another_process("child_of_another_program", &folder);
    assert_eq!((size(&folder, "hub.db-wal"), size(&folder, "hub.db-shm")), (log, index));
    assert!(reader.find("of a child").unwrap().is_some());

    transact(&mut provider, Some(epoch), |_| {
        read_all(&folder);
        in_another_process("child_that_may_not_write", &folder);
        Ok(())
    })
    .unwrap();
    start(&mut provider, Some(epoch), "b").unwrap();
    drop((reader, provider));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "no log and no index is left");
    let (mut provider, _) = worker(&folder.hub());
    assert_eq!(provider.count(&Filter::default()).unwrap(), 3);
}

#[test]
#[ignore = "run by a_process_that_reads_the_files_keeps_its_locks_on_them"]
fn child_that_is_a_client() {
    let mut provider = client(&hub_of_parent());
    start(&mut provider, None, "of a child").unwrap();
    assert_eq!(
        kind(
            SqliteProvider::open(&options(&hub_of_parent(), Role::Worker))
                .and_then(|mut provider| provider.acquire(&HubSettings::default()),)
        ),
        Kind::HubInUse
    );
}

/// SQLite as other programs have it, and older versions of durafn: with locks of POSIX.
#[test]
#[ignore = "run by a_process_that_reads_the_files_keeps_its_locks_on_them"]
fn child_of_another_program() {
    let conn = Connection::open(hub_of_parent()).unwrap();
    assert!(!is_writing(&conn));
    let count: i64 =
        conn.query_row("SELECT count(*) FROM instances", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
    // It needs the file for itself.
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    assert!(
        conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0)).is_err()
    );
}

#[test]
#[ignore = "run by a_process_that_reads_the_files_keeps_its_locks_on_them"]
fn child_that_may_not_write() {
    assert!(is_writing(&Connection::open(hub_of_parent()).unwrap()), "a lock of POSIX");
    drop(SqliteProvider::open(&options(&hub_of_parent(), Role::Client)).unwrap());
    assert!(is_writing(&Connection::open(hub_of_parent()).unwrap()), "one of a description");
}

/// What SQLite counts for the process and what the system holds must agree, whoever comes and goes first.
#[test]
fn connections_of_one_process_share_a_lock_in_any_order() {
    let folder = Folder::new();
    drop(worker(&folder.hub()));
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        // The first one takes the lock.
        let other = client(&folder.hub());
        let (provider, _) = worker(&folder.hub());
        let reader = provider.reader().unwrap().unwrap();
        let mut open: [Option<Box<dyn std::any::Any>>; 3] =
            [Some(Box::new(provider)), Some(Box::new(ReaderOf(reader))), Some(Box::new(other))];
        for (gone, which) in order.into_iter().enumerate() {
            in_another_process("child_that_cannot_have_the_file_alone", &folder);
            open[which] = None;
            // A worker that goes last is alone, and removes the log and its index; a client leaves them.
            let left = if gone == 2 && which == 0 { 3 } else { 5 };
            assert_eq!(files(), left, "{order:?}");
        }
        in_another_process("child_that_has_the_file_alone", &folder);
    }
}

struct ReaderOf(#[expect(dead_code, reason = "held open")] Box<dyn Reader>);

fn alone() -> bool {
    let conn = Connection::open(hub_of_parent()).unwrap();
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    let mode = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0));
    let alone = mode("PRAGMA journal_mode = DELETE").is_ok_and(|mode| mode == "delete");
    alone && mode("PRAGMA journal_mode = WAL").unwrap() == "wal"
}

#[test]
#[ignore = "run by connections_of_one_process_share_a_lock_in_any_order"]
fn child_that_cannot_have_the_file_alone() {
    assert!(!alone());
}

#[test]
#[ignore = "run by connections_of_one_process_share_a_lock_in_any_order"]
fn child_that_has_the_file_alone() {
    assert!(alone());
}
