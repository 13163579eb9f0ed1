//! Turns of live instances: begun, finished, committed, refused.
//!
//! Owns: the hand-over to JavaScript and to the store. Must never: have two turns of one instance
//! under way.

use std::collections::VecDeque;

use crate::core::commit::{End, TurnCommit, TurnVerdict};
use crate::core::error::{Error, ErrorCode};
use crate::core::execution::{Execution, OpenTask};
use crate::core::history::HistoryEvent;
use crate::core::message::{Delivery, Message};
use crate::core::replay::Problem;
use crate::core::turn::{Turn, TurnOutcome};
use crate::core::{InstanceKey, TaskId, TimeMs};
use crate::provider::transaction::{Park, Work};

use super::super::activities::DueActivity;
use super::super::protocol::{Activation, ActivationOutcome, ActivationTurn, Token};
use super::overdue::poisoned;
use super::{Dispatcher, State, Step, is_unstored, too_large};

impl Dispatcher {
    /// Begins a turn of an idle instance with all that waits for it.
    pub(super) fn run(&mut self, key: InstanceKey, now_ms: TimeMs, step: &mut Step) {
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        if !matches!(live.state, State::Idle) {
            return;
        }
        // A start that is under way is brought to its end.
        if live.beginning.is_none() && self.held.lets_go_of(key) {
            return;
        }
        let Self { options, .. } = self;
        let (most, bytes) = if live.takes_all {
            (usize::MAX, usize::MAX)
        } else {
            (options.turn_messages, options.exchange_bytes)
        };
        let deliveries = live.take_messages(most, bytes);
        // Without its code there is nothing to fail; a replay finds the violation again, or none.
        let violated = std::mem::take(&mut live.violated) && live.in_js;
        if deliveries.is_empty() && !violated && !live.has_work() {
            return;
        }
        let mut turn =
            Turn::begin(&mut live.execution, live.exec, &deliveries, now_ms, self.entropy.as_mut());
        turn.starts_max = self.options.turn_starts;
        if turn.is_empty() && !violated {
            if !turn.consumed().is_empty() {
                step.work.push(Work::Forget(turn.consumed().to_vec()));
            }
            self.put_off_timers(key, &deliveries);
            return self.become_idle(key);
        }
        self.put_off_timers(key, &deliveries);
        let Some(live) = self.lives.get_mut(&key) else { return };
        live.unstored = deliveries.into_iter().filter(is_unstored).collect();
        if !turn.needs_code() && !violated {
            return self.finish(key, turn, TurnOutcome::default(), step);
        }
        let (handle, start) = live.enter_js();
        let resolutions = turn.resolutions().collect();
        let turns = vec![ActivationTurn { time: turn.time_ms, resolutions }];
        let token = self.token(key);
        if let Some(live) = self.lives.get_mut(&key) {
            live.state = State::Running(token, turn);
        }
        let activation = Activation { token, iid: handle, start, turns, replayed: 0 };
        self.send_activation(key, activation, step);
    }

    /// The code of an instance did something outside a turn, as JavaScript has noticed: a turn in
    /// which nothing comes gives it the occasion to fail.
    pub fn violated(&mut self, id: &str) {
        let Some(key) = self.ids.get(id) else { return };
        let Some(live) = self.lives.get_mut(key) else { return };
        live.violated = true;
        if matches!(live.state, State::Idle) {
            self.runnable.push(*key);
        }
    }

    /// Timers that fired and whose time is yet to come, as the clock was set back meanwhile, are open
    /// still: they are set again.
    fn put_off_timers(&mut self, key: InstanceKey, deliveries: &[Delivery]) {
        let Some(live) = self.lives.get(&key) else { return };
        for delivery in deliveries {
            if let Message::TimerFired { task } = delivery.message
                && let Some(fire_at) = live.execution.due_at(task)
            {
                self.timers.add(fire_at, key, task);
            }
        }
    }

