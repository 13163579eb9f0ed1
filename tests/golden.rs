//! Golden histories: what earlier versions stored is read, and replays to what it replayed to then.
//!
//! `golden/<what-it-holds>@<version>.json` has the rows of a history as their stored text, the turns
//! that the code is taken through, what it asks for in each, and what is open at the end. A file is
//! never edited: a change that makes one fail is a change that breaks instances in users' stores.
//! New files are added with each version that stores something new.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

use std::path::PathBuf;

use durafn::core::action::Action;
use durafn::core::execution::Execution;
use durafn::core::history::HistoryRecord;
use durafn::core::replay::Replay;
use durafn::core::turn::TurnOutcome;
use durafn::core::view::WaitingFor;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Golden {
    /// Why the file is there.
    holds: String,
    rows: Vec<String>,
    turns: Vec<GoldenTurn>,
    #[serde(rename = "waitingFor")]
    waiting_for: Vec<Value>,
}

#[derive(Deserialize)]
struct GoldenTurn {
    time: i64,
    resolutions: Vec<Value>,
    actions: Vec<Action>,
}

fn goldens() -> Vec<(String, Golden)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let golden = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, golden)
    };
    files.into_iter().map(read).collect()
}

fn records(golden: &Golden) -> Vec<HistoryRecord> {
    golden.rows.iter().map(|row| HistoryRecord::decode(row.as_bytes()).unwrap()).collect()
}

#[test]
fn names_tell_what_a_file_holds_and_which_version_wrote_it() {
    let goldens = goldens();
    assert!(goldens.len() >= 8);
    for (name, golden) in goldens {
        let (what, version) = name.strip_suffix(".json").unwrap().split_once('@').unwrap();
        assert!(what.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        assert_eq!(version.split('.').count(), 3, "{name}");
        assert!(!golden.holds.is_empty(), "{name}");
    }
}

/// Rows are only added, so this also holds that no text is lost or changed on the way.
#[test]
fn rows_of_the_first_version_are_written_as_they_were_read() {
    for (name, golden) in goldens().iter().filter(|(name, _)| name.ends_with("@0.1.0.json")) {
        for (row, record) in golden.rows.iter().zip(records(golden)) {
            assert_eq!(String::from_utf8(record.encode()).unwrap(), *row, "{name}");
        }
    }
}

#[test]
fn each_history_replays_to_what_it_replayed_to_when_it_was_written() {
    for (name, golden) in goldens() {
        for chunk in [1, 1_000] {
            let mut replay = Replay::new(records(&golden));
            let mut execution = Execution::default();
            let mut expected = golden.turns.iter();
            loop {
                let turns = replay.next_turns(&mut execution, chunk, usize::MAX);
                if turns.is_empty() {
                    break;
                }
                let mut outcomes = Vec::new();
                for turn in turns {
                    let golden = expected.next().unwrap_or_else(|| panic!("{name}: a turn more"));
                    assert_eq!(turn.time_ms, golden.time, "{name}");
                    let told = serde_json::to_value(&turn.resolutions).unwrap();
                    assert_eq!(told, Value::Array(golden.resolutions.clone()), "{name}");
                    let actions = golden.actions.clone();
                    outcomes.push(TurnOutcome { actions, ..TurnOutcome::default() });
                }
                replay.check(&outcomes).unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
            }
            assert!(expected.next().is_none(), "{name}: a turn less");
            let open: Vec<WaitingFor> =
                execution.open().map(|(_, open)| WaitingFor::from(open)).collect();
            let open = serde_json::to_value(open).unwrap();
            assert_eq!(open, Value::Array(golden.waiting_for.clone()), "{name}");
        }
    }
}

#[test]
fn a_row_that_cannot_be_read_says_so() {
    for damaged in ["", "{", "[]", r#"{"t":1,"e":[{"Unheard":{"k":0}}]}"#, r#"{"t":1}"#] {
        assert!(HistoryRecord::decode(damaged.as_bytes()).is_err(), "{damaged}");
    }
    assert!(HistoryRecord::decode(b"{\"t\":1,\"e\":[]}\xff").is_err());
}

/// What a later version adds to a row does not keep this one from reading it.
#[test]
fn fields_that_are_not_known_are_passed_over() {
    let row = r#"{"t":1,"e":[{"TaskScheduled":{"k":0,"n":"a","later":1}}],"later":{}}"#;
    assert_eq!(HistoryRecord::decode(row.as_bytes()).unwrap().events.len(), 1);
}
