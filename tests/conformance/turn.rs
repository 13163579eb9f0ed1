//! Turns: what a commit writes, and what keeps it from being written.

use durafn::core::commit::{CarriedEvent, End, Refusal, TurnVerdict};
use durafn::core::error::ErrorCode;
use durafn::core::replay::Problem;
use durafn::core::request::DiscardReason;
use durafn::core::status::RuntimeStatus;
use durafn::core::turn::TurnOutcome;
use durafn::provider::transaction::{Outcome, Park, Work};

use crate::common::actions::{
    asks, call, call_retried, cancel, cancel_wait, completed, continues, ends, failed, fired,
    nothing, retry, returns, throws, timer, wait,
};
use crate::common::hub::{DELIVERED, Hub, discarded, raise, rewind, start, suspend, terminate};
use crate::common::payload;

const COMMITTED: TurnVerdict = TurnVerdict::Committed;
const OUT_OF_TURN: TurnVerdict = TurnVerdict::Refused(Refusal::OutOfTurn);

pub(crate) fn a_first_turn_makes_the_instance_run(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.now_ms = 2_000;
    assert_eq!(hub.turn("a", &[], asks([call("x")])), COMMITTED);
    assert!(hub.effects.is_empty());
    let row = hub.row("a");
    assert_eq!((row.head.status, row.head.begun), (RuntimeStatus::Running, true));
    assert_eq!((row.scheduled_ms, row.created_ms, row.updated_ms), (1_000, Some(2_000), 2_000));
    assert_eq!(hub.history("a"), [r#"[{"TaskScheduled":{"k":0,"n":"x"}}]"#]);
}

pub(crate) fn a_turn_removes_the_messages_it_consumed_and_no_others(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("e"), wait("e")]));
    hub.command(raise("a", "e", &1)).unwrap();
    let commit = hub.prepare("a", &[], nothing());
    hub.command(raise("a", "e", &2)).unwrap();
    assert_eq!(hub.commit(commit), COMMITTED);
    let left = hub.rows("message", "a");
    assert!(left.len() == 1 && left[0].contains(r#""input":2"#), "{left:?}");
}

pub(crate) fn timers_are_kept_replaced_and_cleared(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([timer(5_000), timer(6_000), call_retried("x", retry(3))]));
    hub.turn("a", &[failed(2, &1)], nothing());
    assert_eq!(
        hub.rows("timer", "a"),
        ["task=0 fire_at=5000", "task=1 fire_at=6000", "task=2 fire_at=1100"]
    );
    hub.now_ms = 1_100;
    hub.turn("a", &[fired(2)], nothing());
    hub.turn("a", &[failed(2, &1)], nothing());
    assert_eq!(hub.rows("timer", "a")[2], "task=2 fire_at=1300");
    hub.now_ms = 5_000;
    hub.turn("a", &[fired(0)], asks([cancel(1)]));
    assert_eq!(hub.rows("timer", "a"), ["task=2 fire_at=1300"]);
}

pub(crate) fn a_custom_status_stands_until_the_next_one(hub: &mut Hub) {
    let says = |text: &str| TurnOutcome { custom_status: Some(payload(&text)), ..nothing() };
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], TurnOutcome { actions: vec![call("x"), call("y")], ..says("one") });
    assert_eq!(hub.row("a").custom_status.unwrap().get(), "\"one\"");
    hub.turn("a", &[completed(0, &1)], nothing());
    assert_eq!(hub.row("a").custom_status.unwrap().get(), "\"one\"");
    hub.turn("a", &[completed(1, &1)], says("two"));
    assert_eq!(hub.row("a").custom_status.unwrap().get(), "\"two\"");
}

