/**
 * What an SDK asks for, as actions of the engine, and what the engine says of them, as events of the
 * SDK's history.
 *
 * Owns: the two numberings of tasks and the way between them. The engine counts the actions that make
 * a task. Versions 2 and 3 of the SDK count what they schedule when it is yielded, and in a retry
 * every attempt and every pause; they know a task by nothing else, so the numbers here must be theirs.
 * Must never: decide how the code goes on; that is the SDK's.
 * Proved by: `__test__/sdk.spec.mjs`, `__test__/sdk-numbers.spec.mjs`.
 */

import {
  type DurableHttpRequest,
  HTTP_ACTIVITY,
  type HttpResult,
  pollOf,
  pollTime,
} from '../call-http/request.js'
import { newInstanceId } from '../check.js'
import { quoteName, stringify, versionText } from '../codec.js'
import type { EntityId } from '../entity-id.js'
import { InvalidOption } from '../errors.js'
import { failureText } from '../failure.js'
import type { Failure, RawJson, Resolution } from '../protocol.js'
import { retryText } from '../retry.js'
import { type AnyResolution, activityFault, childFault } from './faults.js'
import {
  childCreated,
  completed,
  EventType,
  eventRaised,
  eventSent,
  type Fault,
  failed,
  type HistoryEvent,
  taskScheduled,
  timerCreated,
  timerFired,
} from './history.js'
import { decoded, policyOf, requestOf } from './inputs.js'
import { lockSetOf, operationText, replyText, requestText } from './operations.js'
import { type Action, ActionType } from './state.js'

/**
 * A retry that gives up is told to the SDK attempt by attempt, which it counts. One of more attempts
 * gives up only by its timeout.
 */
const ATTEMPTS_MAX = 10_000

/** The pause before an attempt that has been made: no timer of the code's has this time. */
const NO_TIME = '0001-01-01T00:00:00.000Z'

/** A task of the engine that has not settled. */
interface Open {
  /** 'poll' is the pause before the next request of a call over HTTP, of which the SDK is not told. */
  readonly kind: 'activity' | 'child' | 'timer' | 'event' | 'http' | 'poll' | 'entity' | 'lock'
  /** The SDK's number; events have none. */
  readonly id: number
  readonly name: string
  /** Of a sub-orchestration, if the code chose it. */
  readonly instanceId: string | null
  /** With a retry policy: how many attempts the SDK counts. */
  readonly attempts: number
  /** Of a timer, ISO 8601. */
  readonly fireAt: string
  /** Of a call over HTTP: the request that is under way, or that follows. */
  readonly request?: DurableHttpRequest
  /** Of an operation of an entity, and of a lock: the name of the event that is the reply. */
  readonly reply?: string
}

/** An action that was taken over: enough to tell whether the code asks for it again. */
interface Known {
  readonly type: number
  readonly name: unknown
  readonly instanceId: unknown
  /** Of a timer: the engine's task. */
  readonly task: number
}

/** The events that a settled task brings about. */
export interface Settled {
  /** Those that make the SDK number something. They come before all others of a turn. */
  readonly first: readonly HistoryEvent[]
  /** The one on which the code may go on. */
  readonly last: HistoryEvent
}

export class Schedule {
  /** The SDK's next number. */
  nextId = 0
  /** The actions of the turn that runs, as text for the engine. */
  texts: RawJson[] = []
  /** What they add to the SDK's history. */
  created: HistoryEvent[] = []
  /** The new input when the code continues as new (null: none), undefined while it does not. */
  continuation: RawJson | null | undefined = undefined
  private nextTask = 0
  private readonly known: Known[] = []
  private readonly open: Map<number, Open> = new Map()
  private readonly orchestrator: string
  /** Unique to the execution. */
  private readonly execution: string
  private readonly isClassic: boolean
  private readonly pollingIntervalMs: number
  /** The entities that are locked, or about to be. */
  private held: readonly EntityId[] = []
  private now = 0
  private time = ''
  private limit = 0

  /**
   * @param isClassic it is version 1 or 2 of the SDK, which gives every string as its JSON text
   * @param pollingIntervalMs the pause of a call over HTTP, if the answer names none
   */
  constructor(
    orchestrator: string,
    execution: string,
    isClassic: boolean,
    pollingIntervalMs: number,
  ) {
    this.orchestrator = orchestrator
    this.execution = execution
    this.isClassic = isClassic
    this.pollingIntervalMs = pollingIntervalMs
  }

