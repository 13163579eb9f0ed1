/**
 * The pump between JavaScript and the core.
 *
 * Owns: the queue of what goes out with the next batch, the dispatch of what comes back, the calls
 * that wait for a reply, and what keeps the process alive.
 * Must never: hang. Whatever happens to the core, every call that waits is settled.
 * Proved by: every test under `__test__/`; its ends by `__test__/close.spec.mjs`.
 */

import { resolve } from 'node:path'
import { Origin } from './async-context.js'
import { HTTP_DEFAULTS, type HttpSettings } from './call-http/settings.js'
import { type CallKind, Calls, type PendingCall } from './calls.js'
import {
  clearInterval,
  clearTimeout,
  monotonicMs,
  nextTick,
  queueMicrotask,
  setImmediate,
  setInterval,
  setTimeout,
} from './clock.js'
import { PAYLOAD_BYTES_DEFAULT } from './codec.js'
import type { EngineOptions } from './engine-options.js'
import { type DurableError, fromEngine, HubClosed, Internal } from './errors.js'
import { messageOf } from './failure.js'
import type { Log } from './log.js'
import { createEngine, type NativeEngine } from './native.js'
import { CrossingBounds, Outgoing } from './outgoing.js'
import type { EngineInfo, Outbound, RawJson, Registered, Reply } from './protocol.js'
import type { Functions, Outlet, Runner } from './runner.js'
import { activationOf, activityOf, entityActivationOf } from './wire.js'

/** After this many exchanges, or this much time, in a row, the event loop gets its turn. */
const ROUNDS_MAX = 64
const ROUNDS_MS_MAX = 5
/** The same for exchanges that follow each other by way of microtasks. */
const STREAK_MAX = 8
const HUB_NAME_DEFAULT = 'default'
/** A due time is looked at again at least this often, as wall time may be set. */
const RECHECK_MS_MAX = 1_000
/** `setInterval` takes no more; it only holds the process. */
const HOLD_MS = 2_147_483_647
/** How long the core of a lost hub may take to let go of its store. */
const RELEASE_MS = 5_000
/** Number of the close of a lost hub: no other call has it. */
const LAST_REQUEST = 4_294_967_295

/** A call that can be given up. */
export interface Call<T> {
  readonly promise: Promise<T>
  /** Rejects the promise, and tells the core that nobody waits any more. */
  abandon(error: Error): void
}

export class Engine implements Outlet {
  readonly log: Log
  readonly http: HttpSettings
  payloadBytes: number
  /** The file of the hub; null: it is in memory or in a database. */
  private readonly path: string | null
  private readonly isInDatabase: boolean
  /** What the store says of its own durability. */
  synchronous = ''
  /** Unique to the hub; part of idempotency keys. */
  private hubId = ''
  /** The name that the hub has in its store. */
  hubName: string = HUB_NAME_DEFAULT
  private readonly isWorker: boolean
  /** What user code runs in, whoever's call it is that brings it about. */
  private readonly origin: Origin = new Origin()
  private readonly runner: Runner
  private readonly stopListening: () => void
  private readonly hold: NodeJS.Timeout
  private native: NativeEngine | null = null
  private closing: Promise<void> | null = null
  /** Why the hub was lost, if it was. */
  private loss: DurableError | null = null
  /** Resolves when a hub that was lost has let go of its store. */
  private released: Promise<void> = Promise.resolve()
  /** The number of the close, once it was asked for. */
  private closeRequest = LAST_REQUEST
  /** What news from the core of a lost hub are for. */
  private afterLoss: (() => void) | null = null
  /** Why calls are refused, once they are. */
  private refusal: DurableError | null = null

  private readonly calls: Calls
  readonly crossing: CrossingBounds
  private readonly outgoing: Outgoing
  /** The core has more than one exchange takes. */
  private hasMore = false

  /** What the core knows of what JavaScript is in. */
  private inside = 0
  private isPumping = false
  private isScheduled = false
  /** Exchanges since the event loop had its turn. */
  private streak = 0
  private timer: NodeJS.Timeout | undefined = undefined
  private timerDue = Number.POSITIVE_INFINITY