    /// JavaScript has run an activation.
    pub fn activation_done(&mut self, outcome: ActivationOutcome, step: &mut Step) {
        let Some(key) = self.tokens.remove(&outcome.token) else {
            return;
        };
        if self.entities.runs(key, outcome.token) {
            return self.entity_lost(key);
        }
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        if let Some(message) = outcome.held
            && live.awaits(outcome.token)
        {
            return self.hold_too_large(key, message, step);
        }
        match std::mem::replace(&mut live.state, State::Idle) {
            State::Running(token, turn) if token == outcome.token => {
                match outcome.turns.into_iter().next() {
                    Some(outcome) => self.finish(key, turn, outcome, step),
                    // JavaScript does not hold the execution: nothing was run.
                    None => self.run_again(key, step),
                }
            }
            // Nor here, where the code was to run again what it ran before.
            State::Replaying(token) if token == outcome.token && outcome.turns.is_empty() => {
                self.run_again(key, step);
            }
            State::Replaying(token) if token == outcome.token => {
                self.replayed(key, &outcome.turns, step);
            }
            // The answer of an execution that was dropped meanwhile.
            other => live.state = other,
        }
    }

    /// An activation has ended its thread too often.
    pub fn poisoned_thread(&mut self, token: Token, held_ms: TimeMs, step: &mut Step) {
        let Some(key) = self.tokens.remove(&token) else { return };
        if self.entities.runs(key, token) {
            return self.entity_poisoned_thread(key, held_ms, step);
        }
        let Some(live) = self.lives.get(&key) else { return };
        if live.awaits(token) && !self.begin_alone(key, step) {
            let message = format!(
                "{}, so it is parked. Mend its orchestrator, then resume the instance.",
                poisoned("this instance", held_ms)
            );
            self.park(key, Box::new(Problem::new(ErrorCode::Poison, message)), Park::Hold, step);
        }
    }

    fn finish(&mut self, key: InstanceKey, turn: Turn, outcome: TurnOutcome, step: &mut Step) {
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        let outcome = self.options.within_limits(outcome);
        let finished = turn.finish(
            key,
            live.exec,
            &mut live.execution,
            live.row_ready,
            outcome,
            self.entropy.as_mut(),
        );
        match finished {
            Ok(mut commit) => {
                commit.recovers = live.has_problem || (live.crashes > 1 && gets_on(&commit));
                self.send_turn(commit, step);
            }
            Err(error) if !self.begin_alone(key, step) => self.defect(key, &error, step),
            Err(_) => {}
        }
    }

    fn defect(&mut self, key: InstanceKey, error: &Error, step: &mut Step) {
        let problem = Problem::new(ErrorCode::Internal, error.message.clone());
        self.park(key, Box::new(problem), Park::Hold, step);
    }

    /// A turn came back from the store.
    pub(super) fn committed(&mut self, commit: TurnCommit, verdict: &TurnVerdict, step: &mut Step) {
        let key = commit.key;
        let Some(live) = self.lives.get_mut(&key) else {
            return;
        };
        // An instance that was loaded anew meanwhile knows nothing of it.
        let current = (live.exec, live.execution.turns()) == (commit.exec, commit.turn);
        if !current || !matches!(live.state, State::Committing) {
            return;
        }
        if let TurnVerdict::Refused(_) = verdict {
            return self.run_again(key, step);
        }
        step.log_failures(&live.id, &live.name, &commit);
        live.unstored.clear();
        live.takes_all = false;
        let weight = commit.weight();
        live.bytes += weight;
        self.bytes += weight;
        if commit.ready_changed {
            live.row_ready = commit.ready;
        }
        if commit.recovers {
            live.has_problem = false;
            live.crashes = 1;
        }
        if let Some(custom_status) = &commit.custom_status {
            live.custom_status = Some(custom_status.clone());
        }
        if commit.begins && live.created_ms.is_none() {
            live.created_ms = Some(commit.record.time_ms);
        }
        match commit.end {
            None => self.go_on(&commit),
            Some(End::ContinueAsNew { input, .. }) => {
                live.input = input;
                live.exec += 1;
                live.execution = Execution::since(commit.record.time_ms);
                live.row_ready = true;
                live.in_js = false;
                self.bytes -= std::mem::take(&mut live.bytes);
                self.give_up_activities(key, step);
                self.become_idle(key);
            }
            Some(ref end) => {
                step.ended.push(live.ended_view(&commit));
                // The code has returned, so JavaScript has let go of it already.
                live.in_js = false;
                // A rewind goes on with what came while the last turn ran.
                if matches!(end, End::Fail { .. }) {
                    self.keep_unstored(key, step);
                }
                self.forget(key, step);
            }
        }
    }

