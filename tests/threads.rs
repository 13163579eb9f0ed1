//! A panic on a thread of a hub ends the hub, not the process, and says so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use durafn::runtime::hub::Hub;
use serde_json::{Value, json};

struct Opened {
    hub: Hub,
    woken: Receiver<()>,
    folder: tempfile::TempDir,
    /// The named thread panics when it next has something to tell.
    armed: Arc<AtomicBool>,
}

fn open(thread: &'static str) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let (sender, woken) = channel();
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = Arc::clone(&armed);
    let wake = move || {
        let here = std::thread::current().name() == Some(thread);
        let _ = sender.send(());
        assert!(!(here && trigger.swap(false, Ordering::SeqCst)), "a panic was asked for");
    };
    let options = json!({
        "role": "worker",
        "path": folder.path().join("hub.db"),
        "registered": { "orchestrators": [], "activities": [] },
    });
    let hub = Hub::open(serde_json::from_value(options).unwrap(), Box::new(wake)).unwrap();
    let mut opened = Opened { hub, woken, folder, armed };
    opened.until(&json!({}), |out| out["replies"][0][1].is_object());
    opened
}

impl Opened {
    fn exchange(&mut self, inbound: &Value) -> Value {
        serde_json::from_str(&self.hub.exchange(&inbound.to_string()).unwrap()).unwrap()
    }

    /// Exchanges until an answer shows what is waited for, and gives that one. `inbound` is sent each
    /// time: a thread wakes nobody, and so does not panic, if another one has done so just before.
    fn until(&mut self, inbound: &Value, found: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1_000 {
            let out = self.exchange(inbound);
            if found(&out) {
                return out;
            }
            let _ = self.woken.recv_timeout(Duration::from_millis(20));
        }
        panic!("it did not come");
    }
}

#[test]
fn a_panic_on_any_thread_is_told_and_closes_the_hub() {
    for thread in ["durafn-store", "durafn-reader", "durafn-backup"] {
        let mut opened = open(thread);
        opened.armed.store(true, Ordering::SeqCst);
        let request = match thread {
            "durafn-store" => json!({ "purgeBy": { "filter": {} } }),
            "durafn-reader" => json!({ "count": { "filter": {} } }),
            _ => json!({ "backup": { "file": opened.folder.path().join("copy.db") } }),
        };
        let inbound = json!({ "requests": [[1, request]] });
        let out = opened.until(&inbound, |out| out["fatal"].is_object());
        assert_eq!(out["fatal"]["code"], "Internal");
        assert!(out["fatal"]["message"].as_str().unwrap().contains(thread), "{out}");

        let out = opened.exchange(&json!({ "requests": [[2, { "count": { "filter": {} } }]] }));
        assert_eq!(out["replies"][0][2]["code"], "Internal", "later calls are refused");

        opened.exchange(&json!({ "requests": [[3, { "close": {} }]] }));
    }
}
