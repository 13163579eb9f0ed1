//! What the threads of a hub tell it, on its way to the JavaScript thread.
//!
//! Owns: the order of events, and waking JavaScript at most once until it has taken them. Must never:
//! act on an event (`hub` does).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::core::Payload;
use crate::core::error::Error;
use crate::core::partition::{Parts, Shares};
use crate::core::task::TaskRef;
use crate::provider::transaction::{Effect, Outcome, Work};
use crate::provider::{Arrivals, Hint, Hints, Loaded, LoadedEntity, Peers, StoredMessage};

use super::dispatcher::Era;
use super::protocol::{EngineInfo, Reply, RequestId, Weigh};
use super::pulse::Pulse;
use super::reader::{Answer, ReadRequest};
use super::waiters::Watched;
use super::writer::SharedWriter;

/// What a thread tells the hub.
pub enum Event {
    /// The store is open.
    Opened(Box<Opened>),
    /// It could not be opened.
    NotOpened(Error),
    /// Work of the dispatcher's was done.
    Done(Work, Outcome),
    /// Work of the dispatcher's can never be done.
    Unwritable(Work, Error),
    /// A caller's command was done.
    Answer(RequestId, Outcome),
    /// Callers' signals were stored, or refused.
    Signaled(Vec<(RequestId, Result<(), Error>)>),
    /// A caller's answer.
    Reply(Reply),
    /// A consequence of a transaction.
    Effect(Effect),
    /// What other processes wrote, or what stood in the store at the open.
    Arrived(Arrivals, bool),
    /// This process has got partitions, in which this waits.
    Gained(Parts, Arrivals),
    /// Others are to have so many of its partitions.
    Give(usize),
    /// What the other workers run, and which activities this one has taken, by the store.
    Surveyed(Peers, Vec<TaskRef>),
    /// This process has lost all that it had, and has joined anew without anything.
    Ousted,
    /// What the dispatcher asked for in that era was read.
    Read(Era, Answer),
    /// Instances that callers wait for were read.
    Watched(Watched),
    /// The same by a sweep, see `hub/waiting.rs`.
    Swept(Watched),
    /// Another process has told something.
    Hint(Hint),
    /// Something for the log.
    Trouble(String),
    /// The hub cannot go on.
    Fatal(Error),
    /// The store is closed.
    Closed(RequestId),
}

/// See [`Event::Opened`].
pub struct Opened {
    pub(super) info: EngineInfo,
    /// What of the hub this process has, to begin with.
    pub(super) shares: Shares,
    /// Where reads go; without it, they go to the store thread.
    pub(super) reads: Option<Sender<ReadRequest>>,
    /// For what is written on the JavaScript thread.
    pub(super) writer: Arc<SharedWriter>,
    /// What other processes are told.
    pub(super) hints: Option<Arc<Hints>>,
}

/// Events on their way to the JavaScript thread.
pub struct Outbox {
    events: Mutex<Waiting>,
    signalled: AtomicBool,
    pulse: Arc<Pulse>,
    wake: Box<dyn Fn() + Send + Sync>,
    /// What readers may have read ahead of JavaScript, in bytes.
    bytes_max: usize,
    /// For readers that wait until something is taken.
    taken: Condvar,
}

/// Events that were not taken.
#[derive(Default)]
struct Waiting {
    events: Vec<Event>,
    /// Bytes of what was read, among them.
    bytes: usize,
    /// Nobody takes them any more.
    closed: bool,
}

impl Event {
    /// Bytes of what was read from the store, if that may be much.
    fn bytes(&self) -> usize {
        let of = |payload: Option<&Payload>| payload.map_or(0, |payload| payload.get().len());
        let bodies = |messages: &[StoredMessage]| {
            messages.iter().map(|stored| stored.body.len()).sum::<usize>()
        };
        match self {
            Self::Read(_, Answer::Loaded(_, answer)) => match answer.as_ref() {
                Ok(Some(Loaded { row, history, messages, .. })) => {
                    let history = history.iter().map(Vec::len).sum::<usize>();
                    of(row.input.as_ref()) + history + bodies(messages)
                }
                _ => 0,
            },
            Self::Read(_, Answer::EntityLoaded(_, answer)) => match answer.as_ref() {
                Ok(Some(LoadedEntity { row, messages })) => {
                    of(row.state.as_ref()) + bodies(messages)
                }
                _ => 0,
            },
            Self::Reply(reply) => reply.bytes(),
            _ => 0,
        }
    }
}

impl Outbox {
    /// `wake` is called when there is something, at most once until it has been taken.
    #[must_use]
    pub fn new(wake: Box<dyn Fn() + Send + Sync>, bytes_max: usize) -> Self {
        let (events, signalled, pulse, taken) = Default::default();
        Self { events, signalled, pulse, wake, bytes_max, taken }
    }

    /// Whether whoever takes them is there.
    #[must_use]
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Adds events, in order.
    pub fn push(&self, events: impl IntoIterator<Item = Event>) {
        let mut waiting = self.lock();
        for event in events {
            waiting.bytes += event.bytes();
            waiting.events.push(event);
        }
        let any = !waiting.events.is_empty();
        drop(waiting);
        if any {
            self.nudge();
        }
    }

    /// Wakes JavaScript, although there may be nothing for it: it is to answer.
    pub fn nudge(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }

    /// Runs what pushes events that are taken at once by whoever runs it: nobody is woken for them.
    pub(super) fn quietly(&self, work: impl FnOnce()) {
        let before = self.signalled.swap(true, Ordering::AcqRel);
        work();
        self.signalled.fetch_and(before, Ordering::AcqRel);
    }

    /// Takes them, in order.
    pub fn take(&self) -> Vec<Event> {
        self.signalled.store(false, Ordering::Release);
        let mut waiting = self.lock();
        waiting.bytes = 0;
        self.taken.notify_all();
        std::mem::take(&mut waiting.events)
    }

    /// For a reader, before it reads more: waits while much of what was read has not been taken.
    pub(super) fn wait_for_room(&self) {
        let mut waiting = self.lock();
        while waiting.bytes > self.bytes_max && !waiting.closed {
            waiting = self.taken.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nobody takes anything any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.taken.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
