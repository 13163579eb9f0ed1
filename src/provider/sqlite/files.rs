//! The files of a hub beside those of SQLite, and the locks on them.
//!
//! Owns: who the worker is (`-lock`), and whether anyone waits for the writer's lock (`-waiting`).
//! Both are locks of the operating system, gone with the process that held them.
//! Must never: open the hub's file itself. Where `os::locks` can do nothing about it, closing it would drop the
//! locks that SQLite has on it in this process. Proved by `tests/provider_sqlite.rs`.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::provider::{ProviderError, ProviderErrorKind, Result};

use super::names::Names;

/// How often a worker tries to take the hub. A client that asks whether a worker lives has the lock for
/// some microseconds.
const TAKE_TRIES: u32 = 50;
/// How often it looks before whether the last worker has ended: that of a thread which was terminated, or of
/// a hub that was lost, is on its way.
const FREE_TRIES: u32 = 250;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(2);
/// How long, at most, one who has written stands back for those who wait: 2 ms.
const BACK_PAUSE: Duration = Duration::from_micros(200);
const BACK_PAUSES: u32 = 10;

/// Where a hub is.
#[derive(Debug, Clone)]
pub(super) struct HubFiles {
    /// The file of SQLite.
    pub(super) hub: PathBuf,
    /// Whether that and those beside it are still there.
    pub(super) names: Names,
}

impl HubFiles {
    /// Makes the folder and an empty file if there is none, both for this user alone.
    pub(super) fn prepare(path: &Path) -> Result<Self> {
        let operation = "open the hub";
        if path.is_dir() {
            let cause = format!("{} is a folder", path.display());
            return Err(ProviderError::new(ProviderErrorKind::NotAHub, operation, cause));
        }
        let failed = |error: io::Error| file_failed(operation, path, &error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private_folder().create(folder).map_err(failed)?;
        }
        match private_file().create_new(true).open(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
            _ => {
                let hub = canonical(path).map_err(failed)?;
                Ok(Self { names: Names::of(&hub)?, hub })
            }
        }
    }

    /// Waits a moment for a worker that ends: whether none has the hub.
    pub(super) fn fall_free(&self) -> Result<bool> {
        for _ in 0..FREE_TRIES {
            if !self.worker_lives()? {
                return Ok(true);
            }
            sleep(PAUSE);
        }
        Ok(false)
    }

    /// Takes the hub for a worker: `None` while another has it.
    pub(super) fn take(&self) -> Result<Option<WorkerLock>> {
        let file = self.beside("-lock")?;
        for _ in 0..TAKE_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(WorkerLock { _file: file })),
                Err(TryLockError::WouldBlock) => sleep(PAUSE),
                Err(TryLockError::Error(error)) => {
                    return Err(file_failed("take the hub", &self.hub, &error));
                }
            }
        }
        Ok(None)
    }

    /// Whether a worker has the hub.
    pub(super) fn worker_lives(&self) -> Result<bool> {
        let file = self.beside("-lock")?;
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => {
                Err(file_failed("ask whether a worker lives", &self.hub, &error))
            }
        }
    }

    /// The line in which clients wait.
    pub(super) fn line(&self) -> Result<WaitingLine> {
        Ok(WaitingLine { file: self.beside("-waiting")? })
    }

    /// The system says better than SQLite why a file cannot be opened.
    pub(super) fn explain(&self, error: ProviderError) -> ProviderError {
        let refused = error.kind == ProviderErrorKind::ReadOnly;
        refused.then(|| self.line().err()).flatten().unwrap_or(error)
    }

    fn beside(&self, suffix: &str) -> Result<File> {
        let mut path = OsString::from(&self.hub);
        path.push(suffix);
        private_file()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| file_failed("open a lock file", Path::new(&path), &error))
    }
}

/// Held by the worker as long as it has the hub.
#[derive(Debug)]
pub(super) struct WorkerLock {
    _file: File,
}

/// Whoever wants to write holds a shared lock on this file until it may. SQLite's own lock goes to the
/// one who asks in the right microsecond, which is the one who has just let go of it.
#[derive(Debug)]
pub(super) struct WaitingLine {
    file: File,
}

impl WaitingLine {
    /// Waits in line until the guard is dropped. Whoever holds the other lock lets go of it at once.
    pub(super) fn wait(&self) -> Result<Waiting<'_>> {
        let locked = self.file.lock_shared();
        locked.map_err(|error| lock_failed(&error))?;
        Ok(Waiting(&self.file))
    }

    /// Keeps everyone out until the guard is dropped: the tables are being made.
    pub(super) fn close(&self) -> Result<Waiting<'_>> {
        self.file.lock().map_err(|error| lock_failed(&error))?;
        Ok(Waiting(&self.file))
    }

    /// For one who wrote last: stands back while someone waits, until someone has had a turn.
    pub(super) fn stand_back(&self, mut had_a_turn: impl FnMut() -> Result<bool>) -> Result<()> {
        for _ in 0..BACK_PAUSES {
            if !self.someone_waits() || had_a_turn()? {
                break;
            }
            sleep(BACK_PAUSE);
        }
        Ok(())
    }

    /// Whether someone waits.
    pub(super) fn someone_waits(&self) -> bool {
        match self.file.try_lock() {
            Ok(()) => {
                let _ = self.file.unlock();
                false
            }
            Err(TryLockError::WouldBlock) => true,
            // A lock that fails is no reason not to write.
            Err(TryLockError::Error(_)) => false,
        }
    }
}

/// A place in a [`WaitingLine`].
pub(super) struct Waiting<'f>(&'f File);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Options for a file that only this user may read.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Two ways to one hub must lead to the same lock files.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    // On Windows the canonical form has a prefix that SQLite does not take.
    if cfg!(windows) { std::path::absolute(path) } else { path.canonicalize() }
}

fn lock_failed(error: &io::Error) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Transient, "wait in line to write", error)
}

/// A failure of the file system, as the contract names it.
pub(super) fn file_failed(operation: &str, path: &Path, error: &io::Error) -> ProviderError {
    use io::ErrorKind as E;
    let kind = match error.kind() {
        E::PermissionDenied | E::ReadOnlyFilesystem => ProviderErrorKind::ReadOnly,
        E::StorageFull | E::QuotaExceeded => ProviderErrorKind::Full,
        E::AlreadyExists | E::NotFound | E::NotADirectory | E::IsADirectory | E::InvalidInput => {
            ProviderErrorKind::Invalid
        }
        _ => ProviderErrorKind::Permanent,
    };
    ProviderError::new(kind, operation, format!("{}: {error}", path.display()))
}
