//! The thread of the store.
//!
//! Owns: everything that is written and does not go by the short way (`writer`), looking for what
//! other processes wrote, housekeeping. Must never: hold the writer while it waits for
//! something to do. Proved by every test under `__test__/`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError};
use std::time::Duration;

use crate::core::limits::COMMIT_ITEMS;
use crate::core::request::{Filter, HubSettings};
use crate::provider::transaction::Work;
use crate::provider::{ProviderError, Purgeable};

use super::clock;
use super::dispatcher::Era;
use super::outbox::{Event, Outbox};
use super::protocol::{RequestId, Retention};
use super::purges::{Finder, Purges};
use super::reader::{ReadRequest, serve};
use super::vigil::Vigil;
use super::writer::{SharedWriter, Ticket, Writer};

/// What the store thread is asked for.
pub enum StoreMessage {
    /// To be done in order; asked for in that era, see `Writer::era`.
    Work(Era, Vec<(Ticket, Work)>),
    /// To be read here, because the store has no second view.
    Read(ReadRequest),
    /// Ended instances that pass the filter are to be removed, bit by bit.
    PurgeBy(RequestId, Filter),
    /// What of it was found.
    Purgeable(Result<Purgeable, ProviderError>),
    /// Hub settings from now on.
    Settings(HubSettings),
    /// Another process has written something for this one.
    Look,
    /// This process will end soon: others are to have what it gives.
    Leave,
    /// The last message.
    Close(Option<RequestId>),
}

/// How often the store is looked at for what other processes wrote. A look costs about 90 µs, so
/// this is 0.2 % of a core.
const POLL: Duration = Duration::from_millis(40);
/// Shortest time between two looks while there is own work.
const POLL_BUSY: Duration = Duration::from_millis(5);
/// How often a worker that has lost its place tries to join again.
const POLL_OUTCAST: Duration = Duration::from_millis(250);

/// See the module's text.
pub struct StoreThread {
    writer: Arc<SharedWriter>,
    inbox: Receiver<StoreMessage>,
    outbox: Arc<Outbox>,
    purges: Purges,
    vigil: Vigil,
    /// How many the writer had made at the last look.
    commits: u64,
    /// There is something to look at.
    rung: bool,
    closing: bool,
    /// Who is told that the store is closed.
    closer: Option<RequestId>,
    /// How long it waits for a message.
    patience: Duration,
}

impl StoreThread {
    /// Of an open store.
    pub fn new(
        writer: Arc<SharedWriter>,
        retention: Retention,
        vigil: Vigil,
        finder: Option<Finder>,
        inbox: Receiver<StoreMessage>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self {
            writer,
            inbox,
            outbox,
            purges: Purges::new(retention, finder),
            vigil,
            commits: 0,
            rung: false,
            closing: false,
            closer: None,
            patience: POLL,
        }
    }

    /// Runs until the hub closes or lets go of the thread.
    pub fn run(mut self) {
        let shared = Arc::clone(&self.writer);
        while let Ok(message) = self.receive() {
            let mut writer = shared.lock();
            let quiet = writer.looked_ago() >= POLL;
            if let Some(message) = message {
                self.take(&mut writer, message);
                self.take_more(&mut writer);
            }
            let worked = writer.queued() > 0;
            self.work(&mut writer);
            let commits = writer.commits();
            let alone = self.closing || commits == std::mem::replace(&mut self.commits, commits);
            // What only a worker may do that lives lengthens its lease.
            let lives = self.vigil.look(&mut writer, &self.outbox);
            if lives {
                self.outbox.push(self.purges.purge_some(&mut writer, alone));
                // First: one that has lost its place meanwhile is told of nothing that others have by now.
                writer.balance();
            }
            if lives && writer.is_worker() && (!worked || writer.looked_ago() >= POLL_BUSY) {
                writer.look(false);
                self.rung = false;
            }
            if self.closing && !self.purges.is_asked() {
                // What could not be written by now is as lost as by a crash: a later process redoes it.
                break;
            }
            if lives {
                self.housekeeping(&mut writer, !worked && quiet);
            }
            self.patience = match writer.queued() {
                0 if self.rung => POLL_BUSY,
                0 if writer.is_worker() => writer.provider.pause().unwrap_or(POLL),
                0 if writer.is_outcast() => POLL_OUTCAST,
                0 => Duration::from_secs(3_600),
                _ => writer.retry_after(),
            };
            self.patience = self.patience.min(self.vigil.pause());
            if let Some(due) = self.purges.due_in(clock::instant(), alone) {
                self.patience = self.patience.min(due);
            }
        }
        let mut writer = shared.lock();
        if writer.is_worker() {
            self.tidy_up(&mut writer);
        }
        if let Some(hints) = writer.hints.take() {
            hints.close();
        }
        if let Some(rid) = self.closer {
            self.outbox.push([Event::Closed(rid)]);
        }
    }

    fn tidy_up(&self, writer: &mut Writer) {
        for result in [writer.provider.maintain(true), writer.provider.release()] {
            if let Err(error) = result {
                self.outbox.push([Event::Trouble(format!("Closing the store: {error}"))]);
            }
        }
    }

    /// Waits for something to do. An error: the hub is gone.
    fn receive(&self) -> Result<Option<StoreMessage>, RecvError> {
        match self.inbox.recv_timeout(self.patience) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(RecvError),
        }
    }

    fn take_more(&mut self, writer: &mut Writer) {
        while writer.queued() < COMMIT_ITEMS
            && let Ok(message) = self.inbox.try_recv()
        {
            self.take(writer, message);
        }
    }

    fn take(&mut self, writer: &mut Writer, message: StoreMessage) {
        match message {
            StoreMessage::Work(era, work) => writer.push(era, work),
            StoreMessage::Read(request) => {
                // Reads see what was asked for before them.
                self.work(writer);
                let event = serve(writer.provider.as_mut(), request);
                self.outbox.push(event);
            }
            StoreMessage::PurgeBy(rid, filter) => self.purges.ask(rid, filter),
            StoreMessage::Purgeable(found) => self.outbox.push(self.purges.found(found)),
            StoreMessage::Settings(settings) => writer.put_settings(settings),
            StoreMessage::Look => self.rung = true,
            StoreMessage::Leave => writer.leave(),
            StoreMessage::Close(rid) => {
                self.closing = true;
                if rid.is_none() {
                    // Nobody is there who could be told.
                    self.purges.forget();
                }
                self.closer = rid;
            }
        }
        self.writer.received();
    }

    /// Writes what is queued, transaction by transaction.
    fn work(&mut self, writer: &mut Writer) {
        while writer.write_some() {
            // All that came meanwhile: each message may be one turn.
            self.take_more(writer);
        }
    }

    /// Housekeeping of the store.
    fn housekeeping(&self, writer: &mut Writer, idle: bool) {
        if let Err(error) = writer.provider.maintain(idle) {
            self.outbox.push([Event::Trouble(format!("Housekeeping of the store: {error}"))]);
        }
    }
}
