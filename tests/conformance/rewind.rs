//! Rewind: the last turn of a failed instance runs again.

use durafn::core::error::ErrorCode;
use durafn::core::replay::Problem;
use durafn::core::status::RuntimeStatus;
use durafn::provider::transaction::{Park, Work};

use crate::common::actions::{
    asks, call, child, completed, failed, fired, nothing, returns, throws, timer, wait,
};
use crate::common::hub::{DELIVERED, DONE, Hub, purge, raise, rewind, start, terminate};

const REWOUND: &str = r#"[{"ExecutionRewound":{"f":"why"}}]"#;

pub(crate) fn only_failed_instances_are_rewound(hub: &mut Hub) {
    assert_eq!(hub.refusal(rewind("x")), ErrorCode::InstanceNotFound);
    hub.command(start("a")).unwrap();
    assert_eq!(hub.refusal(rewind("a")), ErrorCode::NotRewindable, "pending");
    hub.command(terminate("a")).unwrap();
    assert_eq!(hub.refusal(rewind("a")), ErrorCode::NotRewindable, "terminated");
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], returns(&1));
    assert_eq!(hub.refusal(rewind("a")), ErrorCode::NotRewindable, "completed");
}

pub(crate) fn the_last_turn_is_undone_and_what_had_succeeded_comes_again(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call("x"), call("y"), wait("e"), wait("E")]));
    hub.command(raise("a", "e", &"event")).unwrap();
    hub.turn("a", &[completed(0, &"kept"), failed(1, &"no")], throws(&"no"));
    hub.now_ms = 2_000;
    assert_eq!(hub.command(rewind("a")), DONE);
    assert_eq!(hub.effects, ["changed a"]);
    let row = hub.row("a");
    assert_eq!((row.head.status, row.ready), (RuntimeStatus::Running, true));
    assert_eq!((row.completed_ms, row.failure.is_none()), (None, true));
    assert_eq!(hub.history("a")[1..], [REWOUND]);
    let waits = hub.rows("wait", "a");
    assert_eq!(waits, [r#"event="e" open=1"#], "the other one's event comes again");
    hub.turn("a", &[completed(1, &"mended")], nothing());
    let turn = hub.history("a").remove(2);
    for part in [r#""r":"kept""#, r#""i":"event""#, r#""r":"mended""#] {
        assert!(turn.contains(part), "{turn}");
    }
}

pub(crate) fn timers_and_waits_of_the_undone_turn_are_open_again(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([timer(1_500), timer(9_000), wait("e"), call("x")]));
    hub.now_ms = 1_500;
    hub.turn("a", &[fired(0), completed(3, &1)], throws(&"no"));
    hub.command(rewind("a")).unwrap();
    assert_eq!(hub.rows("timer", "a"), ["task=0 fire_at=1500", "task=1 fire_at=9000"]);
    assert_eq!(hub.command(raise("a", "e", &1)), DELIVERED);
}

pub(crate) fn a_first_turn_that_failed_runs_again_and_the_created_time_stays(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], throws(&"no"));
    hub.now_ms = 2_000;
    hub.command(rewind("a")).unwrap();
    assert!(hub.row("a").ready);
    assert!(!hub.execution("a").begun());
    hub.turn("a", &[], returns(&1));
    let row = hub.row("a");
    assert_eq!((row.head.status, row.created_ms), (RuntimeStatus::Completed, Some(1_000)));
}

