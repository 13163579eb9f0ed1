//! Questions to the store, answered on a thread of their own where the store has a second view.
//!
//! Owns: turning rows into answers. Must never: write.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use serde::Serialize;

use crate::core::error::{Error, ErrorCode};
use crate::core::history::HistoryRecord;
use crate::core::ids::fold_entity_id;
use crate::core::limits::READY_READ;
use crate::core::request::{EntityFilter, Filter};
use crate::core::view::{EntityView, StatusView};
use crate::core::{InstanceKey, TimeMs};
use crate::provider::sqlite::{self, SqliteOptions, SqliteProvider};
use crate::provider::{Page, Reader, Result};

use super::fault::caller_error;
use super::outbox::{Event, Outbox};
use super::protocol::{Reply, RequestId};
use super::threads;
use super::waiters::Watched;

/// Timers read at a time.
const TIMERS: usize = 100_000;

/// A question.
#[derive(Debug)]
pub enum ReadRequest {
    /// An instance, to be run again.
    Load(InstanceKey),
    /// Callers wait for these instances: have they ended?
    Watch(Vec<String>),
    /// The same, again and again.
    Sweep(Vec<String>),
    /// Status of an instance.
    Get {
        /// Who asks.
        rid: RequestId,
        /// The instance.
        instance_id: String,
        /// With its history.
        history: bool,
    },
    /// A page of instances.
    List {
        /// Who asks.
        rid: RequestId,
        /// Which instances.
        filter: Filter,
        /// Which page.
        page: Page,
    },
    /// An entity, to carry out operations.
    LoadEntity(InstanceKey),
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
    /// Timers up to a time.
    Timers(TimeMs),
    /// Ready instances from a key on.
    Ready(InstanceKey),
    /// A copy of the store.
    Backup {
        /// Who asks.
        rid: RequestId,
        /// Where to.
        file: PathBuf,
    },
}

/// The thread: answers until the hub lets go of it.
pub fn run(mut reader: Box<dyn Reader>, inbox: &Receiver<ReadRequest>, outbox: &Outbox) {
    while let Ok(request) = inbox.recv() {
        let event = serve(reader.as_mut(), request);
        outbox.push(event);
    }
}

/// Answers one question.
pub fn serve<R: Reader + ?Sized>(reader: &mut R, request: ReadRequest) -> [Event; 1] {
    [match request {
        ReadRequest::Load(key) => Event::Loaded(key, Box::new(reader.load(key))),
        ReadRequest::Watch(ids) => Event::Watched(watch(reader, ids)),
        ReadRequest::Sweep(ids) => Event::Swept(watch(reader, ids)),
        ReadRequest::Get { rid, instance_id, history } => {
            reply(rid, status(reader, &instance_id, history))
        }
        ReadRequest::List { rid, filter, page } => reply(rid, list(reader, &filter, &page)),
        ReadRequest::LoadEntity(key) => Event::EntityLoaded(key, Box::new(reader.load_entity(key))),
        ReadRequest::GetEntity { rid, entity_id } => {
            let row = reader.find_entity(&fold_entity_id(&entity_id));
            reply(rid, row.map(|row| row.map(EntityView::from)))
        }
        ReadRequest::ListEntities { rid, filter, page } => {
            reply(rid, list_entities(reader, &filter, &page))
        }
        ReadRequest::Count { rid, filter } => reply(rid, reader.count(&filter)),
        ReadRequest::Stats { rid } => reply(rid, reader.stats()),
        ReadRequest::Timers(until) => Event::Timers(match reader.timers_due(until, TIMERS) {
            // A reading that was cut short ends before the last time that it saw.
            Ok(rows) if rows.len() == TIMERS => {
                Ok((rows.last().map_or(until, |row| row.fire_at - 1), rows))
            }
            Ok(rows) => Ok((until, rows)),
            Err(error) => Err(error.to_string()),
        }),
        ReadRequest::Ready(from) => match reader.ready(from, READY_READ) {
            Ok(keys) => Event::Ready(keys),
            Err(error) => Event::ReadyFailed(from, error.to_string()),
        },
        ReadRequest::Backup { rid, file } => reply(rid, reader.backup(&file)),
    }]
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

fn status<R: Reader + ?Sized>(
    reader: &mut R,
    id: &str,
    with_history: bool,
) -> Result<Option<StatusView>> {
    let Some(row) = reader.find(id)? else {
        return Ok(None);
    };
    let (key, ended) = (row.head.key, row.head.status.has_ended());
    let mut view = StatusView::from(row);
    if with_history || !ended {
        // Rows that cannot be read are left out; the instance's problem says so once it is run.
        let records: Vec<HistoryRecord> = reader
            .history(key)?
            .iter()
            .filter_map(|body| HistoryRecord::decode(body).ok())
            .collect();
        view.add_history(&records, with_history);
    }
    Ok(Some(view))
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
            Err(error) => [Event::Reply(Reply::error(rid, caller_error(&error)))],
        };
        outbox.push(event);
    };
    if let Err(error) = threads::spawn("durafn-backup", Arc::clone(outbox), copy) {
        let error = Error::new(ErrorCode::StoreUnavailable, format!("no thread: {error}"));
        outbox.push([Event::Reply(Reply::error(rid, error))]);
    }
}
