//! Pages and counts: the same as those of the model, complete whatever else happens.

use std::collections::BTreeSet;

use durafn::core::instance::InstanceChange;
use durafn::core::request::Filter;
use durafn::core::status::RuntimeStatus;
use durafn::core::{InstanceKey, TimeMs, limits};
use durafn::provider::memory::MemoryProvider;
use durafn::provider::{Page, ProviderErrorKind as Kind, Reader};

use crate::*;

const NAMES: [&str; 3] = ["Order", "ORDER", "Invoice"];

/// Fills both stores with the same instances, of which some share their time.
fn filled(count: usize) -> (SqliteProvider, MemoryProvider) {
    let options = SqliteOptions { path: None, hub_name: None, relaxed: false, role: Role::Worker };
    let mut sqlite = SqliteProvider::open(&options).unwrap();
    let mut memory = MemoryProvider::new();
    for provider in [&mut sqlite as &mut dyn Provider, &mut memory] {
        let mut random = Random(7);
        transact(provider, None, |rows| {
            for n in 0..count {
                let time = 1_000 + TimeMs::try_from(random.below(40)).unwrap();
                let id = format!("{}-{:04}", random.pick(&["a", "b", "ba", "é"]), n);
                let key = rows.insert_instance(&instance(&id, random.pick(&NAMES), time))?;
                let status = random.pick(&RuntimeStatus::ALL);
                let ended = status.has_ended().then_some(time + 5);
                let change = InstanceChange {
                    status: Some(status),
                    completed_ms: Some(ended),
                    ..InstanceChange::default()
                };
                rows.update_instance(key, &change)?;
            }
            Ok(())
        })
        .unwrap();
    }
    (sqlite, memory)
}

fn filters(random: &mut Random) -> Filter {
    let mut filter = Filter::default();
    if random.chance(50) {
        filter.name = Some(random.pick(&["order", "oRDer", "invoice", "none"]).to_owned());
    }
    if random.chance(40) {
        filter.id_prefix = Some(random.pick(&["", "a", "b", "b-00", "ba-", "é", "z"]).to_owned());
    }
    for _ in 0..random.below(3) {
        filter.runtime_status.push(random.pick(&RuntimeStatus::ALL));
    }
    let mut time = || 1_000 + TimeMs::try_from(random.below(40)).unwrap();
    (filter.created_from, filter.created_to) = (Some(time()), Some(time()));
    if random.chance(60) {
        filter.created_from = None;
    }
    if random.chance(60) {
        filter.created_to = None;
    }
    filter
}

/// Ids of every page, in order.
fn pages(reader: &mut dyn Reader, filter: &Filter, top: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut page = Page { top, cursor: None };
    loop {
        let listing = reader.list(filter, &page).unwrap();
        assert!(listing.rows.len() <= top);
        ids.extend(listing.rows.into_iter().map(|row| row.head.id));
        page.cursor = listing.cursor;
        if page.cursor.is_none() {
            return ids;
        }
    }
}

fn purgeable(
    reader: &mut dyn Reader,
    filter: &Filter,
    before: Option<TimeMs>,
    top: usize,
) -> Vec<InstanceKey> {
    let (mut keys, mut page) = (Vec::new(), Page { top, cursor: None });
    loop {
        let found = reader.purgeable(filter, before, &page).unwrap();
        keys.extend(found.keys);
        page.cursor = found.cursor;
        if page.cursor.is_none() {
            return keys;
        }
    }
}

#[test]
fn every_filter_gives_what_the_model_gives() {
    let (mut sqlite, mut memory) = filled(600);
    let mut random = Random(11);
    for _ in 0..400 {
        let filter = filters(&mut random);
        let top = 1 + random.below(90);
        let expected = pages(&mut memory, &filter, top);
        assert_eq!(pages(&mut sqlite, &filter, top), expected, "{filter:?}");
        assert_eq!(sqlite.count(&filter).unwrap(), expected.len() as u64, "{filter:?}");
        let before = random.chance(50).then(|| 1_000 + TimeMs::try_from(random.below(50)).unwrap());
        let top = 1 + random.below(50);
        let expected = purgeable(&mut memory, &filter, before, top);
        assert_eq!(purgeable(&mut sqlite, &filter, before, top), expected, "{filter:?}");
    }
}

