//! What has happened: every operation, and every outcome of `docs/semantics.md` §1 and of a turn.

use std::collections::BTreeSet;

use durafn::core::commit::End;
use durafn::core::request::{Command, Control, OnConflict, StartSpec};
use durafn::core::status::RuntimeStatus;
use durafn::core::turn::TurnOutcome;

use super::choice::Operation;
use crate::common::hub::Hub;

/// What has to be seen. Of each line the part before the colon is the operation.
const WANTED: &[&str] = &[
    "start: inserted",
    "start: several",
    "start: replaced",
    "start: returned",
    "start: terminated and replaced",
    "start: InstanceAlreadyExists",
    "start: InvalidInstanceId",
    "start: InvalidName",
    "start: NotRegistered",
    "start: PayloadTooLarge",
    "start: refused at index 1",
    "begin: with its turn",
    "begin: alone",
    "begin: refused",
    "raise: Delivered",
    "raise: Buffered",
    "raise: NotFound",
    "raise: Ended",
    "raise: NotWaiting",
    "raise: InvalidName",
    "raise: PayloadTooLarge",
    "terminate: Done",
    "terminate: Done recursively",
    "terminate: InstanceNotFound",
    "terminate: InstanceEnded",
    "suspend: Done",
    "suspend: Done recursively",
    "suspend: InstanceNotFound",
    "suspend: InstanceEnded",
    "resume: Done",
    "resume: Done recursively",
    "resume: InstanceNotFound",
    "resume: InstanceEnded",
    "rewind: Done",
    "rewind: InstanceNotFound",
    "rewind: NotRewindable",
    "restart: Started",
    "restart: under a new id",
    "restart: InstanceNotFound",
    "restart: InstanceAlreadyExists",
    "purge: one",
    "purge: none",
    "purge: InstanceNotEnded",
    "purge by keys: one",
    "purge by keys: none",
    "turn: goes on",
    "turn: completes",
    "turn: fails",
    "turn: continues as new",
    "turn: Gone",
    "turn: Suspended",
    "turn: UnseenEvents",
    "child: started",
    "child: refused",
    "child: its end told",
    "park: Mark",
    "park: Hold",
    "park: Fail",
    "unpark: of a held one",
    "keep: done",
    "forget: done",
    "count: done",
    "clear: done",
    "signal: Done",
    "signal: InvalidEntityId",
    "signal: InvalidName",
    "signal: PayloadTooLarge",
    "entity: removed=true",
    "entity: removed=false",
    "entity: lock=Some",
    "entity: answers",
    "entity: grants",
    "entity: due",
    "purge: EntityInUse",
];

/// See the module's text.
#[derive(Default)]
pub(crate) struct Coverage(BTreeSet<String>);

/// What was so before an operation.
pub(crate) struct Before {
    status: Option<RuntimeStatus>,
    has_problem: bool,
}