  get openCount(): number {
    return this.open.size
  }

  get knownCount(): number {
    return this.known.length
  }

  /**
   * A turn begins.
   *
   * @param time of the turn, in milliseconds, and in ISO 8601
   * @param limit the largest value that may be written, in bytes
   */
  begin(now: number, time: string, limit: number): void {
    this.now = now
    this.time = time
    this.limit = limit
    this.texts = []
    this.created = []
  }

  // ---------------------------------------------------------------- what the engine says

  /** The events of a task that has settled; null if the SDK is not to be told of it. */
  settle(resolution: Resolution): Settled | null {
    const any = resolution as AnyResolution
    const { task } = any.ok ?? any.fail ?? any.child ?? any.ask ?? { task: -1 }
    const open = this.open.get(task)
    if (open === undefined) return null
    this.open.delete(task)
    if (open.request !== undefined && any.ok !== undefined) {
      return this.answered(open, open.request, any.ok.value)
    }
    if (any.ok !== undefined) return { first: [], last: this.succeeded(open, any.ok.value) }
    if (open.reply !== undefined) {
      const message = any.fail?.failure.message ?? ''
      return { first: [], last: eventRaised(this.time, open.reply, replyText(null, message)) }
    }
    const fault =
      any.child === undefined
        ? activityFault(open.name, any)
        : childFault(open.name, any.child.child)
    return this.gaveUp(open, fault)
  }

  private succeeded(open: Open, value: unknown): HistoryEvent {
    const text = value === undefined ? null : JSON.stringify(value)
    switch (open.kind) {
      case 'timer':
        return timerFired(this.time, open.id, open.fireAt)
      case 'event':
        return eventRaised(this.time, open.name, text)
      case 'entity':
      case 'lock':
        return eventRaised(this.time, open.reply as string, replyText(text, null))
      case 'child':
        return completed(
          this.time,
          EventType.SubOrchestrationInstanceCompleted,
          open.id,
          text ?? 'null',
        )
      default:
        return completed(this.time, EventType.TaskCompleted, open.id, text ?? 'null')
    }
  }

  /**
   * A request was answered, or the pause before the next is over. The engine polls, whatever the
   * version of the SDK would do, and the SDK is told of the last answer as if it were the first.
   */
  private answered(open: Open, request: DurableHttpRequest, value: unknown): Settled | null {
    try {
      if (open.kind === 'poll') {
        this.send(open.id, request)
        return null
      }
      const result = value as HttpResult
      const poll = pollOf(request, result)
      if (poll === null) return { first: [], last: this.succeeded(open, value) }
      const fireAt = pollTime(result, this.now, this.pollingIntervalMs)
      this.texts.push(`{"createTimer":{"fireAt":${fireAt}}}`)
      this.open.set(this.nextTask++, { ...open, kind: 'poll', request: poll })
      return null
    } catch (error) {
      const failure = JSON.parse(failureText(error, this.limit)) as Failure
      return this.gaveUp(open, activityFault(HTTP_ACTIVITY, { fail: { task: -1, failure } }))
    }
  }

  private gaveUp(open: Open, fault: Fault): Settled {
    const { kind, name, attempts } = open
    const type = kind === 'child' ? EventType.SubOrchestrationInstanceFailed : EventType.TaskFailed
    if (attempts === 0) return { first: [], last: failed(this.time, type, open.id, fault) }
    // The engine made the attempts. The SDK surfaces the last error when it has counted all of them,
    // each with a pause after it; only then does the code go on.
    const events: HistoryEvent[] = []
    let { id } = open
    for (let attempt = 1; ; attempt += 1) {
      const pause = this.nextId++
      events.push(failed(this.time, type, id, fault), timerCreated(this.time, pause, NO_TIME))
      const last = timerFired(this.time, pause, NO_TIME)
      if (attempt >= attempts) return { first: events, last }
      id = this.nextId++
      events.push(last, this.begun(kind, id, name, open.instanceId))
    }
  }

  private begun(
    kind: Open['kind'],
    id: number,
    name: string,
    instanceId: string | null,
  ): HistoryEvent {
    return kind === 'child'
      ? childCreated(this.time, id, name, instanceId)
      : taskScheduled(this.time, id, name)
  }

  // ---------------------------------------------------------------- what the SDK asks for

