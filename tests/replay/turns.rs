//! Turns without failures: fresh, one after the other, fanned out, continued as new.

use durafn::core::action::Group;
use durafn::core::commit::{End, TurnCommit};
use durafn::core::execution::Execution;
use durafn::core::history::RULES;
use durafn::core::message::Delivery;
use durafn::core::turn::Turn;

use super::run::{Run, events, open};
use crate::common::actions::{
    asks, call, call_with, child, child_completed, child_in_group, completed, continues, nothing,
    raised, returns, wait,
};

#[test]
fn a_fresh_execution_runs_its_code_without_a_message() {
    let mut run = Run::new();
    assert!(run.told(1_000, &[]).is_empty());
    assert!(run.begun().begins && run.begun().needs_code());
    let commit = run.does(asks([call_with("a", &"x")]));
    let salt = &commit.record.began.as_ref().unwrap().salt;
    assert_eq!(salt.len(), 13);
    assert_eq!(
        String::from_utf8(commit.record.encode()).unwrap(),
        format!(
            r#"{{"t":1000,"e":[{{"TaskScheduled":{{"k":0,"n":"a","i":"x"}}}}],"b":{{"r":1,"s":"{salt}"}}}}"#
        )
    );
    assert_eq!(commit.activities, [0]);
    assert!(commit.begins && commit.ready);
}

