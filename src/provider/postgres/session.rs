//! A connection to PostgreSQL, for a thread that waits for its answers.
//!
//! Owns: connecting, prepared statements, sending several statements at once, and what a failure
//! means. Must never: know what a statement is for. Proved by `tests/provider_postgres.rs`.
//!
//! In the text of a statement `hub.` stands for the schema of the hub.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::provider::{ProviderError, ProviderErrorKind, Result};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for answers, locks of others included; then the connection is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plans are made once, when the tables are nearly empty and reading all of one looks cheap. Each
/// statement has an index that it is meant to go by.
const PLANS: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Where a hub is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    config: Config,
    /// The name of the schema.
    name: String,
    /// The same, quoted.
    schema: String,
    /// Commits are not synced one by one.
    relaxed: bool,
}

/// A statement and the values for it.
pub(super) struct Ask<'a> {
    text: &'static str,
    values: Vec<Value<'a>>,
}

type Value<'a> = Box<dyn ToSql + Sync + 'a>;

/// What a failure of a statement is, beside an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The transaction met another one and can be tried again.
    Conflict,
    /// The connection is gone.
    Lost,
}

/// See the module's text.
pub(super) struct Session {
    runtime: Runtime,
    client: Client,
    schema: String,
    statements: HashMap<&'static str, Statement>,
    trouble: Option<Trouble>,
}

impl Place {
    /// From the URL of a database, without the hub's tables.
    pub(super) fn parse(url: &str, schema: &str, relaxed: bool) -> Result<Self> {
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let cause = format!("the URL cannot be read: {}", chain(&error));
            ProviderError::new(ProviderErrorKind::Invalid, CONNECTING, cause)
        })?;
        if config.get_application_name().is_none() {
            config.application_name("durafn");
        }
        config.connect_timeout(CONNECT);
        let (name, schema) = (schema.to_owned(), format!("\"{}\"", schema.replace('"', "\"\"")));
        Ok(Self { config, name, schema, relaxed })
    }

    /// The name of the schema.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The same, quoted.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }
}

const CONNECTING: &str = "connect to PostgreSQL";

impl<'a> Ask<'a> {
    /// A statement without values.
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, values: Vec::new() }
    }

    /// With one more value.
    #[must_use]
    pub(super) fn with(mut self, value: impl ToSql + Sync + 'a) -> Self {
        self.values.push(Box::new(value));
        self
    }
}

