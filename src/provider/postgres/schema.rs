//! The tables of a hub: making them, bringing them up to date, recognising them.
//!
//! Owns: which schema is a hub, and which version of its tables it has. Must never: change a schema that
//! is not a hub, or one of a newer version. Proved by `tests/provider_postgres.rs`.

use crate::provider::{ProviderError, ProviderErrorKind, Result};

use super::columns::column;
use super::session::{Ask, Place, Session, Trouble};

/// Each brings the tables from the version of its place to the next one. Once released, none changes.
const MIGRATIONS: [&str; 4] = [
    include_str!("../../../migrations/postgres/0001_hub.sql"),
    include_str!("../../../migrations/postgres/0002_entities.sql"),
    include_str!("../../../migrations/postgres/0003_versions.sql"),
    include_str!("../../../migrations/postgres/0004_turns.sql"),
];
/// How many partitions the first migration makes.
const PARTITIONS: i16 = 256;
/// How often a process begins anew that met another one.
const TRIES: usize = 20;
/// Longest name of a schema, in bytes.
const NAME_BYTES: usize = 63;

const ENCODING: &str = "SELECT current_setting('server_encoding', true)";
/// Encodings that hold every text: that of Unicode, and none, which keeps the bytes as they are.
const UNICODE: [&str; 3] = ["UTF8", "UNICODE", "SQL_ASCII"];
/// Not `to_regclass`: a process may keep in mind that there is no such table.
const TABLES: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c \
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1::text AND c.relname = 'hub')";
/// Whoever brings the tables up to date has the hub's row for himself.
const LOCK: &str = "SELECT version FROM hub.hub FOR UPDATE";
const HUB: &str = "SELECT version, hub_name, part_count FROM hub.hub";
const PUT_NAME: &str = "UPDATE hub.hub SET hub_name = $1 WHERE hub_name IS NULL";
/// A process that stops in the middle keeps the others waiting no longer than this.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'";
const PREPARING: &str = "make the hub's tables";

/// What a hub was made with.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) hub_name: Option<String>,
    pub(super) partitions: u16,
}

/// The schema of a hub of that name.
pub(super) fn name(hub_name: Option<&str>) -> Result<String> {
    let schema = match hub_name {
        None | Some("default") => "durafn".to_owned(),
        Some(name) => format!("durafn_{name}"),
    };
    if schema.len() <= NAME_BYTES {
        return Ok(schema);
    }
    let cause = format!("the hub's name makes a schema of more than {NAME_BYTES} bytes: {schema}");
    Err(ProviderError::new(ProviderErrorKind::Invalid, PREPARING, cause))
}

/// Makes the tables where there are none, and brings them up to date; one process at a time. A process
/// without the right to change tables can use what is up to date.
pub(super) fn prepare(
    session: &mut Session,
    place: &Place,
    hub_name: Option<&str>,
) -> Result<Facts> {
    check_encoding(session)?;
    let mut version = version(session, place, HUB)?;
    let mut tries = 0;
    while version < MIGRATIONS.len() {
        session.batch(PREPARING, BEGIN)?;
        session.take_trouble();
        let migrated = migrate(session, place);
        let trouble = session.take_trouble();
        let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = session.batch(PREPARING, end);
        match migrated.and(ended) {
            Ok(()) => version = MIGRATIONS.len(),
            // Another process makes the same tables, and has just been faster.
            Err(_) if trouble == Some(Trouble::Conflict) && tries < TRIES => {
                tries += 1;
                version = self::version(session, place, HUB)?;
            }
            Err(error) => return Err(error),
        }
    }
    if version > MIGRATIONS.len() {
        return Err(too_new(version));
    }
    if let Some(name) = hub_name {
        let named = stored(session)?.hub_name;
        if named.is_none() {
            session.rows(PREPARING, Ask::new(PUT_NAME).with(name))?;
        }
    }
    let facts = stored(session)?;
    match (hub_name, &facts.hub_name) {
        (Some(name), Some(stored)) if name != stored => {
            let cause = format!("the hub's name is '{stored}', not '{name}'");
            Err(ProviderError::new(ProviderErrorKind::Invalid, PREPARING, cause))
        }
        _ => Ok(facts),
    }
}

fn migrate(session: &mut Session, place: &Place) -> Result<()> {
    let from = version(session, place, LOCK)?;
    if from == 0 {
        session.make_schema(PREPARING)?;
    }
    for migration in MIGRATIONS.iter().skip(from) {
        session.batch(PREPARING, migration)?;
    }
    Ok(())
}

/// A database of another encoding cannot hold every id, name and event.
fn check_encoding(session: &mut Session) -> Result<()> {
    let rows = session.rows(PREPARING, Ask::new(ENCODING))?;
    let encoding: Option<String> = rows.first().map_or(Ok(None), |row| column(row, 0))?;
    match encoding {
        Some(encoding) if !UNICODE.contains(&encoding.as_str()) => {
            let cause = format!(
                "the database in the URL of 'store' has the encoding {encoding}, which cannot hold every text. \
                 Use one with UTF8, made with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            );
            Err(ProviderError::new(ProviderErrorKind::Invalid, PREPARING, cause))
        }
        _ => Ok(()),
    }
}

fn tables_are_there(session: &mut Session, place: &Place) -> Result<bool> {
    let rows = session.rows(PREPARING, Ask::new(TABLES).with(place.name()))?;
    rows.first().map_or(Ok(false), |row| column(row, 0))
}

/// The version of the tables, 0 if there are none. `text` gives it as its first column.
fn version(session: &mut Session, place: &Place, text: &'static str) -> Result<usize> {
    if !tables_are_there(session, place)? {
        return Ok(0);
    }
    let rows = session.rows(PREPARING, Ask::new(text)).map_err(|mut error| {
        if error.kind == ProviderErrorKind::Permanent {
            error.kind = ProviderErrorKind::NotAHub;
        }
        error
    })?;
    let version: i16 = rows.first().map_or(Ok(0), |row| column(row, 0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

fn stored(session: &mut Session) -> Result<Facts> {
    let rows = session.rows(PREPARING, Ask::new(HUB))?;
    let row = rows.first().ok_or_else(|| {
        ProviderError::new(ProviderErrorKind::NotAHub, PREPARING, "its table 'hub' has no row")
    })?;
    let partitions: i16 = column(row, 2)?;
    if partitions != PARTITIONS {
        let cause = format!(
            "it was made with {partitions} partitions, and this version of durafn knows {PARTITIONS}"
        );
        return Err(ProviderError::new(ProviderErrorKind::TooNew, PREPARING, cause));
    }
    Ok(Facts { hub_name: column(row, 1)?, partitions: partitions.unsigned_abs() })
}

fn too_new(version: usize) -> ProviderError {
    let known = MIGRATIONS.len();
    let cause = format!(
        "its tables have version {version}; this version of durafn knows them up to {known}"
    );
    ProviderError::new(ProviderErrorKind::TooNew, PREPARING, cause)
}
