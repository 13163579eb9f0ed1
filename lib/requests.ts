/**
 * What callers pass to a client, and the requests to the core that it becomes.
 *
 * Owns: the options of the client's methods, their checks, and the text of requests.
 * Must never: send anything.
 * Proved by: `__test__/bad-input.spec.mjs`, `__test__/client.spec.mjs`.
 */

import { resolve } from 'node:path'
import {
  invalid,
  newInstanceId,
  type Options,
  optionalBoolean,
  optionalInteger,
  optionalListOf,
  optionalOneOf,
  optionalString,
  optionalTime,
  optionsOf,
  quoteInstanceId,
} from './check.js'
import { objectText, quoteName, stringify, versionText } from './codec.js'
import { DurableError, errorClass, InvalidName } from './errors.js'
import { CrossingBounds } from './outgoing.js'
import type { RawJson, StartSpec } from './protocol.js'
import { type OrchestrationRuntimeStatus, runtimeStatuses } from './status.js'
import type { Definition, OrchestrationDefinition } from './types.js'

/** An orchestrator to start: its name or its definition. */
export type Startable<TInput = unknown> =
  | string
  // biome-ignore lint/suspicious/noExplicitAny: a start does not see the result
  | OrchestrationDefinition<TInput, any>

/**
 * What to do when the id is in use by an instance that has not ended: refuse, give the running one,
 * or end it and start anew. An instance that has ended is always replaced.
 */
export type OnConflict = 'error' | 'return' | 'terminate'

/** How an instance is started. */
export interface StartNewOptions<TInput = unknown> {
  /** 1 to 256 characters, no leading `@`, none of `/ \ # ?`, no control characters, not `.` or `..`. Default: random. */
  instanceId?: string | undefined
  /** Any JSON value; undefined for none. */
  input?: TInput | undefined
  /** Default 'error'. */
  onConflict?: OnConflict | undefined
  /**
   * `context.df.version` of the instance, for its whole life; '' for none. Default: the hub's
   * `defaultVersion`.
   */
  version?: string | undefined
}

/** What a start under an id that is used once may say. */
export type StartOnceOptions = Pick<StartNewOptions, 'instanceId' | 'input' | 'version'>

/** One of several starts. */
export interface StartRequest extends StartNewOptions {
  name: Startable
}

/** How far `terminate`, `suspend` and `resume` reach. */
export interface RecursiveOptions {
  /** Whether to reach the sub-orchestrations too. Default false. */
  recursive?: boolean | undefined
}

/** How an instance is restarted; a boolean in its place is its `withNewInstanceId`. */
export interface RestartOptions {
  /** Whether the new instance gets an id of its own. Default true; false needs the old one ended. */
  withNewInstanceId?: boolean | undefined
}

/** What a status shows. */
export interface GetStatusOptions {
  /** Whether to show an instance that has not begun to run. Default false: null for one. */
  pending?: boolean | undefined
  /** Whether to give the history. Default false. */
  showHistory?: boolean | undefined
  /** Whether the events of the history have their results. Default false. */
  showHistoryOutput?: boolean | undefined
  /** Whether to give the input, of the instance and of the events of the history. Default true. */
  showInput?: boolean | undefined
}

/** Which instances; a filter that is left out lets all pass. */
export interface OrchestrationFilter {
  /** The orchestrator's name, matched without regard to case. */
  name?: string | undefined
  /** What the id begins with; case counts. */
  idPrefix?: string | undefined
  /** One status or several; an empty list lets all pass. */
  runtimeStatus?: OrchestrationRuntimeStatus | readonly OrchestrationRuntimeStatus[] | undefined
  /** Scheduled then or later. */
  createdFrom?: Date | undefined
  /** Scheduled then or earlier. */
  createdTo?: Date | undefined
  /** The name durable-functions has for `createdFrom`. */
  createdTimeFrom?: Date | undefined
  /** The name durable-functions has for `createdTo`. */
  createdTimeTo?: Date | undefined
}

/** Which instances, and which page of them. */
export interface ListOptions extends OrchestrationFilter {
  /** How many at most, 1 to 1,000. Default 100. */
  top?: number | undefined
  /** The `cursor` of the page before. */
  cursor?: string | null | undefined
}

