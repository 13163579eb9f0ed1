//! A hub over any store, driven by hand: work in one transaction, turns from what is stored.
//!
//! It checks on the way what holds for every operation: a refusal leaves no trace.

use std::collections::HashMap;

use durafn::core::commit::{TurnCommit, TurnVerdict};
use durafn::core::entity::{EntityCommit, EntityMessage, EntityReply, EntityRow, EntityVerdict};
use durafn::core::error::{Error, ErrorCode};
use durafn::core::execution::Execution;
use durafn::core::history::HistoryRecord;
use durafn::core::instance::InstanceRow;
use durafn::core::mailbox::{Intake, Mailbox, Waiting};
use durafn::core::message::{Delivery, Message};
use durafn::core::replay::Replay;
use durafn::core::request::{
    Answer, Command, Control, DiscardReason, HubFacts, HubSettings, OnConflict, RaiseOutcome,
    StartSpec, UnmatchedEvents,
};
use durafn::core::status::RuntimeStatus;
use durafn::core::turn::{Turn, TurnOutcome};
use durafn::core::{InstanceKey, TimeMs};
use durafn::provider::transaction::{Begin, Context, Effect, Outcome, Work, apply};
use durafn::provider::{Epoch, LoadedEntity, Provider, ProviderError};
use serde::Serialize;

use super::rows::SeenRows;
use super::store::Kept;
pub(crate) use super::store::Store;
use super::{SeededEntropy, json, payload};

/// See the module's text.
pub(crate) struct Hub {
    pub(crate) store: Box<dyn Provider>,
    pub(crate) now_ms: TimeMs,
    pub(crate) settings: HubSettings,
    pub(crate) worker_lives: bool,
    /// Work comes from another process than the worker's.
    pub(crate) foreign: bool,
    pub(crate) epoch: Epoch,
    /// Called when the work of a transaction is done and it is to be committed.
    pub(crate) at_commit: Option<Box<dyn FnMut()>>,
    /// What the last piece of work means for instances, in words.
    pub(crate) effects: Vec<String>,
    /// The operations on rows in the last transaction.
    pub(crate) calls: Vec<&'static str>,
    ids: HashMap<InstanceKey, String>,
    entropy: SeededEntropy,
    turn_entropy: SeededEntropy,
    _kept: Kept,
}

impl Hub {
    /// Takes the hub in the store. All orchestrators `f`, `g` and `child` are registered.
    pub(crate) fn over(store: Store) -> Self {
        let Store { provider: mut store, kept } = store;
        let epoch = store.acquire(&settings()).unwrap().epoch;
        Self { epoch, ..Self::beside(store, kept) }
    }

    /// The same from a process that is not the worker's.
    pub(crate) fn of_client(store: Store) -> Self {
        let Store { provider, kept } = store;
        Self { foreign: true, ..Self::beside(provider, kept) }
    }

    fn beside(store: Box<dyn Provider>, kept: Kept) -> Self {
        Self {
            store,
            now_ms: 1_000,
            settings: settings(),
            worker_lives: true,
            foreign: false,
            epoch: 0,
            at_commit: None,
            effects: Vec::new(),
            calls: Vec::new(),
            ids: HashMap::new(),
            entropy: SeededEntropy::with_prefix(1, "made"),
            turn_entropy: SeededEntropy::with_prefix(2, "asked"),
            _kept: kept,
        }
    }

    pub(crate) fn buffering(&mut self) {
        self.settings.unmatched_events = UnmatchedEvents::Buffer;
    }

