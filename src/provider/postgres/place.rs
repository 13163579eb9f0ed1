//! Where a hub is, and how to get there.
//!
//! Owns: the URL, connecting. Must never: take a connection for one that keeps settings and prepared
//! statements where a pooler gives each transaction another one. Proved by `tests/provider_postgres.rs` and
//! `__test__/pgbouncer.spec.mjs`.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls, Notification};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::provider::{ProviderError, ProviderErrorKind, Result};

use super::failure::{chain, is_of};
use super::limits::CommitSync;
use super::tls;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
pub(super) const CONNECTING: &str = "connect to PostgreSQL";

/// Settings of a connection that keeps them. Plans are made once there, when the tables are nearly empty and
/// reading all of one looks cheap; each statement has an index that it is meant to go by. The last one has no
/// meaning but that it is found again, see [`KEPT`].
const SETTINGS: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off \
    -c durafn.session=kept";
const RELAXED: &str = "-c synchronous_commit=off";
const KEPT: &str = "SELECT current_setting('durafn.session', true)";

/// See the module's text.
#[derive(Clone)]
pub(super) struct Place {
    config: Config,
    /// `None`: without it.
    tls: Option<MakeRustlsConnect>,
    /// The name of the schema.
    name: String,
    /// The same, quoted.
    schema: String,
    /// What a commit waits for.
    pub(super) sync: CommitSync,
    /// It was found that connections keep nothing, or it is not to be counted on.
    pooled: Arc<AtomicBool>,
    /// Only what PostgreSQL has in common with servers that speak its protocol, see docs/scaling.md.
    pub(super) distributed: bool,
}

impl Place {
    /// From the URL of a database, without the hub's tables.
    pub(super) fn parse(url: &str, schema: &str, sync: CommitSync) -> Result<Self> {
        let (url, distributed) = without(url, "distributed");
        let distributed = distributed.is_some_and(|value| value == "true");
        let (url, roots) = without(&url, "sslrootcert");
        let (url, mode) = without(&url, "sslmode");
        let mut config: Config = url.parse().map_err(|error: Error| {
            let cause = format!("the URL cannot be read: {}", chain(&error));
            ProviderError::new(ProviderErrorKind::Invalid, CONNECTING, cause)
        })?;
        if config.get_application_name().is_none() {
            config.application_name("durafn");
        }
        config.connect_timeout(CONNECT);
        config.ssl_mode(ssl_mode(mode.as_deref().unwrap_or("prefer"))?);
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => tls::connector(roots.as_deref())?,
        };
        let (name, schema) = (schema.to_owned(), format!("\"{}\"", schema.replace('"', "\"\"")));
        let pooled = Arc::new(AtomicBool::new(distributed));
        Ok(Self { config, tls, name, schema, sync, pooled, distributed })
    }

    /// See the field.
    #[must_use]
    pub(super) fn distribute(mut self) -> Self {
        self.distributed = true;
        self.pooled.store(true, Ordering::Relaxed);
        self
    }

    /// The same, for a connection that has another purpose than the others, as the server shows it.
    pub(super) fn for_purpose(&self, purpose: &str) -> Self {
        let mut place = self.clone();
        let name = self.config.get_application_name().unwrap_or_default();
        place.config.application_name(format!("{name} {purpose}"));
        place
    }

    /// The name of the schema.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The same, quoted.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// A connection, and whether it keeps settings and prepared statements from one transaction to the next.
    /// That is asked before the first statement is prepared: a statement of that name may be there, and be that
    /// of another process.
    pub(super) async fn connect(&self) -> std::result::Result<(Client, bool), Error> {
        self.connect_hearing(Box::new(|_| {})).await
    }

    /// The same; `ear` is told of each notification, and when the connection is gone.
    pub(super) async fn connect_hearing(
        &self,
        ear: Ear,
    ) -> std::result::Result<(Client, bool), Error> {
        let ear: Arc<Ear> = Arc::new(ear);
        if !self.pooled.load(Ordering::Relaxed) {
            match self.open(&self.with_settings(), &ear).await {
                Ok(client) => {
                    let found = client.query_typed(KEPT, &[]).await?;
                    let kept: Option<&str> =
                        found.first().map_or(Ok(None), |row| row.try_get(0))?;
                    self.pooled.store(kept.is_none(), Ordering::Relaxed);
                    return Ok((client, kept.is_some()));
                }
                Err(error) if refuses_settings(&error) => {
                    self.pooled.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((self.open(&self.config, &ear).await?, false))
    }

    /// What is no transaction of several statements is not waited for either.
    fn relaxed(&self) -> Option<&'static str> {
        (self.sync == CommitSync::Relaxed).then_some(RELAXED)
    }

    fn with_settings(&self) -> Config {
        let mut options = self.config.get_options().unwrap_or_default().to_owned();
        for more in [Some(SETTINGS), self.relaxed()].into_iter().flatten() {
            options = format!("{options} {more}");
        }
        let mut config = self.config.clone();
        config.options(options.trim_start());
        config
    }

    async fn open(&self, config: &Config, ear: &Arc<Ear>) -> std::result::Result<Client, Error> {
        if let Some(tls) = self.tls.clone() {
            let (client, connection) = config.connect(tls).await?;
            tokio::spawn(drive(connection, Arc::clone(ear)));
            Ok(client)
        } else {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(drive(connection, Arc::clone(ear)));
            Ok(client)
        }
    }
}

/// A URL without one of its parameters, and the value of that.
fn without(url: &str, key: &str) -> (String, Option<String>) {
    let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let value_of = |part: &&str| match part.split_once('=') {
        Some((name, value)) if name == key => Some(decoded(value)),
        _ => None,
    };
    let value = query.split('&').find_map(|part| value_of(&part));
    let others: Vec<&str> = query.split('&').filter(|part| value_of(part).is_none()).collect();
    (format!("{place}?{}", others.join("&")), value)
}

/// A value of a URL, without its percent signs.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|two| {
            let two = std::str::from_utf8(two).ok()?;
            u8::from_str_radix(two, 16).ok()
        });
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Wherever there is TLS, the certificate is checked, and that it is for the name in the URL.
fn ssl_mode(mode: &str) -> Result<SslMode> {
    match mode {
        "disable" => Ok(SslMode::Disable),
        "allow" | "prefer" => Ok(SslMode::Prefer),
        "require" | "verify-ca" | "verify-full" => Ok(SslMode::Require),
        _ => {
            let cause = "sslmode must be disable, prefer, require or verify-full";
            Err(ProviderError::new(ProviderErrorKind::Invalid, CONNECTING, cause))
        }
    }
}

/// Who is told of notifications; `None`: the connection is gone.
pub(super) type Ear = Box<dyn Fn(Option<Notification>) + Send + Sync>;

async fn drive<S, T>(mut connection: Connection<S, T>, ear: Arc<Ear>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            ear(Some(notification));
        }
    }
    // The client knows it before anybody is told.
    drop(connection);
    ear(None);
}

/// Whether a pooler has refused the settings. (It names no other reason for what it does not know.)
fn refuses_settings(error: &Error) -> bool {
    let of_settings = |code: &SqlState| is_of(code, &["08", "0A", "22", "42"]);
    error.code().is_some_and(of_settings)
}
