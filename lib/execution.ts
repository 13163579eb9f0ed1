/**
 * One live execution of an orchestrator: its generator or async function, its open tasks, and what
 * the turn that is running has produced so far.
 *
 * Owns: the stepping of a generator, what user code may do at which moment, and the text of a
 * turn's outcome.
 * Must never: run user code outside a turn, or let anything that did not happen inside the turn
 * into its outcome.
 * Proved by: `__test__/orchestrators.spec.mjs`, `__test__/async.spec.mjs`.
 */

import { isPromise } from 'node:util/types'
import type { OrchestratorEntry } from './app.js'
import type { HttpSettings } from './call-http/settings.js'
import { objectText, stringify } from './codec.js'
import type { EntityId } from './entity-id.js'
import { InvalidOption, NonDurableAwait, NotATask, OutsideTurn } from './errors.js'
import { EventWait, Inbox } from './event-waits.js'
import { failureText } from './failure.js'
import { guidOf } from './guid.js'
import { type DurableLock, LockedCallTask, LockTask } from './lock.js'
import type { ExecutionStart, RawJson } from './protocol.js'
import { owned, quiet, Rejections } from './rejections.js'
import { type RetryPolicy, retryText } from './retry.js'
import type { Surroundings } from './surroundings.js'
import { FAILED, PENDING, SingleTask, type TaskKind, TaskNode, TimerNode } from './task.js'

/** What an orchestrator's generator is to this layer, whatever made it. */
interface Steps {
  next(value?: unknown): IteratorResult<unknown, unknown>
  throw(error: unknown): IteratorResult<unknown, unknown>
}

/** An orchestrator that yields nonsense this often in one turn ignores the error it gets for it. */
const REFUSED_YIELDS_MAX = 100

/** What every `function*` is an instance of. */
const GeneratorFunction = Object.getPrototypeOf(function* () {}).constructor as FunctionConstructor

let current: Execution | null = null

/** The execution whose generator is being stepped right now, for definitions that are called. */
export function currentExecution(): Execution | null {
  return current
}

export class Execution extends Rejections {
  readonly instanceId: string
  readonly parentInstanceId: string | undefined
  readonly version: string | undefined
  readonly name: string
  /** What tells its UUIDs from those of other executions: drawn for it, or its generation before rules 1. */
  private readonly salt: string
  readonly input: unknown
  /** Tasks that have not settled and are not cancelled, by id. */
  readonly open: Map<number, SingleTask> = new Map()
  /** The number of the running or last turn. */
  turn = 0
  /** `currentUtcDateTime` of that turn, in milliseconds. */
  time = 0
  replaying = false
  customStatus: unknown = undefined
  /** The critical section that it is in, or waits to get into. */
  lock: DurableLock | null = null
  /** Its code is a generator. */
  isGenerator = false
  /** It is not known to be anything else: until the function is called, that is anything else. */
  isAsync: boolean
  hasEnded = false
  /** Forgotten by the core; nothing it does matters any more. */
  isDropped = false

  private readonly handler: (context: never) => unknown
  private readonly surroundings: Surroundings
  private readonly rules: number
  /** Made with the first wait. */
  private inbox: Inbox | null = null
  private steps: Steps | null = null
  /** What the generator waits for; null before its first step. */
  private awaited: TaskNode | null = null
  private turnIsOpen = false
  /** The first thing done outside a turn; it fails the instance in its next live turn. */
  private violation: OutsideTurn | null = null
  private nextTaskId = 0
  private nextGroupId = 0
  private settleCount = 0
  private guidCount = 0
  /** The new input when `continueAsNew` was called (null: none), undefined when it was not. */
  private continuation: RawJson | null | undefined = undefined
  // Of the running turn:
  private actions: (SingleTask | RawJson)[] = []
  private answers = ''
  private statusText: RawJson | null = null
  private end: RawJson | null = null

  constructor(start: ExecutionStart, entry: OrchestratorEntry, surroundings: Surroundings) {
    super()
    this.instanceId = start.instanceId
    this.parentInstanceId = start.parentInstanceId
    this.version = start.version
    this.name = entry.name
    this.handler = entry.handler
    this.salt = start.salt ?? String(start.exec)
    this.rules = start.rules
    this.input = start.input
    this.surroundings = surroundings
    this.isAsync = !(entry.handler instanceof GeneratorFunction)
  }

  // ---------------------------------------------------------------- turns

