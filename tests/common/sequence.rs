//! An instance of activities in sequence, turn by turn: what most of the benchmarks and counts are of.

use durafn::core::commit::TurnCommit;
use durafn::core::execution::Execution;
use durafn::core::message::Delivery;
use durafn::core::request::{OnConflict, StartSpec};
use durafn::core::turn::{Turn, TurnOutcome};
use durafn::core::{InstanceKey, TaskId, TimeMs};

use super::SeededEntropy;
use super::actions::{asks, call, completed};

const NOW_MS: TimeMs = 1_800_000_000_000;

/// See the module's text.
pub(crate) struct Sequence {
    /// Known once the instance is stored.
    pub(crate) key: InstanceKey,
    execution: Execution,
    entropy: SeededEntropy,
    /// The activity that is under way.
    task: TaskId,
}

impl Sequence {
    pub(crate) fn new() -> Self {
        let execution = Execution::default();
        Self { key: -1, execution, entropy: SeededEntropy::new(1), task: 0 }
    }

    /// How such an instance is started.
    pub(crate) fn spec(id: &str) -> StartSpec {
        let (name, instance_id) = ("f".to_owned(), Some(id.to_owned()));
        StartSpec { name, instance_id, version: None, input: None, on_conflict: OnConflict::Error }
    }

    /// The first turn: it calls an activity.
    pub(crate) fn begin(&mut self) -> TurnCommit {
        self.turn(&[], asks([call("one")]))
    }

    /// What comes of the activity under way.
    pub(crate) fn result(&mut self) -> Delivery {
        let message = completed(self.task, &1);
        self.task += 1;
        Delivery { key: None, exec: Some(0), message }
    }

    /// A turn between: it takes the result of one activity and calls the next.
    pub(crate) fn step(&mut self) -> TurnCommit {
        let delivery = self.result();
        self.turn(&[delivery], asks([call("one")]))
    }

    /// The core's part of a turn.
    pub(crate) fn turn(&mut self, deliveries: &[Delivery], outcome: TurnOutcome) -> TurnCommit {
        let Self { key, execution, entropy, .. } = self;
        let turn = Turn::begin(execution, 0, deliveries, NOW_MS, entropy);
        // The row says that it is ready, since an activity of it always is under way.
        turn.finish(*key, 0, execution, true, outcome, entropy).unwrap()
    }
}
