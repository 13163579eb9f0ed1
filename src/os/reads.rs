//! What a disk refuses to read, told from what is damaged.
//!
//! Owns: one system call of SQLite's. Where the system says that a read failed (EIO, and two others), SQLite says
//! "malformed", as it does for a page that is not what it should be; but the one passes and the other does not,
//! and nothing may be given up for what passes. Every other failure of a read it calls one of input and output,
//! so these are made one of the others. Must never: change what is read. Proved by the spec
//! `__test__/failing-reads.spec.mjs`.

#[cfg(all(test, unix, target_pointer_width = "64"))]
pub(crate) use unix::REFUSED;
#[cfg(all(unix, target_pointer_width = "64"))]
pub(crate) use unix::name_refusals;

/// Elsewhere SQLite names them by itself.
#[cfg(not(all(unix, target_pointer_width = "64")))]
pub(crate) fn name_refusals() {}

#[cfg(all(unix, target_pointer_width = "64"))]
mod unix {
    use std::ffi::{CStr, c_int, c_void};
    use std::io::Error;
    use std::mem::transmute;
    use std::ptr::null;
    use std::sync::{Once, OnceLock};

    use rusqlite::ffi;

    type Read = unsafe extern "C" fn(c_int, *mut c_void, usize, i64) -> isize;

    /// The system's own.
    static OWN: OnceLock<Read> = OnceLock::new();
    static ONCE: Once = Once::new();
    const NAME: &CStr = c"pread";

    /// EIO, ENXIO, ERANGE: the same numbers on every Unix.
    const REFUSALS: [i32; 3] = [5, 6, 34];

    /// Once for the process, before it reads a hub. Where it cannot be done, SQLite says what it says.
    pub(crate) fn name_refusals() {
        ONCE.call_once(|| {
            let _ = replace();
        });
    }

    fn replace() -> Option<()> {
        // SAFETY: no name stands for the default one, that of this library's own SQLite, which is there for
        // good.
        let vfs = unsafe { ffi::sqlite3_vfs_find(null()) };
        // SAFETY: see above.
        let (get, set) = unsafe {
            let vfs = vfs.as_ref()?;
            (vfs.xGetSystemCall?, vfs.xSetSystemCall?)
        };
        // SAFETY: the name is a C string.
        let own = unsafe { get(vfs, NAME.as_ptr()) }?;
        // SAFETY: by that signature SQLite calls it, see `osPread` there.
        OWN.get_or_init(|| unsafe { transmute::<unsafe extern "C" fn(), Read>(own) });
        // SAFETY: SQLite calls it by the signature that it has.
        unsafe {
            let replaced = transmute::<Read, unsafe extern "C" fn()>(pread);
            set(vfs, NAME.as_ptr(), Some(replaced));
        }
        Some(())
    }

    #[cfg(test)]
    thread_local! {
        /// This thread cannot read.
        pub(crate) static REFUSED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    unsafe extern "C" fn pread(file: c_int, buffer: *mut c_void, count: usize, at: i64) -> isize {
        let Some(own) = OWN.get() else { return -1 };
        #[cfg(test)]
        let file = if REFUSED.get() { -1 } else { file };
        // SAFETY: the caller's arguments, unchanged.
        let read = unsafe { own(file, buffer, count, at) };
        let refused =
            |error: &Error| error.raw_os_error().is_some_and(|code| REFUSALS.contains(&code));
        if read < 0 && refused(&Error::last_os_error()) {
            // SAFETY: no file has the number -1, so nothing is read, and the reason is another one.
            return unsafe { own(-1, buffer, count, at) };
        }
        read
    }
}
