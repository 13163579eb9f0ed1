/**
 * What an SDK gives for one call of an orchestrator: its state, returned or inside an error.
 *
 * Owns: taking it apart: the actions in the order in which they were asked for, each once, and how
 * the code ended.
 * Must never: know what became of an action.
 * Proved by: `__test__/sdk.spec.mjs`, `__test__/sdk-calls.spec.mjs`.
 */

import { Internal } from '../errors.js'
import { messageOf } from '../failure.js'

/** The numbers of the action types. */
export const ActionType = {
  CallActivity: 0,
  CallActivityWithRetry: 1,
  CallSubOrchestrator: 2,
  CallSubOrchestratorWithRetry: 3,
  ContinueAsNew: 4,
  CreateTimer: 5,
  WaitForExternalEvent: 6,
  CallEntity: 7,
  CallHttp: 8,
  SignalEntity: 9,
  ScheduledSignalEntity: 10,
  WhenAny: 11,
  WhenAll: 12,
  LockEntities: 13,
  ReleaseEntities: 14,
} as const

/** An action as the SDK lists it; which of the fields there are depends on its type. */
export interface Action {
  readonly actionType: number
  readonly functionName?: unknown
  readonly input?: unknown
  readonly retryOptions?: unknown
  readonly instanceId?: unknown
  readonly version?: unknown
  readonly fireAt?: unknown
  readonly isCanceled?: unknown
  readonly externalEventName?: unknown
  readonly operation?: unknown
  readonly httpRequest?: unknown
  readonly lockRequestId?: unknown
  readonly lockSet?: unknown
  readonly compoundActions?: unknown
}

/** What became of one call of the code. */
export interface Answer {
  /** As the SDK lists them, an entry each yield. */
  readonly entries: readonly unknown[]
  /** The objects are those of the SDK, so that one that is listed twice is known by itself. */
  readonly hasIdentity: boolean
  readonly isDone: boolean
  readonly output: unknown
  readonly customStatus: unknown
  /** Version 1 of the SDK says none. */
  readonly schemaVersion: number | undefined
  /** What it failed with, if it did. */
  readonly error: Error | null
}

/** What stands between the message of an error and the state that it carries. */
const LABEL = '\n\n$OutOfProcData$:'

/**
 * What the code gave.
 *
 * @throws Internal if it is no state
 */
export function answerOf(returned: unknown): Answer {
  const state = typeof returned === 'string' ? parsed(returned) : returned
  return read(state, typeof returned !== 'string', null)
}

/** What the code failed with; an error that carries no state ends it with no actions. */
export function answerOfError(thrown: unknown): Answer {
  const message = messageOf(thrown)
  const at = message.lastIndexOf(LABEL)
  const state = at < 0 ? undefined : parsed(message.slice(at + LABEL.length))
  if (!isObject(state)) {
    const error = thrown instanceof Error ? thrown : new Error(message)
    return { ...nothing, error }
  }
  return read(state, false, failureOf(state, thrown))
}

const nothing: Answer = {
  entries: [],
  hasIdentity: false,
  isDone: false,
  output: undefined,
  customStatus: undefined,
  schemaVersion: undefined,
  error: null,
}

function read(state: unknown, hasIdentity: boolean, error: Error | null): Answer {
  if (!isObject(state) || !Array.isArray(state['actions'])) {
    throw new Internal(
      'It did not give the state of an orchestration. Is it made with df.orchestrator, or df.app.orchestration, of durable-functions?',
    )
  }
  const { actions, isDone, output, customStatus, schemaVersion } = state
  const version = typeof schemaVersion === 'number' ? schemaVersion : undefined
  // Up to schema 0 there is a list for each yield, and from 1 on a single one with an entry each.
  const entries = (version ?? 0) > 0 ? actions[0] : actions
  return {
    entries: Array.isArray(entries) ? entries : [],
    hasIdentity,
    isDone: isDone === true,
    output,
    customStatus,
    schemaVersion: version,
    error,
  }
}

/** The error of the user's code. Version 1 keeps its stack. */
function failureOf(state: Record<string, unknown>, thrown: unknown): Error {
  const { failureDetails } = state
  // What is thrown and is no error has no message; version 1 has it before the label.
  const prefix =
    state['schemaVersion'] === undefined ? (messageOf(thrown).split(LABEL, 1)[0] ?? '') : ''
  const error = new Error(typeof state['error'] === 'string' ? state['error'] : prefix)
  const stack = isObject(thrown) ? thrown['stack'] : undefined
  const own = typeof stack === 'string' && !stack.includes(LABEL) ? stack : ''
  error.stack = own === '' ? `Error: ${error.message}` : own
  if (!isObject(failureDetails)) return error
  if (typeof failureDetails['ErrorType'] === 'string') error.name = failureDetails['ErrorType']
  return Object.assign(error, { failureDetails })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * The actions of entries from the one at `from` on, without those that only combine others, in the
 * order in which they were asked for. Each is there once, if it can be told: `Task.any([a, b])` and
 * then `Task.all([a, b])` list both twice.
 */
export function actionsOf(entries: readonly unknown[], from: number): readonly Action[] {
  const found: Action[] = []
  let areCombined = false
  for (let n = from; n < entries.length; n += 1)
    areCombined = collect(entries[n], found) || areCombined
  return areCombined ? [...new Set(found)] : found
}

/** Whether the entry combined any. */
function collect(entry: unknown, found: Action[]): boolean {
  if (Array.isArray(entry)) {
    let areCombined = false
    for (const each of entry) areCombined = collect(each, found) || areCombined
    return areCombined
  }
  if (!isObject(entry) || typeof entry['actionType'] !== 'number') {
    throw new Internal('It gave an action without a type.')
  }
  const { actionType, compoundActions } = entry
  if (actionType !== ActionType.WhenAll && actionType !== ActionType.WhenAny) {
    found.push(entry as unknown as Action)
    return false
  }
  collect(compoundActions, found)
  return true
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