    /// Carries out pieces of work in one transaction.
    pub(crate) fn transact(&mut self, works: &[Work]) -> Result<Vec<Outcome>, ProviderError> {
        let fence = (!self.foreign).then_some(self.epoch);
        let mut outcomes = Vec::new();
        let mut effects = Vec::new();
        let hub = HubFacts {
            settings: &self.settings,
            worker_lives: self.worker_lives,
            now_ms: self.now_ms,
        };
        let (foreign, entropy) = (self.foreign, &mut self.entropy);
        let (calls, at_commit) = (&mut self.calls, &mut self.at_commit);
        self.store.foresee(&mut works.iter());
        self.store.transaction(fence, &mut |rows| {
            outcomes.clear();
            let mut context = Context::new(hub.clone(), foreign, &mut *entropy);
            let mut rows = SeenRows::new(rows, usize::MAX);
            for work in works {
                outcomes.push(apply(&mut rows, work, &mut context)?);
            }
            effects = context.effects;
            *calls = rows.calls;
            if let Some(hook) = at_commit {
                hook();
            }
            Ok(())
        })?;
        for (work, outcome) in works.iter().zip(&outcomes) {
            if let (Work::Begin(begin), Outcome::Begun { key: Some(key), .. }) = (work, outcome) {
                self.ids.insert(*key, begin.spec.instance_id.clone().unwrap());
            }
        }
        self.effects = effects.into_iter().map(|effect| self.describe(effect)).collect();
        Ok(outcomes)
    }

    /// One piece of work. If it is refused, nothing has changed.
    pub(crate) fn work(&mut self, work: Work) -> Outcome {
        let before = self.snapshot();
        let outcome = self.transact(&[work]).unwrap().remove(0);
        let refused =
            matches!(outcome, Outcome::Command(Err(_)) | Outcome::Turn(TurnVerdict::Refused(_)));
        if refused {
            assert_eq!(self.snapshot(), before, "a refusal leaves no trace");
            assert!(self.effects.is_empty(), "{:?}", self.effects);
        }
        outcome
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<Answer, Error> {
        match self.work(Work::Command(command)) {
            Outcome::Command(verdict) => verdict,
            other => panic!("not the outcome of a command: {other:?}"),
        }
    }

    /// The code of the error that a command is refused with.
    pub(crate) fn refusal(&mut self, command: Command) -> ErrorCode {
        self.command(command).unwrap_err().code
    }

    fn describe(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Started(started) => {
                self.ids.insert(started.key, started.id.clone());
                let under = started.parent_id.map_or_else(String::new, |id| format!(" of {id}"));
                format!("started {} {}{under}", started.name, started.id)
            }
            Effect::Delivered { key, delivery } => {
                assert!(delivery.key.is_some(), "what is delivered is stored");
                format!(
                    "delivered to {}: {}",
                    self.ids[&key],
                    json(&without_keys(delivery.message))
                )
            }
            Effect::Changed { key } => format!("changed {}", self.ids[&key]),
            Effect::EntityMade { key, id } => {
                let text = format!("made {id}");
                self.ids.insert(key, id);
                text
            }
            Effect::TimerSet { key, task, fire_at } => {
                format!("timer {task} of {} at {fire_at}", self.ids[&key])
            }
            Effect::Ended { instance_id } => format!("ended {instance_id}"),
        }
    }

    // ------------------------------------------------------------------------------ turns

    /// Runs a turn of an instance with what is stored for it and what only the worker knows.
    pub(crate) fn turn(
        &mut self,
        id: &str,
        messages: &[Message],
        outcome: TurnOutcome,
    ) -> TurnVerdict {
        let commit = self.prepare(id, messages, outcome);
        self.commit(commit)
    }

    /// Starts an instance whose first turn has run already: what the caller hears, and whether the
    /// turn was written.
    pub(crate) fn begin(
        &mut self,
        spec: StartSpec,
        outcome: Option<TurnOutcome>,
    ) -> (Result<Answer, Error>, bool) {
        let commit = outcome.map(|outcome| {
            let (mut execution, entropy) = (Execution::default(), &mut self.turn_entropy);
            let turn = Turn::begin(&mut execution, 0, &[], self.now_ms, entropy);
            turn.finish(-1, 0, &mut execution, true, outcome, entropy).unwrap()
        });
        match self.work(Work::Begin(Box::new(Begin { caller: 7, spec, commit }))) {
            Outcome::Begun { answer, key } => (answer, key.is_some()),
            other => panic!("not the outcome of a beginning: {other:?}"),
        }
    }

    pub(crate) fn commit(&mut self, commit: TurnCommit) -> TurnVerdict {
        match self.work(Work::Turn(Box::new(commit))) {
            Outcome::Turn(verdict) => verdict,
            other => panic!("not the outcome of a turn: {other:?}"),
        }
    }

