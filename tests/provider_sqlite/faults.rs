//! Full and read-only disks, damaged rows, work that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use durafn::core::message::Message;
use durafn::core::request::Filter;
use durafn::provider::rows::NewMessage;
use durafn::provider::{Page, ProviderErrorKind as Kind, Reader};

use crate::*;

fn raw(folder: &Folder) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.hub()).unwrap()
}

#[test]
fn a_transaction_that_fails_or_panics_leaves_nothing() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    start(&mut provider, Some(epoch), "before").unwrap();
    let before = provider.snapshot().unwrap();
    let failed: Result<()> = transact(&mut provider, Some(epoch), |rows| {
        rows.insert_instance(&instance("a", "Order", 1))?;
        rows.insert_instance(&instance("before", "Order", 1)).map(|_| ())
    });
    assert_eq!(kind(failed), Kind::Permanent);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        transact(&mut provider, Some(epoch), |rows| -> Result<()> {
            rows.insert_instance(&instance("a", "Order", 1))?;
            panic!("by intention")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(provider.snapshot().unwrap(), before);
    start(&mut provider, Some(epoch), "after").unwrap();
}

#[test]
fn a_damaged_instance_fails_alone() {
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    let [good, bad] = ["good", "bad"].map(|id| start(&mut provider, Some(epoch), id).unwrap());
    let message = Message::TaskCompleted { task: 0, result: None }.encode();
    transact(&mut provider, Some(epoch), |rows| {
        for key in [good, bad] {
            rows.append_turn(key, 0, 1, b"{}")?;
            let body = message.clone();
            rows.insert_message(&NewMessage { key, exec: None, event: None, taken: true, body })?;
        }
        Ok(())
    })
    .unwrap();
    raw(&folder).execute("UPDATE instances SET input = x'7b22' WHERE id = 'bad'", []).unwrap();

    for failed in [provider.load(bad).map(|_| ()), provider.find("bad").map(|_| ())] {
        let failed = failed.unwrap_err();
        assert_eq!(failed.kind, Kind::Corrupt);
        assert!(failed.message.contains("'bad'") && failed.message.contains("input"), "{failed}");
    }
    // Its head can be read, so that it can be parked or purged.
    assert!(transact(&mut provider, Some(epoch), |rows| rows.head(bad)).unwrap().is_some());
    assert_eq!(provider.load(good).unwrap().unwrap().history.len(), 1);
    assert_eq!(provider.arrivals().unwrap().messages.len(), 2);
    let rows = provider.list(&Filter::default(), &Page { top: 9, cursor: None }).unwrap().rows;
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].input.as_ref().unwrap().get(), "\"<unreadable input>\"");
}

#[test]
fn a_status_that_is_none_names_its_instance() {
    let folder = Folder::new();
    let mut provider = client(&folder.hub());
    start(&mut provider, None, "odd").unwrap();
    raw(&folder).execute("UPDATE instances SET status = 4", []).unwrap();
    let failed = provider.find("odd").unwrap_err();
    assert_eq!(failed.kind, Kind::Corrupt);
    assert!(failed.message.contains("'odd'"), "{failed}");
}

#[test]
fn payloads_come_back_byte_for_byte() {
    let folder = Folder::new();
    let mut provider = client(&folder.hub());
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("\"{}\"", "ü".repeat(1 << 20));
    for (n, json) in
        [r#"{"a":1.50,"__proto__":"\u0000\ud800"}"#, "null", &deep, &long].into_iter().enumerate()
    {
        let id = format!("id-{n}");
        let new = NewInstance { input: Some(payload(json)), ..instance(&id, "Order", 1) };
        transact(&mut provider, None, |rows| rows.insert_instance(&new)).unwrap();
        assert_eq!(provider.find(&id).unwrap().unwrap().input.unwrap().get(), json);
    }
}

/// Runs the test `name` of this file in another process, with `FOLDER` set.
fn in_child(name: &str, folder: &Path, prepare: impl FnOnce(&mut Command)) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--include-ignored", "--nocapture"]).env("FOLDER", folder);
    prepare(&mut command);
    match command.status() {
        Ok(status) => {
            assert!(status.success(), "{name} in {}", folder.display());
            true
        }
        Err(error) => {
            eprintln!("not run, for lack of rights: {error}");
            false
        }
    }
}

