//! Carrying out a rewind, of an instance and of the sub-orchestrations that it waits for.
//!
//! Owns: the rows that a rewind reads and writes. Must never: decide what is undone (that is
//! `core::rewind`), or leave an execution waiting for a child that nobody will tell it of.

use crate::core::error::{ErrorCode, engine_failure};
use crate::core::history::{ChildEnd, ChildStatus, HistoryEvent, HistoryRecord};
use crate::core::instance::{InstanceChange, InstanceHead, InstanceRow, ParentLink};
use crate::core::message::Message;
use crate::core::request::{self, Answer};
use crate::core::rewind::{AwaitedChild, Rewind, lost_reply, plan};
use crate::core::status::RuntimeStatus;
use crate::core::{Payload, TaskId};

use super::command::Verdict;
use super::ending::append_notice;
use super::{Context, answers, entity, insert};
use crate::provider::{ProviderError, ProviderErrorKind, Result, Rows};

/// Rewinds a failed instance and the failed children that it waits for.
pub(super) fn rewind_tree(
    rows: &mut dyn Rows,
    id: &str,
    reason: Option<&Payload>,
    context: &mut Context<'_>,
) -> Result<Verdict> {
    let head = rows.head_by_id(id)?;
    if let Err(error) = request::check_rewind(id, head.as_ref()) {
        return Ok(Err(error));
    }
    let Some(head) = head else { return Ok(Ok(Answer::Done)) };
    let mut nodes = plan_tree(rows, head)?;
    refuse_hopeless(rows, &mut nodes)?;
    if let Some(why) = nodes.first().and_then(|root| root.refused.as_ref()) {
        return Ok(Err(request::not_rewindable(id, why)));
    }
    for node in nodes {
        if node.refused.is_none() {
            rewind_one(rows, node, reason, context)?;
        }
    }
    Ok(Ok(Answer::Done))
}

/// An instance of the tree, and what its rewind comes to.
struct Node {
    head: InstanceHead,
    plan: Rewind,
    /// Place of its parent in the tree, and the task there that it answers to.
    parent: Option<(usize, TaskId)>,
    /// Ends of children that stay as they are.
    told: Vec<Message>,
    /// A child of it runs again.
    has_child: bool,
    /// Why it cannot be rewound, if that is so.
    refused: Option<String>,
    /// What of its children cannot be tried anew, and why.
    stays: Option<String>,
}

/// All that fails along the tree; parents stand before their children.
fn plan_tree(rows: &mut dyn Rows, root: InstanceHead) -> Result<Vec<Node>> {
    let mut nodes = vec![Node::new(rows, root, None)?];
    let mut place = 0;
    while place < nodes.len() {
        let children = std::mem::take(&mut nodes[place].plan.children);
        for child in children {
            let task = child.task;
            match rejoin(rows, &nodes[place].head, child)? {
                Rejoin::Failed(head) => nodes.push(Node::new(rows, head, Some((place, task)))?),
                Rejoin::Ended(message, why) => nodes[place].leave(message, why),
                Rejoin::Awaited => {}
            }
        }
        place += 1;
    }
    Ok(nodes)
}

/// Finds out, from the leaves up, which cannot go on. Their ends are told to their parents once more.
fn refuse_hopeless(rows: &mut dyn Rows, nodes: &mut [Node]) -> Result<()> {
    for place in (0..nodes.len()).rev() {
        let node = &mut nodes[place];
        node.refused = node.refusal();
        let Some((parent, task)) = node.parent else { continue };
        let Some(why) = &node.refused else {
            nodes[parent].has_child = true;
            continue;
        };
        let why = format!("its sub-orchestration '{}' cannot be rewound: {why}", node.head.id);
        if let Some(row) = rows.row(node.head.key)? {
            nodes[parent].leave(ended(task, row), why);
        }
    }
    // Whatever is below one that is not rewound has nobody to tell.
    for place in 1..nodes.len() {
        if let Some((parent, _)) = nodes[place].parent
            && nodes[parent].refused.is_some()
        {
            let why = nodes[parent].refused.clone();
            nodes[place].refused = why;
        }
    }
    Ok(())
}

impl Node {
    fn new(
        rows: &mut dyn Rows,
        head: InstanceHead,
        parent: Option<(usize, TaskId)>,
    ) -> Result<Self> {
        let plan = plan_one(rows, &head)?;
        let (told, stays) = (Vec::new(), None);
        Ok(Self { head, plan, parent, told, has_child: false, refused: None, stays })
    }

    fn leave(&mut self, message: Message, why: String) {
        // One that completed meanwhile is in nobody's way.
        if matches!(message, Message::ChildFailed { .. }) {
            self.stays.get_or_insert(why);
        }
        self.told.push(message);
    }

    fn refusal(&mut self) -> Option<String> {
        if self.plan.had_locks {
            let why = "it failed inside a critical section, whose locks were given back, and others \
                       may have changed the entities since";
            return Some(why.to_owned());
        }
        let hopeless = self.plan.needs_child && !self.has_child;
        self.stays.take().filter(|_| hopeless)
    }
}