  /**
   * The first of the actions that is not the one taken over at its place, or null. So does code tell
   * that asks for other things from one call to the next.
   */
  deviation(actions: readonly Action[]): Action | 'nothing' | null {
    for (let n = 0; n < this.known.length; n += 1) {
      const action = actions[n]
      if (action === undefined) return 'nothing'
      const { type, name, instanceId } = this.known[n] as Known
      const isSame =
        action.actionType === type &&
        nameOf(action) === name &&
        (instanceId === undefined || action.instanceId === instanceId)
      if (!isSame) return action
    }
    return null
  }

  /**
   * Takes over an action that is new.
   *
   * @throws InvalidName, InvalidOption, InvalidInstanceId, UnserializableValue, PayloadTooLarge
   */
  take(action: Action): void {
    const before = this.nextTask
    this.schedule(action)
    const { actionType: type, instanceId } = action
    this.known.push({ type, name: nameOf(action), instanceId, task: before })
  }

  /** Cancels the timers that the code has cancelled. All actions, in their order. */
  cancelTimers(actions: readonly Action[]): void {
    for (let n = 0; n < actions.length; n += 1) {
      if (actions[n]?.isCanceled !== true) continue
      const { task } = this.known[n] as Known
      if (!this.open.delete(task)) continue
      this.texts.push(`{"cancelTimer":{"task":${task}}}`)
    }
  }

  private schedule(action: Action): void {
    switch (action.actionType) {
      case ActionType.CallActivity:
      case ActionType.CallActivityWithRetry:
        this.callActivity(action)
        break
      case ActionType.CallSubOrchestrator:
      case ActionType.CallSubOrchestratorWithRetry:
        this.callChild(action)
        break
      case ActionType.ContinueAsNew:
        this.continuation = this.text(action.input, true, 'input of continueAsNew')
        break
      case ActionType.CreateTimer:
        this.createTimer(action)
        break
      case ActionType.WaitForExternalEvent:
        this.waitForEvent(action)
        break
      case ActionType.CallHttp:
        this.callHttp(action)
        break
      case ActionType.CallEntity:
        this.callEntity(action)
        break
      case ActionType.SignalEntity:
      case ActionType.ScheduledSignalEntity:
        this.signalEntity(action)
        break
      case ActionType.LockEntities:
        this.lockEntities(action)
        break
      case ActionType.ReleaseEntities:
        this.releaseEntities()
        break
      default:
        throw new InvalidOption(
          `Orchestrator '${this.orchestrator}' asks for an action of type ${action.actionType}, which this version does not know.`,
          { field: 'actionType' },
        )
    }
  }

  private callActivity(action: Action): void {
    const name = quoteName(action.functionName, 'activity name')
    const input = this.inputText(action.input, true, `input of activity ${name}`)
    const { text, attempts } = this.retry(action)
    this.texts.push(`{"callActivity":{"name":${name}${input}${text}}}`)
    const id = this.add('activity', action.functionName as string, null, attempts)
    this.created.push(taskScheduled(this.time, id, action.functionName as string))
  }

  private callChild(action: Action): void {
    const name = quoteName(action.functionName, 'orchestrator name')
    const field = `input of orchestrator ${name}`
    const input = this.inputText(action.input, this.isClassic, field)
    const { text, attempts } = this.retry(action)
    const chosen = action.instanceId ? newInstanceId(action.instanceId, 'instanceId') : null
    const idText = chosen === null ? '' : `,"instanceId":${JSON.stringify(chosen)}`
    const version = versionText(action.version)
    this.texts.push(`{"callSubOrchestrator":{"name":${name}${idText}${version}${input}${text}}}`)
    const id = this.add('child', action.functionName as string, chosen, attempts)
    this.created.push(childCreated(this.time, id, action.functionName as string, chosen))
  }

  private createTimer(action: Action): void {
    const ms = new Date(action.fireAt as Date | string).getTime()
    if (Number.isNaN(ms)) {
      throw new InvalidOption('fireAt of a timer must be a valid Date.', { field: 'fireAt' })
    }
    const fireAt = new Date(ms).toISOString()
    this.texts.push(`{"createTimer":{"fireAt":${ms}}}`)
    const id = this.add('timer', '', null, 0, fireAt)
    this.created.push(timerCreated(this.time, id, fireAt))
  }

