//! Activities between the engine and JavaScript: started, and come to an end.
//!
//! Owns: what a result becomes. Must never: start one that the execution no longer waits for.

use crate::core::error::raw;
use crate::core::execution::OpenTask;
use crate::core::message::{Delivery, Message};
use crate::provider::transaction::Work;

use super::super::protocol::{ActivityStart, RunResult};
use super::live::State;
use super::{Dispatcher, Step, too_large};

impl Dispatcher {
    /// An activity ended in JavaScript.
    pub fn result(&mut self, result: RunResult, step: &mut Step) {
        let RunResult { run, ok, payload } = result;
        let Some(activity) = self.activities.end(run) else {
            return;
        };
        let task = activity.task;
        let over = too_large("result", payload.as_ref().filter(|_| ok), self.options.payload_bytes);
        let message = match (over, payload) {
            (Some(failure), _) => Message::TaskFailed { task, failure },
            (None, result) if ok => Message::TaskCompleted { task, result },
            (None, failure) => {
                Message::TaskFailed { task, failure: failure.unwrap_or_else(|| raw(&())) }
            }
        };
        if let Some(of) = self.tasks.end(run) {
            return step.work.push(Work::Report { of, message });
        }
        let Some(live) = self.lives.get_mut(&activity.key) else {
            return;
        };
        if live.exec != activity.exec {
            return;
        }
        live.activities.remove(&task);
        let exec = Some(activity.exec);
        if matches!(live.state, State::Suspended) {
            let none_runs = live.activities.is_empty();
            self.keep(activity.key, activity.exec, vec![message], step);
            if none_runs {
                self.forget(activity.key, step);
            }
            return;
        }
        self.deliver(activity.key, Delivery { key: None, exec, message }, step);
    }

    pub(super) fn start_activities(&mut self, step: &mut Step) {
        let started = self.activities.start();
        self.offer(started.elsewhere, step);
        for (run, activity) in started.here {
            let (key, task) = (activity.key, activity.task);
            let Some(live) = self.lives.get_mut(&key) else {
                self.activities.end(run);
                continue;
            };
            let Some(OpenTask::Activity(call)) = live.execution.task(task) else {
                live.activities.remove(&task);
                self.activities.end(run);
                continue;
            };
            step.out.activities.push(ActivityStart {
                run,
                iid: key,
                exec: activity.exec,
                task,
                attempt: call.attempt,
                instance_id: live.id.clone(),
                name: call.name.clone(),
                input: call.input.clone(),
            });
        }
        self.claim(step);
    }
}
