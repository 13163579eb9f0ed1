//! Questions to the store, answered on a thread of their own where the store has a second view.
//!
//! Owns: turning rows into answers. Must never: write.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use serde::Serialize;

use crate::core::InstanceKey;
use crate::core::error::{Error, ErrorCode};
use crate::core::ids::fold_entity_id;
use crate::core::limits::{READY_READ, TIMERS_READ};
use crate::core::request::{EntityFilter, Filter};
use crate::core::view::{EntityView, StatusView};
use crate::provider::sqlite::{self, SqliteOptions, SqliteProvider};
use crate::provider::{Loaded, LoadedEntity, Page, Purgeable, Reader, Result, TimerRow};

use super::dispatcher::{Dispatcher, Era, Step};
use super::fault::caller_error;
use super::outbox::{Event, Outbox};
use super::protocol::{Reply, RequestId};
use super::purges::Search;
use super::status_reading::{StatusReading, StatusRequest};
use super::threads;
use super::timers::TimerRange;
use super::waiters::Watched;

/// Who is told what a purge is to remove.
pub(super) type Found = Box<dyn FnOnce(Result<Purgeable>) + Send>;

/// A question.
pub enum ReadRequest {
    /// Of the store's thread, which is told at once.
    Purgeable(Search, Found),
    /// Something that the dispatcher asks, in that era.
    Own(Era, Question),
    /// Callers wait for these instances: have they ended?
    Watch(Vec<String>),
    /// The same, again and again.
    Sweep(Vec<String>),
    /// Status of an instance.
    Get(StatusRequest),
    /// A page of instances.
    List {
        /// Who asks.
        rid: RequestId,
        /// Which instances.
        filter: Filter,
        /// Which page.
        page: Page,
    },
    /// An entity's state.
    GetEntity {
        /// Who asks.
        rid: RequestId,
        /// The entity.
        entity_id: String,
    },
    /// A page of entities.
    ListEntities {
        /// Who asks.
        rid: RequestId,
        /// Which entities.
        filter: EntityFilter,
        /// Which page.
        page: Page,
    },
    /// How many instances.
    Count {
        /// Who asks.
        rid: RequestId,
        /// Which instances.
        filter: Filter,
    },
    /// What the store holds.
    Stats {
        /// Who asks.
        rid: RequestId,
    },
    /// A copy of the store.
    Backup {
        /// Who asks.
        rid: RequestId,
        /// Where to.
        file: PathBuf,
    },
}

/// What the dispatcher asks.
#[derive(Debug, Clone, Copy)]
pub enum Question {
    /// An instance, to be run again.
    Load(InstanceKey),
    /// An entity, to carry out operations.
    LoadEntity(InstanceKey),
    /// A part of the timers.
    Timers(TimerRange),
    /// Ready instances from a key on.
    Ready(InstanceKey),
}

impl Question {
    /// What a step asks. It is taken from it.
    pub(super) fn of(step: &mut Step) -> Vec<Self> {
        let load = |key| if key < 0 { Self::LoadEntity(key) } else { Self::Load(key) };
        let loads = std::mem::take(&mut step.loads).into_iter().map(load);
        let timers = step.timers.take().map(Self::Timers);
        loads.chain(timers).chain(step.ready_from.take().map(Self::Ready)).collect()
    }
}

/// The answer to a [`Question`].
pub enum Answer {
    /// An instance was read.
    Loaded(InstanceKey, Box<Result<Option<Loaded>>>),
    /// An entity was read.
    EntityLoaded(InstanceKey, Box<Result<Option<LoadedEntity>>>),
    /// Timers were read.
    Timers(Result<(TimerRow, Vec<TimerRow>)>),
    /// Keys of ready instances were read, or could not be read from this key on.
    Ready(InstanceKey, Result<Vec<InstanceKey>>),
}

impl Answer {
    /// Tells the dispatcher, who asked.
    pub(super) fn tell(self, dispatcher: &mut Dispatcher, step: &mut Step) {
        match self {
            Self::Loaded(key, answer) => dispatcher.loaded(key, *answer, step),
            Self::EntityLoaded(key, answer) => dispatcher.entity_loaded(key, *answer, step),
            Self::Timers(Ok((read_to, rows))) => dispatcher.timers_read(read_to, rows),
            Self::Timers(Err(error)) => {
                dispatcher.timers_failed();
                step.trouble(error.to_string());
            }
            Self::Ready(_, Ok(keys)) => dispatcher.ready_read(&keys),
            Self::Ready(from, Err(error)) => {
                dispatcher.ready_failed(from);
                step.trouble(error.to_string());
            }
        }
    }
}

/// The thread: answers until the hub lets go of it. Histories that somebody looks at are read in parts, between
/// which the others are served.
pub fn run(mut reader: Box<dyn Reader>, inbox: &Receiver<ReadRequest>, outbox: &Outbox) {
    let mut statuses: VecDeque<StatusReading> = VecDeque::new();
    loop {
        let request = if statuses.is_empty() {
            inbox.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            inbox.try_recv()
        };
        // What was removed answers no question, and a client that only reads hears of it nowhere else.
        if request.is_ok()
            && let Err(error) = reader.is_there()
        {
            outbox.push([Event::Fatal(caller_error(&error))]);
            continue;
        }
        match request {
            Ok(ReadRequest::Get(request)) => statuses.push_back(StatusReading::new(request)),
            Ok(request) => {
                outbox.wait_for_room();
                outbox.push(serve(reader.as_mut(), request));
            }
            Err(TryRecvError::Disconnected) if statuses.is_empty() => return,
            Err(_) => {}
        }
        let Some(mut reading) = statuses.pop_front() else { continue };
        outbox.wait_for_room();
        match reading.go_on(reader.as_mut()) {
            Some(answer) => outbox.push([answer]),
            None => statuses.push_front(reading),
        }
    }
}