pub(crate) fn readiness_is_what_only_history_tells(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    assert!(hub.row("a").ready, "it has to begin");
    hub.turn("a", &[], asks([call_retried("x", retry(2)), wait("e")]));
    assert!(hub.row("a").ready, "an activity is under way");
    hub.turn("a", &[failed(0, &1)], nothing());
    assert!(!hub.row("a").ready, "a timer brings the next attempt about");
    hub.now_ms = 2_000;
    hub.turn("a", &[fired(0)], nothing());
    assert!(hub.row("a").ready, "the attempt is under way");
    hub.turn("a", &[completed(0, &1)], nothing());
    assert!(!hub.row("a").ready, "an event will be a message");
}

pub(crate) fn a_turn_of_an_ended_gone_or_older_execution_is_refused(hub: &mut Hub) {
    let gone = TurnVerdict::Refused(Refusal::Gone);
    hub.command(start("a")).unwrap();
    let older = hub.prepare("a", &[], asks([call("x")]));
    hub.turn("a", &[], continues(&1));
    assert_eq!(hub.commit(older), gone, "another execution");
    let late = hub.prepare("a", &[], asks([call("x")]));
    hub.command(terminate("a")).unwrap();
    assert_eq!(hub.commit(late.clone()), gone, "terminated");
    hub.command(start("a")).unwrap();
    assert_eq!(hub.commit(late), gone, "replaced");
    let ending = hub.prepare("a", &[], returns(&1));
    assert_eq!(hub.commit(ending.clone()), COMMITTED);
    assert_eq!(hub.commit(ending), gone, "completed");
}

pub(crate) fn a_turn_of_a_suspended_instance_is_refused(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let commits = [hub.prepare("a", &[], asks([call("x")])), hub.prepare("a", &[], returns(&1))];
    hub.command(suspend("a")).unwrap();
    for commit in commits {
        assert_eq!(hub.commit(commit), TurnVerdict::Refused(Refusal::Suspended));
    }
}

pub(crate) fn a_turn_is_written_once_and_after_the_one_that_it_follows(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let first = hub.prepare("a", &[], asks([call("x")]));
    assert_eq!(hub.commit(first.clone()), COMMITTED);
    // Another execution of the same turn, and of the turn after it.
    let again = hub.prepare("a", &[completed(0, &"mine")], asks([call("y")]));
    let theirs = hub.prepare("a", &[completed(0, &"theirs")], asks([call("y")]));
    let before = hub.snapshot();
    assert_eq!(hub.commit(first), OUT_OF_TURN);
    assert_eq!(hub.snapshot(), before);
    assert_eq!(hub.commit(again), COMMITTED);
    let before = hub.snapshot();
    assert_eq!(hub.commit(theirs.clone()), OUT_OF_TURN);
    // Nor one that ends, or that leaves a gap.
    let mut end = hub.prepare("a", &[completed(1, &1)], returns(&1));
    assert_eq!(end.turn, 3);
    end.turn = 4;
    assert_eq!(hub.commit(end.clone()), OUT_OF_TURN);
    end.turn = 0;
    assert_eq!(hub.commit(end.clone()), OUT_OF_TURN);
    assert_eq!(hub.snapshot(), before);
    end.turn = 3;
    assert_eq!(hub.commit(end), COMMITTED);
}

pub(crate) fn a_turn_out_of_turn_is_refused_alone(hub: &mut Hub) {
    for id in ["a", "b", "c"] {
        hub.command(start(id)).unwrap();
    }
    let stale = hub.prepare("b", &[], asks([call("stale")]));
    hub.turn("b", &[], asks([call("x")]));
    let works = ["a", "c"].map(|id| hub.prepare(id, &[], asks([call("y")])));
    let [a, c] = works.map(|commit| Work::Turn(Box::new(commit)));
    let outcomes = hub.transact(&[a, Work::Turn(Box::new(stale)), c]).unwrap();
    let verdicts: Vec<TurnVerdict> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Turn(verdict) => verdict,
            other => panic!("not the outcome of a turn: {other:?}"),
        })
        .collect();
    assert_eq!(verdicts, [COMMITTED, OUT_OF_TURN, COMMITTED]);
    assert_eq!(hub.history("b"), [r#"[{"TaskScheduled":{"k":0,"n":"x"}}]"#]);
    assert_eq!(hub.history("c").len(), 1);
}

pub(crate) fn a_turn_need_not_know_of_notices(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call("x")]));
    let commit = hub.prepare("a", &[completed(0, &1)], asks([wait("e")]));
    for _ in 0..2 {
        hub.command(raise("a", "nobody waits for it", &1)).unwrap();
    }
    assert_eq!(hub.commit(commit), COMMITTED);
    hub.command(raise("a", "nor for this", &1)).unwrap();
    let history = hub.history("a");
    let discarded = history.iter().map(|row| row.contains("EventDiscarded"));
    assert_eq!(discarded.collect::<Vec<_>>(), [false, true, true, false, true], "{history:?}");
    assert_eq!(hub.prepare("a", &[], nothing()).turn, 3);
}

