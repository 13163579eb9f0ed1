//! One file, one name: what else leads to it is refused, and what no longer does ends the hub.
#![cfg(unix)]

use std::fs;
use std::process::Command;

use durafn::provider::{ProviderErrorKind as Kind, Reader};

use crate::*;

const ROLES: [Role; 2] = [Role::Worker, Role::Client];

#[test]
fn a_file_with_two_names_is_refused() {
    let folder = Folder::new();
    drop(worker(&folder.hub()));
    let other = folder.path().join("other.db");
    fs::hard_link(folder.hub(), &other).unwrap();
    for path in [&other, &folder.hub()] {
        for role in ROLES {
            let refused = open(path, role).err().unwrap();
            assert_eq!(refused.kind, Kind::Invalid);
            assert!(refused.message.contains("2 names (hard links)"), "{refused}");
        }
    }
    fs::remove_file(other).unwrap();
    worker(&folder.hub());
}

/// A bind mount, where the user may make one.
struct Mount(PathBuf);

impl Mount {
    fn new(from: &Path, to: &Path) -> Option<Self> {
        let made = Command::new("mount").arg("--bind").args([from, to]).output();
        made.is_ok_and(|made| made.status.success()).then(|| Self(to.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_mount_of_the_file_alone_is_refused_and_one_of_its_folder_is_not() {
    let folder = Folder::new();
    drop(worker(&folder.hub()));
    let place = Folder::new();
    let (alone, beside) = (place.path().join("a hub.db"), place.path().join("folder"));
    fs::write(&alone, "").unwrap();
    fs::create_dir(&beside).unwrap();
    let Some(_mounts) = Mount::new(&folder.hub(), &alone).zip(Mount::new(folder.path(), &beside))
    else {
        eprintln!("not run, for lack of the right to mount");
        return;
    };
    for role in ROLES {
        let refused = open(&alone, role).err().unwrap();
        assert_eq!(refused.kind, Kind::Invalid);
        assert!(refused.message.contains("Mount its folder"), "{refused}");
    }
    let (mut first, epoch) = worker(&beside.join("hub.db"));
    let mut second = open(&folder.hub(), Role::Worker).unwrap();
    assert_eq!(kind(second.acquire(&HubSettings::default())), Kind::HubInUse);
    start(&mut first, Some(epoch), "a").unwrap();
    assert!(second.find("a").unwrap().is_some());
}

/// What happens to the hub at a path, and its name.
type Loss = (&'static str, fn(&Path));

/// What may become of a hub's files while they are open.
fn losses() -> [Loss; 6] {
    [
        ("the folder is removed", |hub| fs::remove_dir_all(hub.parent().unwrap()).unwrap()),
        ("the folder is renamed", |hub| {
            let folder = hub.parent().unwrap();
            fs::rename(folder, folder.with_extension("away")).unwrap();
        }),
        ("the file is replaced", |hub| {
            let copy = hub.with_extension("copy");
            fs::copy(hub, &copy).unwrap();
            fs::rename(copy, hub).unwrap();
        }),
        ("the log is removed", |hub| fs::remove_file(hub.with_extension("db-wal")).unwrap()),
        ("the folder is removed and another hub made", |hub| {
            fs::remove_dir_all(hub.parent().unwrap()).unwrap();
            drop(worker(hub));
        }),
        ("the file gets another name", |hub| fs::hard_link(hub, hub.with_extension("b")).unwrap()),
    ]
}

#[test]
fn nothing_is_acknowledged_or_read_once_the_files_are_no_longer_there() {
    for (what, lose) in losses() {
        let folder = Folder::new();
        let hub = folder.path().join("inner/hub.db");
        let (mut owner, epoch) = worker(&hub);
        let mut reader = owner.reader().unwrap().unwrap();
        let mut guest = client(&hub);
        start(&mut owner, Some(epoch), "before").unwrap();
        lose(&hub);
        for n in 0..2 {
            let id = format!("after-{n}");
            if what == "the log is removed" {
                // The look after a commit is at the hub's name alone.
                owner.maintain(true).unwrap();
                assert_eq!(kind(guest.arrivals()), Kind::Gone, "{what}");
            }
            assert_eq!(kind(start(&mut owner, Some(epoch), &id)), Kind::Gone, "{what}");
            assert_eq!(kind(start(&mut guest, None, &id)), Kind::Gone, "{what}");
            assert_eq!(kind(owner.arrivals()), Kind::Gone, "{what}");
            assert_eq!(kind(guest.worker_lives()), Kind::Gone, "{what}");
            assert_eq!(kind(reader.is_there()), Kind::Gone, "{what}");
            assert_eq!(kind(owner.reader().map(|_| ())), Kind::Gone, "{what}");
        }
    }
}

#[test]
fn a_relaxed_hub_is_given_up_within_a_few_commits() {
    let folder = Folder::new();
    let hub = folder.path().join("inner/hub.db");
    let relaxed = SqliteOptions { relaxed: true, ..options(&hub, Role::Worker) };
    let mut provider = SqliteProvider::open(&relaxed).unwrap();
    let epoch = provider.acquire(&HubSettings::default()).unwrap().epoch;
    fs::remove_dir_all(hub.parent().unwrap()).unwrap();
    let failed = (0..16).find_map(|n| start(&mut provider, Some(epoch), &n.to_string()).err());
    assert_eq!(failed.unwrap().kind, Kind::Gone);
}

#[test]
fn a_hub_that_was_lost_leaves_that_which_stands_in_its_place_alone() {
    let folder = Folder::new();
    let hub = folder.path().join("inner/hub.db");
    let (mut lost, epoch) = worker(&hub);
    start(&mut lost, Some(epoch), "lost").unwrap();
    fs::remove_dir_all(hub.parent().unwrap()).unwrap();
    let (mut there, epoch) = worker(&hub);
    start(&mut there, Some(epoch), "there").unwrap();
    assert_eq!(kind(lost.arrivals()), Kind::Gone);
    drop(lost);
    start(&mut there, Some(epoch), "more").unwrap();
    drop(there);
    let (mut there, _) = worker(&hub);
    for id in ["there", "more"] {
        assert!(there.find(id).unwrap().is_some());
    }
    assert!(there.find("lost").unwrap().is_none());
}