  /** Opens a turn; false if user code must not run in it. */
  openTurn(time: number, replaying: boolean): boolean {
    this.turn += 1
    this.time = time
    this.replaying = replaying
    if (this.hasEnded) return false
    if (this.violation !== null && !replaying) {
      this.fail(this.violation)
      return false
    }
    this.turnIsOpen = true
    return true
  }

  /** Calls the orchestrator function, and steps it if it is a generator. Inside a turn. */
  start(context: object): void {
    let made: unknown
    try {
      made = owned(this, this.handler, context as never)
      this.classify(made)
    } catch (error) {
      this.fail(error)
      return
    }
    if (this.isGenerator) this.step()
    else if (!this.isAsync) this.complete(made)
  }

  /** Whether the task that the generator waits for has settled. */
  get isDue(): boolean {
    return this.isGenerator && !this.hasEnded && this.awaited?.isCompleted === true
  }

  /** Steps the generator until it waits for a task that has not settled. Inside a turn. */
  step(): void {
    const before = current
    current = this
    try {
      owned(this, Execution.stepThrough, this, this.steps as Steps)
    } finally {
      current = before
    }
  }

  private static stepThrough(execution: Execution, steps: Steps): void {
    execution.stepLoop(steps)
  }

  override rejected(promise: object, reason: unknown): void {
    if (!this.isDropped) super.rejected(promise, reason) // else a replay makes it again
  }

  protected warn(does: string): void {
    const message = `Orchestrator '${this.name}' (instance '${this.instanceId}') ${does}`
    this.surroundings.log.engine('warn', message)
  }

  /** Its last turn is done. */
  ended(): void {
    this.returned()
    const unread = this.inbox?.unreadNames ?? []
    if (unread.length === 0 || this.continuation !== undefined) return
    const names = [...new Set(unread)].map((name) => `'${name}'`).join(', ')
    this.warn(
      `has ended without a look at ${unread.length} external events that were delivered to it: ${names}. Cancel a wait that is not needed any more.`,
    )
  }

  /** Forgets the execution: whatever it still does has no effect. */
  drop(): void {
    this.isDropped = true
    this.turnIsOpen = false
  }

  answer(task: number, again: boolean): void {
    this.answers += `${this.answers === '' ? '' : ','}[${task},${again}]`
  }

  /** Closes the turn and gives the text of its outcome. */
  closeTurn(): RawJson {
    if (this.turnIsOpen && !this.hasEnded) this.endIfStuck()
    this.turnIsOpen = false
    this.checkSize()
    let text = this.actionsText()
    if (this.answers !== '') text += `,"answers":[${this.answers}]`
    if (this.statusText !== null) text += `,"customStatus":${this.statusText}`
    if (this.end !== null) text += `,"end":${this.end}`
    this.answers = ''
    this.statusText = null
    this.end = null
    return `{${text.startsWith(',') ? text.slice(1) : text}}`
  }

  private classify(made: unknown): void {
    this.isAsync = false
    if (typeof made !== 'object' || made === null) return
    const shape = made as Partial<Steps> & PromiseLike<unknown> & AsyncIterable<unknown>
    if (made instanceof TaskNode || typeof shape.then === 'function') {
      this.isAsync = true
      Promise.resolve(shape).then(
        (value) => this.settledAsync(() => this.complete(value), 'returned'),
        (error) => this.settledAsync(() => this.fail(error), 'threw'),
      )
    } else if (typeof shape[Symbol.asyncIterator] === 'function') {
      throw new NotATask(
        `Orchestrator '${this.name}' is an async generator function; use function* or async.`,
      )
    } else if (typeof shape.next === 'function' && typeof shape.throw === 'function') {
      this.isGenerator = true
      this.steps = made as Steps
    }
  }

  private settledAsync(settle: () => void, did: string): void {
    if (this.hasEnded || this.isDropped) return
    if (this.turnIsOpen) settle()
    else this.violate(did)
  }

  private stepLoop(steps: Steps): void {
    let refusal: NotATask | null = null
    for (let refused = 0; refused <= REFUSED_YIELDS_MAX; ) {
      let value: unknown
      try {
        const next = this.resume(steps, refusal)
        value = next.value
        if (next.done === true || this.continuation !== undefined) {
          this.complete(next.done === true ? value : undefined)
          return
        }
        refusal = this.refuse(value)
      } catch (error) {
        this.fail(error)
        return
      }
      if (refusal !== null) {
        refused += 1
        continue
      }
      this.awaited = value as TaskNode
      if (this.awaited.state === PENDING) return
    }
    this.fail(refusal)
  }