/// Answers one question.
pub fn serve<R: Reader + ?Sized>(reader: &mut R, request: ReadRequest) -> Option<Event> {
    Some(match request {
        ReadRequest::Purgeable(search, found) => {
            found(search.look(reader));
            return None;
        }
        ReadRequest::Own(era, question) => Event::Read(era, answer(reader, question)),
        ReadRequest::Watch(ids) => Event::Watched(watch(reader, ids)),
        ReadRequest::Sweep(ids) => Event::Swept(watch(reader, ids)),
        ReadRequest::Get(request) => {
            let mut reading = StatusReading::new(request);
            loop {
                if let Some(answer) = reading.go_on(reader) {
                    break answer;
                }
            }
        }
        ReadRequest::List { rid, filter, page } => reply(rid, list(reader, &filter, &page)),
        ReadRequest::GetEntity { rid, entity_id } => {
            let row = reader.find_entity(&fold_entity_id(&entity_id));
            reply(rid, row.map(|row| row.map(EntityView::from)))
        }
        ReadRequest::ListEntities { rid, filter, page } => {
            reply(rid, list_entities(reader, &filter, &page))
        }
        ReadRequest::Count { rid, filter } => reply(rid, reader.count(&filter)),
        ReadRequest::Stats { rid } => reply(rid, reader.stats()),
        ReadRequest::Backup { rid, file } => reply(rid, reader.backup(&file)),
    })
}

fn answer<R: Reader + ?Sized>(reader: &mut R, question: Question) -> Answer {
    match question {
        Question::Load(key) => Answer::Loaded(key, Box::new(reader.load(key))),
        Question::LoadEntity(key) => Answer::EntityLoaded(key, Box::new(reader.load_entity(key))),
        Question::Timers(range) => {
            let rows = reader.timers_after(range.after, range.until, TIMERS_READ);
            Answer::Timers(rows.map(|rows| (range.read_to(&rows, TIMERS_READ), rows)))
        }
        Question::Ready(from) => Answer::Ready(from, reader.ready(from, READY_READ)),
    }
}

fn watch<R: Reader + ?Sized>(reader: &mut R, ids: Vec<String>) -> Watched {
    let view = |row| Box::new(StatusView::from(row));
    match reader.settled(&ids) {
        Ok(settled) => Ok(settled.into_iter().map(|(id, row)| (id, row.map(view))).collect()),
        Err(error) => Err((ids, caller_error(&error))),
    }
}

fn reply<T: Serialize>(rid: RequestId, answer: Result<T>) -> Event {
    Event::Reply(match answer {
        Ok(value) => Reply::ok(rid, &value),
        Err(error) => Reply::error(rid, caller_error(&error)),
    })
}

#[derive(Serialize)]
struct PageView {
    instances: Vec<StatusView>,
    cursor: Option<String>,
}

fn list<R: Reader + ?Sized>(reader: &mut R, filter: &Filter, page: &Page) -> Result<PageView> {
    let listing = reader.list(filter, page)?;
    let instances = listing.rows.into_iter().map(StatusView::from).collect();
    Ok(PageView { instances, cursor: listing.cursor })
}

#[derive(Serialize)]
struct EntityPageView {
    entities: Vec<EntityView>,
    cursor: Option<String>,
}

fn list_entities<R: Reader + ?Sized>(
    reader: &mut R,
    filter: &EntityFilter,
    page: &Page,
) -> Result<EntityPageView> {
    let listing = reader.list_entities(filter, page)?;
    let entities = listing.rows.into_iter().map(EntityView::from).collect();
    Ok(EntityPageView { entities, cursor: listing.cursor })
}

/// Starts the thread.
///
/// # Errors
/// If the system gives none.
pub fn spawn(
    reader: Box<dyn Reader>,
    inbox: Receiver<ReadRequest>,
    outbox: Arc<Outbox>,
) -> std::io::Result<()> {
    threads::spawn("durafn-reader", outbox, move |outbox| run(reader, &inbox, outbox))
}

/// Copies a hub's file on a thread of its own.
pub(super) fn spawn_backup(hub: PathBuf, rid: RequestId, file: PathBuf, outbox: &Arc<Outbox>) {
    let copy = move |outbox: &Arc<Outbox>| {
        let options = SqliteOptions {
            path: Some(hub),
            hub_name: None,
            relaxed: false,
            role: sqlite::Role::Client,
        };
        let event = match SqliteProvider::open(&options) {
            Ok(mut view) => serve(&mut view, ReadRequest::Backup { rid, file }),
            Err(error) => Some(Event::Reply(Reply::error(rid, caller_error(&error)))),
        };
        outbox.push(event);
    };
    if let Err(error) = threads::spawn("durafn-backup", Arc::clone(outbox), copy) {
        let error = Error::new(ErrorCode::StoreUnavailable, format!("no thread: {error}"));
        outbox.push([Event::Reply(Reply::error(rid, error))]);
    }
}
