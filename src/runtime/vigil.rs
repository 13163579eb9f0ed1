//! The watch that the store's thread keeps over JavaScript's.
//!
//! Owns: how long JavaScript has not answered, and what is done about it: it is told while it lasts, and a
//! worker whose lease has gone by so hands over what it has. Only what lives may hold it, and JavaScript is
//! what lives: the store's thread would go on for ever. Must never: take a process for silent that has
//! merely nothing to do (it is woken, and answers), or that was stopped as a whole.
//! Proved by `__test__/hung.spec.mjs`.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::limits::{LEASE_MS, TURN_MS};

use super::clock;
use super::outbox::{Event, Outbox};
use super::protocol::{EngineOptions, Role};
use super::pulse::Pulse;
use super::writer::Writer;

/// So many times in each bound it is looked whether JavaScript answers.
const LOOKS: u32 = 8;
/// After this many of them it is woken, in case that it has nothing to do.
const LOOKS_ASKED: u32 = 2;

/// See the module's text.
pub struct Vigil {
    pulse: Arc<Pulse>,
    /// After so long it is told; `None` for a process that is no worker.
    report: Option<Duration>,
    /// After so long a worker of several hands over.
    lease: Option<Duration>,
    /// Nothing is to be written to stderr.
    quiet: bool,
    /// How often JavaScript had answered at the last look.
    answers: u64,
    looked: Instant,
    /// How long it has not, as far as this thread ran itself.
    silent: Duration,
    asked: bool,
    /// What was told.
    told: Option<String>,
}

impl Vigil {
    /// Over the JavaScript of a hub with these options.
    pub fn new(options: &EngineOptions, pulse: Arc<Pulse>) -> Self {
        let lease = options.url.as_ref().map(|_| millis(options.lease_ms.unwrap_or(LEASE_MS)));
        let turn = millis(options.turn_ms.unwrap_or(TURN_MS));
        let report = lease.map_or(turn, |lease| lease.min(turn));
        Self {
            answers: pulse.answers(),
            pulse,
            report: (options.role == Role::Worker).then_some(report),
            lease,
            quiet: options.quiet,
            looked: clock::instant(),
            silent: Duration::ZERO,
            asked: false,
            told: None,
        }
    }

    /// The longest time until the next look.
    pub fn pause(&self) -> Duration {
        self.report.map_or(Duration::MAX, |report| report / LOOKS)
    }

    /// Looks whether JavaScript answers: `false` if this process may not go on as a worker.
    pub fn look(&mut self, writer: &mut Writer, outbox: &Outbox) -> bool {
        let Some(report) = self.report else { return true };
        let now = clock::instant();
        let since = now.duration_since(std::mem::replace(&mut self.looked, now));
        if self.has_answered(writer, outbox) {
            return true;
        }
        // While this thread did not run either, the whole process did not: that is no fault of JavaScript's.
        self.silent += since.min(report / LOOKS * 2);
        if !self.asked && self.silent >= report / LOOKS * LOOKS_ASKED {
            self.asked = true;
            outbox.nudge();
        }
        if self.told.is_none() && self.silent >= report {
            self.tell(writer);
        }
        let Some(lease) = self.lease else { return true };
        if self.silent < lease {
            return true;
        }
        writer.rests(true);
        if writer.is_worker() && writer.has_company() {
            self.hand_over(writer);
        }
        false
    }

    fn has_answered(&mut self, writer: &mut Writer, outbox: &Outbox) -> bool {
        let answers = self.pulse.answers();
        if answers == std::mem::replace(&mut self.answers, answers) {
            return false;
        }
        if let Some(told) = self.told.take() {
            let message = format!("JavaScript answers again, after {}: {told}", span(self.silent));
            outbox.push([Event::Trouble(message)]);
        }
        writer.rests(false);
        (self.silent, self.asked) = (Duration::ZERO, false);
        true
    }

    /// Says what JavaScript is in: in the status of the instance, and on stderr, as the hub's logger is
    /// JavaScript too.
    fn tell(&mut self, writer: &mut Writer) {
        let (inside, silent) = (self.pulse.inside(), self.silent);
        let Some(overdue) = self.pulse.with_hub(|hub| hub.overdue(inside, silent)) else {
            return self.is_in_the_engine();
        };
        if !self.quiet {
            let line = format!(
                "durafn: The JavaScript of process {} has not answered for {}: {} {}",
                std::process::id(),
                span(silent),
                overdue.what,
                match self.lease {
                    Some(lease) => format!(
                        "If it does not within {} in all, other workers take over what this one has.",
                        span(lease)
                    ),
                    None => "Nothing else of the hub runs meanwhile.".to_owned(),
                }
            );
            // Who has closed stderr does not want to hear it.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        self.told = Some(overdue.what);
        writer.write_own(overdue.work);
    }

    fn hand_over(&mut self, writer: &mut Writer) {
        let inside = self.pulse.inside();
        match self.pulse.with_hub(|hub| hub.hand_over(inside)) {
            Some((last, blamed)) => writer.hand_over(last, blamed),
            None => self.is_in_the_engine(),
        }
    }

    /// No function of the user's is to blame for what the engine does.
    fn is_in_the_engine(&mut self) {
        self.silent = Duration::ZERO;
    }
}

/// A time for people.
pub(super) fn span(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}