impl Session {
    /// Connects.
    pub(super) fn connect(place: &Place) -> Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_io().enable_time().build().map_err(|error| {
                ProviderError::new(ProviderErrorKind::Transient, CONNECTING, error)
            })?;
        let client = match tls(place) {
            Some(tls) => runtime.block_on(async {
                let (client, connection) = place.config.connect(tls).await?;
                tokio::spawn(connection);
                Ok(client)
            }),
            None => runtime.block_on(async {
                let (client, connection) = place.config.connect(NoTls).await?;
                tokio::spawn(connection);
                Ok(client)
            }),
        };
        let client = client.map_err(|error| failed(CONNECTING, &error))?;
        let mut session = Self {
            runtime,
            client,
            schema: format!("{}.", place.schema),
            statements: HashMap::new(),
            trouble: None,
        };
        session.batch(CONNECTING, PLANS)?;
        if place.relaxed {
            session.batch(CONNECTING, "SET synchronous_commit = off")?;
        }
        Ok(session)
    }

    /// Runs a text of several statements, without values.
    pub(super) fn batch(&mut self, operation: &str, text: &str) -> Result<()> {
        let text = text.replace("hub.", &self.schema);
        let done = self.wait(self.client.batch_execute(&text));
        self.understood(operation, done)
    }

    /// The rows of one statement.
    pub(super) fn rows(&mut self, operation: &str, ask: Ask<'_>) -> Result<Vec<Row>> {
        Ok(self.all(operation, &[ask])?.pop().unwrap_or_default())
    }

    /// Sends statements at once and gives the rows of each. If one fails, the others after it are of no
    /// use: that is told of.
    pub(super) fn all(&mut self, operation: &str, asks: &[Ask<'_>]) -> Result<Vec<Vec<Row>>> {
        self.prepare(operation, asks)?;
        let values: Vec<Vec<&(dyn ToSql + Sync)>> = asks
            .iter()
            .map(|ask| ask.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect())
            .collect();
        let sent = asks.iter().zip(&values).filter_map(|(ask, values)| {
            let statement = self.statements.get(ask.text)?;
            Some(self.client.query(statement, values))
        });
        let answers = self.wait(async { Ok(join_all(sent).await) });
        let answers = self.understood(operation, answers)?;
        let rows: std::result::Result<Vec<Vec<Row>>, _> = answers.into_iter().collect();
        self.understood(operation, rows.map_err(Failure::Server))
    }

    /// The plan of a statement, by simple query: one with parameters that have no values.
    #[cfg(test)]
    pub(super) fn explain(&mut self, text: &str) -> Result<Vec<String>> {
        use tokio_postgres::SimpleQueryMessage as Message;
        let text = text.replace("hub.", &self.schema);
        let answer = self.wait(self.client.simple_query(&text));
        let lines = self.understood("explain", answer)?.into_iter();
        Ok(lines
            .filter_map(|line| match line {
                Message::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .collect())
    }

    /// What the last failure was, once.
    pub(super) fn take_trouble(&mut self) -> Option<Trouble> {
        self.trouble.take()
    }

    /// Whether nothing more can be asked of it.
    pub(super) fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    fn prepare(&mut self, operation: &str, asks: &[Ask<'_>]) -> Result<()> {
        let mut missing: Vec<&'static str> = asks.iter().map(|ask| ask.text).collect();
        missing.retain(|text| !self.statements.contains_key(text));
        if missing.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> =
            missing.iter().map(|text| text.replace("hub.", &self.schema)).collect();
        let sent = texts.iter().map(|text| self.client.prepare(text));
        let answers = self.wait(async { Ok(join_all(sent).await) });
        let answers = self.understood(operation, answers)?;
        for (text, answer) in missing.into_iter().zip(answers) {
            let statement = self.understood(operation, answer.map_err(Failure::Server))?;
            self.statements.insert(text, statement);
        }
        Ok(())
    }

    fn wait<T>(
        &self,
        answer: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> std::result::Result<T, Failure> {
        self.runtime.block_on(async {
            match tokio::time::timeout(PATIENCE, answer).await {
                Ok(answer) => answer.map_err(Failure::Server),
                Err(_) => Err(Failure::Late),
            }
        })
    }

    fn understood<T>(
        &mut self,
        operation: &str,
        answer: std::result::Result<T, Failure>,
    ) -> Result<T> {
        answer.map_err(|failure| {
            self.trouble = failure.trouble();
            match failure {
                Failure::Server(error) => failed(operation, &error),
                Failure::Late => {
                    let cause = format!("no answer within {} s", PATIENCE.as_secs());
                    ProviderError::new(ProviderErrorKind::Transient, operation, cause)
                }
            }
        })
    }
}

enum Failure {
    Server(tokio_postgres::Error),
    Late,
}

impl Failure {
    fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Late => Some(Trouble::Lost),
            Self::Server(error) => match error.code() {
                // A unique id that another transaction has just taken: the next try sees it.
                Some(
                    &SqlState::T_R_DEADLOCK_DETECTED
                    | &SqlState::T_R_SERIALIZATION_FAILURE
                    | &SqlState::UNIQUE_VIOLATION,
                ) => Some(Trouble::Conflict),
                Some(code) if is_of_class(code, "57P") => Some(Trouble::Lost),
                Some(_) => None,
                None => Some(Trouble::Lost),
            },
        }
    }
}

/// A point of the monotonic clock: how long a server has been silent, or a lease has not been lengthened.
/// That decides when to ask again, and nothing else.
#[expect(clippy::disallowed_methods, reason = "no rule of core hangs on it")]
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// The settings of TLS; none if the URL does not ask for it, or the system has no certificates and the
/// URL leaves it open.
fn tls(place: &Place) -> Option<MakeRustlsConnect> {
    if place.config.get_ssl_mode() == SslMode::Disable {
        return None;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .ok()?;
    Some(MakeRustlsConnect::new(config.with_no_client_auth()))
}

fn is_of_class(code: &SqlState, class: &str) -> bool {
    code.code().starts_with(class)
}

/// A failure of PostgreSQL, as the contract names it.
pub(super) fn failed(operation: &str, error: &tokio_postgres::Error) -> ProviderError {
    use ProviderErrorKind as Kind;
    let kind = match error.code() {
        None => Kind::Transient,
        Some(code) => match *code {
            SqlState::DISK_FULL => Kind::Full,
            SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::INSUFFICIENT_PRIVILEGE => {
                Kind::ReadOnly
            }
            SqlState::INVALID_PASSWORD
            | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            | SqlState::INVALID_CATALOG_NAME => Kind::Invalid,
            ref code
                if ["08", "40", "53", "55", "57", "58"].iter().any(|c| is_of_class(code, c)) =>
            {
                Kind::Transient
            }
            SqlState::UNIQUE_VIOLATION => Kind::Transient,
            _ => Kind::Permanent,
        },
    };
    ProviderError::new(kind, operation, chain(error))
}

/// An error with its causes: that of the driver alone says little.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