/// Its last turn did not fail: undoing it would do again what stands.
pub(crate) fn an_instance_that_the_engine_failed_keeps_its_turns(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call("x")]));
    hub.turn("a", &[completed(0, &1)], asks([call("y"), timer(9_000), wait("e")]));
    let key = hub.key("a");
    let problem = Box::new(Problem::new(ErrorCode::Nondeterminism, "differs"));
    hub.work(Work::Park { key, problem, how: Park::Fail });
    hub.command(rewind("a")).unwrap();
    assert_eq!(hub.history("a").len(), 4);
    let open: Vec<_> = hub.execution("a").open().map(|(task, _)| task).collect();
    assert_eq!(open, [1, 2, 3]);
    assert_eq!(hub.rows("timer", "a"), ["task=2 fire_at=9000"]);
    assert_eq!(hub.rows("wait", "a"), [r#"event="e" open=1"#]);
}

/// `a` with the children `b` and `c`.
fn with_children(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let actions = [child("child", Some("b")), child("child", Some("c")), call("x")];
    hub.turn("a", &[], asks(actions));
}

pub(crate) fn failed_children_are_rewound_with_their_parent(hub: &mut Hub) {
    with_children(hub);
    hub.turn("b", &[], asks([call("y")]));
    hub.turn("b", &[failed(0, &"no")], throws(&"no"));
    hub.turn("a", &[], throws(&"no"));
    assert_eq!(hub.command(rewind("a")), DONE);
    assert_eq!(hub.effects, ["changed a", "changed b"]);
    assert_eq!(hub.status("b"), RuntimeStatus::Running);
    assert!(hub.rows("message", "a").is_empty(), "the child will tell");
    hub.turn("b", &[completed(0, &1)], returns(&"mended"));
    hub.turn("a", &[], nothing());
    assert!(hub.history("a").remove(2).contains(r#""r":"mended""#));
}

pub(crate) fn a_terminated_child_is_told_once_more(hub: &mut Hub) {
    with_children(hub);
    hub.command(terminate("b")).unwrap();
    hub.turn("a", &[failed(2, &"no")], throws(&"no"));
    hub.command(rewind("a")).unwrap();
    assert!(hub.rows("message", "a").remove(0).contains("Terminated"));
    assert_eq!(hub.status("b"), RuntimeStatus::Terminated);
}

/// All that the turn was told of would be told again: of a child that was terminated, that is gone, or that
/// failed of the same.
pub(crate) fn a_rewind_that_can_try_nothing_anew_is_refused(hub: &mut Hub) {
    with_children(hub);
    hub.turn("b", &[], asks([child("child", Some("d")), child("child", Some("e"))]));
    hub.command(terminate("d")).unwrap();
    hub.turn("b", &[], throws(&"no"));
    hub.turn("a", &[], throws(&"no"));
    let why = |hub: &mut Hub| {
        let error = hub.command(rewind("a")).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotRewindable);
        error.message
    };
    let told = why(hub);
    assert!(told.contains("'b' cannot be rewound: its sub-orchestration 'd' was term"), "{told}");
    hub.command(purge("d")).unwrap();
    assert!(why(hub).contains("'d' is no longer there"));
    hub.turn("e", &[], throws(&"no"));
    hub.command(rewind("a")).unwrap();
    let status = ["a", "b", "e"].map(|id| hub.status(id));
    assert_eq!(status, [RuntimeStatus::Running; 3], "something below it can be");
}

/// Nobody told the parent when they ended, as it had ended itself.
pub(crate) fn children_that_ended_while_the_parent_had_failed_are_told(hub: &mut Hub) {
    with_children(hub);
    hub.turn("a", &[failed(2, &"no")], throws(&"no"));
    hub.turn("b", &[], returns(&"in time"));
    hub.turn("c", &[], throws(&"no"));
    hub.command(rewind("a")).unwrap();
    let messages = hub.rows("message", "a");
    assert!(messages.len() == 1 && messages[0].contains("in time"), "{messages:?}");
    assert_eq!(hub.status("c"), RuntimeStatus::Running, "a failed one is rewound");
    hub.turn("c", &[], returns(&"again"));
    hub.turn("a", &[completed(2, &1)], nothing());
    assert_eq!(hub.execution("a").open().count(), 0);
}

/// Both are gone: one whose end the undone turn was told, and one whose end nobody knows.
pub(crate) fn a_child_that_is_gone_fails_the_wait_for_it(hub: &mut Hub) {
    with_children(hub);
    hub.turn("b", &[], throws(&"known"));
    hub.turn("a", &[failed(2, &"no")], throws(&"no"));
    hub.command(terminate("c")).unwrap();
    hub.command(purge("b")).unwrap();
    hub.command(purge("c")).unwrap();
    hub.command(rewind("a")).unwrap();
    let messages = hub.rows("message", "a");
    assert!(messages[0].contains("known"), "{messages:?}");
    assert!(messages[1].contains("InstanceNotFound"), "{messages:?}");
}

/// The turn that failed had started those that an earlier one had postponed. It is undone, and they run.
pub(crate) fn a_child_that_an_undone_turn_started_is_not_started_again(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let children = (0..1_003).map(|n| child("f", Some(&format!("c{n}"))));
    hub.turn("a", &[], asks(children.chain([call("x")])));
    assert!(hub.find("c1000").is_none(), "it is postponed");
    hub.turn("a", &[failed(1_003, &"no")], throws(&"no"));
    for id in ["c0", "c1001"] {
        hub.turn(id, &[], returns(&id));
    }
    hub.command(purge("c1001")).unwrap();
    hub.command(terminate("c1002")).unwrap();
    hub.command(rewind("a")).unwrap();
    let told = hub.rows("message", "a");
    assert_eq!(told.len(), 2, "of what had ended: {told:?}");
    assert!(told[0].contains("c0") && told[1].contains("c1002"), "{told:?}");
    hub.turn("a", &[completed(1_003, &"mended")], nothing());
    assert!(!hub.execution("a").has_postponed());
    assert_eq!(hub.status("c1000"), RuntimeStatus::Pending, "it is the one of before");
    assert_eq!(hub.status("c1001"), RuntimeStatus::Pending, "one that is gone is started anew");
    assert!(hub.rows("message", "a").is_empty(), "nothing was refused");
}
