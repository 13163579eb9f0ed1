/**
 * The threads of a hub: a runner whose user code runs in worker threads.
 *
 * Owns: which thread runs what, and what becomes of what a thread that died had under way. An instance
 * is always in the same thread, chosen by its number, so that its execution stays there. Its
 * activities go to whichever thread has least to do, as they need nothing of the execution, and one
 * instance's fan-out is to use all cores.
 * Must never: lose what a thread has been sent, or run an activity for ever that ends its thread.
 * Proved by: `__test__/threads.spec.mjs`.
 */

import { timedOut } from '../activities.js'
import type { HttpSettings } from '../call-http/settings.js'
import { batchFailed } from '../entities.js'
import { Internal, Poison } from '../errors.js'
import { executionFailed, nothingRun } from '../executor.js'
import { failureText, messageOf } from '../failure.js'
import type { Log } from '../log.js'
import { CrossingBounds } from '../outgoing.js'
import type {
  Activation,
  ActivityStart,
  EntityActivation,
  RawJson,
  Registered,
} from '../protocol.js'
import type { Functions, Outlet, Runner } from '../runner.js'
import { SEVERAL } from '../surroundings.js'
import { Timeout } from '../timer.js'
import { Apart, CRASHES, keyOfExecution, keyOfRun } from './apart.js'
import type { FromThread, ThreadData } from './messages.js'
import { refused } from './module.js'
import { type Ended, type Lost, type Owner, type Run, Thread } from './thread.js'
import { Watch, type Watched } from './watch.js'

/**
 * A thread is sent no more activities once those that it has not come to are expected to hold it this
 * long: the rest goes to whoever gets on first. An activity that has never run is expected to take as
 * long, so that one is sent at a time.
 */
const BACKLOG_MS = 5
/** What a new measurement of an activity weighs. */
const COST_WEIGHT = 0.25
const COSTS_MAX = 10_000
/** 2^32 over the golden ratio: numbers that follow each other spread evenly. */
const SPREAD = 0x9e3779b1
/** What can be registered. Their first letters tell them apart. */
const KINDS = ['orchestrators', 'activities', 'entities'] as const
type Kind = (typeof KINDS)[number]

/** Whether it is to be given up, by what it would be in and by its key. */
type Blame = (inside: number, key: string) => boolean

export class Threads implements Functions, Runner, Owner, Watched {
  private readonly module: string
  private readonly log: Log
  private readonly threads: Thread[]
  private readonly apart: Apart
  private readonly watch: Watch
  private outlet: Outlet | null = null
  /** What holds until there is a hub. */
  private readonly unopened: CrossingBounds = new CrossingBounds()
  private listener: (added: Registered) => void = () => {}
  /** Names that the core knows: the first letter of the kind, and the name without regard to case. */
  private readonly announced: Set<string> = new Set()
  /** Runs that no thread has been sent, in order. */
  private readonly queue: Map<number, Run> = new Map()
  /** How long the handler of an activity holds its thread, in milliseconds, by name. */
  private readonly costs: Map<string, number> = new Map()
  /** The thread to look at first, so that equals take turns. */
  private turn = 0
  private isDraining = false
  private idle: (() => void) | null = null
  private ending: Promise<unknown> | null = null
  private all: Registered = { orchestrators: [], activities: [], entities: [] }

  private constructor(module: string, count: number, log: Log, http: HttpSettings, turnMs: number) {
    this.module = module
    this.log = log
    const data: ThreadData = { module, verbosity: log.verbosity, http }
    const make = (name: string): Thread => new Thread(`durafn ${name}`, data, this)
    this.threads = Array.from({ length: count }, (_, index) => make(String(index + 1)))
    this.apart = new Apart(() => make('apart'))
    this.watch = new Watch(this, turnMs)
  }

  /**
   * Starts the threads, each of which loads the module.
   *
   * @throws InvalidFunction
   */
  static async load(
    module: string,
    count: number,
    log: Log,
    http: HttpSettings,
    turnMs: number,
  ): Promise<Threads> {
    const pool = new Threads(module, count, log, http, turnMs)
    try {
      const registered = await Promise.all(pool.threads.map((thread) => thread.load()))
      pool.all = pool.agreed(registered)
      return pool
    } catch (error) {
      pool.close()
      await pool.closed()
      throw error
    }
  }

