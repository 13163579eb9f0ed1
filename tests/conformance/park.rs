//! Instances that do not get on, crashes that are counted, results that are kept.

use durafn::core::error::{ErrorCode, engine_failure};
use durafn::core::replay::Problem;
use durafn::core::status::RuntimeStatus;
use durafn::provider::transaction::{Park, Work};

use crate::common::actions::{asks, call, child, completed, continues, nothing, returns, wait};
use crate::common::hub::{Hub, raise, resume, start, suspend, terminate};

fn park(hub: &mut Hub, id: &str, how: Park) {
    let key = hub.key(id);
    let problem = Box::new(Problem::new(ErrorCode::Nondeterminism, "it differs"));
    hub.work(Work::Park { key, problem, how });
}

fn unpark(hub: &mut Hub, id: &str) {
    let key = hub.key(id);
    hub.work(Work::Unpark(key));
}

fn running(hub: &mut Hub, id: &str) {
    hub.command(start(id)).unwrap();
    hub.turn(id, &[], asks([call("x"), wait("e")]));
}

const PROBLEM: &str = r#"{"code":"Nondeterminism","message":"it differs"}"#;

pub(crate) fn a_mark_tells_the_problem_and_the_instance_goes_on(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    park(hub, "a", Park::Mark);
    let row = hub.row("a");
    assert_eq!((row.head.status, row.ready), (RuntimeStatus::Pending, true));
    assert_eq!(row.problem.unwrap().get(), PROBLEM);
    assert!(hub.effects.is_empty());
}

pub(crate) fn a_held_instance_is_suspended_until_it_is_unparked_or_resumed(hub: &mut Hub) {
    running(hub, "a");
    let key = hub.key("a");
    for go_on in [unpark, |hub: &mut Hub, id: &str| {
        hub.command(resume(id)).unwrap();
    }] {
        hub.work(Work::CountCrash(vec![key]));
        park(hub, "a", Park::Hold);
        let row = hub.row("a");
        assert_eq!((row.head.status, row.ready), (RuntimeStatus::Suspended, false));
        assert!(row.head.has_problem);
        go_on(hub, "a");
        let row = hub.row("a");
        assert_eq!((row.head.status, row.ready), (RuntimeStatus::Running, true));
        assert_eq!((row.head.crashes, row.head.has_problem), (1, false));
    }
}

pub(crate) fn a_failed_one_ends_and_its_parent_is_told(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([child("child", Some("b"))]));
    hub.turn("b", &[], asks([call("x"), wait("e")]));
    hub.command(raise("b", "e", &1)).unwrap();
    park(hub, "b", Park::Fail);
    let failure = engine_failure(ErrorCode::Nondeterminism, "it differs");
    let failure = failure.get();
    let end =
        format!(r#"{{"name":"child","instanceId":"b","status":"Failed","failure":{failure}}}"#);
    let told = format!(r#"delivered to a: {{"ChildFailed":{{"task":0,"child":{end}}}}}"#);
    assert_eq!(hub.effects, [told.as_str(), "changed b", "ended b"]);
    let row = hub.row("b");
    assert_eq!((row.head.status, row.ready), (RuntimeStatus::Failed, false));
    assert_eq!(row.failure.unwrap().get(), failure);
    assert_eq!(hub.history("b")[1], r#"[{"ExecutionFailed":{}}]"#);
    assert!(hub.rows("message", "b").is_empty());
}

pub(crate) fn an_ended_instance_is_not_parked(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.command(terminate("a")).unwrap();
    let before = hub.snapshot();
    for how in [Park::Mark, Park::Hold, Park::Fail] {
        park(hub, "a", how);
    }
    unpark(hub, "a");
    assert_eq!(hub.snapshot(), before);
    let problem = Box::new(Problem::new(ErrorCode::Poison, "gone"));
    hub.work(Work::Park { key: 999, problem, how: Park::Fail });
    assert_eq!(hub.snapshot(), before);
}

pub(crate) fn an_unpark_of_what_a_user_suspended_changes_nothing(hub: &mut Hub) {
    running(hub, "a");
    hub.command(suspend("a")).unwrap();
    let before = hub.snapshot();
    unpark(hub, "a");
    assert_eq!(hub.snapshot(), before);
}

pub(crate) fn crashes_are_counted_and_cleared(hub: &mut Hub) {
    running(hub, "a");
    running(hub, "b");
    let keys = vec![hub.key("a"), hub.key("b"), 999];
    hub.work(Work::CountCrash(keys.clone()));
    hub.work(Work::CountCrash(keys[..1].to_vec()));
    assert_eq!((hub.row("a").head.crashes, hub.row("b").head.crashes), (3, 2));
    hub.work(Work::ClearCrash(keys));
    assert_eq!((hub.row("a").head.crashes, hub.row("b").head.crashes), (0, 0));
}

pub(crate) fn kept_results_wait_for_the_execution_they_are_for(hub: &mut Hub) {
    running(hub, "a");
    let key = hub.key("a");
    hub.command(suspend("a")).unwrap();
    hub.work(Work::Keep { key, exec: 0, messages: vec![completed(0, &1)] });
    hub.work(Work::Keep { key, exec: 1, messages: vec![completed(0, &"another's")] });
    assert_eq!(hub.rows("message", "a").len(), 1);
    hub.command(resume("a")).unwrap();
    hub.turn("a", &[], continues(&1));
    hub.work(Work::Keep { key, exec: 0, messages: vec![completed(0, &"late")] });
    hub.turn("a", &[], returns(&1));
    hub.work(Work::Keep { key, exec: 1, messages: vec![completed(0, &"late")] });
    hub.work(Work::Keep { key: 999, exec: 0, messages: vec![completed(0, &"lost")] });
    assert!(hub.rows("message", "a").is_empty());
}

pub(crate) fn forgotten_messages_are_gone(hub: &mut Hub) {
    running(hub, "a");
    hub.command(raise("a", "e", &1)).unwrap();
    let key = hub.key("a");
    let stored = hub.store.load(key).unwrap().unwrap().messages;
    hub.work(Work::Forget(vec![stored[0].key, 999]));
    assert!(hub.rows("message", "a").is_empty());
    assert_eq!(
        hub.turn("a", &[completed(0, &1)], nothing()),
        durafn::core::commit::TurnVerdict::Committed
    );
}