fn folder_of_parent() -> PathBuf {
    PathBuf::from(std::env::var_os("FOLDER").unwrap())
}

#[cfg(unix)]
#[test]
fn a_hub_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let folder = Folder::new();
    let (mut provider, epoch) = worker(&folder.hub());
    start(&mut provider, Some(epoch), "a").unwrap();
    drop(provider);
    let forbid = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap()).collect();
    for file in files {
        forbid(&file.path(), 0o444);
    }
    let child = "provider_sqlite::faults::child_that_may_not_write";
    for folder_mode in [0o555, 0o777] {
        forbid(folder.path(), folder_mode);
        // Root may write everywhere.
        in_child(child, folder.path(), |command| {
            command.uid(65_534).gid(65_534);
        });
    }
    forbid(folder.path(), 0o700);
}

#[test]
#[ignore = "run by a_hub_that_cannot_be_written_is_refused"]
fn child_that_may_not_write() {
    let folder = folder_of_parent();
    for role in [Role::Worker, Role::Client] {
        assert_eq!(kind(open(&folder.join("hub.db"), role)), Kind::ReadOnly);
    }
    if std::fs::metadata(&folder).unwrap().permissions().readonly() {
        assert_eq!(kind(open(&folder.join("new.db"), Role::Client)), Kind::ReadOnly);
        assert_eq!(kind(open(&folder.join("new/hub.db"), Role::Client)), Kind::ReadOnly);
    }
}

#[cfg(unix)]
#[test]
fn a_commit_in_doubt_ends_the_ownership() {
    let folder = Folder::new();
    let child = "provider_sqlite::faults::child_whose_disk_fails";
    let mut command = Command::new("sh");
    // No file may grow beyond some 20 MB: what is written then fails, and not for want of room.
    let limited = "trap '' XFSZ; ulimit -f 40000; exec \"$0\" \"$@\"";
    command.args(["-c", limited]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", child, "--include-ignored", "--nocapture"]);
    assert!(command.env("FOLDER", folder.path()).status().unwrap().success());
    let (mut provider, epoch) = worker(&folder.hub());
    start(&mut provider, Some(epoch), "after").unwrap();
}

#[test]
#[ignore = "run by a_commit_in_doubt_ends_the_ownership"]
fn child_whose_disk_fails() {
    let (mut provider, epoch) = worker(&folder_of_parent().join("hub.db"));
    let body = vec![b' '; 1 << 20];
    let mut turn = 0;
    let mut append = |provider: &mut SqliteProvider| {
        turn += 1;
        provider.transaction(Some(epoch), &mut |rows| rows.append_turn(1, 0, turn, &body))
    };
    let failed = (0..40).find_map(|_| append(&mut provider).err()).unwrap();
    assert_eq!(failed.kind, Kind::LostOwnership);
    assert!(failed.message.contains("in doubt"), "{failed}");
    assert_eq!(kind(append(&mut provider)), Kind::LostOwnership, "and it stays so");
}

/// A small file system of its own, where the user may make one.
struct SmallDisk(Folder);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = Folder::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_costs_nothing_but_time() {
    let Some(disk) = SmallDisk::new() else {
        eprintln!("not run, for lack of the right to mount");
        return;
    };
    let (mut provider, epoch) = worker(&disk.0.hub());
    provider.arrivals().unwrap();
    let mut stored = 0;
    let full = loop {
        match start(&mut provider, Some(epoch), &format!("id-{stored}")) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000);
    };
    assert_eq!(full.kind, Kind::Full, "{full}");
    for _ in 0..3 {
        assert_eq!(kind(start(&mut provider, Some(epoch), "more")), Kind::Full);
    }
    assert_eq!(provider.count(&Filter::default()).unwrap(), stored);
    assert_eq!(kind(provider.backup(&disk.0.path().join("copy.db"))), Kind::Full);
    assert!(!disk.0.path().join("copy.db").exists());

    let grown = Command::new("mount").args(["-o", "remount,size=8m"]).arg(disk.0.path()).status();
    assert!(grown.unwrap().success());
    start(&mut provider, Some(epoch), "more").unwrap();
    drop(provider);
    let (mut provider, _) = worker(&disk.0.hub());
    assert_eq!(provider.count(&Filter::default()).unwrap(), stored + 1);
}