  /** What all threads have registered; an instance may be in any. */
  private agreed(registered: Registered[]): Registered {
    const texts = registered.map(({ orchestrators, activities, entities }) =>
      JSON.stringify([
        orchestrators.toSorted(),
        activities.map((activity) => JSON.stringify(activity)).toSorted(),
        entities.toSorted(),
      ]),
    )
    const other = texts.findIndex((text) => text !== texts[0])
    const first = registered[0] as Registered
    if (other < 0) {
      this.announce(first)
      return first
    }
    const names = difference(first, registered[other] as Registered).join(', ') || 'their options'
    throw refused(
      this.module,
      `it does not register the same in each thread (${names}). What it registers must not depend on the thread`,
    )
  }

  // ---------------------------------------------------------------- as functions

  registered(): Registered {
    return this.all
  }

  onRegister(listener: (added: Registered) => void): () => void {
    this.listener = listener
    return () => {
      this.listener = () => {}
    }
  }

  runner(outlet: Outlet): Runner {
    this.outlet = outlet
    return this
  }

  // ---------------------------------------------------------------- as a runner

  drop(iids: number[]): void {
    for (const iid of iids) {
      this.home(iid).drop(iid)
      this.apart.drop(iid)
    }
    this.watch.begin()
  }

  abort(runs: number[]): void {
    for (const run of runs) {
      this.apart.clear(keyOfRun(run))
      if (this.queue.delete(run)) continue
      if (!this.threads.some((thread) => thread.abort(run))) this.apart.abort(run)
    }
    this.checkIdle()
  }

  start(starts: ActivityStart[]): void {
    this.watch.begin()
    for (const start of starts) this.queue.set(start.run, { start, expectedMs: 0 })
    this.dispatch()
  }

  run(activations: Activation[]): void {
    this.watch.begin()
    for (const activation of activations) {
      const { iid } = activation
      if (this.apart.isSuspect(keyOfExecution(iid))) this.apart.add(activation)
      else this.home(iid).run(activation)
    }
  }

  runEntities(activations: EntityActivation[]): void {
    this.watch.begin()
    for (const activation of activations) {
      const { iid } = activation
      if (this.apart.isSuspect(keyOfExecution(iid))) this.apart.add(activation)
      else this.home(iid).runEntity(activation)
    }
  }

  async drain(timeoutMs: number): Promise<void> {
    this.isDraining = true
    this.queue.clear() // the core counts them as running, and has them run again at the next open
    this.apart.drain()
    if (this.running === 0) return
    const isDone = await new Promise<boolean>((resolve) => {
      const timeout = new Timeout(timeoutMs, () => resolve(false))
      this.idle = () => {
        timeout.clear()
        resolve(true)
      }
    })
    if (!isDone) await Promise.all(this.every.map((thread) => thread.abortAll()))
  }

  close(): void {
    this.watch.end()
    this.ending ??= Promise.all([
      ...this.threads.map((thread) => thread.close()),
      this.apart.close(),
    ])
    this.queue.clear()
  }

  async closed(): Promise<void> {
    await this.ending
  }

  // ---------------------------------------------------------------- who runs what

  /** The thread of an instance. */
  private home(iid: number): Thread {
    const place = (Math.imul(iid, SPREAD) >>> 0) / 2 ** 32
    return this.threads[Math.floor(place * this.threads.length)] as Thread
  }

  private dispatch(): void {
    if (this.isDraining) return
    for (const [number, run] of this.queue) {
      if (this.apart.isSuspect(keyOfRun(number))) {
        this.queue.delete(number)
        this.apart.add(run)
        continue
      }
      run.expectedMs = this.costs.get(run.start.name) ?? BACKLOG_MS
      const thread = this.freest(run.start.name)
      if (thread === undefined) return // what is behind it waits as well, and is not overtaken
      this.queue.delete(number)
      thread.start(run)
    }
  }

  /** Of the threads that can take more, the one with least to do; none if all have enough. */
  private freest(name: string): Thread | undefined {
    const key = name.toLowerCase()
    const isKnown = this.announced.has(`a${key}`)
    let best: Thread | undefined
    for (let n = 0; n < this.threads.length; n++) {
      const thread = this.threads[(this.turn + n) % this.threads.length] as Thread
      if (!thread.isLoaded || thread.backlogMs >= BACKLOG_MS) continue
      if (isKnown && !thread.activities.has(key)) continue
      if (best === undefined || isFreer(thread, best)) best = thread
    }
    this.turn = (this.turn + 1) % this.threads.length
    return best
  }

