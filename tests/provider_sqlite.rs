//! What is true of hubs in SQLite and of no other store: files, locks, processes beside each other,
//! indexes. What every store must do is in `conformance.rs` and `differential.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

mod provider_sqlite {
    mod arrivals;
    mod faults;
    mod hub;
    mod listing;
    mod locks;
    mod model;
    mod names;
    mod sharing;
    mod space;
}

use std::path::{Path, PathBuf};

use durafn::core::instance::NewInstance;
use durafn::core::request::HubSettings;
use durafn::core::{InstanceKey, Payload, TimeMs};
use durafn::provider::sqlite::{Role, SqliteOptions, SqliteProvider};
use durafn::provider::{Epoch, Provider, ProviderErrorKind, Result, Rows};
use serde_json::value::RawValue;

/// A folder that is gone at the end of the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn hub(&self) -> PathBuf {
        self.path().join("hub.db")
    }
}

/// Numbers that a seed determines (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn options(path: &Path, role: Role) -> SqliteOptions {
    SqliteOptions { path: Some(path.to_owned()), hub_name: None, relaxed: false, role }
}

fn open(path: &Path, role: Role) -> Result<SqliteProvider> {
    SqliteProvider::open(&options(path, role))
}

fn client(path: &Path) -> SqliteProvider {
    open(path, Role::Client).unwrap()
}

/// A worker that has the hub, and its epoch.
fn worker(path: &Path) -> (SqliteProvider, Epoch) {
    let mut provider = open(path, Role::Worker).unwrap();
    let epoch = provider.acquire(&HubSettings::default()).unwrap().epoch;
    (provider, epoch)
}

fn payload(json: &str) -> Payload {
    RawValue::from_string(json.to_owned()).unwrap().into()
}

fn instance(id: &str, name: &str, scheduled_ms: TimeMs) -> NewInstance {
    NewInstance {
        id: id.to_owned(),
        name: name.to_owned(),
        version: None,
        input: Some(payload("{\"n\":1}")),
        parent: None,
        parent_id: None,
        scheduled_ms,
        crashes: 0,
        begun: None,
    }
}

/// Runs `work` in a transaction and gives what it gave.
fn transact<T>(
    provider: &mut dyn Provider,
    fence: Option<Epoch>,
    mut work: impl FnMut(&mut dyn Rows) -> Result<T>,
) -> Result<T> {
    let mut given = None;
    provider.transaction(fence, &mut |rows| {
        given = Some(work(rows)?);
        Ok(())
    })?;
    Ok(given.unwrap())
}

fn start(provider: &mut dyn Provider, fence: Option<Epoch>, id: &str) -> Result<InstanceKey> {
    transact(provider, fence, |rows| rows.insert_instance(&instance(id, "Order", 1_000)))
}

/// The kind of a failure.
fn kind<T>(result: Result<T>) -> ProviderErrorKind {
    result.err().expect("a failure").kind
}
