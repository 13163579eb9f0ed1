//! Versions of instances: given at the start, kept for life.

use durafn::core::action::Action;
use durafn::core::error::ErrorCode;
use durafn::core::request::{Command, StartSpec};

use crate::common::actions::{
    asks, call, child, child_failed, child_retried, continues, fired, nothing, retry, throws,
};
use crate::common::hub::{Hub, restart, rewind, spec};

fn start(id: &str, version: Option<&str>) -> Command {
    Command::Start(vec![StartSpec { version: version.map(str::to_owned), ..spec("f", id) }])
}

fn version(hub: &mut Hub, id: &str) -> Option<String> {
    hub.row(id).version
}

fn of_version(action: Action, asked: &str) -> Action {
    match action {
        Action::CallSubOrchestrator { name, instance_id, input, retry, group, .. } => {
            let version = Some(asked.to_owned());
            Action::CallSubOrchestrator { name, instance_id, version, input, retry, group }
        }
        other => other,
    }
}

pub(crate) fn an_instance_gets_the_version_asked_for_else_that_of_the_hub(hub: &mut Hub) {
    hub.command(start("before", None)).unwrap();
    hub.settings.default_version = Some("2.0".to_owned());
    for (id, asked, has) in [
        ("asked", Some("1.0"), Some("1.0")),
        ("default", None, Some("2.0")),
        ("none", Some(""), None),
    ] {
        hub.command(start(id, asked)).unwrap();
        assert_eq!(version(hub, id).as_deref(), has, "{id}");
    }
    assert_eq!(version(hub, "before"), None);
    assert_eq!(hub.refusal(start("a", Some("1\u{0}"))), ErrorCode::InvalidName);
}

pub(crate) fn a_child_gets_the_version_asked_for_else_that_of_the_hub(hub: &mut Hub) {
    hub.settings.default_version = Some("2.0".to_owned());
    hub.command(start("a", Some("1.0"))).unwrap();
    let calls = [
        child("child", Some("default")),
        of_version(child("child", Some("asked")), "3.0"),
        of_version(child("child", Some("none")), ""),
    ];
    hub.turn("a", &[], asks(calls));
    assert_eq!(version(hub, "default").as_deref(), Some("2.0"));
    assert_eq!(version(hub, "asked").as_deref(), Some("3.0"));
    assert_eq!(version(hub, "none"), None);
}

pub(crate) fn a_child_that_is_tried_again_has_the_version_asked_for(hub: &mut Hub) {
    hub.command(start("a", None)).unwrap();
    let tried = of_version(child_retried("child", Some("b"), retry(2)), "3.0");
    hub.turn("a", &[], asks([tried]));
    hub.turn("b", &[], throws(&"no"));
    hub.turn("a", &[child_failed(0, "b", &"no")], nothing());
    hub.turn("a", &[fired(0)], nothing());
    assert_eq!(version(hub, "b").as_deref(), Some("3.0"));
}

pub(crate) fn it_keeps_its_version_whatever_becomes_of_it(hub: &mut Hub) {
    hub.command(start("a", Some("1.0"))).unwrap();
    hub.command(start("none", None)).unwrap();
    hub.settings.default_version = Some("2.0".to_owned());
    hub.turn("a", &[], continues(&1));
    hub.turn("a", &[], asks([call("x")]));
    hub.turn("a", &[], throws(&"no"));
    hub.command(rewind("a")).unwrap();
    assert_eq!(version(hub, "a").as_deref(), Some("1.0"));
    hub.turn("a", &[], throws(&"no"));
    hub.command(restart("a", false)).unwrap();
    assert_eq!(version(hub, "a").as_deref(), Some("1.0"));
    hub.turn("none", &[], throws(&"no"));
    hub.command(restart("none", false)).unwrap();
    assert_eq!(version(hub, "none"), None);
}