impl Coverage {
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        WANTED.iter().copied().filter(|wanted| !self.0.contains(*wanted)).collect()
    }

    pub(crate) fn before(hub: &mut Hub, operation: &Operation) -> Before {
        let id = match operation {
            Operation::Command(Command::Start(specs)) => specs[0].instance_id.as_deref(),
            Operation::Unpark(id) => Some(id.as_str()),
            _ => None,
        };
        let row = id.and_then(|id| hub.find(id));
        Before {
            status: row.as_ref().map(|row| row.head.status),
            has_problem: row.is_some_and(|row| row.head.has_problem),
        }
    }

    fn see(&mut self, operation: &str, outcome: &str) {
        self.0.insert(format!("{operation}: {outcome}"));
    }

    /// Notes which of the outcomes stands in the text of what the operation came to.
    fn see_any(&mut self, operation: &str, came_to: &str, outcomes: &[&str]) {
        for outcome in outcomes {
            if came_to.contains(outcome) {
                self.see(operation, outcome);
            }
        }
    }

    pub(crate) fn note(&mut self, operation: &Operation, before: &Before, came_to: &str) {
        match operation {
            Operation::Command(command) => self.command(command, before, came_to),
            Operation::Begin { .. } => {
                let outcome = match came_to {
                    _ if came_to.starts_with("(Err") => "refused",
                    _ if came_to.ends_with("true)") => "with its turn",
                    _ => "alone",
                };
                self.see("begin", outcome);
            }
            Operation::PurgeIds(_) => {
                let none = came_to.contains("deleted: 0");
                self.see("purge by keys", if none { "none" } else { "one" });
            }
            Operation::Turn { outcome, .. } => self.turn(outcome, came_to),
            Operation::Overtaken { outcome, by, .. } => {
                let (verdict, first) = came_to.split_once(" after ").unwrap();
                self.turn(outcome, verdict);
                self.note(by, before, first);
            }
            Operation::Park { how, .. } if came_to == "done" => {
                self.see("park", &format!("{how:?}"));
            }
            Operation::Unpark(_)
                if before.has_problem && before.status == Some(RuntimeStatus::Suspended) =>
            {
                self.see("unpark", "of a held one");
            }
            Operation::Entity { .. } => {
                self.see_any("entity", came_to, &["removed=true", "removed=false", "lock=Some"]);
            }
            Operation::Due if came_to != "0 due" => self.see("entity", "due"),
            Operation::Keep { .. } if came_to == "done" => self.see("keep", "done"),
            Operation::Forget(_) if came_to == "done" => self.see("forget", "done"),
            Operation::CountCrash(_) if came_to == "done" => self.see("count", "done"),
            Operation::ClearCrash(_) if came_to == "done" => self.see("clear", "done"),
            _ => {}
        }
    }

    fn start(&mut self, specs: &[StartSpec], before: &Before, came_to: &str) {
        let name = "start";
        let refusals = [
            "InstanceAlreadyExists",
            "InvalidInstanceId",
            "InvalidName",
            "NotRegistered",
            "PayloadTooLarge",
        ];
        self.see_any(name, came_to, &refusals);
        if came_to.contains("index: Some(1)") {
            self.see(name, "refused at index 1");
        }
        if came_to.starts_with("Ok") {
            let outcome = match (before.status, specs[0].on_conflict) {
                (None, _) => "inserted",
                (Some(status), _) if status.has_ended() => "replaced",
                (_, OnConflict::Return) => "returned",
                _ => "terminated and replaced",
            };
            self.see(name, outcome);
            if specs.len() > 1 {
                self.see(name, "several");
            }
        }
    }

    fn command(&mut self, command: &Command, before: &Before, came_to: &str) {
        match command {
            Command::Start(specs) => self.start(specs, before, came_to),
            Command::RaiseEvent { .. } => {
                let outcomes = [
                    "Delivered",
                    "Buffered",
                    "NotFound",
                    "Ended",
                    "NotWaiting",
                    "InvalidName",
                    "PayloadTooLarge",
                ];
                self.see_any("raise", came_to, &outcomes);
            }
            Command::SignalEntity(_) => {
                let outcomes = ["Done", "InvalidEntityId", "InvalidName", "PayloadTooLarge"];
                self.see_any("signal", came_to, &outcomes);
            }
            Command::Control { control, recursive, .. } => {
                let name = match control {
                    Control::Terminate => "terminate",
                    Control::Suspend => "suspend",
                    Control::Resume => "resume",
                };
                self.see_any(name, came_to, &["Done", "InstanceNotFound", "InstanceEnded"]);
                if *recursive && came_to.starts_with("Ok") {
                    self.see(name, "Done recursively");
                }
            }
            Command::Rewind { .. } => {
                self.see_any("rewind", came_to, &["Done", "InstanceNotFound", "NotRewindable"]);
            }
            Command::Restart { with_new_instance_id, .. } => {
                let outcomes = ["Started", "InstanceNotFound", "InstanceAlreadyExists"];
                self.see_any("restart", came_to, &outcomes);
                if *with_new_instance_id && came_to.starts_with("Ok") {
                    self.see("restart", "under a new id");
                }
            }
            Command::Purge { .. } => {
                self.see_any("purge", came_to, &["InstanceNotEnded", "EntityInUse"]);
                for (text, outcome) in [("deleted: 1", "one"), ("deleted: 0", "none")] {
                    if came_to.contains(text) {
                        self.see("purge", outcome);
                    }
                }
            }
            Command::PurgeKeys(_) => {}
        }
    }

    fn turn(&mut self, outcome: &TurnOutcome, came_to: &str) {
        self.see_any("turn", came_to, &["Gone", "Suspended", "UnseenEvents"]);
        if came_to.contains("Committed") {
            let how = match &outcome.end {
                None => "goes on",
                Some(End::Complete { .. }) => "completes",
                Some(End::Fail { .. }) => "fails",
                Some(End::ContinueAsNew { .. }) => "continues as new",
            };
            self.see("turn", how);
        }
    }

    /// What the effects of a turn tell of its sub-orchestrations.
    pub(crate) fn note_effects(&mut self, effects: &[String]) {
        for effect in effects {
            if effect.starts_with("started child") && effect.contains(" of ") {
                self.see("child", "started");
            }
            if effect.contains("\"ChildFailed\"") && effect.contains("InstanceAlreadyExists") {
                self.see("child", "refused");
            }
            if effect.contains("\"EntityCompleted\"") {
                self.see("entity", "answers");
            }
            if effect.contains("\"LockGranted\"") {
                self.see("entity", "grants");
            }
            if effect.contains("\"ChildCompleted\"") {
                self.see("child", "its end told");
            }
        }
    }
}
