//! The operations on rows, drawn by lot, in SQLite and in the model.

use durafn::core::instance::{InstanceChange, InstanceHead, ParentLink};
use durafn::core::request::{HubSettings, UnmatchedEvents};
use durafn::core::status::RuntimeStatus;
use durafn::core::{ExecutionId, InstanceKey, MessageKey, TaskId, TimeMs, TurnNumber};
use durafn::provider::memory::MemoryProvider;
use durafn::provider::rows::{Clear, NewMessage};
use durafn::provider::{ProviderError, Reader};

use crate::*;

/// Keys that a store has given. They differ between stores; their places in these lists do not.
#[derive(Default)]
struct Given {
    instances: Vec<InstanceKey>,
    messages: Vec<MessageKey>,
}

/// What an operation is about.
struct Lot {
    id: String,
    event: &'static str,
    exec: u32,
    task: TaskId,
    time: TimeMs,
    flag: bool,
}

/// One operation, told as text without keys.
fn operate(rows: &mut dyn Rows, given: &mut Given, random: &mut Random) -> Result<String> {
    let lot = Lot {
        id: format!("id-{}", random.below(12)),
        event: random.pick(&["go", "stop"]),
        exec: u32::try_from(random.below(2)).unwrap(),
        task: TaskId::try_from(random.below(4)).unwrap(),
        time: 1_000 + TimeMs::try_from(random.below(100)).unwrap(),
        flag: random.chance(50),
    };
    let operation = random.below(24);
    if given.instances.is_empty() || operation == 0 {
        return operate_insert(rows, given, &lot);
    }
    let key = random.pick(&given.instances);
    if operation < 8 {
        return operate_on_instance(rows, key, operation, &lot, random);
    }
    operate_beside(rows, given, key, operation, &lot)
}

fn operate_insert(rows: &mut dyn Rows, given: &mut Given, lot: &Lot) -> Result<String> {
    if rows.head_by_id(&lot.id)?.is_some() {
        return Ok("taken".to_owned());
    }
    let name = if lot.exec == 0 { "Order" } else { "invoice" };
    let mut new = instance(&lot.id, name, lot.time);
    if let Some(key) = given.instances.last().filter(|_| lot.flag) {
        new.parent = Some(ParentLink { key: *key, exec: lot.exec, task: lot.task });
        new.parent_id = rows.head(*key)?.map(|head| head.id);
    }
    given.instances.push(rows.insert_instance(&new)?);
    Ok(format!("started {}", lot.id))
}

fn operate_on_instance(
    rows: &mut dyn Rows,
    key: InstanceKey,
    operation: usize,
    lot: &Lot,
    random: &mut Random,
) -> Result<String> {
    Ok(match operation {
        1 => format!("{:?}", rows.head_by_id(&lot.id)?.map(|head| (head.id, head.status))),
        2 => format!("{:?}", rows.row(key)?.map(|row| (row.head.id, row.output, row.ready))),
        3..=6 => {
            rows.update_instance(key, &change(random, lot.time))?;
            let head = rows.head(key)?;
            format!("{:?}", head.map(|head| InstanceHead { key: 0, parent: None, ..head }))
        }
        _ => {
            let what = random.pick(&[Clear::Execution, Clear::Ended, Clear::All]);
            format!("{what:?} {:?}", rows.clear(key, what)?)
        }
    })
}

fn current(rows: &mut dyn Rows, key: InstanceKey) -> Result<ExecutionId> {
    Ok(rows.head(key)?.map_or(0, |head| head.exec))
}

fn next_turn(rows: &mut dyn Rows, key: InstanceKey, exec: ExecutionId) -> Result<TurnNumber> {
    let mut turn = 1;
    while !rows.is_next_turn(key, exec, turn)? {
        turn += 1;
    }
    Ok(turn)
}