pub(crate) fn a_rewound_turn_gives_its_number_back(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call("x")]));
    hub.turn("a", &[failed(0, &1)], throws(&1));
    hub.command(rewind("a")).unwrap();
    assert_eq!(hub.turn("a", &[completed(0, &1)], asks([call("y")])), COMMITTED);
    let history = hub.history("a");
    assert!(history[1].contains("ExecutionRewound") && history.len() == 3, "{history:?}");
}

pub(crate) fn an_end_that_has_not_seen_a_delivered_event_is_refused(hub: &mut Hub) {
    for outcome in [returns(&1), throws(&1), continues(&1)] {
        hub.command(start("a")).unwrap();
        hub.turn("a", &[], asks([wait("e"), call("x")]));
        let blind = hub.prepare("a", &[completed(1, &1)], outcome.clone());
        hub.command(raise("a", "e", &1)).unwrap();
        assert_eq!(hub.commit(blind), TurnVerdict::Refused(Refusal::UnseenEvents));
        assert_eq!(hub.turn("a", &[completed(1, &1)], outcome), COMMITTED, "with the event");
        if hub.status("a") == RuntimeStatus::ContinuedAsNew {
            hub.command(terminate("a")).unwrap();
        }
    }
}

pub(crate) fn a_turn_that_goes_on_need_not_have_seen_every_event(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("e"), call("x")]));
    let blind = hub.prepare("a", &[completed(1, &1)], asks([call("y")]));
    hub.command(raise("a", "e", &1)).unwrap();
    assert_eq!(hub.commit(blind), COMMITTED);
    assert_eq!(hub.rows("message", "a").len(), 1);
}

pub(crate) fn a_cancelled_wait_is_closed_unless_an_event_has_taken_it(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("e"), wait("e"), call("x")]));
    assert_eq!(hub.turn("a", &[], asks([cancel_wait(0)])), COMMITTED);
    assert_eq!(hub.rows("wait", "a"), [r#"event="e" open=1"#]);
    let blind = hub.prepare("a", &[completed(2, &1)], asks([cancel_wait(1)]));
    assert_eq!(hub.command(raise("a", "e", &1)), DELIVERED);
    assert_eq!(hub.commit(blind), TurnVerdict::Refused(Refusal::UnseenEvents));
    hub.turn("a", &[], nothing());
    assert_eq!(hub.history("a").last().unwrap(), r#"[{"EventRaised":{"k":1,"i":1}}]"#);
    hub.turn("a", &[], asks([wait("e")]));
    assert_eq!(hub.turn("a", &[], asks([cancel_wait(3)])), COMMITTED);
    assert!(hub.rows("wait", "a").is_empty());
    assert_eq!(hub.command(raise("a", "e", &1)), discarded(DiscardReason::NotWaiting));
}

pub(crate) fn events_that_no_code_looked_at_are_kept_for_the_next_execution(hub: &mut Hub) {
    hub.buffering();
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("E"), wait("e")]));
    for input in [1, 2, 3] {
        hub.command(raise("a", "e", &input)).unwrap();
    }
    let carried = |input| CarriedEvent { name: "E".to_owned(), input: Some(payload(&input)) };
    let events = vec![carried(1), carried(2)];
    hub.turn("a", &[], ends(End::ContinueAsNew { input: None, events }));
    for _ in 0..3 {
        hub.turn("a", &[], asks([wait("e")]));
    }
    hub.turn("a", &[], nothing());
    let history = hub.history("a").concat();
    for (task, input) in [(0, 1), (1, 2), (2, 3)] {
        let event = format!(r#"{{"EventRaised":{{"k":{task},"i":{input}}}}}"#);
        assert!(history.contains(&event), "{history}");
    }
}

