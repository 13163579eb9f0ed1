//! A status with what only history tells, read in parts.
//!
//! Owns: how much of a history is read at a time, so that whoever shares the reader waits for a part and not for the
//! whole, and how much of it one caller is given. Must never: mix two executions.
//! Proved by `__test__/exchange.spec.mjs` and the tests below.

use crate::core::InstanceKey;
use crate::core::error::{Error, ErrorCode};
use crate::core::history::HistoryRecord;
use crate::core::status::RuntimeStatus;
use crate::core::view::{HistoryReading, Shown, StatusView};
use crate::core::{ExecutionId, limits::EXCHANGES_HISTORY};
use crate::provider::{HistoryPlace, Reader, Result};

use super::fault::caller_error;
use super::outbox::Event;
use super::protocol::{Reply, RequestId};

/// Parts of an exchange that are read at a time.
const PARTS: usize = 16;
/// How often a reading begins again because the instance went on to another execution meanwhile.
const TRIES: usize = 3;

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct StatusRequest {
    /// Who asks.
    pub rid: RequestId,
    /// The instance.
    pub instance_id: String,
    /// What of its history is to be seen.
    pub shown: Shown,
    /// Bytes of one exchange, about.
    pub exchange_bytes: usize,
}

/// See the module's text.
#[derive(Debug)]
pub struct StatusReading {
    request: StatusRequest,
    tries: usize,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    key: InstanceKey,
    exec: ExecutionId,
    status: RuntimeStatus,
    view: StatusView,
    history: HistoryReading,
    after: HistoryPlace,
}

impl StatusReading {
    /// Of which nothing is read yet.
    #[must_use]
    pub fn new(request: StatusRequest) -> Self {
        Self { request, tries: 0, begun: None }
    }

    /// Reads the next part: the answer, once there is one.
    pub fn go_on<R: Reader + ?Sized>(&mut self, reader: &mut R) -> Option<Event> {
        let rid = self.request.rid;
        match self.step(reader) {
            Ok(None) => None,
            Ok(Some(reply)) => Some(Event::Reply(reply)),
            Err(error) => Some(Event::Reply(Reply::error(rid, caller_error(&error)))),
        }
    }

    fn step<R: Reader + ?Sized>(&mut self, reader: &mut R) -> Result<Option<Reply>> {
        let StatusRequest { rid, instance_id, shown, exchange_bytes } = &self.request;
        let Some(begun) = &mut self.begun else {
            let Some(row) = reader.find(instance_id)? else {
                return Ok(Some(Reply::ok(*rid, &())));
            };
            let (key, exec, status) = (row.head.key, row.head.exec, row.head.status);
            let view = StatusView::from(row);
            if !shown.history && status.has_ended() {
                return Ok(Some(Reply::ok(*rid, &view)));
            }
            let history = HistoryReading::new(*shown);
            self.begun =
                Some(Begun { key, exec, status, view, history, after: HistoryPlace::default() });
            return Ok(None);
        };
        let part = (*exchange_bytes / PARTS).max(1);
        let rows = reader.history_after(begun.key, begun.after, part)?;
        if let Some((last, _)) = rows.last() {
            begun.after = *last;
            // Rows that cannot be read are left out; the instance's problem says so once it is run.
            for record in rows.iter().filter_map(|(_, body)| HistoryRecord::decode(body).ok()) {
                begun.history.add(&mut begun.view, &record);
            }
            let most = exchange_bytes.saturating_mul(EXCHANGES_HISTORY);
            if begun.history.bytes() > most {
                return Ok(Some(Reply::error(*rid, too_large(instance_id, most))));
            }
            return Ok(None);
        }
        let same = |row: &crate::core::instance::InstanceRow| {
            let head = &row.head;
            (head.key, head.exec, head.status) == (begun.key, begun.exec, begun.status)
        };
        if begun.after != HistoryPlace::default()
            && self.tries < TRIES
            && !reader.find(instance_id)?.is_some_and(|row| same(&row))
        {
            (self.tries, self.begun) = (self.tries + 1, None);
            return Ok(None);
        }
        let Some(Begun { mut view, history, .. }) = self.begun.take() else { return Ok(None) };
        history.finish(&mut view);
        Ok(Some(Reply::ok(*rid, &view)))
    }
}

fn too_large(id: &str, most: usize) -> Error {
    let message = format!(
        "The history of instance '{id}' has more than {most} bytes, which is the most that one call is given. Ask for \
         it without what is large in it: without showHistoryOutput, or with showInput: false."
    );
    Error::new(ErrorCode::PayloadTooLarge, message)
}
