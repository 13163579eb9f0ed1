//! Carrying out a caller's command.
//!
//! Owns: which rows each command reads and writes. Must never: decide (that is `core::request`), or
//! write anything of a command that is refused.

use std::collections::HashSet;

use crate::core::commit::TurnCommit;
use crate::core::error::{Error, ErrorCode};
use crate::core::history::HistoryEvent;
use crate::core::ids;
use crate::core::instance::{FirstTurn, InstanceChange, InstanceHead, NewInstance};
use crate::core::limits::RECURSION_DEPTH;
use crate::core::message::Message;
use crate::core::request::{
    self, Answer, Command, Control, DiscardReason, OnConflict, RaiseOutcome, StartDecision,
    StartSpec,
};
use crate::core::status::RuntimeStatus;
use crate::core::version::version_of;
use crate::core::{InstanceKey, Payload};

use super::ending::{append_notice, terminate};
use super::rewind::rewind_tree;
use super::{Begin, Context, Effect, Outcome, StartedInstance, entity};
use crate::provider::rows::{Clear, NewMessage};
use crate::provider::{Result, Rows};

pub(super) type Verdict = std::result::Result<Answer, Error>;

/// Carries out a command, or refuses it and writes nothing.
///
/// # Errors
/// Those of the store.
pub fn apply_command(
    rows: &mut dyn Rows,
    command: &Command,
    context: &mut Context<'_>,
) -> Result<Verdict> {
    match command {
        Command::Start(specs) => start(rows, specs, context),
        Command::RaiseEvent { instance_id, name, input } => {
            raise(rows, instance_id, name, input.as_ref(), context)
        }
        Command::Control { instance_id, control, reason, recursive } => {
            control_tree(rows, instance_id, *control, reason.as_ref(), *recursive, context)
        }
        Command::SignalEntity(signal) => entity::signal(rows, signal, context),
        Command::Rewind { instance_id, reason } => {
            rewind_tree(rows, instance_id, reason.as_ref(), context)
        }
        Command::Restart { instance_id, with_new_instance_id } => {
            restart(rows, instance_id, *with_new_instance_id, context)
        }
        Command::Purge { instance_id } if instance_id.starts_with('@') => {
            entity::purge(rows, instance_id, context)
        }
        Command::Purge { instance_id } => {
            let head = rows.head_by_id(instance_id)?;
            match request::decide_purge(instance_id, head.as_ref()) {
                Err(error) => Ok(Err(error)),
                Ok(_) => purge(rows, head.as_slice()),
            }
        }
        Command::PurgeKeys(keys) => {
            let mut heads = Vec::new();
            for key in keys {
                heads.extend(rows.head(*key)?.filter(|head| head.status.has_ended()));
            }
            purge(rows, &heads)
        }
    }
}

fn purge(rows: &mut dyn Rows, heads: &[InstanceHead]) -> Result<Verdict> {
    for head in heads {
        rows.clear(head.key, Clear::All)?;
    }
    Ok(Ok(Answer::Deleted { deleted: heads.len() }))
}

/// A start that was decided and not yet written.
struct PlannedStart {
    id: String,
    decision: StartDecision,
    holder: Option<InstanceHead>,
}

fn start(rows: &mut dyn Rows, specs: &[StartSpec], context: &mut Context<'_>) -> Result<Verdict> {
    let planned = match plan_starts(rows, specs, context)? {
        Ok(planned) => planned,
        Err(error) => return Ok(Err(error)),
    };
    let mut instance_ids = Vec::with_capacity(planned.len());
    for (plan, spec) in planned.into_iter().zip(specs) {
        instance_ids.push(plan.id.clone());
        let started = write_start(rows, plan, spec, None, context)?;
        let started = started.map(|(key, new)| StartedInstance::new(key, new));
        context.effects.extend(started.map(Effect::Started));
    }
    Ok(Ok(Answer::Started { instance_ids }))
}

