//! A connection to PostgreSQL, for a thread that waits for its answers.
//!
//! Owns: prepared statements, and sending several statements at once. Must never: know what a statement is for,
//! or prepare one where it may not be there the next time. Proved by
//! `tests/provider_postgres.rs` and `__test__/pgbouncer.spec.mjs`.
//!
//! In the text of a statement `hub.` stands for the schema of the hub.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use crate::provider::{Epoch, ProviderError, ProviderErrorKind, Result};

pub(super) use super::ask::Ask;
pub(super) use super::failure::Trouble;
use super::failure::{Failure, failed};
use super::place::CONNECTING;
pub(super) use super::place::Place;

/// Longest wait for answers, locks of others included; then the connection is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tries of what meets others, where that is any statement.
const TRIES: usize = 10;
/// A statement as it is sent.
enum Prepared {
    /// The server has it under a name, with its plan.
    Named(Statement),
    /// It is sent anew each time, with the hub's schema in it.
    Text(String),
}

/// See the module's text.
pub(super) struct Session {
    runtime: Runtime,
    client: Client,
    schema: String,
    /// The server keeps settings and prepared statements for this connection.
    keeps: bool,
    place: Place,
    /// A transaction has begun that is not over.
    open: bool,
    statements: HashMap<&'static str, Prepared>,
    trouble: Option<Trouble>,
    /// The worker that is known to live as long as this connection does, see `departed`.
    pub(super) marked: Option<Epoch>,
}

impl Session {
    /// Connects.
    pub(super) fn connect(place: &Place) -> Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_io().enable_time().build().map_err(|error| {
                ProviderError::new(ProviderErrorKind::Transient, CONNECTING, error)
            })?;
        let connected = runtime.block_on(place.connect());
        let (client, keeps) = connected.map_err(|error| failed(CONNECTING, &error))?;
        Ok(Self {
            runtime,
            client,
            schema: format!("{}.", place.schema()),
            keeps,
            place: place.clone(),
            open: false,
            statements: HashMap::new(),
            trouble: None,
            marked: None,
        })
    }

    /// Whether the server keeps for this connection, and only for it, what it is given.
    pub(super) fn can_be_marked(&self) -> bool {
        self.keeps && !self.place.distributed
    }

    /// The name of the hub's schema.
    pub(super) fn schema(&self) -> &str {
        self.place.name()
    }

    /// Runs a text of several statements, without values.
    pub(super) fn batch(&mut self, operation: &str, text: &'static str) -> Result<()> {
        self.run(operation, &self.spoken(text))
    }

    /// Makes the schema of the hub, if there is none.
    pub(super) fn make_schema(&mut self, operation: &str) -> Result<()> {
        self.run(operation, &format!("CREATE SCHEMA IF NOT EXISTS {}", self.place.schema()))
    }

    /// Removes the schema with all that is in it.
    #[cfg(test)]
    pub(super) fn drop_schema(&mut self) -> Result<()> {
        self.run("drop", &format!("DROP SCHEMA {} CASCADE", self.place.schema()))
    }

    /// Runs a text as it is.
    fn run(&mut self, operation: &str, text: &str) -> Result<()> {
        let done = self.wait(self.client.batch_execute(text));
        self.understood(operation, done)
    }

    /// The rows of one statement.
    pub(super) fn rows(&mut self, operation: &str, ask: Ask<'_>) -> Result<Vec<Row>> {
        Ok(self.all(operation, &[ask])?.pop().unwrap_or_default())
    }

    /// Sends statements at once and gives the rows of each. If one fails, the others after it are of no
    /// use: that is told of.
    pub(super) fn all(&mut self, operation: &str, asks: &[Ask<'_>]) -> Result<Vec<Vec<Row>>> {
        let begins = asks.first().is_some_and(|ask| ask.text.starts_with("BEGIN"));
        let ends = asks.last().is_some_and(|ask| ["COMMIT", "ROLLBACK"].contains(&ask.text));
        let whole = !self.open && begins == ends;
        self.open = if begins { !ends } else { self.open && !ends };
        let mut tries = 0;
        loop {
            let answer = self.all_once(operation, asks);
            let met = self.trouble == Some(Trouble::Conflict);
            if answer.is_ok() || !(self.place.distributed && whole && met && tries < TRIES) {
                return answer;
            }
            // There, what only reads may meet others too.
            tries += 1;
            if begins && self.batch(operation, "ROLLBACK").is_err() {
                return answer;
            }
        }
    }

    fn all_once(&mut self, operation: &str, asks: &[Ask<'_>]) -> Result<Vec<Vec<Row>>> {
        self.trouble = None;
        self.prepare(operation, asks)?;
        let sent = asks.iter().filter_map(|ask| {
            let statement = self.statements.get(ask.text)?;
            Some(send(&self.client, statement, ask))
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

    /// Whether nothing more can be asked of it. What the server has said since the last question, that it
    /// goes down perhaps, is heard first.
    pub(super) fn is_lost(&self) -> bool {
        self.runtime.block_on(async {
            // The first looks what has come, the second lets it be read.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        });
        self.client.is_closed()
    }

    /// A statement as this server takes it. The hub's name, in which anything may stand, comes last, and only
    /// into texts that are written in the source.
    fn spoken(&self, text: &'static str) -> String {
        let text = if self.place.distributed { plain(text) } else { text.to_owned() };
        text.replace("hub.", &self.schema)
    }

    fn prepare(&mut self, operation: &str, asks: &[Ask<'_>]) -> Result<()> {
        let mut missing: Vec<&'static str> = asks.iter().map(|ask| ask.text).collect();
        missing.retain(|text| !self.statements.contains_key(text));
        if missing.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = missing.iter().map(|text| self.spoken(text)).collect();
        if !self.keeps {
            self.statements.extend(missing.into_iter().zip(texts.into_iter().map(Prepared::Text)));
            return Ok(());
        }
        let sent = texts.iter().map(|text| self.client.prepare(text));
        let answers = self.wait(async { Ok(join_all(sent).await) });
        let answers = self.understood(operation, answers)?;
        for (text, answer) in missing.into_iter().zip(answers) {
            let statement = self.understood(operation, answer.map_err(Failure::Server))?;
            self.statements.insert(text, Prepared::Named(statement));
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

/// A statement without what only PostgreSQL has. Without `SKIP LOCKED` one waits for those who were faster, and
/// gets less.
pub(super) fn plain(text: &str) -> String {
    let others = [
        (" SKIP LOCKED", ""),
        ("pg_current_xact_id()::text", "''"),
        ("set_config('tcp_user_timeout', ", "concat('', "),
        (
            "pg_try_advisory_xact_lock(hashtext($2::text), (g.epoch % 2147483647)::integer)",
            "$2::text IS NOT NULL",
        ),
    ];
    others
        .iter()
        .fold(text.to_owned(), |text, (of_postgres, other)| text.replace(of_postgres, other))
}

async fn send(
    client: &Client,
    statement: &Prepared,
    ask: &Ask<'_>,
) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
    let values = ask.values();
    match statement {
        Prepared::Text(text) => client.query_typed(text, &values).await,
        Prepared::Named(statement) => {
            let values: Vec<&(dyn ToSql + Sync)> =
                values.into_iter().map(|(value, _)| value).collect();
            client.query(statement, &values).await
        }
    }
}

/// A point of the monotonic clock: how long a server has been silent, or a lease has not been lengthened.
/// That decides when to ask again, and nothing else.
#[expect(clippy::disallowed_methods, reason = "no rule of core hangs on it")]
pub(super) fn instant() -> Instant {
    Instant::now()
}
