//! Events: `docs/semantics.md` §1.4.

use durafn::core::error::ErrorCode;
use durafn::core::request::DiscardReason;
use durafn::core::status::RuntimeStatus;

use crate::common::actions::{asks, continues, nothing, returns, wait};
use crate::common::hub::{BUFFERED, DELIVERED, Hub, discarded, raise, start, suspend};

fn waiting(hub: &mut Hub, names: &[&str]) {
    hub.command(start("a")).unwrap();
    hub.turn("a", &[], asks(names.iter().map(|name| wait(name))));
}

pub(crate) fn an_event_for_nobody_is_discarded_with_the_reason(hub: &mut Hub) {
    for buffer in [false, true] {
        if buffer {
            hub.buffering();
        }
        assert_eq!(hub.command(raise("x", "e", &1)), discarded(DiscardReason::NotFound));
        hub.command(start("a")).unwrap();
        hub.turn("a", &[], returns(&1));
        let before = hub.snapshot();
        assert_eq!(hub.command(raise("a", "e", &1)), discarded(DiscardReason::Ended));
        assert_eq!(hub.snapshot(), before);
        assert!(hub.effects.is_empty());
    }
}

pub(crate) fn an_event_that_is_not_waited_for_is_discarded_and_told_in_history(hub: &mut Hub) {
    hub.command(start("a")).unwrap();
    assert_eq!(hub.command(raise("a", "Early", &1)), discarded(DiscardReason::NotWaiting));
    hub.turn("a", &[], asks([wait("e")]));
    assert_eq!(hub.command(raise("a", "other", &1)), discarded(DiscardReason::NotWaiting));
    assert_eq!(
        hub.history("a"),
        [
            r#"[{"EventDiscarded":{"n":"Early"}}]"#,
            r#"[{"EventAwaited":{"k":0,"n":"e"}}]"#,
            r#"[{"EventDiscarded":{"n":"other"}}]"#
        ]
    );
    assert!(hub.rows("message", "a").is_empty() && hub.effects.is_empty());
}

pub(crate) fn a_delivered_event_takes_exactly_one_wait(hub: &mut Hub) {
    waiting(hub, &["e", "e", "other"]);
    assert_eq!(hub.rows("wait", "a"), [r#"event="e" open=2"#, r#"event="other" open=1"#]);
    assert_eq!(hub.command(raise("a", "e", &1)), DELIVERED);
    assert_eq!(hub.effects, [r#"delivered to a: {"EventRaised":{"name":"e","input":1}}"#]);
    assert_eq!(hub.rows("wait", "a"), [r#"event="e" open=1"#, r#"event="other" open=1"#]);
    assert_eq!(hub.rows("message", "a").len(), 1);
}

pub(crate) fn two_quick_events_need_two_waits(hub: &mut Hub) {
    waiting(hub, &["e"]);
    assert_eq!(hub.command(raise("a", "e", &1)), DELIVERED);
    assert_eq!(hub.command(raise("a", "e", &2)), discarded(DiscardReason::NotWaiting));
    hub.turn("a", &[], asks([wait("e")]));
    assert_eq!(hub.command(raise("a", "e", &3)), DELIVERED, "the next wait is open");
}

pub(crate) fn event_names_match_without_regard_to_case(hub: &mut Hub) {
    waiting(hub, &["Go", "ÄÖ"]);
    assert_eq!(hub.command(raise("a", "gO", &1)), DELIVERED);
    assert_eq!(hub.command(raise("a", "äö", &2)), DELIVERED);
    hub.turn("a", &[], nothing());
    assert_eq!(
        hub.history("a")[1],
        r#"[{"EventRaised":{"k":0,"i":1}},{"EventRaised":{"k":1,"i":2}}]"#
    );
}

pub(crate) fn a_suspended_instance_takes_events_for_its_waits(hub: &mut Hub) {
    waiting(hub, &["e"]);
    hub.command(suspend("a")).unwrap();
    assert_eq!(hub.command(raise("a", "e", &1)), DELIVERED);
    assert_eq!(hub.command(raise("a", "e", &1)), discarded(DiscardReason::NotWaiting));
    assert_eq!(hub.status("a"), RuntimeStatus::Suspended);
}

pub(crate) fn a_buffered_event_is_given_to_the_wait_that_opens_later(hub: &mut Hub) {
    hub.buffering();
    hub.command(start("a")).unwrap();
    assert_eq!(hub.command(raise("a", "E", &1)), BUFFERED);
    assert!(hub.effects.is_empty());
    assert!(hub.rows("message", "a")[0].contains(r#"event=Some("e") taken=false"#));
    hub.turn("a", &[], asks([wait("e"), wait("e")]));
    assert_eq!(hub.effects, [r#"delivered to a: {"EventRaised":{"name":"E","input":1}}"#]);
    assert_eq!(hub.rows("wait", "a"), [r#"event="e" open=1"#], "the other wait stays open");
    hub.turn("a", &[], nothing());
    assert_eq!(hub.history("a")[1], r#"[{"EventRaised":{"k":1,"i":1}}]"#);
    assert!(hub.rows("message", "a").is_empty());
}

pub(crate) fn buffered_events_are_given_first_in_first_out_and_by_name(hub: &mut Hub) {
    hub.buffering();
    hub.command(start("a")).unwrap();
    for (name, input) in [("x", 1), ("e", 2), ("e", 3)] {
        assert_eq!(hub.command(raise("a", name, &input)), BUFFERED);
    }
    hub.turn("a", &[], asks([wait("e")]));
    hub.turn("a", &[], asks([wait("e")]));
    hub.turn("a", &[], nothing());
    let seen = &hub.history("a")[1..];
    assert_eq!(seen[0], r#"[{"EventRaised":{"k":0,"i":2}},{"EventAwaited":{"k":1,"n":"e"}}]"#);
    assert_eq!(seen[1], r#"[{"EventRaised":{"k":1,"i":3}}]"#);
    assert_eq!(hub.rows("message", "a").len(), 1, "the one of another name is kept");
}

pub(crate) fn a_consumed_event_never_returns(hub: &mut Hub) {
    hub.buffering();
    waiting(hub, &["e"]);
    hub.command(raise("a", "e", &1)).unwrap();
    hub.turn("a", &[], continues(&1));
    hub.turn("a", &[], asks([wait("e")]));
    assert!(hub.effects.is_empty());
    assert_eq!(hub.rows("wait", "a"), [r#"event="e" open=1"#]);
}

pub(crate) fn events_with_bad_names_or_too_much_data_are_refused(hub: &mut Hub) {
    hub.settings.payload_bytes = 3;
    waiting(hub, &["e"]);
    assert_eq!(hub.refusal(raise("a", "", &1)), ErrorCode::InvalidName);
    assert_eq!(hub.refusal(raise("a", "e\n", &1)), ErrorCode::InvalidName);
    assert_eq!(hub.refusal(raise("a", "e", &1234)), ErrorCode::PayloadTooLarge);
    assert_eq!(hub.command(raise("a", "e", &123)), DELIVERED);
}
