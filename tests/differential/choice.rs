//! Which operation comes next, and how it is carried out on a hub.
//!
//! An operation names instances by id: keys differ from store to store.

use durafn::core::action::Action;
use durafn::core::commit::{TurnCommit, TurnVerdict};
use durafn::core::entity::{EntityVerdict, Signal};
use durafn::core::error::ErrorCode;
use durafn::core::execution::OpenTask;
use durafn::core::message::Message;
use durafn::core::replay::Problem;
use durafn::core::request::{
    Command, Control, HubSettings, OnConflict, StartSpec, UnmatchedEvents,
};
use durafn::core::turn::TurnOutcome;
use durafn::core::{Payload, TaskId, TimeMs};
use durafn::provider::transaction::{Outcome, Park, Work};

use crate::common::actions::{
    call, call_entity, call_retried, cancel, child, child_completed, child_failed, child_retried,
    completed, continues, failed, fired, granted, lock, nothing, operation_completed, raised,
    release, retry, returns, throws, timer, wait,
};
use crate::common::hub::{Hub, raise};
use crate::common::{Rng, payload};

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const ENTITIES: [&str; 3] = ["@c@1", "@c@2", "@d@1"];
const EVENTS: [&str; 3] = ["go", "GO", "stop"];
/// Largest payload in the hubs, in bytes of JSON.
const PAYLOAD_BYTES: usize = 40;

/// See the module's text.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Command(Command),
    /// A start whose first turn has run already.
    Begin {
        spec: StartSpec,
        outcome: Option<TurnOutcome>,
    },
    /// A purge by keys, by id.
    PurgeIds(Vec<String>),
    Turn {
        id: String,
        messages: Vec<Message>,
        outcome: TurnOutcome,
    },
    /// A turn is prepared, something else happens, and the turn is committed.
    Overtaken {
        id: String,
        messages: Vec<Message>,
        outcome: TurnOutcome,
        by: Box<Operation>,
    },
    Park {
        id: String,
        how: Park,
    },
    Unpark(String),
    Keep {
        id: String,
        exec: u32,
        message: Message,
    },
    /// The oldest message of an instance is forgotten.
    Forget(String),
    CountCrash(String),
    ClearCrash(String),
    Unmatched(UnmatchedEvents),
    Time(TimeMs),
    /// A turn of an entity with all that waits for it, and the state that it leaves.
    Entity {
        id: String,
        /// Of an inner `None`, none.
        #[expect(clippy::option_option, reason = "as the commit of an entity has it")]
        state: Option<Option<Payload>>,
    },
    /// What is due of entities falls due.
    Due,
}

impl Operation {
    /// What it came to, in words that are the same for each store.
    pub(crate) fn carry_out(&self, hub: &mut Hub) -> String {
        hub.effects.clear();
        match self {
            Self::Command(command) => format!("{:?}", hub.command(command.clone())),
            Self::Begin { spec, outcome } => {
                format!("{:?}", hub.begin(spec.clone(), outcome.clone()))
            }
            Self::PurgeIds(ids) => {
                let keys = ids.iter().filter_map(|id| hub.find(id)).map(|row| row.head.key);
                let command = Command::PurgeKeys(keys.collect());
                format!("{:?}", hub.command(command))
            }
            Self::Turn { id, messages, outcome } => {
                let commit = prepared(hub, id, messages, outcome);
                format!("{:?}", commit.map(|commit| hub.commit(commit)))
            }
            Self::Overtaken { id, messages, outcome, by } => {
                let commit = prepared(hub, id, messages, outcome);
                let first = by.carry_out(hub);
                let verdict: Option<TurnVerdict> = commit.map(|commit| hub.commit(commit));
                format!("{verdict:?} after {first}")
            }
            Self::Time(now_ms) => {
                hub.now_ms = *now_ms;
                String::new()
            }
            Self::Unmatched(unmatched_events) => {
                hub.settings = HubSettings {
                    unmatched_events: *unmatched_events,
                    payload_bytes: PAYLOAD_BYTES,
                    ..hub.settings.clone()
                };
                let settings = hub.settings.clone();
                format!("{:?}", hub.work(Work::PutSettings(settings)))
            }
            Self::Entity { id, state } => {
                if hub.entity(id).is_none() {
                    return "no entity".to_owned();
                }
                match hub.entity_turn(id, |commit| commit.state.clone_from(state)) {
                    EntityVerdict::Committed { lock, removed } => {
                        let lock = lock.map(|lock| (lock.exec, lock.task));
                        format!("entity lock={lock:?} removed={removed}")
                    }
                    EntityVerdict::Gone => "gone".to_owned(),
                    EntityVerdict::Stale => "stale".to_owned(),
                }
            }
            Self::Due => {
                let due = hub.store.timers_due(hub.now_ms, 100).unwrap();
                let due = due.into_iter().filter(|row| row.key < 0);
                let due: Vec<_> = due.map(|row| (row.key, row.task)).collect();
                let number = due.len();
                hub.work(Work::Due(due));
                format!("{number} due")
            }
            other => other.engine_work(hub).map_or_else(String::new, |outcome| {
                assert!(matches!(outcome, Outcome::Done));
                "done".to_owned()
            }),
        }
    }

