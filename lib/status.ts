/**
 * The status of an instance, as users see it.
 *
 * Owns: the making of a status from a row of the core: Dates, the text of a failure, null for none.
 * Must never: ask the core for more, or change what a user's payload holds.
 * Proved by: `__test__/status.spec.mjs`.
 */

import type { Failure, HistoryRow, Problem, StatusRow, WaitingFor } from './protocol.js'

/**
 * Where an instance stands. `Pending`: scheduled, its orchestrator function has not begun. `Canceled` is
 * never where one stands, as in durable-functions, which has it too.
 */
export type OrchestrationRuntimeStatus =
  | 'Pending'
  | 'Running'
  | 'Completed'
  | 'ContinuedAsNew'
  | 'Failed'
  | 'Terminated'
  | 'Suspended'
  | 'Canceled'

/** The statuses by name, for code that was written against the enum of durable-functions. */
export const OrchestrationRuntimeStatus: {
  readonly [TStatus in OrchestrationRuntimeStatus]: TStatus
} = {
  Pending: 'Pending',
  Running: 'Running',
  Completed: 'Completed',
  ContinuedAsNew: 'ContinuedAsNew',
  Failed: 'Failed',
  Terminated: 'Terminated',
  Suspended: 'Suspended',
  Canceled: 'Canceled',
}

/** All statuses. */
export const runtimeStatuses: readonly OrchestrationRuntimeStatus[] = Object.values(
  OrchestrationRuntimeStatus,
)

/** An error as it is stored: what it was, with its own fields beside. */
export interface StatusFailure {
  name: string
  message: string
  stack?: string
  cause?: unknown
  [field: string]: unknown
}

/** Why an instance is held, or what it lacks. */
export interface StatusProblem {
  /** Such as `NotRegistered`, `VersionMismatch` or `Nondeterminism`. */
  code: string
  /** For people. */
  message: string
  /** Of a `Nondeterminism`: the event of the history that the code does not match. */
  historyEvent?: string
  /** What that event says was asked for. */
  expected?: string
  /** What the code asks for now. */
  actual?: string
}

/** What a running instance waits for. */
export type StatusWaitingFor =
  | { kind: 'event'; name: string; since: Date }
  | { kind: 'timer'; fireAt: Date }
  | { kind: 'activity'; name: string; attempt: number; since: Date }
  | { kind: 'orchestration'; name: string; instanceId: string }
  /** An operation that was called. */
  | { kind: 'entity'; entityId: string; operation: string; since: Date }
  /** Entities that it wants to have for itself. */
  | { kind: 'lock'; entityIds: string[]; since: Date }

/** One event of an instance's history. */
export interface StatusHistoryEvent {
  /** Such as `ExecutionStarted`, `TaskScheduled`, `TaskCompleted`, `TimerFired`, `EventRaised`. */
  eventType: string
  timestamp: Date
  /** What a task's events have in common. */
  taskId?: number
  /** Of the function or of the event. */
  name?: string
  /** Only with `showInput`. */
  input?: unknown
  /** Only with `showHistoryOutput`. */
  result?: unknown
  failure?: StatusFailure
  /** Of `terminate`, `suspend`, `resume` or `rewind`. */
  reason?: unknown
  /** Of a sub-orchestration, or of an entity: `@name@key`. */
  instanceId?: string
  /** Of a timer. */
  fireAt?: Date
  /** Which attempt it was, from 1. */
  attempt?: number
}

/** The status of an instance. As JSON its times are ISO 8601. */
export interface OrchestrationStatus {
  /** The name of the orchestrator function. */
  name: string
  instanceId: string
  /** As it was started with; absent when it has none. */
  version?: string
  /** When the orchestrator function began; of a pending instance, when it was scheduled. */
  createdTime: Date
  /** The last checkpoint. */
  lastUpdatedTime: Date
  runtimeStatus: OrchestrationRuntimeStatus
  /** Null when there is none, or with `showInput: false`. */
  input: unknown
  /**
   * When completed the result, when failed `Orchestrator function 'NAME' failed: MESSAGE`, when
   * terminated the reason; else null.
   */
  output: unknown
  /** As last set by the orchestrator, or null. */
  customStatus: unknown
  /** When failed: the error. */
  failure?: StatusFailure
  /** Why it does not move, if it is held or no worker has its function in its version. */
  problem?: StatusProblem
  /** What an open instance waits for; from `getStatus` only. */
  waitingFor?: StatusWaitingFor[]
  /** Of a sub-orchestration: who called it. */
  parentInstanceId?: string
  /** Oldest first; only with `showHistory`. */
  history?: StatusHistoryEvent[]
}

/** The name durable-functions has for it. */
export type DurableOrchestrationStatus = OrchestrationStatus

/** A page of instances. */
export interface InstancePage {
  /** In the order in which they were scheduled; may be fewer than `top` though more pages follow. */
  instances: OrchestrationStatus[]
  /** Pass it to get the next page; null: this is the last. */
  cursor: string | null
}

/** What to leave out of a status; what costs more to make is not asked for in the first place. */
export interface StatusParts {
  showInput: boolean
  showHistoryOutput: boolean
}

const ALL: StatusParts = { showInput: true, showHistoryOutput: true }

/** The status that a row of the core stands for. */
export function statusFromRow(row: StatusRow, parts: StatusParts = ALL): OrchestrationStatus {
  const status: OrchestrationStatus = {
    name: row.name,
    instanceId: row.instanceId,
    createdTime: new Date(row.created ?? row.scheduled),
    lastUpdatedTime: new Date(row.updated),
    runtimeStatus: row.status,
    input: parts.showInput ? (row.input ?? null) : null,
    output: outputOf(row),
    customStatus: row.customStatus ?? null,
  }
  if (row.version !== undefined) status.version = row.version
  if (row.failure !== undefined) status.failure = row.failure as Failure & StatusFailure
  if (row.problem !== undefined) status.problem = row.problem satisfies Problem
  if (row.waitingFor !== undefined) status.waitingFor = row.waitingFor.map(waitingFor)
  if (row.parentInstanceId !== undefined) status.parentInstanceId = row.parentInstanceId
  if (row.history !== undefined) {
    status.history = row.history.map((event) => historyEvent(event, parts))
  }
  return status
}

function outputOf(row: StatusRow): unknown {
  if (row.status === 'Failed' && row.failure !== undefined) {
    return `Orchestrator function '${row.name}' failed: ${row.failure.message}`
  }
  return row.output ?? null
}

function waitingFor(waiting: WaitingFor): StatusWaitingFor {
  switch (waiting.kind) {
    case 'timer':
      return { kind: 'timer', fireAt: new Date(waiting.fireAt) }
    case 'orchestration':
      return waiting
    default:
      return { ...waiting, since: new Date(waiting.since) }
  }
}

function historyEvent(row: HistoryRow, parts: StatusParts): StatusHistoryEvent {
  const { timestamp, fireAt, input, result, ...rest } = row
  const event: StatusHistoryEvent = { ...rest, timestamp: new Date(timestamp) }
  if (fireAt !== undefined) event.fireAt = new Date(fireAt)
  if (input !== undefined && parts.showInput) event.input = input
  if (result !== undefined && parts.showHistoryOutput) event.result = result
  return event
}