const START_KEYS = ['instanceId', 'input', 'onConflict', 'version']
const ON_CONFLICT: readonly OnConflict[] = ['error', 'return', 'terminate']
const FILTER_KEYS = [
  'name',
  'idPrefix',
  'runtimeStatus',
  'createdFrom',
  'createdTo',
  'createdTimeFrom',
  'createdTimeTo',
]
/** A transaction of so many takes some 50 ms, in which nothing else is written. */
const STARTS_MAX = 10_000
const TOP_DEFAULT = 100
const TOP_MAX = 1_000

// ------------------------------------------------------------------ starts

/** One start, from what `startNew` was called with: options, or the older `(name, id, input)`. */
export function startRequest(
  orchestrator: unknown,
  rest: readonly unknown[],
  limitBytes: number,
): RawJson {
  const [second, input] = rest
  const isOlderForm = rest.length > 1 || typeof second === 'string'
  const options = isOlderForm
    ? { instanceId: second ?? undefined, input }
    : optionsOf(second, 'options', START_KEYS)
  return `{"start":{"starts":[${startSpec(orchestrator, options, limitBytes)}]}}`
}

/** One start that is refused also if an instance with the id has ended. */
export function startOnceRequest(
  orchestrator: unknown,
  options: StartOnceOptions,
  limitBytes: number,
): RawJson {
  const spec = startSpec(orchestrator, { ...options }, limitBytes, 'once')
  return `{"start":{"starts":[${spec}]}}`
}

/** Several starts; the error of one that is refused says its index. */
export function startManyRequest(starts: readonly StartRequest[], limitBytes: number): RawJson {
  if (!Array.isArray(starts)) throw invalid('starts', 'must be an array', starts)
  if (starts.length > STARTS_MAX) {
    const must = `must hold at most ${STARTS_MAX} starts, as they are one transaction; call startMany several times`
    throw invalid('starts', must, starts.length)
  }
  const specs = starts.map((start: StartRequest, index) => {
    try {
      const options = optionsOf(start, 'start', ['name', ...START_KEYS])
      return startSpec(options['name'], options, limitBytes)
    } catch (error) {
      throw atIndex(error, index)
    }
  })
  const chars = specs.reduce((sum, spec) => sum + spec.length, 0)
  new CrossingBounds().check(chars, 'What startMany is to start')
  return `{"start":{"starts":[${specs.join(',')}]}}`
}

function startSpec(
  orchestrator: unknown,
  options: Options,
  limitBytes: number,
  onConflict: StartSpec['onConflict'] = optionalOneOf(
    options,
    'onConflict',
    'options',
    ON_CONFLICT,
  ),
): RawJson {
  const { instanceId, input, version } = options
  let text = `{"name":${orchestratorName(orchestrator)}${versionText(version)}`
  if (instanceId !== undefined) {
    text += `,"instanceId":${JSON.stringify(newInstanceId(instanceId, 'instanceId'))}`
  }
  if (input !== undefined) text += `,"input":${stringify(input, 'input', limitBytes)}`
  if (onConflict !== undefined) text += `,"onConflict":"${onConflict}"`
  return `${text}}`
}

function orchestratorName(orchestrator: unknown): RawJson {
  const definition = orchestrator as Definition
  if (typeof orchestrator !== 'function' || typeof definition.functionName !== 'string') {
    return quoteName(orchestrator, 'orchestrator name')
  }
  if (definition.kind !== 'orchestration') {
    throw new InvalidName(
      `'${definition.functionName}' is an activity; only orchestrations are started.`,
      { field: 'name' },
    )
  }
  return quoteName(definition.functionName, 'orchestrator name')
}

function atIndex(error: unknown, index: number): unknown {
  if (!(error instanceof DurableError)) return error
  const { code, field, message, cause } = error
  return new (errorClass(code))(message, { code, field, index, cause })
}

// ------------------------------------------------------------------ the others

