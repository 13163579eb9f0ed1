//! Opening the store of a hub, on the thread that then serves it.
//!
//! Owns: the order of opening: the file, the ownership, the settings, the second view for reading.
//! Must never: report a hub as open before this process has it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::core::limits::LEASE_MS;
use crate::core::partition::Shares;
use crate::core::request::HubSettings;
use crate::provider::postgres::{PostgresOptions, PostgresProvider};
use crate::provider::sqlite::{self, SqliteOptions, SqliteProvider};
use crate::provider::{Hint, Listener, Provider, ProviderError, ProviderErrorKind};

use super::clock::HubClock;
use super::entropy::SystemEntropy;
use super::fault::caller_error;
use super::outbox::{Event, Opened, Outbox};
use super::protocol::{Durability, EngineInfo, EngineOptions, Role};
use super::purges::Finder;
use super::reader;
use super::store::{StoreMessage, StoreThread};
use super::vigil::Vigil;
use super::writer::{SharedWriter, Underway, Writer};

/// Opens the store and serves it.
pub(super) fn serve_store(
    options: &EngineOptions,
    settings: HubSettings,
    to_store: Sender<StoreMessage>,
    inbox: Receiver<StoreMessage>,
    underway: Arc<Underway>,
    outbox: &Arc<Outbox>,
    clock: Arc<HubClock>,
) {
    let (finds, found) = (to_store.clone(), Arc::clone(&underway));
    let listener = listener(to_store, Arc::clone(&underway), Arc::clone(outbox));
    match open_store(options, settings, underway, outbox, clock) {
        Err(error) => outbox.push([Event::NotOpened(caller_error(&error))]),
        Ok(mut opened) => {
            let writer = Arc::clone(&opened.writer);
            // Nothing is written on the other thread before what stood in the store has been seen: it
            // would be taken for something that stood there, and be delivered twice.
            let mut first = writer.lock();
            opened.hints = first.listen(listener);
            // What is to be purged is looked for beside all that is written, where that can be.
            let finder = |reads| Finder { reads, to_store: finds, underway: found };
            let finder = opened.reads.clone().map(finder);
            outbox.push([Event::Opened(Box::new(opened))]);
            first.look(true);
            drop(first);
            let vigil = Vigil::new(options, Arc::clone(outbox.pulse()));
            StoreThread::new(writer, options.retention, vigil, finder, inbox, Arc::clone(outbox))
                .run();
        }
    }
}

/// Who is told what other processes tell.
fn listener(
    to_store: Sender<StoreMessage>,
    underway: Arc<Underway>,
    outbox: Arc<Outbox>,
) -> Listener {
    Box::new(move |hint| {
        if hint == Hint::Bells {
            underway.add();
            // A thread that is gone has nothing to look at.
            let _ = to_store.send(StoreMessage::Look);
        } else {
            outbox.push([Event::Hint(hint)]);
        }
    })
}

/// The store that the options name.
fn provider_of(options: &EngineOptions) -> Result<Box<dyn Provider>, ProviderError> {
    let relaxed = options.durability == Durability::Relaxed;
    let hub_name = options.hub_name.clone();
    if let Some(url) = options.url.clone() {
        let lease_ms = options.lease_ms.unwrap_or(LEASE_MS);
        let listen_url = options.listen_url.clone();
        let distributed = options.distributed;
        let options = PostgresOptions { url, hub_name, relaxed, lease_ms, listen_url, distributed };
        return Ok(Box::new(PostgresProvider::open(&options)?));
    }
    let role = match options.role {
        Role::Worker => sqlite::Role::Worker,
        Role::Client => sqlite::Role::Client,
    };
    let path = options.path.as_ref().map(PathBuf::from);
    let options = SqliteOptions { path, hub_name, relaxed, role };
    Ok(Box::new(SqliteProvider::open(&options)?))
}

fn open_store(
    options: &EngineOptions,
    mut settings: HubSettings,
    underway: Arc<Underway>,
    outbox: &Arc<Outbox>,
    clock: Arc<HubClock>,
) -> Result<Opened, ProviderError> {
    let worker = options.role == Role::Worker;
    let mut provider = provider_of(options)?;
    let mut ownership = None;
    if worker {
        ownership = Some(provider.acquire(&settings)?);
    } else {
        provider.transaction(None, &mut |rows| {
            settings = rows.settings()?;
            Ok(())
        })?;
    }
    let epoch = ownership.as_ref().map(|ownership| ownership.epoch);
    let shares = ownership.as_ref().map_or(Shares::WHOLE, |ownership| ownership.shares);
    let reads = match provider.reader()? {
        None => None,
        Some(view) => {
            let (sender, receiver) = channel();
            reader::spawn(view, receiver, Arc::clone(outbox)).map_err(|error| {
                let kind = ProviderErrorKind::Permanent;
                ProviderError::new(kind, "starting the reader thread", error)
            })?;
            Some(sender)
        }
    };
    let synced = provider.durability()?;
    let info = EngineInfo {
        hub_id: ownership.map(|ownership| ownership.hub_id).unwrap_or_default(),
        hub_name: provider.hub_name()?,
        epoch: epoch.unwrap_or_default(),
        synchronous: synced.settings,
        warnings: synced.warnings,
        payload_bytes: settings.payload_bytes,
    };
    let entropy = Box::new(SystemEntropy);
    let mut writer = Writer::new(provider, epoch, settings, entropy, Arc::clone(outbox), clock);
    writer.follow_clock()?;
    let writer = Arc::new(SharedWriter::new(writer, underway));
    Ok(Opened { info, shares, reads, writer, hints: None })
}
