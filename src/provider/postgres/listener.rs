//! The thread and the connection on which hints go: LISTEN, and NOTIFY outside of every other transaction.
//!
//! Owns: connecting again, noticing that nobody is there any more, and the pause between two messages: each
//! NOTIFY takes a lock of the whole server for a moment. Must never: listen on a connection of a pooler, which
//! passes nothing on. Proved by `__test__/listening.spec.mjs` and `__test__/pgbouncer.spec.mjs`.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::hints::{Hints, Message, Next};
use super::place::Place;

/// Shortest time from one message to the next.
const PAUSE: Duration = Duration::from_millis(5);
/// How often a connection on which nothing happens is tried.
const PING: Duration = Duration::from_secs(5);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pauses between two tries to connect.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);

const NOTIFY: &str = "SELECT pg_notify($1, $2)";
const OWN_PID: &str = "SELECT pg_backend_pid()";
const ANYONE: &str = "SELECT 1";

/// Starts the thread. With `at_once` it connects now, else when there is something to tell: one that only asks
/// questions needs no connection for it.
pub(super) fn spawn(hints: Arc<Hints>, place: Place, at_once: bool) -> std::io::Result<()> {
    let body = move || {
        if let Ok(runtime) = Builder::new_current_thread().enable_io().enable_time().build() {
            runtime.block_on(run(&hints, &place, at_once));
        }
        hints.set_hears(false);
        hints.gone();
    };
    std::thread::Builder::new().name("durafn-listener".to_owned()).spawn(body).map(|_| ())
}

async fn run(hints: &Arc<Hints>, place: &Place, at_once: bool) {
    while !at_once && !hints.is_asked() {
        hints.wake.notified().await;
    }
    let mut pause = RETRY;
    loop {
        let served = serve(hints, place, &mut pause).await;
        hints.set_hears(false);
        if served.is_ok() || hints.is_closing() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// `Ok`: it is to end. What could not be told is not told again: it was a hint.
async fn serve(hints: &Arc<Hints>, place: &Place, pause: &mut Duration) -> Result<(), Gone> {
    let own = Arc::new(AtomicI32::new(0));
    let (shared, pid) = (Arc::clone(hints), Arc::clone(&own));
    let (client, keeps) = place
        .connect_hearing(Box::new(move |notification| match notification {
            None => {
                shared.set_hears(false);
                shared.wake.notify_one();
            }
            Some(told) if told.process_id() == pid.load(Ordering::Relaxed) => {}
            Some(told) => shared.hear(Message::decode(told.payload())),
        }))
        .await?;
    *pause = RETRY;
    if keeps {
        let rows = answered(client.query_typed(OWN_PID, &[])).await?;
        let pid: i32 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
        own.store(pid, Ordering::Relaxed);
        // A hint need not outlive the server.
        let text = format!("SET synchronous_commit = off; LISTEN {}", place.schema());
        answered(client.batch_execute(&text)).await?;
        hints.set_hears(true);
    }
    loop {
        match hints.next() {
            Next::End => return Ok(()),
            Next::Tell(message) => {
                tell(&client, place.name(), &message).await?;
                sleep(PAUSE).await;
            }
            Next::Wait if timeout(PING, hints.wake.notified()).await.is_err() => {
                answered(client.query_typed(ANYONE, &[])).await?;
            }
            Next::Wait => {}
        }
        if client.is_closed() {
            return Err(Gone);
        }
    }
}

async fn tell(client: &Client, channel: &str, message: &Message) -> Result<(), Gone> {
    let text = message.encode();
    let values = [(&channel as _, Type::TEXT), (&text as _, Type::TEXT)];
    answered(client.query_typed(NOTIFY, &values)).await.map(|_| ())
}

/// The connection is of no use any more.
struct Gone;

impl From<Error> for Gone {
    fn from(_: Error) -> Self {
        Self
    }
}

async fn answered<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Gone> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(Gone::from),
        Err(_) => Err(Gone),
    }
}