    fn engine_work(&self, hub: &mut Hub) -> Option<Outcome> {
        let key = |hub: &mut Hub, id: &str| hub.find(id).map(|row| row.head.key);
        let work = match self {
            Self::Park { id, how } => {
                let problem = Box::new(Problem::new(ErrorCode::Poison, "it died"));
                Work::Park { key: key(hub, id)?, problem, how: *how }
            }
            Self::Unpark(id) => Work::Unpark(key(hub, id)?),
            Self::Keep { id, exec, message } => {
                Work::Keep { key: key(hub, id)?, exec: *exec, messages: vec![message.clone()] }
            }
            Self::Forget(id) => {
                let key = key(hub, id)?;
                let messages = hub.store.load(key).unwrap()?.messages;
                Work::Forget(messages.iter().take(1).map(|message| message.key).collect())
            }
            Self::CountCrash(id) => Work::CountCrash(vec![key(hub, id)?]),
            Self::ClearCrash(id) => Work::ClearCrash(vec![key(hub, id)?]),
            other => panic!("no work of the engine: {other:?}"),
        };
        Some(hub.work(work))
    }
}

fn prepared(
    hub: &mut Hub,
    id: &str,
    messages: &[Message],
    outcome: &TurnOutcome,
) -> Option<TurnCommit> {
    hub.find(id)?;
    Some(hub.prepare(id, messages, outcome.clone()))
}

/// See the module's text.
pub(crate) struct Choice {
    pub(crate) rng: Rng,
    begun: bool,
}