  private learn(run: Run | undefined, ms: number): void {
    if (run === undefined) return
    const { name } = run.start
    const before = this.costs.get(name)
    if (before === undefined && this.costs.size >= COSTS_MAX) this.costs.clear()
    this.costs.set(name, before === undefined ? ms : before + (ms - before) * COST_WEIGHT)
  }

  get every(): Thread[] {
    return [...this.threads, ...this.apart.threads]
  }

  private get running(): number {
    return this.every.reduce((sum, thread) => sum + thread.size + thread.entityCount, 0)
  }

  private checkIdle(): void {
    if (this.idle === null || this.running > 0) return
    this.idle()
    this.idle = null
  }

  // ---------------------------------------------------------------- as the owner of threads

  get payloadBytes(): number {
    return this.outlet?.payloadBytes ?? 0
  }

  get batchChars(): number {
    return (this.outlet?.crossing ?? this.unopened).batchChars
  }

  heard(thread: Thread, message: FromThread): void {
    for (const [level, line] of message.logs ?? []) this.log.relay(level, line)
    if (this.outlet === null || this.ending !== null) return
    if (message.loaded !== undefined) this.reloaded(thread)
    if (message.registered !== undefined) this.announce(message.registered)
    this.take(thread, message, this.outlet)
    this.dispatch()
    if (this.apart.is(thread)) this.apart.next()
    this.checkIdle()
  }

  private take(thread: Thread, message: FromThread, outlet: Outlet): void {
    for (const instanceId of message.violations ?? []) outlet.violated(instanceId)
    for (const [run, ms] of message.begun ?? []) this.learn(thread.begun(run), ms)
    for (const turn of message.turns ?? []) this.answered(thread, outlet.queueTurn, ...turn)
    for (const [iid, token, outcome] of message.entities ?? []) {
      const take = outcome === nothingRun(token) ? outlet.queueTurn : outlet.queueEntity
      this.answered(thread, take, iid, token, outcome)
    }
    for (const [run, ok, payload] of message.results ?? []) {
      if (!thread.runs.delete(run)) continue // aborted meanwhile
      this.apart.clear(keyOfRun(run))
      outlet.queueResult(run, ok, payload)
    }
  }

  private answered(
    thread: Thread,
    take: (outcome: RawJson) => void,
    iid: number,
    token: number,
    outcome: RawJson,
  ): void {
    const underway = thread.underway.get(iid)
    if (underway?.token === token) {
      thread.underway.delete(iid)
      const gotOn = !underway.isReplay && outcome !== nothingRun(token)
      if (gotOn) this.apart.clear(keyOfExecution(iid))
    }
    take(outcome)
  }

  died(thread: Thread, why: string, lost: Lost): void {
    const { outlet } = this
    const { activations, runs, ended } = lost
    const what = ended === null ? 'died' : 'was ended'
    this.log.engine(
      'error',
      `Thread '${thread.name}' ${what} and is replaced; ${activations.length} turns and ${runs.length} activities were under way in it and run again:`,
      why,
    )
    if (outlet === null) return
    const isBlamed = this.blame(thread, ended)
    for (const { iid, token } of activations) {
      if (isBlamed(token, keyOfExecution(iid))) outlet.queuePoison(token, ended?.heldMs ?? 0)
      else outlet.queueTurn(nothingRun(token))
    }
    if (!this.isDraining) this.restart(lost, why, isBlamed)
    this.dispatch()
    if (this.apart.is(thread)) this.apart.next()
    this.checkIdle()
  }

  /** Activities of a thread that is gone. */
  private restart({ runs, unsent, ended }: Lost, why: string, isBlamed: Blame): void {
    for (const run of unsent) this.queue.set(run.start.run, run)
    for (const run of runs) {
      const inside = -run.start.run
      if (ended?.inside === inside) this.timedOut(run.start, ended)
      else if (isBlamed(inside, keyOfRun(run.start.run))) this.poisoned(run.start, why)
      else this.queue.set(run.start.run, run)
    }
  }

