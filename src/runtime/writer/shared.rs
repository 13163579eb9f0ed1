//! A writer that two threads use.
//!
//! Owns: which of them writes. Must never: let work overtake work that was sent before it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::provider::transaction::Work;

use super::super::clock;
use super::super::dispatcher::Era;
use super::{INLINE_ITEMS, Ticket, Writer};

/// A writer that two threads use, one at a time.
pub struct SharedWriter {
    writer: Mutex<Writer>,
    underway: Arc<Underway>,
}

/// Messages on their way to the store's thread, which nothing may overtake.
#[derive(Debug, Default)]
pub struct Underway(AtomicUsize);

impl Underway {
    /// One is sent.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn none(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

impl SharedWriter {
    /// Of the writer.
    #[must_use]
    pub fn new(writer: Writer, underway: Arc<Underway>) -> Self {
        Self { writer: Mutex::new(writer), underway }
    }

    /// Waits for the other thread.
    pub fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message has come to the store's thread; its work stands in the queue, or is done.
    pub fn received(&self) {
        self.underway.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// Writes a little work on this thread, if nothing else is to be written and it takes no time. Its
    /// events are in the outbox then, and nobody is woken for them.
    ///
    /// # Errors
    /// The work, for the store's thread.
    pub fn write_here(
        &self,
        era: Era,
        work: Vec<(Ticket, Work)>,
    ) -> Result<(), Vec<(Ticket, Work)>> {
        if work.len() > INLINE_ITEMS || !self.underway.none() {
            return Err(work);
        }
        let Ok(mut writer) = self.writer.try_lock() else { return Err(work) };
        let is_current = era == writer.era && writer.queue.is_empty() && !writer.lost;
        if !is_current || !writer.is_quick_and_quiet() {
            return Err(work);
        }
        let begun = clock::instant();
        match writer.attempt(&work, |provider, epoch, steps| provider.at_once(epoch, steps)) {
            Ok(Some(done)) => {
                let outbox = Arc::clone(&writer.outbox);
                outbox.quietly(|| writer.written(work, done, begun));
                Ok(())
            }
            // Nothing was written. What is to be done about a failure is for the other thread, which
            // meets it too.
            Ok(None) | Err(_) => Err(work),
        }
    }
}
