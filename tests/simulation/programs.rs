//! Orchestrators and activities for the simulation, and what each must come to.
//!
//! A program is run from its beginning in every turn with all that it has been told so far; what it
//! asks for beyond what it asked for before is new. `?` on an answer that is not there ends the turn.

use durafn::core::action::{Action, Group};
use durafn::core::retry::Retry;
use durafn::core::{ExecutionId, TaskId, TimeMs};
use serde_json::{Value, json};

use crate::common::actions::{
    call_entity, call_in_group, call_retried, call_with, cancel, cancel_wait, child, child_retried,
    lock, release, retry, signal_entity, signal_later, timer, wait,
};
use crate::common::payload;

/// How a program ends.
pub(crate) enum Done {
    Returns(Value),
    Throws(Value),
    Continues(Value),
}

/// What a program has been told of a task.
pub(crate) type Told = Result<Value, Value>;

/// A program's view of its execution.
pub(crate) struct Cx<'a> {
    pub(crate) id: &'a str,
    pub(crate) input: &'a Value,
    pub(crate) exec: ExecutionId,
    pub(crate) time_ms: TimeMs,
    /// In the order of the resolutions.
    pub(crate) told: &'a [(TaskId, Told)],
    /// How much of what it asks for it has asked before.
    pub(crate) asked_before: usize,
    pub(crate) asked: usize,
    pub(crate) next_task: TaskId,
    pub(crate) actions: Vec<Action>,
    pub(crate) custom_status: Option<Value>,
}

impl Cx<'_> {
    fn ask(&mut self, action: Action) -> TaskId {
        let task = self.next_task;
        if action.makes_task() {
            self.next_task += 1;
        }
        if self.asked >= self.asked_before {
            self.actions.push(action);
        }
        self.asked += 1;
        task
    }

    fn outcome(&self, task: TaskId) -> Option<Told> {
        self.told.iter().find(|(of, _)| *of == task).map(|(_, told)| told.clone())
    }

    fn value(&self, task: TaskId) -> Option<Value> {
        self.outcome(task).map(|told| told.unwrap_or_else(|failure| json!({ "failed": failure })))
    }

    fn first(&self, tasks: &[TaskId]) -> Option<TaskId> {
        self.told.iter().map(|(task, _)| *task).find(|task| tasks.contains(task))
    }
}

pub(crate) const NAMES: [&str; 16] = [
    "sequence",
    "fanOut",
    "retries",
    "timers",
    "waits",
    "parent",
    "eternal",
    "race",
    "failing",
    "busy",
    "ticker",
    "pair",
    "transfer",
    "hoarder",
    "depositor",
    "signaller",
];
/// Entities, each of which adds up what it is sent.
pub(crate) const ACCOUNTS: [&str; 3] = ["@account@0", "@account@1", "@account@2"];
const FAN_OUT: usize = 5;
pub(crate) const GROUP_LIMIT: usize = 2;
pub(crate) const WAITS: usize = 3;
/// How many activities of a name run at the same time.
pub(crate) const NAME_LIMITS: [(&str, usize); 2] = [("double", 1), ("member", 3)];

/// Runs a program as far as it gets.
pub(crate) fn run(name: &str, cx: &mut Cx<'_>) -> Option<Done> {
    match name {
        "sequence" => sequence(cx),
        "fanOut" => fan_out(cx),
        "retries" => retries(cx),
        "timers" => timers(cx),
        "waits" => waits(cx),
        "parent" => parent(cx),
        "eternal" => eternal(cx),
        "race" => race(cx),
        "failing" => failing(cx),
        "busy" => busy(cx),
        "ticker" => ticker(cx),
        "pair" => pair(cx),
        "transfer" => transfer(cx),
        "hoarder" => hoarder(cx),
        "depositor" => depositor(cx),
        "signaller" => signaller(cx),
        other => panic!("no program '{other}'"),
    }
}

fn sequence(cx: &mut Cx<'_>) -> Option<Done> {
    let mut seen = Vec::new();
    for number in 0..3 {
        cx.custom_status = Some(json!(number));
        let task = cx.ask(call_with("double", &number));
        seen.push(cx.value(task)?);
    }
    Some(Done::Returns(json!(seen)))
}

fn fan_out(cx: &mut Cx<'_>) -> Option<Done> {
    let group = Group { id: 0, limit: GROUP_LIMIT.try_into().unwrap() };
    let tasks: Vec<TaskId> = (0..FAN_OUT).map(|_| cx.ask(call_in_group("member", group))).collect();
    let values: Option<Vec<Value>> = tasks.iter().map(|task| cx.value(*task)).collect();
    Some(Done::Returns(json!(values?)))
}