    /// The commit of a turn, made of what is stored now and not written yet.
    pub(crate) fn prepare(
        &mut self,
        id: &str,
        messages: &[Message],
        outcome: TurnOutcome,
    ) -> TurnCommit {
        let key = self.key(id);
        let loaded = self.store.load(key).unwrap().unwrap();
        let exec = loaded.row.head.exec;
        let stored = loaded.messages.iter().map(|stored| Delivery {
            key: Some(stored.key),
            exec: stored.exec,
            message: Message::decode(&stored.body).unwrap(),
        });
        let told = messages.iter().map(|message| Delivery {
            key: None,
            exec: Some(exec),
            message: message.clone(),
        });
        let deliveries: Vec<Delivery> = stored.chain(told).collect();
        let mut execution = folded(&loaded.history);
        let entropy = &mut self.turn_entropy;
        let turn = Turn::begin(&mut execution, exec, &deliveries, self.now_ms, entropy);
        turn.finish(key, exec, &mut execution, loaded.row.ready, outcome, entropy).unwrap()
    }

    pub(crate) fn execution(&mut self, id: &str) -> Execution {
        let key = self.key(id);
        folded(&self.store.history(key).unwrap())
    }

    // ------------------------------------------------------------------------------ entities

    pub(crate) fn entity(&mut self, id: &str) -> Option<EntityRow> {
        let row = self.store.find_entity(id).unwrap();
        if let Some(row) = &row {
            self.ids.insert(row.head.key, id.to_owned());
        }
        row
    }

    /// The commit of a turn with all that waits for the entity, not written yet. Each operation returns
    /// its name, and the state stays.
    pub(crate) fn prepare_entity(&mut self, id: &str) -> EntityCommit {
        let key = self.entity(id).unwrap().head.key;
        let LoadedEntity { row, messages } = self.store.load_entity(key).unwrap().unwrap();
        let waiting = messages
            .iter()
            .filter_map(|stored| match Message::decode(&stored.body).unwrap() {
                Message::Entity(message) => Some(Waiting { key: stored.key, message }),
                _ => None,
            })
            .collect();
        let mut mailbox = Mailbox::new(waiting);
        let intake = Intake::take(&mut mailbox, row.head.lock.as_ref(), usize::MAX, usize::MAX);
        let reply = |waiting: &Waiting| match &waiting.message {
            EntityMessage::Operation { name, caller: Some(to), .. } => {
                Some(EntityReply { to: *to, outcome: Ok(Some(payload(name))) })
            }
            _ => None,
        };
        EntityCommit {
            key,
            version: row.head.version,
            consumed: intake.keys(),
            operated: !intake.operations.is_empty(),
            replies: intake.operations.iter().filter_map(reply).collect(),
            releases: intake.releases,
            grant: intake.grant,
            ..EntityCommit::default()
        }
    }

    pub(crate) fn commit_entity(&mut self, commit: EntityCommit) -> EntityVerdict {
        match self.work(Work::Entity(Box::new(commit))) {
            Outcome::Entity(verdict) => verdict,
            other => panic!("not the outcome of a turn of an entity: {other:?}"),
        }
    }

    pub(crate) fn entity_turn(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut EntityCommit),
    ) -> EntityVerdict {
        let mut commit = self.prepare_entity(id);
        change(&mut commit);
        self.commit_entity(commit)
    }

    // ------------------------------------------------------------------------------ questions

    pub(crate) fn find(&mut self, id: &str) -> Option<InstanceRow> {
        let row = self.store.find(id).unwrap();
        if let Some(row) = &row {
            self.ids.insert(row.head.key, id.to_owned());
        }
        row
    }

    pub(crate) fn row(&mut self, id: &str) -> InstanceRow {
        self.find(id).unwrap_or_else(|| panic!("no instance '{id}'"))
    }

    pub(crate) fn key(&mut self, id: &str) -> InstanceKey {
        self.row(id).head.key
    }

    pub(crate) fn status(&mut self, id: &str) -> RuntimeStatus {
        self.row(id).head.status
    }

    /// The events of its history, row by row, as they are stored.
    pub(crate) fn history(&mut self, id: &str) -> Vec<String> {
        let key = self.key(id);
        let rows = self.store.history(key).unwrap();
        let events = |row: &Vec<u8>| json(&HistoryRecord::decode(row).unwrap().events);
        rows.iter().map(events).collect()
    }

    pub(crate) fn snapshot(&mut self) -> Vec<String> {
        self.store.snapshot().unwrap().0
    }

    /// The lines of the snapshot that tell of one kind of row of an instance.
    pub(crate) fn rows(&mut self, kind: &str, id: &str) -> Vec<String> {
        let start = format!("{kind} {id:?} ");
        let lines = self.snapshot().into_iter();
        lines.filter_map(|line| line.strip_prefix(&start).map(str::to_owned)).collect()
    }
}