#[test]
fn steps_in_sequence_take_task_ids_in_the_order_of_creation() {
    let mut run = Run::new();
    run.turn(1, &[], asks([call("a")]));
    assert_eq!(run.told(2, &[completed(0, &"A")]), [r#"{"ok":{"task":0,"value":"A"}}"#]);
    let second = run.does(asks([call("b")]));
    assert_eq!(
        events(&second),
        [r#"{"TaskCompleted":{"k":0,"r":"A"}}"#, r#"{"TaskScheduled":{"k":1,"n":"b"}}"#]
    );
    assert_eq!(run.told(3, &[completed(1, &"B")]), [r#"{"ok":{"task":1,"value":"B"}}"#]);
    let last = run.does(returns(&"AB"));
    assert_eq!(events(&last)[1], r#"{"ExecutionCompleted":{}}"#);
    assert!(matches!(last.end, Some(End::Complete { .. })));
}

#[test]
fn members_of_a_fan_out_resolve_in_the_order_of_their_results() {
    let mut run = Run::new();
    run.turn(1, &[], asks([call("a"), call("b"), call("c")]));
    let told = run.told(2, &[completed(2, &2), completed(0, &0)]);
    assert_eq!(told, [r#"{"ok":{"task":2,"value":2}}"#, r#"{"ok":{"task":0,"value":0}}"#]);
    run.does(nothing());
    assert_eq!(run.execution.open().map(|(task, _)| task).collect::<Vec<_>>(), [1]);
    let (again, turns) = run.replay(10);
    assert_eq!(turns[1].resolutions.len(), 2);
    assert_eq!(open(&again), open(&run.execution));
}

#[test]
fn sub_orchestrations_of_a_bounded_fan_out_start_as_others_end() {
    let started = |commit: &TurnCommit| -> Vec<String> {
        commit.children.iter().map(|child| child.instance_id.clone()).collect()
    };
    let group = Group { id: 0, limit: 2 };
    let mut run = Run::new();
    run.told(1, &[]);
    let ids = ["a", "b", "c", "d"];
    let first = run.does(asks(ids.map(|id| child_in_group("f", id, group))));
    assert_eq!(started(&first), ["a", "b"]);
    run.told(2, &[child_completed(1, &1)]);
    assert_eq!(started(&run.does(nothing())), ["c"]);
    let (mut again, _) = run.replay(10);
    assert!(again.waits_for_others(3) && !again.waits_for_others(2));
    assert!(again.take_released().is_empty(), "what came free was started then");
    run.told(3, &[child_completed(0, &0), child_completed(2, &2)]);
    assert_eq!(started(&run.does(nothing())), ["d"]);
}

#[test]
fn a_task_that_has_an_outcome_takes_no_second_one() {
    let mut run = Run::new();
    run.turn(1, &[], asks([call("a"), child("c", None)]));
    assert_eq!(run.told(2, &[completed(0, &1), completed(0, &2), completed(9, &3)]).len(), 1);
    run.does(nothing());
    assert_eq!(run.told(3, &[child_completed(1, &1), child_completed(1, &2)]).len(), 1);
    run.does(nothing());
    run.told(4, &[completed(0, &4), child_completed(1, &3)]);
    assert!(run.begun().is_empty() && !run.begun().needs_code());
}

#[test]
fn a_result_of_the_wrong_kind_is_dropped() {
    let mut run = Run::new();
    run.turn(1, &[], asks([call("a"), child("c", None)]));
    assert!(run.told(2, &[child_completed(0, &1), completed(1, &1)]).is_empty());
}

#[test]
fn messages_for_another_execution_are_consumed_and_not_seen() {
    let mut run = Run::new();
    run.turn(1, &[], asks([call("a")]));
    let delivery =
        |key, exec| Delivery { key: Some(key), exec: Some(exec), message: completed(0, &exec) };
    let told = run.told_deliveries(2, &[delivery(11, 3), delivery(12, 0)]);
    assert_eq!(told, [r#"{"ok":{"task":0,"value":0}}"#]);
    assert_eq!(run.begun().consumed(), [11, 12]);
}

#[test]
fn time_never_runs_back_within_an_execution() {
    let mut run = Run::new();
    run.turn(5_000, &[], asks([call("a")]));
    assert_eq!(run.turn(2_000, &[completed(0, &1)], asks([call("b")])).record.time_ms, 5_000);
    assert_eq!(run.turn(6_000, &[completed(1, &1)], nothing()).record.time_ms, 6_000);
    let times: Vec<_> = run.replay(1).1.iter().map(|turn| turn.time_ms).collect();
    assert_eq!(times, [5_000, 5_000, 6_000]);
}

#[test]
fn a_generation_that_continues_as_new_records_no_end() {
    let mut run = Run::new();
    let commit = run.turn(1, &[], continues(&2));
    assert!(events(&commit).is_empty());
    assert!(matches!(commit.end, Some(End::ContinueAsNew { .. })));
}

#[test]
fn an_end_stands_behind_what_its_turn_asked_for() {
    let mut run = Run::new();
    let outcome =
        durafn::core::turn::TurnOutcome { actions: vec![child("c", Some("kept"))], ..returns(&1) };
    let commit = run.turn(1, &[], outcome);
    assert_eq!(
        events(&commit),
        [
            r#"{"SubOrchestrationInstanceCreated":{"k":0,"n":"c","d":"kept","c":true}}"#,
            r#"{"ExecutionCompleted":{}}"#
        ]
    );
    assert_eq!(commit.children[0].instance_id, "kept");
}

#[test]
fn a_child_without_an_id_gets_a_fresh_one_which_is_recorded() {
    let mut run = Run::new();
    let commit = run.turn(1, &[], asks([child("c", None), child("c", None)]));
    let ids: Vec<_> = commit.children.iter().map(|child| child.instance_id.as_str()).collect();
    assert_eq!(ids, ["fresh-1", "fresh-2"]);
    assert_eq!(open(&run.replay(1).0), open(&run.execution));
}

#[test]
fn a_custom_status_is_committed_and_not_part_of_history() {
    let mut run = Run::new();
    let outcome = durafn::core::turn::TurnOutcome {
        custom_status: Some(crate::common::payload(&"half")),
        ..nothing()
    };
    let commit = run.turn(1, &[], outcome);
    assert!(events(&commit).is_empty());
    assert_eq!(commit.custom_status.unwrap().get(), "\"half\"");
}

#[test]
fn a_replay_in_pieces_equals_a_replay_in_one() {
    let mut run = Run::new();
    run.turn(1, &[], asks([call("a"), call("b")]));
    for (task, now_ms) in (0..20).zip(2..) {
        run.turn(now_ms, &[completed(task, &task)], asks([call("next")]));
    }
    let (whole, told) = run.replay(1_000);
    for chunk in [1, 2, 7] {
        let (pieces, told_in_pieces) = run.replay(chunk);
        assert_eq!(open(&pieces), open(&whole));
        assert_eq!(format!("{told_in_pieces:?}"), format!("{told:?}"));
    }
}

#[test]
fn an_execution_keeps_the_rules_by_which_it_began() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("a")]));
    run.turn(2, &[raised("a", &1)], nothing());
    let began = run.execution.began().unwrap().clone();
    assert_eq!(began.rules, RULES);
    assert_eq!(run.records[0].began.as_ref(), Some(&began));
    assert_eq!(run.records[1].began, None);
    assert_eq!(run.replay(1).0.began(), Some(&began));
    // The next one draws anew.
    run.execution = Execution::since(2);
    run.turn(3, &[], nothing());
    assert_ne!(run.execution.began().unwrap().salt, began.salt);
}

#[test]
fn an_execution_that_an_older_version_began_has_no_rules() {
    let mut run = Run::new();
    run.turn(1, &[], asks([wait("a")]));
    run.records[0].began = None;
    let (mut execution, _) = run.replay(1);
    let deliveries = [Delivery { key: None, exec: None, message: raised("a", &1) }];
    Turn::begin(&mut execution, 0, &deliveries, 2, &mut run.entropy);
    assert_eq!(execution.began(), None);
}
