/**
 * The history of an execution in the words of the out-of-process protocol.
 *
 * Owns: the shapes of its events. Names are in Pascal case and types are numbers, as the SDKs read
 * them.
 * Must never: decide which event is due; `execution.ts` does.
 * Proved by: `__test__/sdk.spec.mjs`.
 */

import type { RawJson } from '../protocol.js'

/** The numbers of the event types. */
export const EventType = {
  ExecutionStarted: 0,
  TaskScheduled: 4,
  TaskCompleted: 5,
  TaskFailed: 6,
  SubOrchestrationInstanceCreated: 7,
  SubOrchestrationInstanceCompleted: 8,
  SubOrchestrationInstanceFailed: 9,
  TimerCreated: 10,
  TimerFired: 11,
  OrchestratorStarted: 12,
  EventSent: 14,
  EventRaised: 15,
} as const

/** An event: what all have, and fields of its type. */
export interface HistoryEvent {
  /** The number of the action; -1 for what comes from outside. */
  readonly EventId: number
  readonly EventType: number
  /** Whether an earlier turn has seen it. */
  IsPlayed: boolean
  /** ISO 8601; version 2 and 3 of the SDK make a `Date` of it in place. */
  Timestamp: string | Date
  /** Set by version 1 of the SDK; of one call only. */
  IsProcessed?: boolean
  readonly [field: string]: unknown
}

/** What comes from outside. */
const INCOMING = -1

export function executionStarted(
  time: string,
  name: string,
  instanceId: string,
  exec: number,
  version: string | undefined,
  input: RawJson | null,
): HistoryEvent {
  return {
    EventId: INCOMING,
    EventType: EventType.ExecutionStarted,
    IsPlayed: false,
    Timestamp: time,
    Name: name,
    Version: version,
    Input: input,
    OrchestrationInstance: { InstanceId: instanceId, ExecutionId: `${instanceId}:${exec}` },
  }
}

export function orchestratorStarted(time: string): HistoryEvent {
  return {
    EventId: INCOMING,
    EventType: EventType.OrchestratorStarted,
    IsPlayed: false,
    Timestamp: time,
  }
}

export function taskScheduled(time: string, id: number, name: string): HistoryEvent {
  return {
    EventId: id,
    EventType: EventType.TaskScheduled,
    IsPlayed: false,
    Timestamp: time,
    Name: name,
  }
}

export function childCreated(
  time: string,
  id: number,
  name: string,
  instanceId: string | null,
): HistoryEvent {
  return {
    EventId: id,
    EventType: EventType.SubOrchestrationInstanceCreated,
    IsPlayed: false,
    Timestamp: time,
    Name: name,
    InstanceId: instanceId,
  }
}

export function timerCreated(time: string, id: number, fireAt: string): HistoryEvent {
  return {
    EventId: id,
    EventType: EventType.TimerCreated,
    IsPlayed: false,
    Timestamp: time,
    FireAt: fireAt,
  }
}

export function timerFired(time: string, id: number, fireAt: string): HistoryEvent {
  return {
    EventId: INCOMING,
    EventType: EventType.TimerFired,
    IsPlayed: false,
    Timestamp: time,
    TimerId: id,
    FireAt: fireAt,
  }
}

/** `TaskCompleted` or `SubOrchestrationInstanceCompleted`. `result` is JSON text. */
export function completed(time: string, type: number, id: number, result: RawJson): HistoryEvent {
  return {
    EventId: INCOMING,
    EventType: type,
    IsPlayed: false,
    Timestamp: time,
    TaskScheduledId: id,
    Result: result,
  }
}

/** How a task failed, as the SDKs read it. */
export interface Fault {
  /** What version 1 makes an error of. */
  readonly reason: string
  /** Versions 2 and 3 put it behind the reason. */
  readonly details: string
  /** Version 3.5 makes a `TaskFailedError` of it. */
  readonly failureDetails?: object | undefined
}

/** `TaskFailed` or `SubOrchestrationInstanceFailed`. */
export function failed(time: string, type: number, id: number, fault: Fault): HistoryEvent {
  return {
    EventId: INCOMING,
    EventType: type,
    IsPlayed: false,
    Timestamp: time,
    TaskScheduledId: id,
    Reason: fault.reason,
    Details: fault.details,
    FailureDetails: fault.failureDetails ?? null,
  }
}

export function eventRaised(time: string, name: string, input: RawJson | null): HistoryEvent {
  return {
    EventId: INCOMING,
    EventType: EventType.EventRaised,
    IsPlayed: false,
    Timestamp: time,
    Name: name,
    Input: input,
  }
}

export function eventSent(
  time: string,
  id: number,
  instanceId: string,
  name: string,
  input: RawJson,
): HistoryEvent {
  return {
    EventId: id,
    EventType: EventType.EventSent,
    IsPlayed: false,
    Timestamp: time,
    InstanceId: instanceId,
    Name: name,
    Input: input,
  }
}