/// Messages for entities hold keys, which differ from store to store.
fn without_keys(mut message: Message) -> Message {
    match &mut message {
        Message::Entity(EntityMessage::Operation { caller: Some(of), .. }) => of.key = 0,
        Message::Entity(EntityMessage::Lock { owner, .. } | EntityMessage::Unlock { owner }) => {
            owner.key = 0;
        }
        _ => {}
    }
    message
}

fn folded(history: &[Vec<u8>]) -> Execution {
    let records = history.iter().map(|body| HistoryRecord::decode(body).unwrap()).collect();
    let mut execution = Execution::default();
    Replay::new(records).next_turns(&mut execution, usize::MAX, usize::MAX);
    execution
}

// ---------------------------------------------------------------------------------- commands

pub(crate) fn spec(name: &str, id: &str) -> StartSpec {
    StartSpec {
        name: name.to_owned(),
        instance_id: Some(id.to_owned()),
        version: None,
        input: None,
        on_conflict: OnConflict::Error,
    }
}

pub(crate) fn start(id: &str) -> Command {
    Command::Start(vec![spec("f", id)])
}

pub(crate) fn raise(id: &str, name: &str, input: &impl Serialize) -> Command {
    let (instance_id, name) = (id.to_owned(), name.to_owned());
    Command::RaiseEvent { instance_id, name, input: Some(payload(input)) }
}

pub(crate) fn control(id: &str, control: Control) -> Command {
    let instance_id = id.to_owned();
    Command::Control { instance_id, control, reason: Some(payload(&"why")), recursive: false }
}

pub(crate) fn control_all(id: &str, control: Control) -> Command {
    let instance_id = id.to_owned();
    Command::Control { instance_id, control, reason: Some(payload(&"why")), recursive: true }
}

pub(crate) fn terminate(id: &str) -> Command {
    control(id, Control::Terminate)
}

pub(crate) fn suspend(id: &str) -> Command {
    control(id, Control::Suspend)
}

pub(crate) fn resume(id: &str) -> Command {
    control(id, Control::Resume)
}

pub(crate) fn rewind(id: &str) -> Command {
    Command::Rewind { instance_id: id.to_owned(), reason: Some(payload(&"why")) }
}

pub(crate) fn restart(id: &str, with_new_instance_id: bool) -> Command {
    Command::Restart { instance_id: id.to_owned(), with_new_instance_id }
}

pub(crate) fn purge(id: &str) -> Command {
    Command::Purge { instance_id: id.to_owned() }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside what a command answers")]
pub(crate) fn discarded(reason: DiscardReason) -> Result<Answer, Error> {
    Ok(Answer::Raised(RaiseOutcome::Discarded { reason }))
}

pub(crate) const DELIVERED: Result<Answer, Error> = Ok(Answer::Raised(RaiseOutcome::Delivered));
pub(crate) const BUFFERED: Result<Answer, Error> = Ok(Answer::Raised(RaiseOutcome::Buffered));
pub(crate) const DONE: Result<Answer, Error> = Ok(Answer::Done);

pub(crate) fn settings() -> HubSettings {
    let names = ["f", "g", "child"].map(str::to_owned);
    HubSettings { orchestrators: names.to_vec(), ..HubSettings::default() }
}