/// Starts one instance and writes its first turn, which ran before.
///
/// # Errors
/// Those of the store.
pub(super) fn begin(
    rows: &mut dyn Rows,
    begin: &Begin,
    context: &mut Context<'_>,
) -> Result<Outcome> {
    let refused = |answer| Ok(Outcome::Begun { answer, key: None });
    let specs = std::slice::from_ref(&begin.spec);
    let plan = match plan_starts(rows, specs, context)? {
        Ok(mut planned) => planned.pop(),
        Err(mut error) => {
            error.index = None;
            return refused(Err(error));
        }
    };
    let Some(plan) = plan else { return refused(Ok(Answer::Done)) };
    let answer = Ok(Answer::Started { instance_ids: vec![plan.id.clone()] });
    let first = begin.commit.as_ref().and_then(TurnCommit::first);
    match (write_start(rows, plan, &begin.spec, first, context)?, &begin.commit) {
        (None, _) => refused(answer),
        (Some((key, new)), None) => {
            context.effects.push(Effect::Started(StartedInstance::new(key, new)));
            refused(answer)
        }
        // Nothing can stand against the first turn of an instance that this transaction made.
        (Some((key, new)), Some(commit)) => {
            if first.is_some() {
                super::write_turn(rows, &new.head(key), commit, context)?;
            } else {
                super::apply_turn(rows, key, commit, context)?;
            }
            Ok(Outcome::Begun { answer, key: Some(key) })
        }
    }
}

/// What the starts come to, all or none; nothing is written.
fn plan_starts(
    rows: &mut dyn Rows,
    specs: &[StartSpec],
    context: &mut Context<'_>,
) -> Result<std::result::Result<Vec<PlannedStart>, Error>> {
    let mut planned: Vec<PlannedStart> = Vec::with_capacity(specs.len());
    let mut in_batch: HashSet<String> = HashSet::new();
    for (index, spec) in specs.iter().enumerate() {
        let at = |mut error: Error| {
            error.index = Some(index);
            error
        };
        if let Err(error) = request::check_start(spec, &context.hub) {
            return Ok(Err(at(error)));
        }
        // Nobody has an id that was made just now.
        let (id, holder) = match &spec.instance_id {
            Some(id) => (id.clone(), rows.head_by_id(id)?),
            None => (context.entropy.fresh_id(), None),
        };
        let decision = if in_batch.contains(&id) {
            decide_twin(&id, spec.on_conflict)
        } else {
            request::decide_start(&id, spec.on_conflict, holder.as_ref())
        };
        match decision {
            Err(error) => return Ok(Err(at(error))),
            Ok(decision) => {
                in_batch.insert(id.clone());
                planned.push(PlannedStart { id, decision, holder });
            }
        }
    }
    Ok(Ok(planned))
}

/// Two starts of one batch with the same id: the first is open when the second comes.
fn decide_twin(id: &str, on_conflict: OnConflict) -> std::result::Result<StartDecision, Error> {
    match on_conflict {
        OnConflict::Return => Ok(StartDecision::Return),
        OnConflict::Error | OnConflict::Terminate | OnConflict::Once => Err(Error::new(
            ErrorCode::InstanceAlreadyExists,
            format!("The instanceId '{id}' stands twice in one batch of starts."),
        )),
    }
}

fn write_start(
    rows: &mut dyn Rows,
    plan: PlannedStart,
    spec: &StartSpec,
    begun: Option<FirstTurn>,
    context: &mut Context<'_>,
) -> Result<Option<(InstanceKey, NewInstance)>> {
    match (plan.decision, &plan.holder) {
        (StartDecision::Return, _) => return Ok(None),
        (StartDecision::Insert, _) | (_, None) => {}
        (StartDecision::Replace, Some(holder)) => rows.clear(holder.key, Clear::All)?,
        (StartDecision::TerminateAndReplace, Some(holder)) => {
            let reason = crate::core::error::raw(&"Replaced by a new instance with the same id.");
            terminate(rows, holder, Some(&reason), context)?;
            rows.clear(holder.key, Clear::All)?;
            // The row and its messages are gone; a live execution of it must be dropped all the same.
            context.note_change(rows, holder.key)?;
        }
    }
    let default_version = context.hub.settings.default_version.as_deref();
    let new = NewInstance {
        id: plan.id,
        name: spec.name.clone(),
        version: version_of(spec.version.as_deref(), default_version),
        input: spec.input.clone(),
        parent: None,
        parent_id: None,
        scheduled_ms: context.hub.now_ms,
        crashes: context.first_crash(),
        begun,
    };
    let key = rows.insert_instance(&new)?;
    Ok(Some((key, new)))
}