  private waitForEvent(action: Action): void {
    const name = action.externalEventName as string
    this.texts.push(`{"waitForEvent":{"name":${quoteName(name, 'event name')}}}`)
    this.open.set(this.nextTask++, {
      kind: 'event',
      id: -1,
      name,
      instanceId: null,
      attempts: 0,
      fireAt: '',
    })
  }

  private callHttp(action: Action): void {
    const id = this.nextId++
    this.send(id, requestOf(action.httpRequest))
    this.created.push(taskScheduled(this.time, id, HTTP_ACTIVITY))
  }

  private send(id: number, request: DurableHttpRequest): void {
    const input = stringify(request, 'request of callHttp', this.limit)
    this.texts.push(`{"callActivity":{"name":"${HTTP_ACTIVITY}","input":${input}}}`)
    this.open.set(this.nextTask++, {
      kind: 'http',
      id,
      name: HTTP_ACTIVITY,
      instanceId: null,
      attempts: 0,
      fireAt: '',
      request,
    })
  }

  private callEntity(action: Action): void {
    const input = this.text(action.input, this.isClassic, 'input of callEntity')
    const text = operationText(action, input)
    this.texts.push(`{"callEntity":${text}}`)
    this.ask('entity', String(action.instanceId), `${this.execution}:${this.nextId}`)
  }

  private signalEntity(action: Action): void {
    const input = this.text(action.input, this.isClassic, 'input of signalEntity')
    this.texts.push(`{"signalEntity":${operationText(action, input)}}`)
    this.sent(String(action.instanceId), 'op', `${this.execution}:${this.nextId}`)
  }

  private lockEntities(action: Action): void {
    const entities = lockSetOf(action)
    const ids = entities.map((id) => id.quoted).join(',')
    this.texts.push(`{"lockEntities":{"entities":[${ids}]}}`)
    this.held = entities
    this.ask('lock', String(entities[0]), String(action.lockRequestId))
  }

  private releaseEntities(): void {
    this.texts.push('{"releaseEntities":{}}')
    for (const id of this.held) this.sent(String(id), 'release', `${this.execution}:release`)
    this.held = []
  }

  /** Sends what a reply is waited for. */
  private ask(kind: 'entity' | 'lock', entity: string, reply: string): void {
    const id = this.sent(entity, 'op', reply)
    this.open.set(this.nextTask++, {
      kind,
      id,
      name: entity,
      instanceId: null,
      attempts: 0,
      fireAt: '',
      reply,
    })
  }

  private sent(entity: string, name: string, request: string): number {
    const id = this.nextId++
    const text = requestText(name, request, this.execution)
    this.created.push(eventSent(this.time, id, entity, name, text))
    return id
  }

  private add(
    kind: Open['kind'],
    name: string,
    instanceId: string | null,
    attempts: number,
    fireAt: string = '',
  ): number {
    const id = this.nextId++
    this.open.set(this.nextTask++, { kind, id, name, instanceId, attempts, fireAt })
    return id
  }

  private retry(action: Action): { text: RawJson; attempts: number } {
    const isRetried =
      action.actionType === ActionType.CallActivityWithRetry ||
      action.actionType === ActionType.CallSubOrchestratorWithRetry
    if (!isRetried) return { text: '', attempts: 0 }
    const policy = policyOf(action.retryOptions)
    const attempts = policy.maxNumberOfAttempts
    if (attempts > ATTEMPTS_MAX && policy.retryTimeoutInMilliseconds !== undefined) {
      throw new InvalidOption(
        `retryOptions of an orchestrator of durable-functions may have a retryTimeoutInMilliseconds only with a maxNumberOfAttempts of ${ATTEMPTS_MAX} or less.`,
        { field: 'retryOptions.maxNumberOfAttempts' },
      )
    }
    return { text: `,"retry":${retryText(policy)}`, attempts }
  }

  private inputText(value: unknown, isEncoded: boolean, field: string): RawJson {
    const text = this.text(value, isEncoded, field)
    return text === null ? '' : `,"input":${text}`
  }

  /** The JSON of a value. Of some actions the SDK gives a string as its JSON text. */
  private text(value: unknown, isEncoded: boolean, field: string): RawJson | null {
    const plain = isEncoded ? decoded(value) : value
    return stringify(plain, field, this.limit)
  }
}

/** What an action calls or waits for; of some there is nothing to tell them apart by. */
function nameOf(action: Action): unknown {
  return action.functionName ?? action.externalEventName ?? action.operation
}