  private resume(steps: Steps, refusal: NotATask | null): IteratorResult<unknown, unknown> {
    if (refusal !== null) return steps.throw(refusal)
    const awaited = this.awaited
    if (awaited === null) return steps.next()
    return awaited.state === FAILED ? steps.throw(awaited.value) : steps.next(awaited.value)
  }

  private refuse(value: unknown): NotATask | null {
    if (value instanceof TaskNode) {
      if (value.execution === this || value.execution === null) return null
      return new NotATask(`Orchestrator '${this.name}' yielded a task of another instance.`)
    }
    if (isPromise(value)) {
      quiet(value) // it may reject, and the code has its error here
      return new NotATask(
        `Orchestrator '${this.name}' yielded a promise, which is not durable. Do input and output in activities, and yield what context.df.callActivity and its like give.`,
      )
    }
    const what = Array.isArray(value) ? 'an array (combine tasks by Task.all)' : typeof value
    return new NotATask(
      `Orchestrator '${this.name}' yielded ${what}. Yield only tasks: what context.df.callActivity and its like give, or Task.all and Task.any of them.`,
    )
  }

  private complete(value: unknown): void {
    if (this.continuation !== undefined) {
      const fields = { input: this.continuation, events: this.inbox?.carried() }
      this.end = `{"continueAsNew":${objectText(fields)}}`
      this.hasEnded = true
      return
    }
    try {
      const result = stringify(value, `result of orchestrator '${this.name}'`, this.limit)
      this.end = result === null ? '{"complete":{}}' : `{"complete":{"result":${result}}}`
      this.hasEnded = true
    } catch (error) {
      this.fail(error)
    }
  }

  /** Ends the execution as failed, with whatever was thrown. */
  fail(error: unknown): void {
    this.end = `{"fail":{"failure":${failureText(error, this.surroundings.payloadBytes)}}}`
    this.hasEnded = true
  }

  /** At quiescence something durable must be open, or nothing would ever wake it again. */
  private endIfStuck(): void {
    if (this.continuation !== undefined) this.complete(undefined)
    else if (this.open.size === 0) {
      const hint = this.isGenerator
        ? 'It yielded a task that can never complete, such as a cancelled timer.'
        : 'Await only tasks (what context.df.callActivity and its like give) and combinations of them; do input and output, clocks and timeouts in activities or by context.df.createTimer.'
      this.fail(
        new NonDurableAwait(
          `Orchestrator '${this.name}' waits for something that is not a durable task. ${hint}`,
        ),
      )
    }
  }

  private actionsText(): string {
    if (this.actions.length === 0) return ''
    let text = ''
    for (const action of this.actions) {
      if (text !== '') text += ','
      if (typeof action === 'string') {
        text += action
      } else {
        text += `${action.action}}}`
        action.action = ''
      }
    }
    this.actions = []
    return `"actions":[${text}]`
  }

  /** A turn is one text, and so are a row of history and a batch for the core. */
  private checkSize(): void {
    let chars = (this.statusText?.length ?? 0) + (this.end?.length ?? 0)
    for (const action of this.actions) {
      chars += typeof action === 'string' ? action.length : action.action.length
    }
    const what = `What orchestrator '${this.name}' (instance '${this.instanceId}') asks for in one turn`
    this.surroundings.crossing.check(chars, what)
  }

  // ---------------------------------------------------------------- what a context asks for

  /**
   * Refuses what is done outside a turn, and remembers it: the instance fails even if user code
   * swallows the error, as a replay would not see it happen at the same moment.
   */
  requireTurn(what: string): void {
    if (this.turnIsOpen && !this.hasEnded) return
    throw this.violate(what)
  }

  private violate(what: string): OutsideTurn {
    const error = new OutsideTurn(
      `Orchestrator '${this.name}' (instance '${this.instanceId}') ${what} outside a turn: after waiting for something that is not a durable task, from a callback, or after it ended.`,
      { instanceId: this.instanceId },
    )
    if (!this.hasEnded && !this.isDropped && this.violation === null) {
      this.violation = error
      this.surroundings.log.engine('error', `${error.message} It fails.`)
      this.surroundings.violated(this.instanceId)
    }
    return error
  }