fn raise(
    rows: &mut dyn Rows,
    id: &str,
    name: &str,
    input: Option<&Payload>,
    context: &mut Context<'_>,
) -> Result<Verdict> {
    if let Err(error) = request::check_event(name, input, &context.hub) {
        return Ok(Err(error));
    }
    let head = rows.head_by_id(id)?;
    let event = ids::fold_name(name);
    let open = head.as_ref().filter(|head| !head.status.has_ended());
    let wait_open = match open {
        Some(head) => rows.take_wait(head.key, &event)?,
        None => false,
    };
    let unmatched = context.hub.settings.unmatched_events;
    let outcome = request::decide_raise(head.as_ref(), wait_open, unmatched);
    let message = Message::EventRaised { name: name.to_owned(), input: input.cloned() };
    match (&outcome, head) {
        (RaiseOutcome::Delivered, Some(head)) => context.deliver(rows, head.key, None, message)?,
        (RaiseOutcome::Buffered, Some(head)) => {
            let body = message.encode();
            let event = Some(event);
            rows.insert_message(&NewMessage {
                key: head.key,
                exec: None,
                event,
                taken: false,
                body,
            })?;
        }
        (RaiseOutcome::Discarded { reason: DiscardReason::NotWaiting }, Some(head)) => {
            let event = HistoryEvent::EventDiscarded { name: name.into() };
            append_notice(rows, &head, context.hub.now_ms, event)?;
        }
        _ => {}
    }
    Ok(Ok(Answer::Raised(outcome)))
}

fn control_tree(
    rows: &mut dyn Rows,
    id: &str,
    control: Control,
    reason: Option<&Payload>,
    recursive: bool,
    context: &mut Context<'_>,
) -> Result<Verdict> {
    let head = rows.head_by_id(id)?;
    let status = match request::decide_control(id, control, head.as_ref()) {
        Ok(status) => status,
        Err(error) => return Ok(Err(error)),
    };
    let mut next: Vec<(InstanceHead, Option<RuntimeStatus>)> =
        head.into_iter().map(|head| (head, status)).collect();
    for _ in 0..RECURSION_DEPTH {
        let level = std::mem::take(&mut next);
        if level.is_empty() {
            break;
        }
        for (head, status) in level {
            if recursive {
                for child in rows.open_children(head.key)? {
                    let status = request::decide_control(&child.id, control, Some(&child));
                    next.push((child, status.unwrap_or_default()));
                }
            }
            if let Some(status) = status {
                control_one(rows, &head, status, reason, context)?;
            }
        }
    }
    Ok(Ok(Answer::Done))
}

fn control_one(
    rows: &mut dyn Rows,
    head: &InstanceHead,
    status: RuntimeStatus,
    reason: Option<&Payload>,
    context: &mut Context<'_>,
) -> Result<()> {
    // A child is told after its parent, which has ended by then and is not told of the child.
    let now = context.hub.now_ms;
    // The time stands in the notice: in the row it might be earlier than that of the last turn.
    let mut change = InstanceChange { status: Some(status), ..InstanceChange::default() };
    let reason = reason.cloned();
    match status {
        RuntimeStatus::Terminated => return terminate(rows, head, reason.as_ref(), context),
        RuntimeStatus::Suspended => {
            append_notice(rows, head, now, HistoryEvent::ExecutionSuspended { reason })?;
            // Suspended with a problem is what the engine does, and undoes, by itself.
            change.problem = Some(None);
        }
        _ => {
            append_notice(rows, head, now, HistoryEvent::ExecutionResumed { reason })?;
            // What it has to do stands in history, which nobody has read: so it is looked at.
            change.ready = Some(true);
            change.crashes = Some(context.first_crash());
            change.problem = Some(None);
        }
    }
    rows.update_instance(head.key, &change)?;
    context.note_change(rows, head.key)
}

fn restart(
    rows: &mut dyn Rows,
    id: &str,
    with_new_instance_id: bool,
    context: &mut Context<'_>,
) -> Result<Verdict> {
    let key: Option<InstanceKey> = rows.head_by_id(id)?.map(|head| head.key);
    let row = match key {
        Some(key) => rows.row(key)?,
        None => None,
    };
    let Some(row) = row else {
        return Ok(Err(request::not_found(id)));
    };
    let spec = StartSpec {
        name: row.head.name,
        instance_id: (!with_new_instance_id).then(|| id.to_owned()),
        // Without one it stays without one, whatever the hub's is by now.
        version: Some(row.version.unwrap_or_default()),
        input: row.input,
        on_conflict: OnConflict::Error,
    };
    start(rows, &[spec], context)
}