/// `flaky` fails twice. The second call's policy asks, and the answer is no after the first attempt.
fn retries(cx: &mut Cx<'_>) -> Option<Done> {
    let policy = Retry { jitter: 0.5, ask: true, ..retry(3) };
    let mended = cx.ask(call_retried("flaky", policy));
    let refused = cx.ask(call_retried("refused", Retry { ask: true, ..retry(9) }));
    Some(Done::Returns(json!([cx.value(mended)?, cx.value(refused)?])))
}

/// What `retryIf` says of a failed attempt.
pub(crate) fn retry_if(failure: &Value) -> bool {
    failure != &json!("refused fails")
}

fn timers(cx: &mut Cx<'_>) -> Option<Done> {
    let short = cx.ask(timer(cx.time_ms + 200));
    let long = cx.ask(timer(cx.time_ms + 3_600_000));
    cx.value(short)?;
    cx.ask(cancel(long));
    let beyond = cx.ask(timer(cx.time_ms + 90_000));
    cx.value(beyond)?;
    Some(Done::Returns(json!("in time")))
}

fn waits(cx: &mut Cx<'_>) -> Option<Done> {
    let mut seen = Vec::new();
    for _ in 0..WAITS {
        let task = cx.ask(wait("go"));
        seen.push(cx.value(task)?);
    }
    Some(Done::Returns(json!(seen)))
}

fn parent(cx: &mut Cx<'_>) -> Option<Done> {
    let first = cx.ask(child("sequence", None));
    let second = cx.ask(child_retried("failing", None, retry(2)));
    let third = cx.ask(child("timers", None));
    Some(Done::Returns(json!([cx.value(first)?, cx.value(second)?, cx.value(third)?])))
}

fn eternal(cx: &mut Cx<'_>) -> Option<Done> {
    let left = cx.input["left"].as_u64().unwrap_or(4);
    let mut seen = cx.input["seen"].as_array().cloned().unwrap_or_default();
    let task = cx.ask(call_with("double", &left));
    // Left over: the next generation has tasks of the same numbers.
    for _ in 0..left {
        cx.ask(call_with("double", &left));
    }
    cx.ask(wait("never"));
    seen.push(json!([cx.exec, cx.value(task)?]));
    if left == 0 {
        return Some(Done::Returns(json!(seen)));
    }
    Some(Done::Continues(json!({ "left": left - 1, "seen": seen })))
}

/// A wait that is cancelled when it has lost gets no event any more, and none is lost to it.
fn race(cx: &mut Cx<'_>) -> Option<Done> {
    let event = cx.ask(wait("go"));
    let late = cx.ask(timer(cx.time_ms + 400));
    if cx.first(&[event, late])? == late {
        if cx.outcome(event).is_none() {
            cx.ask(cancel_wait(event));
            let after = cx.ask(timer(cx.time_ms + 20));
            cx.value(after)?;
        }
        return Some(Done::Returns(json!("late")));
    }
    Some(Done::Returns(json!({ "event": cx.value(event)? })))
}

fn failing(cx: &mut Cx<'_>) -> Option<Done> {
    let task = cx.ask(call_with("double", &1));
    cx.value(task)?;
    Some(Done::Throws(json!("failing fails")))
}

/// Something of it is always under way when something else comes.
fn busy(cx: &mut Cx<'_>) -> Option<Done> {
    let tasks = [
        cx.ask(call_with("double", &1)),
        cx.ask(timer(cx.time_ms + 20)),
        cx.ask(call_retried("flaky", retry(3))),
        cx.ask(timer(cx.time_ms + 60)),
        cx.ask(call_with("double", &2)),
        cx.ask(timer(cx.time_ms + 100)),
    ];
    let values: Option<Vec<Value>> = tasks.iter().map(|task| cx.value(*task)).collect();
    Some(Done::Returns(json!(values?)))
}

/// Two waits of one name are open, of which the newer one is served first.
fn pair(cx: &mut Cx<'_>) -> Option<Done> {
    let waits = [cx.ask(wait("go")), cx.ask(wait("go"))];
    Some(Done::Returns(json!([cx.value(waits[0])?, cx.value(waits[1])?])))
}

/// Waits for events, and is brought into memory by timers between them.
fn ticker(cx: &mut Cx<'_>) -> Option<Done> {
    let mut seen = Vec::new();
    let mut event = cx.ask(wait("go"));
    loop {
        let tick = cx.ask(timer(cx.time_ms + 30));
        if cx.first(&[event, tick])? == event {
            seen.push(cx.value(event)?);
            if seen.len() == WAITS {
                return Some(Done::Returns(json!(seen)));
            }
            event = cx.ask(wait("go"));
        }
    }
}

/// A number of its own.
fn number(cx: &Cx<'_>) -> usize {
    cx.id.bytes().map(usize::from).sum()
}