  /** The largest value that may be written now; what history holds already is not measured again. */
  get limit(): number {
    return this.replaying ? Number.POSITIVE_INFINITY : this.surroundings.payloadBytes
  }

  get http(): HttpSettings {
    return this.surroundings.http
  }

  /** Schedules a task. `action` is its text without the two closing braces. */
  schedule(action: string, kind: TaskKind): SingleTask {
    return this.add(new SingleTask(this, this.nextTaskId++, action, kind))
  }

  /** Asks for entities; inside the section from now on. */
  scheduleLock(action: string, lock: DurableLock): SingleTask {
    this.lock = lock
    return this.add(new LockTask(this, this.nextTaskId++, action, lock))
  }

  /** Calls an entity inside the section. */
  scheduleLockedCall(action: string, lock: DurableLock, entity: EntityId): SingleTask {
    return this.add(new LockedCallTask(this, this.nextTaskId++, action, lock, entity))
  }

  /** Ends the section. At the end of the execution the core does so by itself. */
  releaseLock(lock: DurableLock): void {
    if (this.lock !== lock || this.hasEnded || this.isDropped) return
    this.tell('{"releaseEntities":{}}', 'released a lock')
    this.lock = null
  }

  /** Asks for something that makes no task. */
  tell(action: RawJson, what: string): void {
    this.requireTurn(what)
    this.actions.push(action)
  }

  private add<T extends SingleTask>(task: T): T {
    this.open.set(task.id, task)
    this.actions.push(task)
    return task
  }

  scheduleTimer(fireAt: number): TimerNode {
    const action = `{"createTimer":{"fireAt":${fireAt}`
    return this.add(new TimerNode(this, this.nextTaskId++, action, 'wait'))
  }

  scheduleWait(action: string, name: string): EventWait {
    if (this.rules > 0) this.inbox ??= new Inbox(this.open)
    const { inbox } = this
    const wait = this.add(new EventWait(this, this.nextTaskId++, action, { name, inbox }))
    inbox?.add(wait)
    return wait
  }

  /** Whether the generator waits for it. */
  waitsFor(task: TaskNode): boolean {
    return this.awaited === task
  }

  cancel(kind: 'Timer' | 'Wait', id: number): void {
    this.tell(`{"cancel${kind}":{"task":${id}}}`, `cancelled a ${kind.toLowerCase()}`)
    this.open.delete(id)
  }

  /** Whether the task was made in the turn that is running, so that its action can still change. */
  isUnsent(task: SingleTask): boolean {
    return this.turnIsOpen && task.turn === this.turn
  }

  addRetry(task: SingleTask, policy: RetryPolicy): void {
    if (!this.isUnsent(task) || task.hasRetry) {
      throw new InvalidOption(
        'withRetry must follow the call that made the task, once, before the next yield.',
        { field: 'retryOptions' },
      )
    }
    task.action += `,"retry":${retryText(policy)}`
    task.hasRetry = true
    task.retryIf = policy.retryIf ?? null
  }

  group(tasks: SingleTask[], limit: number): void {
    const id = this.nextGroupId++
    for (const task of tasks) {
      if (task.isGrouped) continue // the same task twice in the list
      task.isGrouped = true
      task.action += `,"group":{"id":${id},"limit":${limit}}`
    }
  }

  setCustomStatus(status: unknown): void {
    this.requireTurn('called setCustomStatus')
    const field = `custom status of orchestrator '${this.name}'`
    this.statusText = stringify(status, field, this.limit) ?? 'null'
    this.customStatus = status
  }

  continueAsNew(input: unknown): void {
    this.requireTurn('called continueAsNew')
    const field = `input of continueAsNew of orchestrator '${this.name}'`
    this.continuation = stringify(input, field, this.limit)
  }

  newGuid(seed: string): string {
    this.requireTurn('called newGuid')
    return this.guid(`${seed}_${this.guidCount++}`)
  }

  /** A UUID of version 5 that is the same whenever this execution asks for the same name. */
  guid(name: string): string {
    return guidOf(`${this.instanceId}_${this.salt}_${name}`)
  }

  nextOrder(): number {
    this.settleCount += 1
    return this.settleCount
  }

  log(level: 'debug' | 'info' | 'warn' | 'error', args: unknown[]): void {
    if (!this.replaying) this.surroundings.log.user(level, args)
  }
}