  private constructor(
    options: EngineOptions,
    functions: Functions,
    log: Log,
    pendingCalls?: number,
    http: HttpSettings = HTTP_DEFAULTS,
  ) {
    this.log = log
    this.http = http
    this.calls = new Calls(pendingCalls)
    this.crossing = new CrossingBounds(options.exchangeBytes)
    this.outgoing = new Outgoing(this.crossing)
    this.payloadBytes = options.payloadBytes ?? PAYLOAD_BYTES_DEFAULT
    this.path = options.path
    this.isInDatabase = options.url !== undefined
    this.isWorker = options.role === 'worker'
    this.runner = functions.runner(this)
    this.hold = setInterval(() => {}, HOLD_MS)
    this.stopListening = this.isWorker ? functions.onRegister(this.register) : () => {}
  }

  /**
   * Opens a hub.
   *
   * @param pendingCalls how many calls may wait for an answer
   * @param http what the hub says of `callHttp`
   * @throws what the core says, or UnsupportedPlatform
   */
  static async open(
    options: EngineOptions,
    functions: Functions,
    log: Log,
    pendingCalls?: number,
    http?: HttpSettings,
  ): Promise<Engine> {
    const engine = new Engine(options, functions, log, pendingCalls, http)
    try {
      engine.native = createEngine(JSON.stringify(options), engine.pump)
      const info = await new Promise<EngineInfo>((resolve, reject) => {
        engine.calls.addOpening({ resolve, reject, convert: null })
      })
      engine.payloadBytes = info.payloadBytes
      engine.synchronous = info.synchronous
      engine.hubId = info.hubId
      engine.hubName = info.hubName ?? HUB_NAME_DEFAULT
      if (!engine.isWorker && engine.calls.size === 0) engine.hold.unref()
      return engine
    } catch (error) {
      engine.stop(new HubClosed('The hub could not be opened.', { cause: error }))
      await engine.runner.closed()
      throw error
    }
  }

  /**
   * What names of files that belong to the hub begin with: its own, or for one in a database its name in
   * the folder `.durafn`. Null: it is in memory.
   */
  get filePrefix(): string | null {
    return this.isInDatabase ? resolve('.durafn', this.hubName) : this.path
  }

  // ---------------------------------------------------------------- calls

