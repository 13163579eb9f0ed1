//! The thread of the store.
//!
//! Owns: everything that is written and does not go by the short way (`writer`), looking for what
//! other processes wrote, housekeeping and retention. Must never: hold the writer while it waits for
//! something to do. Proved by every test under `__test__/`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::core::limits::{COMMIT_ITEMS, PURGE_INSTANCES};
use crate::core::request::{Answer, Command, Filter, HubSettings};
use crate::core::status::RuntimeStatus;
use crate::provider::ProviderError;
use crate::provider::transaction::Work;

use super::clock;
use super::fault::caller_error;
use super::outbox::{Event, Outbox};
use super::protocol::{Reply, RequestId, Retention};
use super::reader::{ReadRequest, serve};
use super::writer::{SharedWriter, Ticket, Writer};

/// What the store thread is asked for.
#[derive(Debug)]
pub enum StoreMessage {
    /// To be done in order.
    Work(Vec<(Ticket, Work)>),
    /// To be read here, because the store has no second view.
    Read(ReadRequest),
    /// Ended instances that pass the filter are to be removed, bit by bit.
    PurgeBy(RequestId, Filter),
    /// Hub settings from now on.
    Settings(HubSettings),
    /// The last message.
    Close(Option<RequestId>),
}

/// How often the store is looked at for what other processes wrote. A look costs about 90 µs, so
/// this is 0.2 % of a core.
const POLL: Duration = Duration::from_millis(40);
/// Shortest time between two looks while there is own work.
const POLL_BUSY: Duration = Duration::from_millis(5);
/// Between two rounds of retention.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);

/// See the module's text.
pub struct StoreThread {
    writer: Arc<SharedWriter>,
    retention: Retention,
    inbox: Receiver<StoreMessage>,
    outbox: Arc<Outbox>,
    purges: VecDeque<(RequestId, Filter, usize)>,
    closing: bool,
    /// Who is told that the store is closed.
    closer: Option<RequestId>,
    retained: Option<Instant>,
    /// How long it waits for a message.
    patience: Duration,
}

impl StoreThread {
    /// Of an open store.
    pub fn new(
        writer: Arc<SharedWriter>,
        retention: Retention,
        inbox: Receiver<StoreMessage>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self {
            writer,
            retention,
            inbox,
            outbox,
            purges: VecDeque::new(),
            closing: false,
            closer: None,
            retained: None,
            patience: POLL,
        }
    }

    /// Runs until the hub closes or lets go of the thread.
    pub fn run(mut self) {
        let shared = Arc::clone(&self.writer);
        shared.lock().look(true);
        while let Ok(message) = self.receive() {
            let mut writer = shared.lock();
            let quiet = writer.looked_ago() >= POLL;
            if let Some(message) = message {
                self.take(&mut writer, message);
                self.take_more(&mut writer);
            }
            let worked = writer.queued() > 0;
            self.work(&mut writer);
            self.purge_some(&mut writer);
            if writer.is_worker() && (!worked || writer.looked_ago() >= POLL_BUSY) {
                writer.look(false);
            }
            if self.closing && self.purges.is_empty() {
                // What could not be written by now is as lost as by a crash: a later process redoes it.
                break;
            }
            self.housekeeping(&mut writer, !worked && quiet);
            self.patience = match writer.queued() {
                0 if writer.is_worker() => POLL,
                0 => Duration::from_secs(3_600),
                _ => writer.retry_after(),
            };
        }
        let mut writer = shared.lock();
        if writer.is_worker() {
            self.tidy_up(&mut writer);
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
        if !self.purges.is_empty() {
            return Ok(self.inbox.try_recv().ok());
        }
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
            StoreMessage::Work(work) => writer.push(work),
            StoreMessage::Read(request) => {
                // Reads see what was asked for before them.
                self.work(writer);
                let event = serve(writer.provider.as_mut(), request);
                self.outbox.push(event);
            }
            StoreMessage::PurgeBy(rid, filter) => self.purges.push_back((rid, filter, 0)),
            StoreMessage::Settings(settings) => writer.put_settings(settings),
            StoreMessage::Close(rid) => {
                self.closing = true;
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

    fn purge_some(&mut self, writer: &mut Writer) {
        let Some((rid, filter, deleted)) = self.purges.pop_front() else {
            return;
        };
        match purge_batch(writer, &filter, None) {
            Ok(count) if count == PURGE_INSTANCES => {
                self.purges.push_back((rid, filter, deleted + count));
            }
            Ok(count) => {
                let answer = Answer::Deleted { deleted: deleted + count };
                self.outbox.push([Event::Reply(Reply::ok(rid, &answer))]);
            }
            Err(error) => {
                self.outbox.push([Event::Reply(Reply::error(rid, caller_error(&error)))]);
            }
        }
    }

    /// Housekeeping of the store, and retention in small pieces.
    fn housekeeping(&mut self, writer: &mut Writer, idle: bool) {
        if let Err(error) = writer.provider.maintain(idle) {
            self.outbox.push([Event::Trouble(format!("Housekeeping of the store: {error}"))]);
        }
        let due = self.retained.is_none_or(|last| last.elapsed() >= RETENTION_PERIOD);
        if !writer.is_worker() || !due {
            return;
        }
        let now = clock::now_ms();
        let mut more = false;
        for (status, age) in [
            (RuntimeStatus::Completed, self.retention.completed_ms),
            (RuntimeStatus::Failed, self.retention.failed_ms),
            (RuntimeStatus::Terminated, self.retention.terminated_ms),
        ] {
            let Some(age) = age else { continue };
            let filter = Filter { runtime_status: vec![status], ..Filter::default() };
            match purge_batch(writer, &filter, Some(now - age)) {
                Ok(count) => more |= count == PURGE_INSTANCES,
                Err(error) => self.outbox.push([Event::Trouble(format!("Retention: {error}"))]),
            }
        }
        self.retained = (!more).then(clock::instant);
    }
}

fn purge_batch(
    writer: &mut Writer,
    filter: &Filter,
    completed_before: Option<i64>,
) -> Result<usize, ProviderError> {
    let keys = writer.provider.purgeable(filter, completed_before, PURGE_INSTANCES)?;
    if keys.is_empty() {
        return Ok(0);
    }
    let count = keys.len();
    writer.transact(&[(Ticket::Nobody, Work::Command(Command::PurgeKeys(keys)))])?;
    Ok(count)
}