#[test]
fn a_cursor_of_another_listing_is_refused() {
    let (mut sqlite, mut memory) = filled(10);
    let by_id = Filter { id_prefix: Some("a".to_owned()), ..Filter::default() };
    for reader in [&mut sqlite as &mut dyn Reader, &mut memory] {
        let mut page = Page { top: 1, cursor: None };
        page.cursor = reader.list(&Filter::default(), &page).unwrap().cursor;
        assert_eq!(kind(reader.list(&by_id, &page)), Kind::Invalid);
        for bad in ["", "nonsense", "s1.x", "ib-1"] {
            page.cursor = Some(bad.to_owned());
            assert_eq!(kind(reader.list(&by_id, &page)), Kind::Invalid, "{bad}");
        }
    }
}

#[test]
fn what_was_there_is_on_some_page_whatever_else_happens() {
    let folder = Folder::new();
    let mut provider = client(&folder.hub());
    let there: Vec<_> = (0..500).map(|n| format!("there-{n}")).collect();
    transact(&mut provider, None, |rows| {
        for (n, id) in (0..).zip(&there) {
            rows.insert_instance(&instance(id, "Order", 1_000 + n / 7))?;
        }
        Ok(())
    })
    .unwrap();
    for filter in [Filter::default(), Filter { id_prefix: Some("t".into()), ..Filter::default() }] {
        let mut random = Random(3);
        let mut seen = Vec::new();
        let mut page = Page { top: 17, cursor: None };
        for round in 0.. {
            let listing = provider.list(&filter, &page).unwrap();
            seen.extend(listing.rows.into_iter().map(|row| row.head.id));
            page.cursor = listing.cursor;
            if page.cursor.is_none() {
                break;
            }
            // Others come, go on and go, before, within and after the place of the page.
            let mut other = client(&folder.hub());
            transact(&mut other, None, |rows| {
                for n in 0..5 {
                    let id = format!("{}-{round}-{n}", random.pick(&["s", "there-1", "u"]));
                    let time = 900 + TimeMs::try_from(random.below(300)).unwrap();
                    if rows.head_by_id(&id)?.is_none() {
                        rows.insert_instance(&instance(&id, "Order", time))?;
                    }
                    let moved = rows.head_by_id(&random.pick(&there))?.unwrap().key;
                    let status = Some(random.pick(&RuntimeStatus::ALL));
                    let change = InstanceChange { status, ..InstanceChange::default() };
                    rows.update_instance(moved, &change)?;
                }
                Ok(())
            })
            .unwrap();
        }
        let once: BTreeSet<_> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "an instance came twice");
        assert!(there.iter().all(|id| once.contains(id)), "an instance was left out");
    }
}

#[test]
fn a_filter_that_passes_over_much_gives_short_pages() {
    let options = SqliteOptions { path: None, hub_name: None, relaxed: false, role: Role::Client };
    let mut provider = SqliteProvider::open(&options).unwrap();
    let count = limits::PAGE_SCAN_ROWS * 2 + 10;
    transact(&mut provider, None, |rows| {
        for n in 0..count {
            let name = if n + 5 == count { "Rare" } else { "Common" };
            rows.insert_instance(&instance(&format!("id-{n:06}"), name, 1))?;
        }
        Ok(())
    })
    .unwrap();
    let mut filter = Filter { name: Some("rare".to_owned()), ..Filter::default() };
    assert_eq!(provider.list(&filter, &Page::default()).unwrap().rows.len(), 1);

    filter.id_prefix = Some("id-".to_owned());
    let mut page = Page { top: 10, cursor: None };
    let mut sizes = Vec::new();
    loop {
        let listing = provider.list(&filter, &page).unwrap();
        sizes.push(listing.rows.len());
        page.cursor = listing.cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [0, 0, 1]);
    assert_eq!(provider.count(&filter).unwrap(), 1);
}

#[test]
fn a_page_of_large_payloads_is_short() {
    let options = SqliteOptions { path: None, hub_name: None, relaxed: false, role: Role::Client };
    let mut provider = SqliteProvider::open(&options).unwrap();
    let large = payload(&format!("\"{}\"", "x".repeat(10 * 1024 * 1024)));
    transact(&mut provider, None, |rows| {
        for n in 0..5 {
            let new = instance(&format!("id-{n}"), "Order", 1);
            rows.insert_instance(&NewInstance { input: Some(large.clone()), ..new })?;
        }
        Ok(())
    })
    .unwrap();
    let first = provider.list(&Filter::default(), &Page { top: 5, cursor: None }).unwrap();
    assert_eq!(first.rows.len(), 4);
    let all = pages(&mut provider, &Filter::default(), 5);
    assert_eq!(all.len(), 5);
}
