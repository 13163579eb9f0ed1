//! Functions that do not return.
//!
//! Owns: what is told of one that holds its thread, and what it is blamed for. Must never: blame what merely
//! waits behind it, where it is known what runs.
//! Proved by `__test__/hung.spec.mjs` and `__test__/hung-threads.spec.mjs`.

use std::time::Duration;

use serde::Deserialize;

use crate::core::error::ErrorCode;
use crate::core::instance::InstanceRow;
use crate::core::limits::CRASHES;
use crate::core::replay::Problem;
use crate::core::{InstanceKey, TimeMs};
use crate::provider::transaction::{Park, Work};

use super::super::activities::DueActivity;
use super::super::protocol::{LogLevel, Token};
use super::super::pulse::Inside;
use super::{Dispatcher, State, Step};

/// How many deaths a function counts for that held a worker until others took over: nobody starts that
/// worker again, so the second one is the last.
const HANDED_OVER: usize = 2;
/// Most that are told of where it is not known which of them runs.
const SUSPECTS: usize = 20;

/// What is told of what JavaScript is in.
#[derive(Debug, Default)]
pub struct Overdue {
    /// For people.
    pub what: String,
    /// For the store.
    pub work: Vec<Work>,
}

/// What may be what does not return.
struct Suspect {
    key: InstanceKey,
    /// Its row is this worker's, and stored.
    stored: bool,
    /// It is an activity that was taken.
    taken: bool,
    /// Of the instance or entity.
    id: String,
    what: String,
}

impl Dispatcher {
    /// JavaScript has not answered for so long: the instances that it may be in say so, until their next turn.
    pub fn overdue(&mut self, inside: Inside, silent: Duration) -> Overdue {
        let suspects = self.suspects_of(inside);
        let surely = suspects.len() == 1;
        let mut work = Vec::new();
        for suspect in suspects.iter().filter(|suspect| suspect.stored).take(SUSPECTS) {
            let or = if surely { "" } else { ", or another function beside it," };
            let message = format!(
                "{}{or} has held the process's one thread for {:.1} s without returning, so nothing \
                 else of the hub runs in that process. Split what takes so long, run it in threads \
                 (options.threads), or raise options.limits.turnMs (and options.leaseMs); end the \
                 process if it never returns.",
                upper(&suspect.what),
                silent.as_secs_f64(),
            );
            work.push(self.mark(suspect.key, message));
        }
        Overdue { what: told(&suspects), work }
    }

    fn mark(&mut self, key: InstanceKey, message: String) -> Work {
        let problem = Box::new(Problem::new(ErrorCode::TurnOverdue, message));
        if self.entities.marked(key) {
            return Work::MarkEntity(key, Some(problem));
        }
        if let Some(live) = self.lives.get_mut(&key) {
            live.has_problem = true;
        }
        Work::Park { key, problem, how: Park::Mark }
    }

    /// JavaScript has not answered for a lease, and others are to take over. What it may be in is blamed:
    /// whether that may be an activity which has a row of its own, as any worker may run it.
    pub fn hand_over(&mut self, inside: Inside, step: &mut Step) -> bool {
        let suspects = self.suspects_of(inside);
        let blamed: Vec<InstanceKey> =
            suspects.iter().filter(|suspect| suspect.stored).map(|suspect| suspect.key).collect();
        self.leave_behind(&blamed, step);
        let deaths = if suspects.len() == 1 { HANDED_OVER } else { 1 };
        let (entities, instances): (Vec<_>, Vec<_>) =
            blamed.into_iter().partition(|key| self.entities.has(*key));
        for _ in 0..deaths {
            if !entities.is_empty() {
                let keys = entities.clone();
                step.work.push(Work::EntityCrashes { keys, counts: true });
            }
            if !instances.is_empty() {
                step.work.push(Work::CountCrash(instances.clone()));
            }
        }
        suspects.iter().any(|suspect| suspect.taken)
    }

    /// The one that JavaScript says it is in; else all that it could be in.
    fn suspects_of(&self, inside: Inside) -> Vec<Suspect> {
        if self.options.threads {
            return Vec::new(); // they have their own watch, and nothing of them runs here
        }
        if let Some(known) = self.inside(inside) {
            return vec![known];
        }
        let turns: Vec<Suspect> =
            self.tokens.keys().filter_map(|token| self.turn_of(*token)).collect();
        if !turns.is_empty() {
            return turns;
        }
        self.activities.here().map(|activity| self.activity_of(activity)).collect()
    }