/// Operations on what belongs to an instance. Only to one that is there is anything added.
fn operate_beside(
    rows: &mut dyn Rows,
    given: &mut Given,
    key: InstanceKey,
    operation: usize,
    lot: &Lot,
) -> Result<String> {
    let Lot { event, exec, task, time, flag, .. } = *lot;
    let exists = rows.head(key)?.is_some();
    Ok(match operation {
        8 => {
            let children = rows.open_children(key)?;
            format!("{:?}", children.into_iter().map(|head| head.id).collect::<Vec<_>>())
        }
        9..=12 if exists => {
            let (exec, body) = (current(rows, key)?, format!("{time}"));
            if flag {
                rows.append_notice(key, exec, body.as_bytes())?;
            } else {
                let turn = next_turn(rows, key, exec)?;
                rows.append_turn(key, exec, turn, body.as_bytes())?;
            }
            String::new()
        }
        13 => {
            let history = rows.history(key, exec)?;
            if flag {
                let exec = current(rows, key)?;
                let turn = next_turn(rows, key, exec)?;
                rows.remove_turn(key, exec, turn - 1)?;
            }
            format!("{history:?}")
        }
        14..=16 if exists => {
            let kept = flag.then(|| event.to_owned());
            let taken = kept.is_none() || task % 2 == 0;
            let exec = (time % 2 == 0).then_some(exec);
            let body = format!("{time}").into_bytes();
            let message = NewMessage { key, exec, event: kept, taken, body };
            given.messages.push(rows.insert_message(&message)?);
            "message".to_owned()
        }
        17 => {
            let keys: Vec<_> = given.messages.iter().rev().step_by(3).take(2).copied().collect();
            format!("{:?}", rows.remove_messages(&keys)?)
        }
        18 => {
            let place = |key: &MessageKey| given.messages.iter().position(|given| given == key);
            format!("{:?}", rows.taken_events(key)?.iter().map(place).collect::<Vec<_>>())
        }
        19 => format!("{:?}", rows.take_kept_event(key, event)?.map(|found| found.body)),
        20 if exists => format!("{:?}", rows.open_wait(key, event)?),
        21 => format!("{:?}", rows.take_wait(key, event)?),
        22 if exists => format!("{:?}", rows.set_timer(key, task, time)?),
        23 if flag => format!("{:?}", rows.clear_timer(key, task)?),
        _ => {
            let unmatched_events =
                if flag { UnmatchedEvents::Buffer } else { UnmatchedEvents::Discard };
            rows.put_settings(&HubSettings { unmatched_events, ..HubSettings::default() })?;
            format!("{:?}", rows.settings()?)
        }
    })
}

fn change(random: &mut Random, time: TimeMs) -> InstanceChange {
    let mut change = InstanceChange::default();
    let text = payload(&format!("\"{time}\""));
    for _ in 0..=random.below(3) {
        let filled = random.chance(70);
        match random.below(11) {
            0 => change.status = Some(random.pick(&RuntimeStatus::ALL)),
            1 => change.ready = Some(filled),
            2 => change.created_ms = Some(time),
            3 => change.updated_ms = Some(time),
            4 => change.completed_ms = Some(filled.then_some(time)),
            5 => change.input = Some(filled.then(|| text.clone())),
            6 => change.output = Some(filled.then(|| text.clone())),
            7 => change.failure = Some(filled.then(|| text.clone())),
            8 => change.custom_status = Some(text.clone()),
            9 => change.problem = Some(filled.then(|| text.clone())),
            _ => change.crashes = Some(u32::try_from(random.below(3)).unwrap()),
        }
    }
    change
}

/// Some operations in one transaction, which fails at times.
fn step(provider: &mut dyn Provider, given: &mut Given, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let mut told = Vec::new();
    let lengths = (given.instances.len(), given.messages.len());
    let done = provider.transaction(None, &mut |rows| {
        for _ in 0..=random.below(8) {
            told.push(operate(rows, given, &mut random)?);
        }
        if random.chance(15) {
            return Err(ProviderError::new(ProviderErrorKind::Permanent, "test", "by lot"));
        }
        Ok(())
    });
    if done.is_err() {
        told.push("failed".to_owned());
        given.instances.truncate(lengths.0);
        given.messages.truncate(lengths.1);
    }
    told
}

fn loaded(reader: &mut dyn Reader, given: &Given) -> Vec<String> {
    let mut told = Vec::new();
    for key in &given.instances {
        let loaded = reader.load(*key).unwrap().map(|loaded| {
            let messages: Vec<_> =
                loaded.messages.into_iter().map(|message| (message.exec, message.body)).collect();
            (loaded.row.head.id, loaded.history, messages)
        });
        told.push(format!("{loaded:?} {:?}", reader.history(*key).unwrap()));
    }
    let timers = reader.timers_due(1_050, 5).unwrap().into_iter().map(|timer| {
        (timer.fire_at, given.instances.iter().position(|key| *key == timer.key), timer.task)
    });
    told.push(format!("{:?}", timers.collect::<Vec<_>>()));
    told
}

#[test]
fn every_operation_does_what_the_model_does() {
    for seed in 0..8_u64 {
        let options =
            SqliteOptions { path: None, hub_name: None, relaxed: false, role: Role::Worker };
        let mut sqlite = SqliteProvider::open(&options).unwrap();
        let mut memory = MemoryProvider::new();
        let (mut in_sqlite, mut in_memory) = (Given::default(), Given::default());
        for number in 0..150 {
            let lot = seed * 1_000_000 + number;
            let told = step(&mut sqlite, &mut in_sqlite, lot);
            assert_eq!(told, step(&mut memory, &mut in_memory, lot), "lot {lot}");
            let snapshot = sqlite.snapshot().unwrap();
            assert_eq!(snapshot, memory.snapshot().unwrap(), "lot {lot} {told:#?}");
            let found = loaded(&mut sqlite, &in_sqlite);
            assert_eq!(found, loaded(&mut memory, &in_memory), "lot {lot}");
        }
        assert!(sqlite.snapshot().unwrap().0.len() > 10, "seed {seed}: too little happened");
    }
}