/** A request about one instance with a reason, as JSON text: terminate, suspend, resume, rewind. */
export function reasonRequest(
  verb: 'terminate' | 'suspend' | 'resume' | 'rewind',
  instanceId: unknown,
  reason: RawJson | null,
  recursiveOptions: unknown,
): RawJson {
  const options = optionsOf(recursiveOptions, 'options', ['recursive'])
  const fields = objectText({
    instanceId: quoteInstanceId(instanceId),
    reason,
    recursive: optionalBoolean(options, 'recursive', 'options') ? 'true' : null,
  })
  return `{"${verb}":${fields}}`
}

export function raiseRequest(
  instanceId: unknown,
  name: unknown,
  data: unknown,
  limitBytes: number,
): RawJson {
  const fields = objectText({
    instanceId: quoteInstanceId(instanceId),
    name: quoteName(name, 'event name'),
    input: stringify(data, `data of event '${name}'`, limitBytes),
  })
  return `{"raiseEvent":${fields}}`
}

/** Options of `getStatus`, checked and complete. */
export function getOptions(given: unknown): { [K in keyof GetStatusOptions]-?: boolean } {
  const where = 'options'
  const known = ['pending', 'showHistory', 'showHistoryOutput', 'showInput']
  const options = optionsOf(given ?? undefined, where, known)
  return {
    pending: optionalBoolean(options, 'pending', where),
    showHistory: optionalBoolean(options, 'showHistory', where),
    showHistoryOutput: optionalBoolean(options, 'showHistoryOutput', where),
    showInput: options['showInput'] === undefined || optionalBoolean(options, 'showInput', where),
  }
}

export function getRequest(
  instanceId: unknown,
  options: { [K in keyof GetStatusOptions]-?: boolean },
): RawJson {
  const fields = objectText({
    instanceId: quoteInstanceId(instanceId),
    pending: options.pending ? 'true' : null,
    history: options.showHistory ? 'true' : null,
    // What is not shown is not read into the answer.
    inputs: options.showInput ? null : 'false',
    outputs: options.showHistoryOutput ? null : 'false',
  })
  return `{"get":${fields}}`
}

export function listRequest(given: unknown): RawJson {
  const options = optionsOf(given, 'options', [...FILTER_KEYS, 'top', 'cursor'])
  const top = optionalInteger(options, 'top', 'options', 1, TOP_MAX) ?? TOP_DEFAULT
  const hasCursor = options['cursor'] !== null && options['cursor'] !== undefined
  const cursor = hasCursor ? optionalString(options, 'cursor', 'options') : undefined
  const fields = objectText({
    filter: filterOf(options, 'options'),
    top: String(top),
    cursor: cursor === undefined ? null : JSON.stringify(cursor),
  })
  return `{"list":${fields}}`
}

/** A request that takes a filter and nothing else. */
export function filterRequest(verb: 'count' | 'purgeBy', given: unknown): RawJson {
  const filter = filterOf(optionsOf(given, 'filter', FILTER_KEYS), 'filter')
  return `{"${verb}":{"filter":${filter}}}`
}

/** @throws InvalidOption */
export function backupRequest(file: unknown): RawJson {
  if (typeof file !== 'string' || file === '') throw invalid('file', 'must be a path', file ?? null)
  return `{"backup":{"file":${JSON.stringify(resolve(file))}}}`
}

function filterOf(options: Options, where: string): RawJson {
  const name = optionalString(options, 'name', where)
  const idPrefix = optionalString(options, 'idPrefix', where)
  const asked = optionalListOf(options, 'runtimeStatus', where, runtimeStatuses)
  // No instance is ever canceled, so there the core need not look.
  const statuses = asked?.filter((status) => status !== 'Canceled')
  const isOfNone = asked !== undefined && asked.length > 0 && statuses?.length === 0
  const from =
    optionalTime(options, 'createdFrom', where) ?? optionalTime(options, 'createdTimeFrom', where)
  const to =
    optionalTime(options, 'createdTo', where) ?? optionalTime(options, 'createdTimeTo', where)
  return objectText({
    name: name === undefined ? null : JSON.stringify(name),
    idPrefix: idPrefix === undefined ? null : JSON.stringify(idPrefix),
    runtimeStatus:
      statuses === undefined || statuses.length === 0 ? null : JSON.stringify(statuses),
    createdFrom: from === undefined ? null : String(from),
    createdTo: isOfNone ? '-1' : to === undefined ? null : String(to),
  })
}