/// Moves something between two accounts, in a critical section: nobody else does meanwhile.
fn transfer(cx: &mut Cx<'_>) -> Option<Done> {
    let first = number(cx) % ACCOUNTS.len();
    let (from, to) = (ACCOUNTS[first], ACCOUNTS[(first + 1) % ACCOUNTS.len()]);
    let locked = cx.ask(lock([from, to]));
    cx.value(locked)?;
    let mut seen = Vec::new();
    for (entity, operation, input) in
        [(from, "get", 0), (from, "add", -1), (from, "get", 0), (to, "add", 1)]
    {
        let call = cx.ask(call_entity(entity, operation, &input));
        seen.push(cx.value(call)?.as_i64().unwrap());
        let pause = cx.ask(call_with("double", &1));
        cx.value(pause)?;
    }
    cx.ask(release());
    Some(Done::Returns(json!(seen[0] - seen[2])))
}

/// Ends inside its critical section.
fn hoarder(cx: &mut Cx<'_>) -> Option<Done> {
    let locked = cx.ask(lock(ACCOUNTS));
    cx.value(locked)?;
    let call = cx.ask(call_entity(ACCOUNTS[1], "add", &1));
    cx.value(call)?;
    if cx.input.is_null() {
        return Some(Done::Continues(json!(1)));
    }
    Some(Done::Throws(json!("hoarder fails")))
}

fn depositor(cx: &mut Cx<'_>) -> Option<Done> {
    let account = ACCOUNTS[number(cx) % ACCOUNTS.len()];
    let calls: Vec<TaskId> = (0..3).map(|_| cx.ask(call_entity(account, "count", &1))).collect();
    let seen: Option<Vec<i64>> =
        calls.iter().map(|call| cx.value(*call).and_then(|value| value.as_i64())).collect();
    let seen = seen?;
    Some(Done::Returns(json!(seen[0] < seen[1] && seen[1] < seen[2])))
}

fn signaller(cx: &mut Cx<'_>) -> Option<Done> {
    for account in ACCOUNTS {
        cx.ask(signal_entity(account, "add", &1));
        cx.ask(signal_later(account, "add", &1, cx.time_ms + 40));
    }
    let task = cx.ask(call_with("double", &1));
    cx.value(task)?;
    Some(Done::Returns(json!("sent")))
}

/// What an operation makes of the state and of what it returns. `count` counts, too.
pub(crate) fn operate(state: &Value, operation: &str, input: Option<&Value>) -> (Value, Value) {
    let (sum, count) = (state[0].as_i64().unwrap_or(0), state[1].as_i64().unwrap_or(0));
    let more = input.and_then(Value::as_i64).unwrap_or(0);
    match operation {
        "get" => (state.clone(), json!(sum)),
        "add" => (json!([sum + more, count]), json!(sum + more)),
        "count" => (json!([sum + more, count + 1]), json!(count + 1)),
        other => panic!("no operation '{other}'"),
    }
}

/// What an activity comes to.
pub(crate) fn activity(name: &str, input: Option<&Value>, attempt: u32) -> Told {
    match name {
        "double" => Ok(json!(input.and_then(Value::as_u64).unwrap() * 2)),
        "member" => Ok(json!(null)),
        "flaky" if attempt < 3 => Err(json!("flaky fails")),
        "flaky" => Ok(json!(attempt)),
        "refused" => Err(json!("refused fails")),
        other => panic!("no activity '{other}'"),
    }
}

/// What an instance of the program returns or throws, given the events that it was given.
pub(crate) fn expected(name: &str, events: &[Value]) -> Vec<Told> {
    let sequence = json!([0, 2, 4]);
    let only = |value| vec![Ok(value)];
    match name {
        "sequence" => only(sequence),
        "fanOut" => only(json!([null, null, null, null, null])),
        "retries" => only(json!([3, { "failed": "refused fails" }])),
        "timers" => only(json!("in time")),
        "pair" => only(json!([events[1], events[0]])),
        "waits" | "ticker" => only(json!(events[..WAITS])),
        "parent" => only(json!([sequence, { "failed": { "child": "failing fails" } }, "in time"])),
        "eternal" => only(json!([[0, 8], [1, 6], [2, 4], [3, 2], [4, 0]])),
        "race" => {
            let late = Ok(json!("late"));
            events.first().map_or_else(
                || vec![late.clone()],
                |event| vec![Ok(json!({ "event": event })), late.clone()],
            )
        }
        "failing" => vec![Err(json!("failing fails"))],
        "busy" => only(json!([2, null, 3, null, 4, null])),
        "transfer" => only(json!(1)),
        "hoarder" => vec![Err(json!("hoarder fails"))],
        "depositor" => only(json!(true)),
        "signaller" => only(json!("sent")),
        other => panic!("no program '{other}'"),
    }
}

/// The text of a value, for the engine.
pub(crate) fn text(value: &Value) -> durafn::core::Payload {
    payload(value)
}
