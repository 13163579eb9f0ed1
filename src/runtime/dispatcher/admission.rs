//! Instances that this worker has not the code for: no orchestrator of the name, or one of another version.
//!
//! Owns: which instances of the store this worker runs, and what becomes of the others. Must never: let one
//! of those begin or replay. Proved by `__test__/versions.spec.mjs` and `__test__/opening.spec.mjs`.

use std::collections::{HashMap, HashSet};

use crate::core::InstanceKey;
use crate::core::error::ErrorCode;
use crate::core::ids::fold_name;
use crate::core::replay::Problem;
use crate::core::version::VersionFailure;
use crate::provider::transaction::{Park, Work};

use super::{Dispatcher, Step};

/// Instances that waited when they were last looked at, so that each is told of once.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By the folded name of the orchestrator that is to be registered.
    unregistered: HashMap<String, HashSet<InstanceKey>>,
    /// Of a version that is not this worker's to run.
    rejected: HashSet<InstanceKey>,
}

impl Waiting {
    /// Keeps those for which `keeps` holds: the others are another worker's now.
    pub(super) fn retain(&mut self, keeps: impl Fn(InstanceKey) -> bool) {
        for keys in self.unregistered.values_mut() {
            keys.retain(|key| keeps(*key));
        }
        self.rejected.retain(|key| keeps(*key));
    }

    /// Those that wait for this name.
    pub(super) fn take(&mut self, name: &str) -> HashSet<InstanceKey> {
        self.unregistered.remove(&fold_name(name)).unwrap_or_default()
    }
}

impl Dispatcher {
    /// Whether this worker runs a start of that name and version.
    pub(super) fn runs(&self, name: &str, version: Option<&str>) -> bool {
        self.names.contains(&fold_name(name)) && self.options.versioning.runs(version)
    }

    /// Whether this worker runs the instance. One that it does not run leaves memory.
    pub(super) fn admits(&mut self, key: InstanceKey, step: &mut Step) -> bool {
        let Some(live) = self.lives.get(&key) else { return false };
        if !self.names.contains(&fold_name(&live.name)) {
            self.unregistered(key, step);
            return false;
        }
        if !self.options.versioning.runs(live.version.as_deref()) {
            self.mismatched(key, step);
            return false;
        }
        true
    }

    /// The orchestrator of an instance is not registered: the instance waits in the store, and says
    /// so.
    fn unregistered(&mut self, key: InstanceKey, step: &mut Step) {
        let Some(live) = self.lives.get(&key) else { return };
        let message = format!(
            "No orchestrator named '{}' is registered in this worker; the instance waits until one \
             is. Register it, or terminate the instance.",
            live.name
        );
        let is_new =
            self.waiting.unregistered.entry(fold_name(&live.name)).or_default().insert(key);
        self.leave_waiting(key, ErrorCode::NotRegistered, message, is_new, step);
    }

    /// The version of an instance is not this worker's to run: it waits in the store for one that runs it,
    /// or fails.
    fn mismatched(&mut self, key: InstanceKey, step: &mut Step) {
        let Some(live) = self.lives.get(&key) else { return };
        let version = |version: Option<&String>| match version {
            Some(version) => format!("version '{version}'"),
            None => "no version".to_owned(),
        };
        let has = version(live.version.as_ref());
        let own = version(self.options.versioning.default_version.as_ref());
        let what = format!(
            "The instance has {has}, which this worker (it has {own}) does not run, by its \
             versionMatchStrategy"
        );
        match self.options.versioning.failure {
            VersionFailure::Fail => {
                let message = format!("{what}; by its versionFailureStrategy the instance fails.");
                let problem = Box::new(Problem::new(ErrorCode::VersionMismatch, message));
                self.park(key, problem, Park::Fail, step);
            }
            VersionFailure::Reject => {
                let message = format!(
                    "{what}; the instance waits for a worker that does. Start one with that \
                     defaultVersion, or terminate the instance."
                );
                let is_new = self.waiting.rejected.insert(key);
                self.leave_waiting(key, ErrorCode::VersionMismatch, message, is_new, step);
            }
        }
    }

    /// It stays in the store as it is, and says what it waits for.
    fn leave_waiting(
        &mut self,
        key: InstanceKey,
        code: ErrorCode,
        message: String,
        is_new: bool,
        step: &mut Step,
    ) {
        let Some(live) = self.lives.get(&key) else { return };
        if is_new {
            step.warn(&live.id, message.clone());
        }
        if !live.has_problem {
            let problem = Box::new(Problem::new(code, message));
            step.work.push(Work::Park { key, problem, how: Park::Mark });
        }
        self.keep_unstored(key, step);
        self.forget(key, step);
    }
}