  /** Sends a request, given as its JSON text, and gives what `convert` makes of the reply. */
  call<T>(
    request: RawJson,
    convert: ((ok: never) => T) | null = null,
    kind: CallKind = 'bounded',
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.send(request, { resolve, reject, convert }, kind)
    })
  }

  /** The same for a call that waits for an instance, and that its caller may give up. */
  callUntil<T>(request: RawJson, convert: (ok: never) => T): Call<T> {
    let rid = 0
    let fail: (error: Error) => void = () => {}
    const promise = new Promise<T>((resolve, reject) => {
      fail = reject
      rid = this.send(request, { resolve, reject, convert }, 'waiting')
    })
    const abandon = (error: Error): void => {
      if (this.settled(rid) === undefined) return
      this.outgoing.add('forget', String(rid))
      this.schedule()
      fail(error)
    }
    return { promise, abandon }
  }

  private send(request: RawJson, call: PendingCall, kind: CallKind): number {
    if (this.refusal !== null) {
      call.reject(this.refusal)
      return 0
    }
    if (!this.isWorker && this.calls.size === 0) this.hold.ref()
    const rid = this.calls.add(request, call, kind)
    this.schedule()
    return rid
  }

  /** Takes a call off the list. A client holds the process only while a call of it waits. */
  private settled(rid: number): PendingCall | undefined {
    const call = this.calls.settled(rid)
    if (call !== undefined && !this.isWorker && this.calls.size === 0) this.hold.unref()
    return call
  }

  private readonly register = (added: Registered): void => {
    this.call(`{"register":${JSON.stringify(added)}}`, null, 'prompt').catch((error: unknown) => {
      if (error instanceof HubClosed) return
      this.log.engine('error', `A function could not be registered: ${messageOf(error)}`)
    })
  }

  // ---------------------------------------------------------------- the queue

  readonly queueResult = (run: number, ok: 0 | 1, payload: RawJson | null): void => {
    this.outgoing.add('results', payload === null ? `[${run},${ok}]` : `[${run},${ok},${payload}]`)
    this.schedule()
  }

  readonly queueTurn = (outcome: RawJson): void => {
    this.outgoing.add('turns', outcome)
    this.schedule()
  }

  readonly queueEntity = (outcome: RawJson): void => {
    this.outgoing.add('entities', outcome)
    this.schedule()
  }

  readonly queuePoison = (token: number, heldMs: number): void => {
    this.outgoing.add('poisons', `[${token},${Math.ceil(heldMs)}]`)
    this.schedule()
  }

  readonly queueOverdue = (inside: number, heldMs: number): void => {
    this.outgoing.add('overdue', `[${inside},${Math.ceil(heldMs)}]`)
    this.schedule()
  }

  readonly queueWaiting = (token: number): void => {
    this.outgoing.add('waiting', String(token))
    this.schedule()
  }

  readonly enters = (inside: number): void => {
    if (inside === this.inside) return
    this.inside = inside
    this.native?.enters(inside)
  }

  readonly leaves = (): void => {
    if (!this.hasQueued) this.enters(0) // else an exchange follows at once
  }

  violated(instanceId: string): void {
    this.outgoing.add('violations', JSON.stringify(instanceId))
    this.schedule()
  }

  private get hasQueued(): boolean {
    return this.hasMore || this.calls.outgoingChars > 0 || !this.outgoing.isEmpty
  }

  /**
   * Exchanges once the microtasks of this tick are done, so that one batch holds all of them. Activities
   * that end at once would go on like this for ever, so the event loop gets its turn now and then.
   */
  private schedule(): void {
    if (this.isScheduled || this.isPumping) return
    this.isScheduled = true
    this.streak += 1
    if (this.streak < STREAK_MAX) queueMicrotask(this.afterMicrotasks)
    else setImmediate(this.flushLater)
  }

  private readonly afterMicrotasks = (): void => {
    nextTick(this.flush)
  }

  private readonly flush = (): void => {
    this.isScheduled = false
    if (this.hasQueued) this.pump()
  }

  private readonly flushLater = (): void => {
    this.streak = 0
    this.flush()
  }

  // ---------------------------------------------------------------- the exchange

  /**
   * Exchanges, and again while the dispatch itself has queued something. Also what the core calls
   * when it has news, from a macrotask of its own.
   */
  readonly pump = (): void => {
    if (this.native === null) this.afterLoss?.()
    if (this.isPumping || this.native === null) return
    this.isPumping = true
    this.origin.run(this.exchange)
    this.isPumping = false
    if (this.hasQueued && this.native !== null && !this.isScheduled) {
      this.isScheduled = true
      setImmediate(this.flushLater)
    }
  }

  private readonly exchange = (): void => {
    if (this.native === null) return
    try {
      const until = monotonicMs() + ROUNDS_MS_MAX
      let rounds = 0
      do {
        const batch = this.outgoing.take(this.calls.outgoingChars, this.takeCalls)
        this.dispatch(JSON.parse(this.native.exchange(batch)) as Outbound)
        rounds += 1
      } while (
        this.hasQueued &&
        this.native !== null &&
        rounds < ROUNDS_MAX &&
        monotonicMs() < until
      )
    } catch (error) {
      this.broken(error)
    }
  }

  private readonly takeCalls = (): string => this.calls.takeOutgoing()

  private dispatch(outbound: Outbound): void {
    this.hasMore = outbound.more === true
    this.inside = outbound.inside ?? 0
    if (outbound.fatal !== undefined) {
      this.giveUp(fromEngine(outbound.fatal), outbound.replies)
      return
    }
    if (outbound.logs !== undefined) this.writeLogs(outbound.logs)
    if (outbound.drops !== undefined) this.runner.drop(outbound.drops)
    if (outbound.aborts !== undefined) this.runner.abort(outbound.aborts)
    if (outbound.replies !== undefined) this.settleReplies(outbound.replies)
    if (this.native === null) return
    if (outbound.activities !== undefined) {
      this.runner.start(outbound.activities.map((tuple) => activityOf(tuple, this.hubId)))
    }
    if (outbound.activations !== undefined) {
      this.runner.run(outbound.activations.map(activationOf))
    }
    if (outbound.entities !== undefined) {
      this.runner.runEntities(outbound.entities.map(entityActivationOf))
    }
    if (outbound.wakeInMs !== undefined) this.wakeIn(outbound.wakeInMs)
  }

  private writeLogs(logs: NonNullable<Outbound['logs']>): void {
    for (const { level, message, instanceId } of logs) {
      const about = instanceId === undefined ? '' : ` (instance '${instanceId}')`
      this.log.engine(level, `${message}${about}`)
    }
  }

  private settleReplies(replies: Reply[]): void {
    for (const [rid, result, error] of replies) {
      const pending = this.settled(rid)
      if (pending === undefined) continue
      if (error !== undefined) {
        pending.reject(fromEngine(error))
        continue
      }
      try {
        const ok = result as never
        pending.resolve(pending.convert === null ? ok : (pending.convert(ok) as never))
      } catch (error) {
        const message = `The answer to a call cannot be given to its caller: ${messageOf(error)}`
        pending.reject(new Internal(message, { cause: error }))
      }
    }
  }

  /** One timer, for the earliest time asked for; one that fires too early only asks again. */
  private wakeIn(ms: number): void {
    const delay = Math.min(Math.max(Math.ceil(ms), 1), RECHECK_MS_MAX)
    const due = monotonicMs() + delay
    if (due >= this.timerDue) return
    clearTimeout(this.timer)
    this.timerDue = due
    this.timer = setTimeout(this.timerFired, delay)
    this.timer.unref()
  }

  private readonly timerFired = (): void => {
    this.timerDue = Number.POSITIVE_INFINITY
    this.pump()
  }

  // ---------------------------------------------------------------- the end

  /**
   * Closes: no activity starts from now on; those that run may end within `drainTimeoutMs` and are
   * aborted then; what is queued is written, and the store is released.
   */
  close(drainTimeoutMs: number): Promise<void> {
    this.closing ??= this.drainAndClose(drainTimeoutMs)
    return this.closing
  }

  private async drainAndClose(drainTimeoutMs: number): Promise<void> {
    if (this.refusal !== null) {
      await this.released // it broke before
      return await this.runner.closed()
    }
    try {
      if (this.isWorker) {
        await this.call('{"drain":{}}', null, 'prompt')
        await this.origin.run(() => this.runner.drain(drainTimeoutMs))
      }
      // In line, so that what was asked for before it is done before it.
      const release = (): void => {
        this.native = null // at once: nothing may follow the answer to the last request
      }
      const closed = new Promise<void>((resolve, reject) => {
        const call = { resolve, reject, convert: release }
        this.closeRequest = this.send('{"close":{}}', call, 'waiting')
      })
      this.refusal = new HubClosed('The hub is closed.')
      await closed
    } catch (error) {
      // What is lost meanwhile is as closed as what was lost before.
      if (error !== this.loss && !(error instanceof HubClosed)) throw error
    } finally {
      this.stop(new HubClosed('The hub was closed before the call was answered.'))
      await this.released
      await this.runner.closed()
    }
  }

  /** The core is not to be trusted any more. */
  private broken(error: unknown): void {
    const message = `The engine failed and the hub is closed: ${messageOf(error)}`
    this.giveUp(new Internal(message, { cause: error }))
  }

  /** The hub is lost: nothing may wait for it. */
  private giveUp(reason: DurableError, replies?: Reply[]): void {
    this.log.engine('error', reason.message)
    this.loss = reason
    const native = this.native
    this.stop(reason)
    if (native !== null && !this.isClosed(replies)) this.released = this.release(native)
  }

  /** Whether the core has let go of the store, asked by a close before the loss or after it. */
  private isClosed(replies: Reply[] = []): boolean {
    return replies.some(([rid]) => rid === LAST_REQUEST || rid === this.closeRequest)
  }

  /** Has the core let go of the store, if it still can, so that a closed hub can be opened again. */
  private release(native: NativeEngine): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(late)
        this.afterLoss = null
        resolve()
      }
      const late = setTimeout(done, RELEASE_MS)
      const exchange = (batch: string): void => {
        try {
          const { replies, more } = JSON.parse(native.exchange(batch)) as Outbound
          if (this.isClosed(replies)) done()
          else if (more === true) setImmediate(exchange, '')
        } catch {
          done() // it has failed already, and that was reported
        }
      }
      this.afterLoss = () => exchange('')
      exchange(`{"requests":[[${LAST_REQUEST},{"close":{}}]]}`)
    })
  }

  /** Lets go of everything; every call that waits is rejected with `reason`. */
  private stop(reason: DurableError): void {
    this.refusal ??= reason
    this.native = null
    this.calls.rejectAll(reason) // before all that could fail
    this.stopListening()
    clearTimeout(this.timer)
    clearInterval(this.hold)
    this.origin.run(() => this.runner.close())
  }
}