    fn inside(&self, inside: Inside) -> Option<Suspect> {
        let number = u32::try_from(inside.unsigned_abs()).unwrap_or_default();
        match inside {
            0 => None,
            1.. => self.turn_of(number),
            _ => self.activities.run_of(number).map(|activity| self.activity_of(activity)),
        }
    }

    fn turn_of(&self, token: Token) -> Option<Suspect> {
        let key = *self.tokens.get(&token)?;
        if self.entities.runs(key, token) {
            let id = self.entities.id_of(key).to_owned();
            let what = format!("an operation of entity '{id}'");
            return Some(Suspect { key, stored: true, taken: false, id, what });
        }
        let live = self.lives.get(&key)?;
        let what = format!("a turn of orchestrator '{}', instance '{}',", live.name, live.id);
        let stored = live.beginning.is_none();
        Some(Suspect { key, stored, taken: false, id: live.id.clone(), what })
    }

    fn activity_of(&self, activity: &DueActivity) -> Suspect {
        let live = self.lives.get(&activity.key);
        let id = live.map(|live| live.id.clone()).unwrap_or_default();
        let of = match live {
            Some(_) => format!("instance '{id}'"),
            None => "an instance of another worker".to_owned(),
        };
        let what = format!("activity '{}', {of},", activity.name);
        let (stored, taken) = (live.is_some(), activity.elsewhere);
        Suspect { key: activity.key, stored, taken, id, what }
    }

    /// A thread is held for so long by what it is in. One that is held by a turn is ended for it.
    pub fn overdue_in_thread(&mut self, inside: Inside, held_ms: TimeMs, step: &mut Step) {
        let Some(suspect) = self.inside(inside) else { return };
        let more = if inside < 0 {
            "What else is to run in that thread waits. Give the activity a timeoutMs, at which its \
             thread is ended, or terminate the instance, if it never returns."
        } else {
            "The thread is ended, and replaced; what was under way in it runs again. Let a turn do \
             less (what computes is for activities), or raise options.limits.turnMs."
        };
        let message = format!(
            "{} has held its thread for {}. {more}",
            upper(&suspect.what),
            seconds(held_ms)
        );
        step.log(LogLevel::Error, &suspect.id, message.clone());
        if suspect.stored {
            let work = self.mark(suspect.key, message);
            step.work.push(work);
        }
    }

    /// An activation waits behind what holds its thread. A start needs the store alone: it is stored without
    /// its first turn.
    pub fn waits_in_thread(&mut self, token: Token, step: &mut Step) {
        let Some(key) = self.tokens.get(&token).copied() else { return };
        let Some(live) = self.lives.get(&key) else { return };
        if live.beginning.is_some() && matches!(live.state, State::Running(of, _) if of == token) {
            self.begin_alone(key, step);
        }
    }
}

impl Step {
    /// An instance that was under way in a worker that others have taken over from: the log of this one says
    /// what that was.
    pub(super) fn tell_found(&mut self, row: &InstanceRow) {
        if let Some(message) = overdue_before(row) {
            let message = format!("It was under way in a worker that did not answer: {message}");
            self.warn(&row.head.id, message);
        }
    }
}

/// What was told of a function of the instance that did not return, if that is its problem.
pub(super) fn overdue_before(row: &InstanceRow) -> Option<String> {
    #[derive(Deserialize)]
    struct Told {
        code: String,
        message: String,
    }
    let told: Told = serde_json::from_str(row.problem.as_ref()?.get()).ok()?;
    (told.code == "TurnOverdue").then_some(told.message)
}

fn told(suspects: &[Suspect]) -> String {
    let first: Vec<&str> = suspects.iter().take(3).map(|suspect| suspect.what.as_str()).collect();
    match suspects.len() {
        0 => "it is in no function of the hub's.".to_owned(),
        1 => format!("it is in {}.", first.concat().trim_end_matches(',')),
        count => format!("it is in one of {count} that run, such as {}.", first.join(" or ")),
    }
}

/// What is said of what ended its thread too often.
pub(super) fn poisoned(what: &str, held_ms: TimeMs) -> String {
    if held_ms > 0 {
        let held = seconds(held_ms);
        return format!(
            "The thread that ran {what} was ended for it {CRASHES} times, the last time as it did not return within {held}"
        );
    }
    format!("The thread that ran {what} died under it {CRASHES} times")
}

fn seconds(ms: TimeMs) -> String {
    format!("{:.1} s", Duration::from_millis(ms.unsigned_abs()).as_secs_f64())
}

/// At the begin of a sentence.
fn upper(what: &str) -> String {
    let mut chars = what.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