impl Choice {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, begun: false }
    }

    pub(crate) fn next(&mut self, hub: &mut Hub) -> Operation {
        if !std::mem::replace(&mut self.begun, true) {
            return Operation::Unmatched(UnmatchedEvents::Discard);
        }
        match self.rng.below(118) {
            100..106 => Operation::Command(self.signal(hub)),
            106..112 => {
                let value = self.rng.chance(50).then(|| payload(&1));
                let state = self.rng.chance(60).then_some(value);
                Operation::Entity { id: (*self.rng.pick(&ENTITIES)).to_owned(), state }
            }
            112..116 => Operation::Due,
            116..118 => {
                let instance_id = (*self.rng.pick(&ENTITIES)).to_owned();
                Operation::Command(Command::Purge { instance_id })
            }
            0..14 => Operation::Command(Command::Start(self.starts(hub))),
            14..18 => {
                let spec = StartSpec { instance_id: Some(self.id(hub)), ..self.start(hub) };
                let outcome = self.outcome(hub, "nobody");
                Operation::Begin { spec, outcome: self.rng.chance(90).then_some(outcome) }
            }
            18..30 => Operation::Command(self.event(hub)),
            30..42 => Operation::Command(self.control(hub)),
            42..46 => {
                let (instance_id, reason) = (self.id(hub), Some(payload(&"why")));
                Operation::Command(Command::Rewind { instance_id, reason })
            }
            46..49 => {
                let (instance_id, with_new_instance_id) = (self.id(hub), self.rng.chance(30));
                Operation::Command(Command::Restart { instance_id, with_new_instance_id })
            }
            49..53 => Operation::Command(Command::Purge { instance_id: self.id(hub) }),
            53..55 => Operation::PurgeIds(vec![self.id(hub), self.id(hub)]),
            55..83 => self.turn(hub),
            83..88 => self.overtaken(hub),
            88..97 => self.engine_work(hub),
            97..98 => Operation::Unmatched(
                *self.rng.pick(&[UnmatchedEvents::Discard, UnmatchedEvents::Buffer]),
            ),
            _ => Operation::Time(hub.now_ms + i64::try_from(self.rng.below(300)).unwrap() - 50),
        }
    }

    /// Mostly one that there is.
    fn id(&mut self, hub: &mut Hub) -> String {
        for _ in 0..3 {
            let id = *self.rng.pick(&IDS);
            if hub.find(id).is_some() && !self.rng.chance(30) {
                return id.to_owned();
            }
        }
        "nobody".to_owned()
    }

    fn starts(&mut self, hub: &Hub) -> Vec<StartSpec> {
        let count = *self.rng.pick(&[1, 1, 1, 2, 3]);
        (0..count).map(|_| self.start(hub)).collect()
    }

    fn start(&mut self, hub: &Hub) -> StartSpec {
        let good = *self.rng.pick(&["f", "G", "child"]);
        let name = match self.rng.below(30) {
            0 => "",
            1 => "unknown",
            _ => good,
        };
        let id = *self.rng.pick(&IDS);
        let instance_id = match self.rng.below(30) {
            0 => Some("@bad".to_owned()),
            1 => None,
            _ => Some(id.to_owned()),
        };
        let on_conflict = *self.rng.pick(&[
            OnConflict::Error,
            OnConflict::Error,
            OnConflict::Return,
            OnConflict::Terminate,
            OnConflict::Once,
        ]);
        let version = self.rng.pick(&[None, Some(""), Some("1"), Some("2.0")]).map(str::to_owned);
        let (name, input) = (name.to_owned(), self.data(hub));
        StartSpec { name, instance_id, version, input, on_conflict }
    }

    fn data(&mut self, hub: &Hub) -> Option<durafn::core::Payload> {
        let large = hub.settings.payload_bytes == PAYLOAD_BYTES && self.rng.chance(4);
        let length = if large { PAYLOAD_BYTES } else { self.rng.below(5) };
        self.rng.chance(80).then(|| payload(&"x".repeat(length)))
    }

    fn event(&mut self, hub: &mut Hub) -> Command {
        let id = self.id(hub);
        let name = if self.rng.chance(4) { "" } else { *self.rng.pick(&EVENTS) };
        let Command::RaiseEvent { instance_id, name, .. } = raise(&id, name, &1) else {
            panic!("an event")
        };
        Command::RaiseEvent { instance_id, name, input: self.data(hub) }
    }

    fn signal(&mut self, hub: &Hub) -> Command {
        let entity_id = *self.rng.pick(&["@c@1", "@C@2", "@d@1", "bad"]);
        let operation = if self.rng.chance(4) { "a\u{7}" } else { "add" };
        let fire_at = self.rng.chance(30).then_some(hub.now_ms + 50);
        let (entity_id, operation) = (entity_id.to_owned(), operation.to_owned());
        Command::SignalEntity(Signal { entity_id, operation, input: self.data(hub), fire_at })
    }

    fn control(&mut self, hub: &mut Hub) -> Command {
        let control = *self.rng.pick(&[
            Control::Terminate,
            Control::Suspend,
            Control::Resume,
            Control::Resume,
        ]);
        let (instance_id, recursive) = (self.id(hub), self.rng.chance(40));
        Command::Control { instance_id, control, reason: Some(payload(&"why")), recursive }
    }

    fn turn(&mut self, hub: &mut Hub) -> Operation {
        let id = self.id(hub);
        let messages = self.messages(hub, &id);
        let outcome = self.outcome(hub, &id);
        Operation::Turn { id, messages, outcome }
    }

    /// What overtakes a turn is something that may keep it from being written.
    fn overtaken(&mut self, hub: &mut Hub) -> Operation {
        let Operation::Turn { id, messages, mut outcome } = self.turn(hub) else {
            panic!("a turn")
        };
        let by = if self.rng.chance(60) {
            let ends = [returns(&1), throws(&"no"), continues(&2)];
            outcome.end.clone_from(&self.rng.pick(&ends).end);
            Operation::Command(raise(&id, &self.awaited(hub, &id), &1))
        } else if self.rng.chance(50) {
            Operation::Command(self.control(hub))
        } else {
            self.turn(hub)
        };
        Operation::Overtaken { id, messages, outcome, by: Box::new(by) }
    }

    /// Name of an event that the instance waits for, if it waits for one.
    fn awaited(&mut self, hub: &mut Hub, id: &str) -> String {
        let name = (*self.rng.pick(&EVENTS)).to_owned();
        if hub.find(id).is_none() {
            return name;
        }
        let execution = hub.execution(id);
        let mut waits = execution.open().filter_map(|(_, open)| match open {
            OpenTask::Event { name, .. } => Some(name.to_string()),
            _ => None,
        });
        waits.next().unwrap_or(name)
    }

    fn messages(&mut self, hub: &mut Hub, id: &str) -> Vec<Message> {
        if hub.find(id).is_none() {
            return Vec::new();
        }
        let open: Vec<(TaskId, OpenTask)> =
            hub.execution(id).open().map(|(task, open)| (task, open.clone())).collect();
        let mut messages = Vec::new();
        for _ in 0..self.rng.below(3).min(open.len()) {
            let (task, open) = self.rng.pick(&open);
            messages.push(match open {
                _ if self.rng.chance(10) => fired(*task),
                OpenTask::Activity(_) if self.rng.chance(40) => failed(*task, &"no"),
                OpenTask::Activity(_) => completed(*task, &1),
                OpenTask::Timer { .. } => fired(*task),
                OpenTask::Event { .. } => raised("nobody", &1),
                OpenTask::Entity { .. } => operation_completed(*task, &1),
                OpenTask::Lock { .. } => granted(*task),
                OpenTask::Child { instance_id, .. } if self.rng.chance(50) => {
                    child_failed(*task, instance_id, &"no")
                }
                OpenTask::Child { .. } => child_completed(*task, &1),
            });
        }
        messages
    }

    fn outcome(&mut self, hub: &mut Hub, id: &str) -> TurnOutcome {
        let end = match self.rng.below(100) {
            0..16 => returns(&1),
            16..26 => throws(&"no"),
            26..33 => continues(&2),
            _ => nothing(),
        };
        let timers: Vec<TaskId> = if hub.find(id).is_some() {
            let execution = hub.execution(id);
            let timer = |(task, open): (TaskId, &OpenTask)| {
                matches!(open, OpenTask::Timer { .. }).then_some(task)
            };
            execution.open().filter_map(timer).collect()
        } else {
            Vec::new()
        };
        let actions = (0..self.rng.below(4)).map(|_| self.action(hub.now_ms, &timers)).collect();
        let custom_status = self.rng.chance(10).then(|| payload(&"status"));
        TurnOutcome { actions, custom_status, ..end }
    }

    fn action(&mut self, now_ms: TimeMs, timers: &[TaskId]) -> Action {
        let id = *self.rng.pick(&IDS);
        match self.rng.below(11) {
            8 => call_entity(self.rng.pick::<&str>(&ENTITIES), "add", &1),
            9 => lock(["@d@1", "@c@1", "@c@2"]),
            10 => release(),
            0 => call("x"),
            1 => call_retried("x", retry(3)),
            2 => child("child", Some(id)),
            3 => child_retried("child", Some(id), retry(2)),
            4 if !timers.is_empty() => cancel(*self.rng.pick(timers)),
            5 => timer(now_ms + 100),
            _ => wait(self.rng.pick::<&str>(&EVENTS)),
        }
    }

    fn engine_work(&mut self, hub: &mut Hub) -> Operation {
        let id = self.id(hub);
        match self.rng.below(10) {
            0 => Operation::Park { id, how: Park::Mark },
            1 => Operation::Park { id, how: Park::Fail },
            2 | 3 => Operation::Park { id, how: Park::Hold },
            4 | 5 => Operation::Unpark(id),
            6 => Operation::Forget(id),
            7 => Operation::CountCrash(id),
            8 => Operation::ClearCrash(id),
            _ => {
                let exec = u32::try_from(self.rng.below(2)).unwrap();
                Operation::Keep { id, exec, message: completed(0, &1) }
            }
        }
    }
}
