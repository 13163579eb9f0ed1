//! What the engine's own threads know of JavaScript's: whether it answers, and what it is in.
//!
//! Owns: the signs that JavaScript gives. Must never: wait for it, or hold it up.
//! Proved by `__test__/hung.spec.mjs`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError, Weak};

use super::hub::Hub;

/// What of the user's JavaScript says that it is in: the token of an activation, the number of the run of an
/// activity as a number below zero, or 0, nothing of which it has told.
pub type Inside = i64;

/// See the module's text.
#[derive(Default)]
pub struct Pulse {
    answers: AtomicU64,
    inside: AtomicI64,
    hub: OnceLock<Weak<Mutex<Hub>>>,
}

impl Pulse {
    /// JavaScript is in the engine, or goes from there to this.
    pub(super) fn answered(&self, inside: Inside) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.enters(inside);
    }

    /// JavaScript begins something that may not return.
    pub fn enters(&self, inside: Inside) {
        self.inside.store(inside, Ordering::Relaxed);
    }

    /// What it is in.
    pub(super) fn inside(&self) -> Inside {
        self.inside.load(Ordering::Relaxed)
    }

    /// How often it has answered.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// The hub, for whoever is to look at it while JavaScript does not come.
    pub(super) fn belongs_to(&self, hub: &Arc<Mutex<Hub>>) {
        // There is one hub, and it is told once.
        let _ = self.hub.set(Arc::downgrade(hub));
    }

    /// Does something with the hub; `None` if JavaScript is in it, or it is gone.
    pub(super) fn with_hub<T>(&self, work: impl FnOnce(&mut Hub) -> T) -> Option<T> {
        let hub = self.hub.get()?.upgrade()?;
        let mut guard: MutexGuard<'_, Hub> = match hub.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(work(&mut guard))
    }
}
