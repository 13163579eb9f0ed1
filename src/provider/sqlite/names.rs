//! The names of a hub's files, and whether they still lead to what is open.
//!
//! Owns: what is refused because the hub's file has other names (hard links, a mount of the file alone), each
//! with a log and locks of its own; and the look whether a file that is open was removed, renamed or replaced.
//! Must never: open one of the files. Proved by `tests/provider_sqlite.rs` and `__test__/files.spec.mjs`.
//!
//! A look is one `stat` a name, some 1.5 µs: at the hub's name after each commit, at the log's with the
//! housekeeping, at all three whenever what others wrote is looked for. With `durability: 'relaxed'` a commit takes
//! less than 50 µs, and a few go by between two looks. On Windows there is none: an open file cannot be removed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::provider::{ProviderError, ProviderErrorKind, Result};

const LOOKING: &str = "look for the hub's files";

/// The hub's file, its log, and the log's index.
#[derive(Debug, Clone)]
pub(super) struct Names {
    hub: Name,
    log: Name,
    index: Name,
}

#[derive(Debug, Clone)]
struct Name {
    path: PathBuf,
    /// What it led to when that was opened; `None` if that is not known.
    open: Option<Id>,
}

/// Device and inode.
#[cfg_attr(not(unix), allow(dead_code, reason = "they are not asked for there"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u64, u64);

/// What a name leads to.
#[cfg_attr(not(unix), allow(dead_code, reason = "it is not asked for there"))]
struct Found {
    id: Id,
    links: u64,
    bytes: u64,
}

impl Names {
    /// Of a hub that is to be opened.
    pub(super) fn of(hub: &Path) -> Result<Self> {
        let beside = |suffix: &str| {
            let mut path = OsString::from(hub);
            path.push(suffix);
            Name { path: path.into(), open: None }
        };
        let hub = Name { path: hub.to_owned(), open: None };
        let refused =
            |cause| Err(ProviderError::new(ProviderErrorKind::Invalid, "open the hub", cause));
        if is_mount(&hub.path) {
            return refused(format!(
                "{} is mounted by itself, so its log and its locks would stay outside. Mount its folder instead.",
                hub.path.display()
            ));
        }
        if let Some(links) = hub.find()?.map(|found| found.links)
            && links > 1
        {
            return refused(several(&hub.path, links));
        }
        Ok(Self { hub, log: beside("-wal"), index: beside("-shm") })
    }

    /// What the hub's name leads to now.
    pub(super) fn hub_id(&self) -> Result<Option<Id>> {
        Ok(self.hub.find()?.map(|found| found.id))
    }

    /// SQLite has opened what the names lead to. `false` if the hub's was another one before that.
    pub(super) fn are_open(&mut self, before: Option<Id>) -> Result<bool> {
        for name in [&mut self.hub, &mut self.log, &mut self.index] {
            // Where it makes no index, say, there is nothing to look for.
            name.open = name.find().ok().flatten().map(|found| found.id);
        }
        Ok(self.hub_id()? == before)
    }

    /// The connection is closed. As the last one it has removed the log and its index.
    pub(super) fn closed(&mut self) {
        self.log.open = None;
        self.index.open = None;
    }

    /// Whether all names lead to what is open.
    pub(super) fn look(&self) -> Result<()> {
        self.look_at_hub()?;
        self.look_at_log()?;
        self.index.look().map(|_| ())
    }

    /// Whether the hub's does.
    pub(super) fn look_at_hub(&self) -> Result<()> {
        self.hub.look().map(|_| ())
    }

    /// Whether that of the log does. Gives its size, 0 if that is not known.
    pub(super) fn look_at_log(&self) -> Result<u64> {
        self.log.look()
    }
}

impl Name {
    /// Whether it leads to what is open, and to nothing that has another name. Gives its size.
    fn look(&self) -> Result<u64> {
        let Some(open) = self.open else { return Ok(0) };
        let gone = |cause| Err(ProviderError::new(ProviderErrorKind::Gone, LOOKING, cause));
        match self.find()? {
            None => Ok(0),
            Some(found) if found.id != open => gone(moved(&self.path)),
            Some(found) if found.links > 1 => gone(several(&self.path, found.links)),
            Some(found) => Ok(found.bytes),
        }
    }

    /// `None` if the system does not say.
    fn find(&self) -> Result<Option<Found>> {
        use io::ErrorKind as E;
        match find(&self.path) {
            Ok(found) => Ok(found),
            Err(error) if matches!(error.kind(), E::NotFound | E::NotADirectory) => {
                Err(ProviderError::new(ProviderErrorKind::Gone, LOOKING, moved(&self.path)))
            }
            // What cannot be looked at may be there.
            Err(_) => Ok(None),
        }
    }
}

#[cfg(unix)]
fn find(path: &Path) -> io::Result<Option<Found>> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path)?;
    let id = Id(found.dev(), found.ino());
    Ok(Some(Found { id, links: found.nlink(), bytes: found.len() }))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
fn find(_: &Path) -> io::Result<Option<Found>> {
    Ok(None)
}

/// Whether something is mounted there. Only Linux mounts files, and says so in this list; it names them by their
/// canonical paths, with four characters as octal numbers.
fn is_mount(path: &Path) -> bool {
    let Some(path) = path.to_str().filter(|_| cfg!(target_os = "linux")) else { return false };
    let mut written = path.replace('\\', "\\134");
    for (character, code) in [(' ', "\\040"), ('\t', "\\011"), ('\n', "\\012")] {
        written = written.replace(character, code);
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(|mount| mount.split(' ').nth(4) == Some(written.as_str()))
}

fn moved(path: &Path) -> String {
    format!("{} was removed, renamed or replaced while it was open", path.display())
}

fn several(path: &Path, links: u64) -> String {
    format!(
        "{} has {links} names (hard links), and each would have a log and locks of its own. Remove the others, \
         or make copies.",
        path.display()
    )
}
