//! A store that fails as it is told: on the way to the work of a transaction, within it, or at its commit.

use std::path::Path;
use std::sync::{Arc, Mutex};

use durafn::core::entity::EntityRow;
use durafn::core::instance::InstanceRow;
use durafn::core::request::{EntityFilter, Filter, HubSettings};
use durafn::core::{InstanceKey, TimeMs};
use durafn::provider::memory::MemoryProvider;
use durafn::provider::{
    Arrivals, EntityListing, EntityReader, Epoch, HistoryPlace, Listing, Loaded, LoadedEntity,
    Ownership, Page, Provider, ProviderError, ProviderErrorKind, Purgeable, Reader, Result, Rows,
    Snapshot, StoreStats, TimerRow,
};

/// Where a transaction fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Before its work is asked for.
    Begin,
    /// When its work is done.
    Commit,
    /// When a worker that has lost its place joins again.
    Join,
}

/// What fails, until it is told otherwise.
pub(crate) type Fault = Arc<Mutex<Option<(At, ProviderErrorKind)>>>;

/// A store in memory that can be told to fail.
#[derive(Default)]
pub(crate) struct Faulty {
    inner: MemoryProvider,
    pub(crate) fault: Fault,
    /// How often a transaction was begun.
    pub(crate) begun: Arc<Mutex<usize>>,
}

impl Faulty {
    fn check(&self, at: At) -> Result<()> {
        match *self.fault.lock().unwrap() {
            Some((of, kind)) if of == at => Err(ProviderError::new(kind, "reach the store", "no")),
            _ => Ok(()),
        }
    }
}

impl Provider for Faulty {
    fn transaction(
        &mut self,
        fence: Option<Epoch>,
        work: &mut dyn FnMut(&mut dyn Rows) -> Result<()>,
    ) -> Result<()> {
        *self.begun.lock().unwrap() += 1;
        self.check(At::Begin)?;
        let spoilt = self.check(At::Commit);
        self.inner.transaction(fence, &mut |rows| {
            work(rows)?;
            spoilt.clone()
        })
    }

    fn join_again(&mut self, settings: &HubSettings) -> Result<Option<Ownership>> {
        self.check(At::Join)?;
        self.acquire(settings).map(Some)
    }

    fn acquire(&mut self, settings: &HubSettings) -> Result<Ownership> {
        self.inner.acquire(settings)
    }

    fn release(&mut self) -> Result<()> {
        self.inner.release()
    }

    fn worker_lives(&mut self) -> Result<bool> {
        self.inner.worker_lives()
    }

    fn arrivals(&mut self) -> Result<Arrivals> {
        self.inner.arrivals()
    }

    fn maintain(&mut self, idle: bool) -> Result<()> {
        self.inner.maintain(idle)
    }

    fn reader(&self) -> Result<Option<Box<dyn Reader>>> {
        self.inner.reader()
    }

    fn hub_name(&mut self) -> Result<Option<String>> {
        self.inner.hub_name()
    }

    fn durability(&mut self) -> Result<durafn::provider::Synced> {
        self.inner.durability()
    }
}

impl Reader for Faulty {
    fn find(&mut self, id: &str) -> Result<Option<InstanceRow>> {
        self.inner.find(id)
    }
    fn load(&mut self, key: InstanceKey) -> Result<Option<Loaded>> {
        self.inner.load(key)
    }
    fn history_after(
        &mut self,
        key: InstanceKey,
        after: HistoryPlace,
        bytes: usize,
    ) -> Result<Vec<(HistoryPlace, Vec<u8>)>> {
        self.inner.history_after(key, after, bytes)
    }
    fn list(&mut self, filter: &Filter, page: &Page) -> Result<Listing> {
        self.inner.list(filter, page)
    }
    fn count(&mut self, filter: &Filter) -> Result<u64> {
        self.inner.count(filter)
    }
    fn purgeable(
        &mut self,
        filter: &Filter,
        completed_before: Option<TimeMs>,
        page: &Page,
    ) -> Result<Purgeable> {
        self.inner.purgeable(filter, completed_before, page)
    }
    fn ready(&mut self, from: InstanceKey, limit: usize) -> Result<Vec<InstanceKey>> {
        self.inner.ready(from, limit)
    }
    fn timers_after(
        &mut self,
        after: TimerRow,
        until: TimeMs,
        limit: usize,
    ) -> Result<Vec<TimerRow>> {
        self.inner.timers_after(after, until, limit)
    }
    fn stats(&mut self) -> Result<StoreStats> {
        self.inner.stats()
    }
    fn backup(&mut self, file: &Path) -> Result<()> {
        self.inner.backup(file)
    }
    fn snapshot(&mut self) -> Result<Snapshot> {
        self.inner.snapshot()
    }
}

impl EntityReader for Faulty {
    fn find_entity(&mut self, id: &str) -> Result<Option<EntityRow>> {
        self.inner.find_entity(id)
    }
    fn load_entity(&mut self, key: InstanceKey) -> Result<Option<LoadedEntity>> {
        self.inner.load_entity(key)
    }
    fn list_entities(&mut self, filter: &EntityFilter, page: &Page) -> Result<EntityListing> {
        self.inner.list_entities(filter, page)
    }
}
