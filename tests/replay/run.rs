//! An execution driven by hand: turn after turn, with the history that they leave.

use durafn::core::ExecutionId;
use durafn::core::TimeMs;
use durafn::core::commit::TurnCommit;
use durafn::core::execution::Execution;
use durafn::core::history::HistoryRecord;
use durafn::core::message::{Delivery, Message};
use durafn::core::replay::{Problem, Replay, ReplayTurn};
use durafn::core::turn::{Turn, TurnOutcome};

use crate::common::{SeededEntropy, json};

/// See the module's text.
pub(super) struct Run {
    pub(super) execution: Execution,
    pub(super) entropy: SeededEntropy,
    pub(super) records: Vec<HistoryRecord>,
    /// Of the turns in which the code runs again when history is replayed.
    pub(super) outcomes: Vec<TurnOutcome>,
    exec: ExecutionId,
    turn: Option<Turn>,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            execution: Execution::default(),
            entropy: SeededEntropy::new(1),
            records: Vec::new(),
            outcomes: Vec::new(),
            exec: 0,
            turn: None,
        }
    }

    /// Begins a turn: what the code is told, as it crosses.
    pub(super) fn told(&mut self, now_ms: TimeMs, messages: &[Message]) -> Vec<String> {
        let deliveries: Vec<Delivery> = messages
            .iter()
            .map(|message| Delivery { key: None, exec: None, message: message.clone() })
            .collect();
        self.told_deliveries(now_ms, &deliveries)
    }

    pub(super) fn told_deliveries(
        &mut self,
        now_ms: TimeMs,
        deliveries: &[Delivery],
    ) -> Vec<String> {
        let (exec, entropy) = (self.exec, &mut self.entropy);
        let turn = Turn::begin(&mut self.execution, exec, deliveries, now_ms, entropy);
        let told = turn.resolutions().map(|resolution| json(&resolution)).collect();
        self.turn = Some(turn);
        told
    }

    /// The turn that was begun.
    pub(super) fn begun(&self) -> &Turn {
        self.turn.as_ref().unwrap()
    }

    /// Ends the turn.
    pub(super) fn does(&mut self, outcome: TurnOutcome) -> TurnCommit {
        let turn = self.turn.take().unwrap();
        let begins = turn.begins;
        let row_ready = self.execution.ready();
        let execution = &mut self.execution;
        let kept = outcome.clone();
        let commit =
            turn.finish(7, self.exec, execution, row_ready, outcome, &mut self.entropy).unwrap();
        if begins || commit.record.events.iter().any(|event| event.resolution().is_some()) {
            self.outcomes.push(kept);
        }
        self.records.push(commit.record.clone());
        commit
    }

    /// A whole turn.
    pub(super) fn turn(
        &mut self,
        now_ms: TimeMs,
        messages: &[Message],
        outcome: TurnOutcome,
    ) -> TurnCommit {
        self.told(now_ms, messages);
        self.does(outcome)
    }

    /// History as it is stored and read back.
    pub(super) fn stored(&self) -> Vec<HistoryRecord> {
        self.records.iter().map(|row| HistoryRecord::decode(&row.encode()).unwrap()).collect()
    }

    /// Replays the stored history, `chunk` turns at a time, with the code doing what it did.
    pub(super) fn replay(&self, chunk: usize) -> (Execution, Vec<ReplayTurn>) {
        self.replay_as(chunk, &self.outcomes).unwrap()
    }

    /// The same with code that may do something else.
    pub(super) fn replay_as(
        &self,
        chunk: usize,
        outcomes: &[TurnOutcome],
    ) -> Result<(Execution, Vec<ReplayTurn>), Box<Problem>> {
        let mut replay = Replay::new(self.stored());
        let mut execution = Execution::default();
        let mut told = Vec::new();
        let mut answered = 0;
        loop {
            let turns = replay.next_turns(&mut execution, chunk, usize::MAX);
            if turns.is_empty() {
                assert!(replay.is_done());
                return Ok((execution, told));
            }
            replay.check(&outcomes[answered..answered + turns.len()])?;
            answered += turns.len();
            told.extend(turns);
        }
    }
}

/// The events of a commit as they are stored.
pub(super) fn events(commit: &TurnCommit) -> Vec<String> {
    commit.record.events.iter().map(json).collect()
}

/// All that an execution knows, for comparing two. But for the time: that of a turn of which nothing
/// came is not recorded.
pub(super) fn open(execution: &Execution) -> String {
    let open: Vec<_> = execution.open().collect();
    format!(
        "{open:?} next={} ready={} begun={}",
        execution.next_task(),
        execution.ready(),
        execution.begun()
    )
}
