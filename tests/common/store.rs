//! The stores over which tests run, and what goes with them.

use std::path::PathBuf;

use durafn::provider::Provider;
use durafn::provider::memory::MemoryProvider;
use durafn::provider::postgres::{PostgresOptions, PostgresProvider};
use durafn::provider::sqlite::{Role, SqliteOptions, SqliteProvider};

use super::postgres::Schema;

/// A store and what has to outlive it.
pub(crate) struct Store {
    pub(crate) provider: Box<dyn Provider>,
    pub(crate) kept: Kept,
}

/// What goes when a test is over.
#[derive(Default)]
pub(crate) struct Kept {
    folder: Option<tempfile::TempDir>,
    _schema: Option<Schema>,
}

impl Store {
    pub(crate) fn memory() -> Self {
        Self { provider: Box::new(MemoryProvider::new()), kept: Kept::default() }
    }

    pub(crate) fn sqlite_in_memory() -> Self {
        Self { provider: Box::new(Self::sqlite(None)), kept: Kept::default() }
    }

    pub(crate) fn sqlite_file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = Box::new(Self::sqlite(Some(folder.path().join("hub.db"))));
        Self { provider, kept: Kept { folder: Some(folder), ..Kept::default() } }
    }

    pub(crate) fn postgres() -> Self {
        Self::postgres_of(false)
    }

    /// With what PostgreSQL has in common with other servers.
    pub(crate) fn postgres_distributed() -> Self {
        Self::postgres_of(true)
    }

    fn postgres_of(distributed: bool) -> Self {
        let schema = Schema::fresh();
        let options = PostgresOptions { relaxed: true, distributed, ..schema.options() };
        let provider = Box::new(PostgresProvider::open(&options).unwrap());
        Self { provider, kept: Kept { _schema: Some(schema), ..Kept::default() } }
    }

    /// In a schema that somebody else drops.
    pub(crate) fn postgres_in(schema: &Schema, lease_ms: i64) -> Self {
        let options = PostgresOptions { relaxed: true, lease_ms, ..schema.options() };
        Self::of(Box::new(PostgresProvider::open(&options).unwrap()))
    }

    pub(crate) fn of(provider: Box<dyn Provider>) -> Self {
        Self { provider, kept: Kept::default() }
    }

    /// The hub's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.kept.folder.as_ref().unwrap().path().join("hub.db")
    }

    fn sqlite(path: Option<PathBuf>) -> SqliteProvider {
        // Power is not lost in these tests, and each commit synced would take most of their time.
        let options = SqliteOptions { path, hub_name: None, relaxed: true, role: Role::Worker };
        SqliteProvider::open(&options).unwrap()
    }
}
