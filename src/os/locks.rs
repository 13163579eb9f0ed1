//! The locks that SQLite takes on its files.
//!
//! Owns: that they are locks of an open file description (`F_OFD_SETLK`) where the system has these. Those of
//! POSIX, which SQLite would take, belong to the process and its file: whoever opens and closes the same file
//! anywhere in the process, be it to read it, drops all of them without a word, and two copies of SQLite in one
//! process do not see each other's. Both kinds exclude each other, so other programs and older versions stay
//! shut out. Where the system has none (macOS, Windows, some sandboxes) SQLite's own way stays.
//! Must never: give a lock that is not held. Proved by `tests/provider_sqlite.rs` (`locks.rs`).
//!
//! SQLite counts the locks of a process itself, by file. Those of the log's index (`-shm`) are all taken on one
//! descriptor, which is closed after the last of them. Those of the hub's file are taken on that of whichever
//! connection comes first and let go of on that of the one that is last. With POSIX that is the same; here the
//! descriptor that holds a file's shared lock is kept in mind (`holders`), and the lock moves to another one when
//! that is to write. SQLite leaves a descriptor open while the process has a lock on its file, so a holder is
//! never closed.

/// Has SQLite take its locks so. To be called before its first connection to a file; more calls change nothing.
pub(crate) fn own_by_description() {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    linux::install();
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod linux {
    use std::ffi::{c_int, c_void};
    use std::io;
    use std::mem::MaybeUninit;
    use std::sync::{Mutex, Once, PoisonError};

    use libc::{F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_SETLK, F_UNLCK, flock};
    use rusqlite::ffi::{SQLITE_OK, sqlite3_syscall_ptr, sqlite3_vfs_find};

    /// From here on lie the bytes of the hub's file that are locked; those of the log's index lie before.
    const PENDING_BYTE: i64 = 0x4000_0000;
    /// The bytes that are locked by whoever reads, or keeps all others out.
    const SHARED_FIRST: i64 = PENDING_BYTE + 2;
    const SHARED_SIZE: i64 = 510;

    /// Device and inode of a file, and the descriptor that has its shared lock.
    type Holder = ((libc::dev_t, libc::ino_t), c_int);
    static HOLDERS: Mutex<Vec<Holder>> = Mutex::new(Vec::new());

    pub(super) fn install() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: null asks for the standard VFS, which SQLite has for as long as the process lives.
            let Some(vfs) = (unsafe { sqlite3_vfs_find(std::ptr::null()).as_mut() }) else {
                return;
            };
            let Some(set) = vfs.xSetSystemCall else { return };
            let call: unsafe extern "C" fn(c_int, c_int, *mut c_void) -> c_int = fcntl;
            // SAFETY: SQLite casts it back to `int (*)(int, int, ...)`. On the 64-bit Linux ABIs (x86-64,
            // AArch64) an argument after the dots is passed as a named one is. No connection is open yet, as
            // this runs before the first, so nobody reads the table while it is written.
            let done = unsafe {
                let call: sqlite3_syscall_ptr = Some(std::mem::transmute::<
                    unsafe extern "C" fn(c_int, c_int, *mut c_void) -> c_int,
                    unsafe extern "C" fn(),
                >(call));
                set(vfs, c"fcntl".as_ptr(), call)
            };
            // A VFS without that call keeps its own way.
            debug_assert_eq!(done, SQLITE_OK);
        });
    }

    /// Takes the place of the system's call in SQLite. Never panics.
    unsafe extern "C" fn fcntl(descriptor: c_int, command: c_int, argument: *mut c_void) -> c_int {
        if command != F_SETLK && command != F_GETLK {
            // SAFETY: the caller's call, as it is.
            return unsafe { libc::fcntl(descriptor, command, argument) };
        }
        // SAFETY: with these commands SQLite passes a `struct flock` of its own stack, which here is that of libc
        // (SQLite is compiled with 64-bit offsets).
        let lock = unsafe { &mut *argument.cast::<flock>() };
        // SQLite leaves it as it finds it, and anything else is refused.
        lock.l_pid = 0;
        let done = match command {
            F_GETLK => call(descriptor, F_OFD_GETLK, lock),
            _ if lock.l_start < PENDING_BYTE && lock.l_len != 0 => {
                call(descriptor, F_OFD_SETLK, lock)
            }
            _ => set_on_hub(descriptor, lock),
        };
        match done {
            Ok(()) => 0,
            Err(code) => {
                // SAFETY: the thread's own errno.
                unsafe { *libc::__errno_location() = code };
                -1
            }
        }
    }

    /// A lock on the hub's file.
    fn set_on_hub(descriptor: c_int, lock: &mut flock) -> Result<(), c_int> {
        let file = file_of(descriptor)?;
        let mut holders = HOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        let place = holders.iter().position(|(held, _)| *held == file);
        if c_int::from(lock.l_type) == F_UNLCK {
            // A length of 0 is all of the file: the last connection of the process lets go of it.
            let holder =
                place.filter(|_| lock.l_len == 0).map(|place| holders.swap_remove(place).1);
            return call(holder.unwrap_or(descriptor), F_OFD_SETLK, lock);
        }
        if let Some((_, holder)) = place.map(|place| &mut holders[place])
            && *holder != descriptor
        {
            move_shared(*holder, descriptor)?;
            *holder = descriptor;
        }
        let by_description = set(descriptor, lock)?;
        if by_description && place.is_none() && lock.l_start == SHARED_FIRST {
            holders.push((file, descriptor));
        }
        Ok(())
    }

    /// At no time is there none.
    fn move_shared(from: c_int, to: c_int) -> Result<(), c_int> {
        let mut shared = lock_of(libc::F_RDLCK, SHARED_FIRST, SHARED_SIZE);
        call(to, F_OFD_SETLK, &mut shared)?;
        call(from, F_OFD_SETLK, &mut lock_of(F_UNLCK, 0, 0))
    }

    fn lock_of(kind: c_int, start: i64, length: i64) -> flock {
        // SAFETY: zeros are a valid `struct flock`.
        let mut lock: flock = unsafe { MaybeUninit::zeroed().assume_init() };
        lock.l_type = i16::try_from(kind).unwrap_or_default();
        lock.l_whence = i16::try_from(libc::SEEK_SET).unwrap_or_default();
        (lock.l_start, lock.l_len) = (start, length);
        lock
    }

    /// Whether the lock is one of the description; if the system has none, it is one of the process.
    fn set(descriptor: c_int, lock: &mut flock) -> Result<bool, c_int> {
        match raw(descriptor, F_OFD_SETLK, lock) {
            Err(libc::EINVAL) => raw(descriptor, F_SETLK, lock).map(|()| false),
            done => done.map(|()| true),
        }
    }

    fn call(descriptor: c_int, command: c_int, lock: &mut flock) -> Result<(), c_int> {
        match raw(descriptor, command, lock) {
            Err(libc::EINVAL) => {
                let plain = if command == F_OFD_GETLK { F_GETLK } else { F_SETLK };
                raw(descriptor, plain, lock)
            }
            done => done,
        }
    }

    fn raw(descriptor: c_int, command: c_int, lock: &mut flock) -> Result<(), c_int> {
        // SAFETY: the commands that this is called with read and write one `struct flock`.
        let done = unsafe { libc::fcntl(descriptor, command, std::ptr::from_mut(lock)) };
        if done == -1 { Err(last_error()) } else { Ok(()) }
    }

    fn file_of(descriptor: c_int) -> Result<(libc::dev_t, libc::ino_t), c_int> {
        let mut found = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: it writes a whole `struct stat`, if it does not fail.
        unsafe {
            if libc::fstat(descriptor, found.as_mut_ptr()) == -1 {
                return Err(last_error());
            }
            let found = found.assume_init();
            Ok((found.st_dev, found.st_ino))
        }
    }

    fn last_error() -> c_int {
        io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
    }
}