  /** Whether something has been under way at one death too many. What a thread was ended for is known. */
  private blame(thread: Thread, ended: Ended | null): Blame {
    if (ended === null || ended.inside === 0 || ended.inside === SEVERAL) {
      return (_, key) => this.apart.died(key, thread)
    }
    return (inside, key) => ended.inside === inside && this.apart.died(key, thread, true)
  }

  /** A thread is ended for an activity only at that one's own time. */
  private timedOut({ run, name, instanceId }: ActivityStart, { timeoutMs }: Ended): void {
    const error = timedOut(name, timeoutMs, instanceId)
    this.outlet?.queueResult(run, 0, failureText(error, this.payloadBytes))
  }

  // ---------------------------------------------------------------- as what is watched

  overdue(thread: Thread, inside: number, heldMs: number): void {
    if (inside !== 0) {
      this.outlet?.queueOverdue(inside, heldMs)
      return
    }
    // What goes on after an await does not say whose it is.
    for (const { start } of thread.begunRuns) this.outlet?.queueOverdue(-start.run, heldMs)
  }

  waits(token: number): void {
    this.outlet?.queueWaiting(token)
  }

  private poisoned(start: ActivityStart, why: string): void {
    const { run, name, instanceId } = start
    const message = `Activity '${name}' was under way each of ${CRASHES} times that its thread died, so it is not run again. Let it throw, or reject, instead of ending the thread: by process.exit, by an error that nothing catches, or by memory. Last: ${why}`
    this.outlet?.queueResult(run, 0, failureText(new Poison(message, { instanceId }), 0))
  }

  unsendable(item: Activation | EntityActivation | ActivityStart, error: unknown): void {
    const message = `It cannot be sent to a thread: ${messageOf(error)}`
    const reason = new Internal(message, { cause: error })
    const failure = failureText(reason, 0)
    if ('operations' in item) {
      this.outlet?.queueEntity(batchFailed(item, reason))
    } else if ('token' in item) this.outlet?.queueTurn(executionFailed(item.token, failure))
    else this.outlet?.queueResult(item.run, 0, failure)
  }

  /** A thread that replaces another has loaded the module. */
  private reloaded(thread: Thread): void {
    const missing = [...this.announced].filter((key) => {
      const kind = KINDS.find((each) => key.startsWith(each.charAt(0))) as Kind
      return !thread[kind].has(key.slice(1))
    })
    if (missing.length === 0) return
    const names = missing.map((key) => `'${key.slice(1)}'`).join(', ')
    this.log.engine(
      'warn',
      `Thread '${thread.name}' was started again and does not register what it registered before: ${names}. Its instances of them wait. Has the module '${this.module}' been changed? Then restart the process.`,
    )
  }

  /**
   * Tells the core of what is registered, once every thread has it: it may send an instance of it to
   * any of them at once.
   */
  private announce(registered: Registered): void {
    const loaded = this.threads.filter((thread) => thread.isLoaded)
    const isNew = (kind: Kind, name: string): boolean => {
      const key = name.toLowerCase()
      const mark = `${kind.charAt(0)}${key}`
      if (this.announced.has(mark) || !loaded.every((thread) => thread[kind].has(key))) return false
      this.announced.add(mark)
      return true
    }
    const added: Registered = {
      orchestrators: registered.orchestrators.filter((name) => isNew('orchestrators', name)),
      activities: registered.activities.filter(({ name }) => isNew('activities', name)),
      entities: registered.entities.filter((name) => isNew('entities', name)),
    }
    const count = added.orchestrators.length + added.activities.length + added.entities.length
    if (count > 0) this.listener(added)
  }
}

function isFreer(thread: Thread, than: Thread): boolean {
  if (thread.backlogMs !== than.backlogMs) return thread.backlogMs < than.backlogMs
  return thread.size < than.size
}

/** Names that only one of two has. */
function difference(a: Registered, b: Registered): string[] {
  const names = ({ orchestrators, activities, entities }: Registered): string[] => [
    ...orchestrators.map((name) => `orchestrator '${name}'`),
    ...activities.map(({ name }) => `activity '${name}'`),
    ...entities.map((name) => `entity '${name}'`),
  ]
  const [inA, inB] = [names(a), names(b)]
  return [
    ...inA.filter((name) => !inB.includes(name)),
    ...inB.filter((name) => !inA.includes(name)),
  ]
}
