//! The process of the simulated hub: what `runtime::hub` and its threads hold, and dies with it.

use std::collections::VecDeque;

use durafn::core::partition::Shares;
use durafn::core::request::Command;
use durafn::core::{InstanceKey, TimeMs};
use durafn::provider::transaction::{Effect, Outcome, Work};
use durafn::provider::{Arrivals, Loaded, LoadedEntity, ProviderError, TimerRow};
use durafn::runtime::dispatcher::{Dispatcher, Era, Step};
use durafn::runtime::timers::TimerRange;

use super::host::Host;
use crate::common::trace;

/// Who is told of a piece of work. A caller's is done with once it is committed: see `Observer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ticket {
    Dispatcher,
    Caller,
}

/// What a thread tells the hub.
#[derive(Debug)]
pub(crate) enum Event {
    Done(Box<Work>, Outcome),
    Effect(Effect),
    Arrived(Arrivals, bool),
    /// The process has lost all that it had, and has joined anew.
    Ousted,
    Gained(Arrivals),
    Read(Era, Answer),
}

/// What was read.
#[derive(Debug)]
pub(crate) enum Answer {
    Loaded(InstanceKey, Box<Result<Option<Loaded>, ProviderError>>),
    EntityLoaded(InstanceKey, Box<Result<Option<LoadedEntity>, ProviderError>>),
    Timers(Option<(TimerRow, Vec<TimerRow>)>),
    Ready(Result<Vec<InstanceKey>, InstanceKey>),
}

/// What the reader thread is asked.
pub(crate) enum Read {
    Load(InstanceKey),
    Timers(TimerRange),
    Ready(InstanceKey),
}

/// What dies with the process.
pub(crate) struct Process {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) host: Host,
    /// Calls of clients in this process, for the next exchange.
    pub(crate) requests: Vec<Command>,
    pub(crate) to_store: VecDeque<(Ticket, Work)>,
    /// Committed, and not reported yet.
    pub(crate) in_flight: Option<VecDeque<Event>>,
    pub(crate) reads: VecDeque<(Era, Read)>,
    pub(crate) outbox: VecDeque<Event>,
    /// What other processes wrote and nobody has looked at.
    pub(crate) found: Arrivals,
    /// When JavaScript exchanges next by itself, by the clock that never jumps.
    pub(crate) wake_at: TimeMs,
    /// What the wall clock showed at the last exchange.
    pub(crate) saw_ms: TimeMs,
}

/// A command of a caller, for the store.
pub(crate) fn caller(command: Command) -> (Ticket, Work) {
    (Ticket::Caller, Work::Command(command))
}

impl Process {
    /// As `Hub::dispatcher_takes`.
    pub(crate) fn dispatcher_takes(&mut self, command: Command, now_ms: TimeMs) -> Option<Command> {
        let command = match command {
            Command::Start(mut specs) if specs.len() == 1 => {
                match self.dispatcher.begin_ahead(0, specs.remove(0), now_ms) {
                    Ok(()) => return None,
                    Err(spec) => Command::Start(vec![spec]),
                }
            }
            command => command,
        };
        self.dispatcher.hold_back(0, command).err()
    }

    /// A start of the id is on its way to the store.
    pub(crate) fn is_starting(&self, id: &str) -> bool {
        let starts = |command: &Command| {
            matches!(command, Command::Start(_)) && command.instance_id() == Some(id)
        };
        self.requests.iter().any(starts)
            || self.dispatcher.has(id)
            || self.to_store.iter().any(|(_, work)| match work {
                Work::Command(command) => starts(command),
                Work::Begin(begin) => begin.spec.instance_id.as_deref() == Some(id),
                _ => false,
            })
    }

    pub(crate) fn has_found(&self) -> bool {
        !self.found.ready.is_empty() || !self.found.messages.is_empty()
    }

    pub(crate) fn take(&mut self, event: Event, step: &mut Step) {
        trace("told", &event);
        let dispatcher = &mut self.dispatcher;
        match event {
            Event::Done(work, outcome) => dispatcher.done(*work, &outcome, step),
            Event::Effect(effect) => dispatcher.effect(effect, step),
            Event::Arrived(arrivals, opening) => dispatcher.arrived(arrivals, opening, step),
            Event::Ousted => dispatcher.ousted(step),
            Event::Gained(arrivals) => dispatcher.gained(Shares::WHOLE.parts, arrivals, step),
            // As in `Hub::dispatch`.
            Event::Read(era, _) if era != dispatcher.era() => {}
            Event::Read(_, answer) => self.tell(answer, step),
        }
    }

    fn tell(&mut self, answer: Answer, step: &mut Step) {
        let dispatcher = &mut self.dispatcher;
        match answer {
            Answer::Loaded(key, answer) => dispatcher.loaded(key, *answer, step),
            Answer::EntityLoaded(key, answer) => dispatcher.entity_loaded(key, *answer, step),
            Answer::Timers(Some((until, rows))) => dispatcher.timers_read(until, rows),
            Answer::Timers(None) => dispatcher.timers_failed(),
            Answer::Ready(Ok(keys)) => dispatcher.ready_read(&keys),
            Answer::Ready(Err(from)) => dispatcher.ready_failed(from),
        }
    }
}