    /// What the code did in this turn is void. The store says how the instance stands now, and the
    /// turn's messages come again.
    pub(super) fn run_again(&mut self, key: InstanceKey, step: &mut Step) {
        if self.begin_alone(key, step) {
            return;
        }
        if let Some(live) = self.lives.get_mut(&key) {
            let mut mailbox = VecDeque::from(std::mem::take(&mut live.unstored));
            mailbox.append(&mut live.mailbox);
            live.mailbox = mailbox;
            live.takes_all = true;
        }
        self.reload(key);
    }

    /// What a committed turn asked for may begin.
    fn go_on(&mut self, commit: &TurnCommit) {
        for (task, fire_at) in &commit.timers_set {
            self.timers.add(*fire_at, commit.key, *task);
        }
        for task in &commit.activities {
            self.due(commit.key, *task);
        }
        self.become_idle(commit.key);
    }

    /// An activity may start, unless it is due or runs already.
    pub(super) fn due(&mut self, key: InstanceKey, task: TaskId) {
        if let Some(activity) = self.due_activity(key, task) {
            let elsewhere = self.goes_elsewhere(&activity.name);
            self.activities.push(DueActivity { elsewhere, ..activity });
        }
    }

    /// The same, and in this process.
    pub(super) fn due_here(&mut self, key: InstanceKey, task: TaskId) {
        if let Some(activity) = self.due_activity(key, task) {
            self.activities.push(activity);
        }
    }

    /// One that is not due yet and does not run.
    pub(super) fn due_activity(&mut self, key: InstanceKey, task: TaskId) -> Option<DueActivity> {
        let live = self.lives.get_mut(&key)?;
        let Some(OpenTask::Activity(call)) = live.execution.task(task) else { return None };
        live.activities.insert(task).then(|| DueActivity {
            key,
            exec: live.exec,
            task,
            name: call.name.clone(),
            group: call.group,
            elsewhere: false,
        })
    }

    pub(super) fn give_up_activities(&mut self, key: InstanceKey, step: &mut Step) {
        if let Some(live) = self.lives.get_mut(&key)
            && !live.activities.is_empty()
        {
            live.activities.clear();
            let runs = self.activities.give_up(key, None);
            for run in &runs {
                self.tasks.end(*run);
            }
            step.out.aborts.extend(runs);
        }
    }
}

impl super::DispatcherOptions {
    /// JavaScript checks payloads where they arise; this holds for whatever it lets through.
    fn within_limits(&self, mut outcome: TurnOutcome) -> TurnOutcome {
        let ending = match &outcome.end {
            Some(End::Complete { result: Some(payload) }) => Some(("result", payload)),
            Some(End::ContinueAsNew { input: Some(payload), .. }) => Some(("input", payload)),
            _ => None,
        };
        let over =
            ending.and_then(|(field, payload)| too_large(field, Some(payload), self.payload_bytes));
        if let Some(failure) = over {
            outcome.end = Some(End::Fail { failure });
        }
        outcome
    }
}

/// Whether a turn shows that what was under way did not take the process down: an activity came
/// back, or none is left.
fn gets_on(commit: &TurnCommit) -> bool {
    !commit.ready
        || commit.record.events.iter().any(|event| {
            matches!(event, HistoryEvent::TaskCompleted { .. } | HistoryEvent::TaskFailed { .. })
        })
}
