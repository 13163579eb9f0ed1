//! Terminate, suspend, resume: `docs/semantics.md` §1.3.

use durafn::core::commit::{Refusal, TurnVerdict};
use durafn::core::error::ErrorCode;
use durafn::core::replay::Problem;
use durafn::core::request::Control;
use durafn::core::status::RuntimeStatus;
use durafn::provider::transaction::{Park, Work};

use crate::common::actions::{asks, call, child, completed, nothing, returns, timer, wait};
use crate::common::hub::{DONE, Hub, control_all, raise, resume, start, suspend, terminate};

pub(crate) fn unknown_and_ended_instances_are_refused(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], returns(&1));
    for command in [terminate, suspend, resume] {
        assert_eq!(hub.refusal(command("x")), ErrorCode::InstanceNotFound);
        assert_eq!(hub.refusal(command("a")), ErrorCode::InstanceEnded);
    }
}

pub(crate) fn a_terminated_instance_keeps_the_reason_and_loses_the_rest(hub: &mut Hub) {
    hub.buffering();
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([wait("e"), timer(9_000), call("x")]));
    hub.command(raise("a", "e", &1)).unwrap();
    hub.command(raise("a", "kept", &1)).unwrap();
    hub.now_ms = 2_000;
    assert_eq!(hub.command(terminate("a")), DONE);
    assert_eq!(hub.effects, ["changed a", "ended a"]);
    let row = hub.row("a");
    assert_eq!((row.head.status, row.ready), (RuntimeStatus::Terminated, false));
    assert_eq!(row.output.unwrap().get(), "\"why\"");
    assert_eq!((row.updated_ms, row.completed_ms), (2_000, Some(2_000)));
    assert_eq!(hub.history("a")[1], r#"[{"ExecutionTerminated":{"f":"why"}}]"#);
    for kind in ["message", "wait", "timer"] {
        assert!(hub.rows(kind, "a").is_empty(), "{kind}");
    }
}

pub(crate) fn one_terminated_before_it_began_has_a_status(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.command(terminate("a")).unwrap();
    let row = hub.row("a");
    assert_eq!((row.head.status, row.created_ms), (RuntimeStatus::Terminated, None));
}

pub(crate) fn a_suspended_instance_takes_no_turns_until_it_is_resumed(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([call("x")]));
    assert_eq!(hub.command(suspend("a")), DONE);
    assert_eq!(hub.effects, ["changed a"]);
    let commit = hub.prepare("a", &[completed(0, &1)], nothing());
    assert_eq!(hub.commit(commit.clone()), TurnVerdict::Refused(Refusal::Suspended));
    assert_eq!(hub.command(resume("a")), DONE);
    assert_eq!(hub.effects, ["changed a"]);
    assert!(hub.row("a").ready, "what it has to do stands in its history");
    assert_eq!(
        hub.history("a")[1..],
        [r#"[{"ExecutionSuspended":{"f":"why"}}]"#, r#"[{"ExecutionResumed":{"f":"why"}}]"#]
    );
    assert_eq!(hub.commit(commit), TurnVerdict::Committed);
}

pub(crate) fn controls_that_are_done_already_change_nothing(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let before = hub.snapshot();
    assert_eq!(hub.command(resume("a")), DONE);
    assert_eq!(hub.snapshot(), before);
    hub.command(suspend("a")).unwrap();
    let before = hub.snapshot();
    assert_eq!(hub.command(suspend("a")), DONE);
    assert_eq!(hub.snapshot(), before);
    assert!(hub.effects.is_empty());
}

pub(crate) fn a_resumed_instance_returns_to_the_status_it_had(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.command(suspend("a")).unwrap();
    assert_eq!(hub.status("a"), RuntimeStatus::Suspended);
    hub.command(resume("a")).unwrap();
    assert_eq!(hub.status("a"), RuntimeStatus::Pending);
    hub.turn("a", &[], asks([wait("e")]));
    hub.command(suspend("a")).unwrap();
    hub.command(resume("a")).unwrap();
    assert_eq!(hub.status("a"), RuntimeStatus::Running);
}

/// A worker tries instances that are held because of a problem again when it opens the hub. This one
/// is held because the user said so.
pub(crate) fn a_user_who_suspends_an_instance_with_a_mark_holds_it(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    let key = hub.key("a");
    let problem = Box::new(Problem::new(ErrorCode::NotRegistered, "unknown name"));
    hub.work(Work::Park { key, problem, how: Park::Mark });
    hub.command(suspend("a")).unwrap();
    assert!(hub.row("a").problem.is_none());
    assert!(hub.store.arrivals().unwrap().held.is_empty());
}

/// `a` with the child `b`, which has the child `c`.
fn family(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([child("child", Some("b"))]));
    hub.turn("b", &[], asks([child("child", Some("c"))]));
}

pub(crate) fn a_call_reaches_sub_orchestrations_only_if_it_is_recursive(hub: &mut Hub) {
    use RuntimeStatus::{Pending, Running, Suspended, Terminated};
    family(hub);
    let statuses = |hub: &mut Hub| ["a", "b", "c"].map(|id| hub.status(id));
    hub.command(suspend("a")).unwrap();
    assert_eq!(statuses(hub), [Suspended, Running, Pending]);
    hub.command(control_all("a", Control::Suspend)).unwrap();
    assert_eq!(statuses(hub), [Suspended; 3], "also below one that is suspended");
    hub.command(control_all("b", Control::Resume)).unwrap();
    assert_eq!(statuses(hub), [Suspended, Running, Pending]);
    hub.command(control_all("a", Control::Terminate)).unwrap();
    assert_eq!(statuses(hub), [Terminated; 3]);
    assert!(!hub.effects.iter().any(|effect| effect.starts_with("delivered")), "no parent is told");
}

pub(crate) fn a_parent_is_told_of_a_terminated_child(hub: &mut Hub) {
    family(hub);
    hub.command(terminate("b")).unwrap();
    let end = r#"{"name":"child","instanceId":"b","status":"Terminated","reason":"why"}"#;
    let told = format!(r#"delivered to a: {{"ChildFailed":{{"task":0,"child":{end}}}}}"#);
    assert_eq!(hub.effects, [told.as_str(), "changed b", "ended b"]);
    assert_eq!(hub.status("c"), RuntimeStatus::Pending, "its own child runs on");
}

pub(crate) fn a_foreign_control_leaves_word_for_a_worker_that_lives(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.foreign = true;
    hub.command(suspend("a")).unwrap();
    assert!(hub.effects.is_empty());
    let word = r#" exec=None event=None taken=true body="Changed""#;
    assert!(hub.rows("message", "a").concat().ends_with(word));
    hub.worker_lives = false;
    hub.command(resume("a")).unwrap();
    assert_eq!(hub.rows("message", "a").len(), 1);
    assert!(hub.row("a").ready, "which a worker finds when it opens the hub");
    hub.worker_lives = true;
    hub.command(terminate("a")).unwrap();
    assert_eq!(hub.rows("message", "a").len(), 1, "after all else was cleared");
}
