//! Sub-orchestrations: started with the turn, told of at their end.

use durafn::core::status::RuntimeStatus;
use durafn::core::turn::TurnOutcome;

use crate::common::actions::{
    asks, call, child, child_retried, completed, continues, fired, nothing, retry, returns, throws,
};
use crate::common::hub::{Hub, start, suspend, terminate};
use crate::common::json;

fn parent_of_b(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([child("child", Some("b")), call("x")]));
}

pub(crate) fn a_child_starts_in_the_turn_that_asks_for_it(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([child("Child", Some("b")), child("g", None)]));
    assert_eq!(hub.effects, ["started Child b of a", "started g asked-1 of a"]);
    let row = hub.row("b");
    assert_eq!((row.head.status, row.ready), (RuntimeStatus::Pending, true));
    assert_eq!(row.parent_id.as_deref(), Some("a"));
    let link = row.head.parent.unwrap();
    assert_eq!((link.key, link.exec, link.task), (hub.key("a"), 0, 0));
    assert!(!hub.row("a").ready, "a child's end will be a message");
}

pub(crate) fn a_child_that_cannot_start_is_told_as_failed(hub: &mut Hub) {
    hub.command(start("used")).unwrap();
    hub.command(start("a")).unwrap();
    let bad = [("child", "used"), ("child", "@b"), ("nobody", "b"), ("f", "a")];
    hub.turn("a", &[], asks(bad.map(|(name, id)| child(name, Some(id)))));
    for (effect, code) in hub.effects.clone().iter().zip([
        "InstanceAlreadyExists",
        "InvalidInstanceId",
        "NotRegistered",
        "InstanceAlreadyExists",
    ]) {
        assert!(effect.starts_with("delivered to a: {\"ChildFailed\""), "{effect}");
        assert!(effect.contains(&format!("\"code\":\"{code}\"")), "{effect}");
    }
    assert_eq!(hub.effects.len(), 4);
    hub.turn("a", &[], nothing());
    assert_eq!(hub.execution("a").open().count(), 0, "each is told to the code");
}

pub(crate) fn a_child_may_replace_an_ended_instance(hub: &mut Hub) {
    hub.command(start("b")).unwrap();
    hub.turn("b", &[], returns(&1));
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks([child_retried("child", Some("b"), retry(2))]));
    assert_eq!(hub.status("b"), RuntimeStatus::Pending);
    hub.turn("b", &[], throws(&"no"));
    hub.turn("a", &[], nothing());
    hub.now_ms = 2_000;
    hub.turn("a", &[fired(0)], nothing());
    assert_eq!(hub.effects, ["started child b of a"], "the next attempt, under the same id");
    assert_eq!(hub.status("b"), RuntimeStatus::Pending);
}

pub(crate) fn a_parent_is_told_of_each_end_in_the_execution_that_asked(hub: &mut Hub) {
    let failed = r#"{"name":"child","instanceId":"b","status":"Failed","failure":"no"}"#;
    for (outcome, message) in [
        (returns(&7), r#"{"ChildCompleted":{"task":0,"result":7}}"#.to_owned()),
        (throws(&"no"), format!(r#"{{"ChildFailed":{{"task":0,"child":{failed}}}}}"#)),
    ] {
        parent_of_b(hub);
        hub.turn("b", &[], outcome);
        assert_eq!(hub.effects, [format!("delivered to a: {message}"), "ended b".to_owned()]);
        let stored = hub.rows("message", "a").remove(0);
        assert!(stored.contains("exec=Some(0) event=None taken=true"), "{stored}");
        hub.turn("a", &[], returns(&1));
    }
}

pub(crate) fn a_parent_that_has_ended_or_continued_is_not_told(hub: &mut Hub) {
    parent_of_b(hub);
    hub.command(suspend("a")).unwrap();
    hub.turn("b", &[], returns(&1));
    assert_eq!(hub.effects.len(), 2, "a suspended one is told");
    hub.command(terminate("a")).unwrap();

    parent_of_b(hub);
    hub.turn("a", &[completed(1, &1)], continues(&1));
    hub.turn("b", &[], returns(&1));
    assert_eq!(hub.effects, ["ended b"]);
    hub.turn("a", &[], returns(&1));

    parent_of_b(hub);
    hub.turn("a", &[completed(1, &1)], returns(&1));
    hub.command(terminate("b")).unwrap();
    assert_eq!(hub.effects, ["changed b", "ended b"]);
}

pub(crate) fn children_of_an_ending_turn_start_and_refused_ones_are_dropped(hub: &mut Hub) {
    for end in [returns(&1), continues(&1)] {
        hub.command(start("a")).unwrap();
        let actions = vec![child("child", Some("b")), child("child", Some("a"))];
        hub.turn("a", &[], TurnOutcome { actions, ..end });
        assert_eq!(hub.status("b"), RuntimeStatus::Pending);
        assert!(hub.rows("message", "a").is_empty());
        assert!(hub.effects.contains(&"started child b of a".to_owned()), "{}", json(&hub.effects));
        hub.turn("b", &[], returns(&1));
        assert_eq!(hub.effects, ["ended b"]);
    }
}