fn plan_one(rows: &mut dyn Rows, head: &InstanceHead) -> Result<Rewind> {
    let stored = rows.history(head.key, head.exec)?;
    let records: std::result::Result<Vec<HistoryRecord>, String> =
        stored.iter().map(|body| HistoryRecord::decode(body)).collect();
    let records = records.map_err(|cause| {
        ProviderError::new(ProviderErrorKind::Corrupt, "reading the history to rewind", cause)
    })?;
    Ok(plan(&records))
}

fn rewind_one(
    rows: &mut dyn Rows,
    node: Node,
    reason: Option<&Payload>,
    context: &mut Context<'_>,
) -> Result<()> {
    let Node { head, plan, told, .. } = node;
    let head = &head;
    if let Some(turn) = plan.undone {
        rows.remove_turn(head.key, head.exec, turn)?;
    }
    for message in plan.messages.iter().chain(&told) {
        insert(rows, head.key, Some(head.exec), message)?;
    }
    for (task, fire_at) in plan.timers {
        rows.set_timer(head.key, task, fire_at)?;
    }
    for wait in plan.waits {
        rows.open_wait(head.key, &wait)?;
    }
    // Nobody waits for answers to what the undone turn called.
    let mut answers = answers::take(rows, head.key)?;
    let mut calls = plan.calls;
    for (task, call) in plan.answers {
        match (answers.remove(&task), call) {
            (Some(Message::EntityFailed { .. }), Some(call)) => calls.push((task, call)),
            (Some(answer), _) => drop(insert(rows, head.key, Some(head.exec), &answer)?),
            (None, Some(call)) => {
                let caller = ParentLink { key: head.key, exec: head.exec, task };
                if !entity::has_before_it(rows, &call.entity_id, &caller)? {
                    insert(rows, head.key, Some(head.exec), &lost_reply(task, &call))?;
                }
            }
            (None, None) => {}
        }
    }
    entity::call_again(rows, head, calls, context)?;
    let now = context.hub.now_ms;
    append_notice(rows, head, now, HistoryEvent::ExecutionRewound { reason: reason.cloned() })?;
    let change = InstanceChange {
        status: Some(RuntimeStatus::Running),
        updated_ms: Some(now),
        completed_ms: Some(None),
        failure: Some(None),
        problem: Some(None),
        crashes: Some(context.first_crash()),
        ready: Some(true),
        ..InstanceChange::default()
    };
    rows.update_instance(head.key, &change)?;
    context.note_change(rows, head.key)
}

/// How a child stands that a rewound execution waits for.
enum Rejoin {
    /// It failed, so it is to be rewound too.
    Failed(InstanceHead),
    /// It runs, or is yet to be started, and will tell of its end.
    Awaited,
    /// It stays as it ended, or is gone. Its parent is told, which may have ended before it.
    Ended(Message, String),
}

fn rejoin(rows: &mut dyn Rows, parent: &InstanceHead, child: AwaitedChild) -> Result<Rejoin> {
    let (task, id) = (child.task, &child.instance_id);
    let link = ParentLink { key: parent.key, exec: parent.exec, task };
    let own = rows.head_by_id(id)?.filter(|head| head.parent == Some(link));
    let row = match own {
        Some(head) if head.status == RuntimeStatus::Failed => return Ok(Rejoin::Failed(head)),
        Some(head) if !head.status.has_ended() => return Ok(Rejoin::Awaited),
        Some(head) => rows.row(head.key)?,
        None if child.postponed => return Ok(Rejoin::Awaited),
        None => None,
    };
    if let Some(row) = row {
        let why = format!("its sub-orchestration '{id}' was terminated");
        return Ok(Rejoin::Ended(ended(task, row), why));
    }
    let why = format!("its sub-orchestration '{id}' is no longer there");
    Ok(Rejoin::Ended(Message::ChildFailed { task, child: lost(child) }, why))
}

/// What a child tells that has ended and stays so.
fn ended(task: TaskId, row: InstanceRow) -> Message {
    if row.head.status == RuntimeStatus::Completed {
        return Message::ChildCompleted { task, result: row.output };
    }
    let failed = row.head.status == RuntimeStatus::Failed;
    let child = ChildEnd {
        name: row.head.name.into(),
        instance_id: row.head.id,
        status: if failed { ChildStatus::Failed } else { ChildStatus::Terminated },
        failure: row.failure,
        reason: row.output,
    };
    Message::ChildFailed { task, child }
}

/// The end of a child that is no longer there: as it was told before, if it was.
fn lost(child: AwaitedChild) -> ChildEnd {
    let AwaitedChild { name, instance_id, end, .. } = child;
    end.unwrap_or_else(|| {
        let error = request::not_found(&instance_id);
        ChildEnd {
            name,
            failure: Some(engine_failure(ErrorCode::InstanceNotFound, &error.message)),
            instance_id,
            status: ChildStatus::Failed,
            reason: None,
        }
    })
}