pub(crate) fn an_end_keeps_history_and_removes_the_rest(hub: &mut Hub) {
    hub.buffering();
    for (outcome, status) in
        [(returns(&1), RuntimeStatus::Completed), (throws(&1), RuntimeStatus::Failed)]
    {
        hub.command(start("a")).unwrap();
        hub.turn("a", &[], asks([wait("e"), timer(9_000), call("x")]));
        hub.command(raise("a", "kept", &1)).unwrap();
        hub.now_ms += 100;
        hub.turn("a", &[completed(2, &1)], outcome);
        assert_eq!(hub.effects, ["ended a"]);
        let row = hub.row("a");
        assert_eq!((row.head.status, row.ready), (status, false));
        assert_eq!((row.completed_ms, row.updated_ms), (Some(hub.now_ms), hub.now_ms));
        assert_eq!(row.output.is_some(), status == RuntimeStatus::Completed);
        assert_eq!(row.failure.is_some(), status == RuntimeStatus::Failed);
        assert_eq!(hub.history("a").len(), 2);
        for kind in ["message", "wait", "timer"] {
            assert!(hub.rows(kind, "a").is_empty(), "{kind}");
        }
    }
}

pub(crate) fn continue_as_new_keeps_kept_events_and_drops_the_rest(hub: &mut Hub) {
    hub.buffering();
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("e"), wait("e"), timer(9_000), call("x")]));
    hub.command(raise("a", "e", &"seen")).unwrap();
    hub.command(raise("a", "kept", &"later")).unwrap();
    let key = hub.key("a");
    hub.work(Work::Keep { key, exec: 0, messages: vec![completed(3, &1)] });
    hub.turn("a", &[], continues(&"next"));
    let row = hub.row("a");
    assert_eq!((row.head.status, row.head.exec), (RuntimeStatus::ContinuedAsNew, 1));
    assert_eq!((row.ready, row.completed_ms), (true, None));
    assert_eq!(row.input.unwrap().get(), "\"next\"");
    assert!(hub.history("a").is_empty());
    for kind in ["history", "wait", "timer"] {
        assert!(hub.rows(kind, "a").is_empty(), "{kind}");
    }
    hub.turn("a", &[], asks([wait("kept")]));
    assert_eq!(hub.effects, [r#"delivered to a: {"EventRaised":{"name":"kept","input":"later"}}"#]);
    assert_eq!(hub.status("a"), RuntimeStatus::Running);
}

pub(crate) fn the_created_time_is_that_of_the_first_generation(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.now_ms = 2_000;
    hub.turn("a", &[], continues(&1));
    hub.now_ms = 3_000;
    hub.turn("a", &[], asks([wait("e")]));
    let row = hub.row("a");
    assert_eq!((row.created_ms, row.updated_ms), (Some(2_000), 3_000));
}

pub(crate) fn a_turn_that_recovers_clears_the_count_and_the_problem(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call("x")]));
    let key = hub.key("a");
    let problem = Box::new(Problem::new(ErrorCode::NotRegistered, "unknown"));
    hub.work(Work::CountCrash(vec![key]));
    hub.work(Work::Park { key, problem, how: Park::Mark });
    let mut commit = hub.prepare("a", &[completed(0, &1)], asks([call("y")]));
    commit.recovers = true;
    hub.commit(commit);
    let row = hub.row("a");
    assert_eq!((row.head.crashes, row.problem.is_none()), (1, true));
}
