//! What this process runs, for the hub to know.
//!
//! Owns: the orchestrators and activities among the hub's settings. Must never: let an instance wait whose function
//! is there. Proved by `__test__/opening.spec.mjs` and `__test__/distributed.spec.mjs`.

use crate::core::ids::fold_name;
use crate::core::task::Served;

use super::super::dispatcher::Step;
use super::super::protocol::{Registered, Reply, RequestId};
use super::super::store::StoreMessage;
use super::Hub;

impl Hub {
    pub(super) fn register(&mut self, rid: RequestId, registered: &Registered, step: &mut Step) {
        for name in folded(registered) {
            if !self.settings.orchestrators.contains(&name) {
                self.settings.orchestrators.push(name);
            }
        }
        for activity in served(registered, self.options.queues.as_deref()) {
            self.settings.activities.retain(|known| known.name != activity.name);
            self.settings.activities.push(activity);
        }
        self.to_store(StoreMessage::Settings(self.settings.clone()));
        if let Some(dispatcher) = &mut self.dispatcher {
            dispatcher.register(registered);
        }
        step.out.replies.push(Reply::ok(rid, &()));
    }
}

pub(super) fn folded(registered: &Registered) -> Vec<String> {
    registered.orchestrators.iter().map(|name| fold_name(name)).collect()
}

/// What of it this worker runs, for the others to know.
pub(super) fn served(registered: &Registered, queues: Option<&[String]>) -> Vec<Served> {
    let served = registered.activities.iter().filter(|activity| activity.is_served(queues));
    served
        .map(|activity| Served { name: fold_name(&activity.name), limit: activity.max_concurrency })
        .collect()
}
