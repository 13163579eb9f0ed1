//! Questions to a store, and answers that do not tell its keys.

use durafn::core::TimeMs;
use durafn::core::request::Filter;
use durafn::core::status::RuntimeStatus;
use durafn::provider::Page;

use crate::common::Rng;
use crate::common::hub::Hub;

/// See the module's text.
#[derive(Debug)]
pub(crate) enum Question {
    List { filter: Filter, top: usize },
    Count(Filter),
    Purgeable { filter: Filter, completed_before: Option<TimeMs>, limit: usize },
    Timers { until: TimeMs, limit: usize },
    Load(&'static str),
}

impl Question {
    pub(crate) fn chosen(rng: &mut Rng, now_ms: TimeMs) -> Self {
        let around = |rng: &mut Rng| now_ms + i64::try_from(rng.below(2_000)).unwrap() - 1_500;
        let status = [RuntimeStatus::ALL[rng.below(7)], RuntimeStatus::ALL[rng.below(7)]];
        let filter = Filter {
            name: rng.chance(30).then(|| (*rng.pick(&["F", "g", "CHILD"])).to_owned()),
            id_prefix: rng.chance(30).then(|| (*rng.pick(&["a", "m", "made-1", ""])).to_owned()),
            runtime_status: if rng.chance(50) { status.to_vec() } else { Vec::new() },
            created_from: rng.chance(20).then(|| around(rng)),
            created_to: rng.chance(20).then(|| around(rng)),
        };
        let limit = 1 + rng.below(4);
        match rng.below(5) {
            0 => Self::Count(filter),
            1 => {
                let completed_before = rng.chance(50).then(|| around(rng));
                Self::Purgeable { filter, completed_before, limit }
            }
            2 => Self::Timers { until: around(rng), limit },
            3 => Self::Load(rng.pick::<&str>(&["a", "b", "c"])),
            _ => Self::List { filter, top: limit },
        }
    }

    pub(crate) fn answer(&self, hub: &mut Hub) -> String {
        match self {
            Self::List { filter, top } => format!("{:?}", listed(hub, filter, *top)),
            Self::Count(filter) => format!("{}", hub.store.count(filter).unwrap()),
            Self::Purgeable { filter, completed_before, limit } => {
                let (mut ids, mut page) = (Vec::new(), Page { top: *limit, cursor: None });
                loop {
                    let found = hub.store.purgeable(filter, *completed_before, &page).unwrap();
                    for key in found.keys {
                        ids.push(hub.store.load(key).unwrap().unwrap().row.head.id);
                    }
                    page.cursor = found.cursor;
                    if page.cursor.is_none() {
                        break;
                    }
                }
                ids.sort();
                format!("{ids:?}")
            }
            Self::Timers { until, limit } => {
                let rows = hub.store.timers_due(*until, *limit).unwrap();
                format!("{:?}", rows.iter().map(|row| row.fire_at).collect::<Vec<_>>())
            }
            Self::Load(id) => {
                let Some(row) = hub.find(id) else { return String::new() };
                let loaded = hub.store.load(row.head.key).unwrap().unwrap();
                let messages: Vec<_> = loaded
                    .messages
                    .iter()
                    .map(|message| (message.exec, String::from_utf8_lossy(&message.body)))
                    .collect();
                format!("{:?} {} {messages:?}", loaded.row.head.status, loaded.history.len())
            }
        }
    }
}

/// All pages. A page may be short; the cursor says whether there is more.
fn listed(hub: &mut Hub, filter: &Filter, top: usize) -> Vec<String> {
    let mut page = Page { top, cursor: None };
    let mut ids = Vec::new();
    loop {
        let listing = hub.store.list(filter, &page).unwrap();
        ids.extend(listing.rows.into_iter().map(|row| row.head.id));
        page.cursor = listing.cursor;
        if page.cursor.is_none() {
            return ids;
        }
    }
}
