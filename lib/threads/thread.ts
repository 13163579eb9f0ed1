/**
 * One thread of an app, from the outside: a worker, and the next one when it dies.
 *
 * Owns: the worker, what waits to be sent to it, what it has been sent and has not answered, and when
 * it is started again.
 * Must never: decide what becomes of what a dead worker had under way; its owner does.
 * Proved by: `__test__/threads.spec.mjs`.
 */

import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { clearTimeout, queueMicrotask, setImmediate, setTimeout } from '../clock.js'
import { InvalidFunction } from '../errors.js'
import { errorFromFailure, messageOf } from '../failure.js'
import type { Activation, ActivityStart, EntityActivation, Registered } from '../protocol.js'
import { SEVERAL } from '../surroundings.js'
import { Timeout } from '../timer.js'
import { Cell } from './cell.js'
import type { FromThread, ThreadData, WorkerData } from './messages.js'
import { refused } from './module.js'

/** An activity's run, as long as it has no result. */
export interface Run {
  readonly start: ActivityStart
  /** How long its handler is expected to hold its thread, in milliseconds. */
  expectedMs: number
}

/** An activation that a worker has not answered. */
export interface Underway {
  readonly iid: number
  readonly token: number
  readonly isReplay: boolean
}

/** What a worker took with it. */
export interface Lost {
  readonly activations: Underway[]
  readonly runs: Run[]
  /** Runs that it was never sent. */
  readonly unsent: Run[]
  /** Why it was ended, if it was. */
  readonly ended: Ended | null
}

/** Why a worker was ended that did not get on. */
export interface Ended {
  /** What it was in, as `Surroundings.enters` says it. */
  readonly inside: number
  readonly heldMs: number
  /** That of the activity, if it was ended for one. */
  readonly timeoutMs: number
  readonly why: string
}

/** Who is told. */
export interface Owner {
  readonly payloadBytes: number
  /** Characters of one message, about. */
  readonly batchChars: number
  heard(thread: Thread, message: FromThread): void
  died(thread: Thread, why: string, lost: Lost): void
  /** Its text cannot be made. */
  unsendable(item: Activation | EntityActivation | ActivityStart, error: unknown): void
}

const PROGRAM: string = join(__dirname, 'worker.js')
/** How long what an aborted activity does about it may take before its thread is ended. */
const ABORT_MS = 1_000
/** Pauses before a worker that died for nothing it was sent is started again. */
const PAUSE_MS_MIN = 50
const PAUSE_MS_MAX = 5_000

export class Thread {
  readonly name: string
  isLoaded = false
  /** What it was sent, by instance and by run. */
  readonly underway: Map<number, Underway> = new Map()
  readonly runs: Map<number, Run> = new Map()
  /** How long the handlers that it has not come to yet are expected to hold it, in milliseconds. */
  backlogMs = 0
  /** The names that it has registered, without regard to case. */
  readonly orchestrators: Set<string> = new Set()
  readonly activities: Set<string> = new Set()
  readonly entities: Set<string> = new Set()
  private readonly unbegun: Map<number, Run> = new Map()
  private readonly owner: Owner
  private readonly data: ThreadData
  private worker: Worker | null = null
  /** What the worker is in. */
  cell: Cell = new Cell()
  /** Something that it was sent was given up, and may still hold it. */
  hasDropped = false
  private ended: Ended | null = null
  private first: { resolve: (all: Registered) => void; reject: (error: Error) => void } | null =
    null
  private error: unknown = undefined
  private isClosed = false
  /** Deaths in a row that nothing it was sent can be blamed for. */
  private failures = 0
  private pause: NodeJS.Timeout | undefined = undefined
  private abortHeard: () => void = () => {}
  // To be sent:
  private drops: number[] = []
  private aborts: number[] = []
  private activations: Activation[] = []
  private batches: EntityActivation[] = []
  private starts: Run[] = []
  private isScheduled = false

  constructor(name: string, data: ThreadData, owner: Owner) {
    this.name = name
    this.data = data
    this.owner = owner
  }

  /**
   * Starts the first worker, which holds the process until it has loaded the module: what that has
   * registered.
   *
   * @throws InvalidFunction
   */
  load(): Promise<Registered> {
    return new Promise((resolve, reject) => {
      this.first = { resolve, reject }
      this.spawn()
    })
  }

  /** Starts a worker for a hub that is open, and holds the process itself. */
  spawn(): void {
    this.error = undefined
    this.cell = new Cell()
    const workerData: WorkerData = { ...this.data, cell: this.cell.memory }
    let worker: Worker
    try {
      worker = new Worker(PROGRAM, {
        name: this.name,
        workerData,
        argv: process.argv.slice(2), // the module may read its options from there
      })
    } catch (error) {
      this.error = error
      setImmediate(() => this.exited(0))
      return
    }
    this.worker = worker
    if (this.first === null) worker.unref()
    worker.on('message', (message: FromThread | null) => this.hear(message ?? {}))
    worker.on('error', (error) => {
      this.error = error
    })
    worker.on('exit', (code) => this.exited(code))
  }

  // ---------------------------------------------------------------- what is sent

  /** How much it has to do. */
  get size(): number {
    return this.runs.size + this.starts.length
  }

  /** How many entities it runs operations of. */
  get entityCount(): number {
    const isEntity = (iid: number): boolean => !Number.isInteger(iid)
    return this.batches.length + [...this.underway.keys()].filter(isEntity).length
  }

  /** Whether it has answered all that it was given. */
  get isIdle(): boolean {
    return (
      this.runs.size + this.underway.size === 0 &&
      this.starts.length + this.activations.length + this.batches.length === 0
    )
  }

  run(activation: Activation): void {
    this.activations.push(activation)
    this.schedule()
  }

  runEntity(batch: EntityActivation): void {
    this.batches.push(batch)
    this.schedule()
  }

  start(run: Run): void {
    this.starts.push(run)
    this.unbegun.set(run.start.run, run)
    this.backlogMs += run.expectedMs
    this.schedule()
  }

  drop(iid: number): void {
    if (this.underway.delete(iid)) this.hasDropped = true
    if (this.activations.length > 0) {
      this.activations = this.activations.filter((activation) => activation.iid !== iid)
    }
    if (!this.isLoaded) return // nothing lives there
    this.drops.push(iid)
    this.schedule()
  }

  /** Whether the run was its. */
  abort(run: number): boolean {
    if (this.runs.delete(run)) {
      this.hasDropped = true
      this.aborts.push(run)
      this.schedule()
      return true
    }
    const unsent = this.starts.findIndex(({ start }) => start.run === run)
    if (unsent < 0) return false
    this.starts.splice(unsent, 1)
    this.begun(run)
    return true
  }

  /** What of it is under way that the core still wants, and that it could be in. */
  wants(inside: number): boolean {
    if (inside < 0) return this.runs.has(-inside)
    if (inside === SEVERAL) return this.underway.size > 0
    if (inside === 0) {
      // Something that goes on after an await, and does not say whose it is.
      return this.begunRuns.length > 0 || (this.underway.size > 0 && !this.hasDropped)
    }
    return [...this.underway.values()].some(({ token }) => token === inside)
  }

  /** Activities whose handlers have given a promise. */
  get begunRuns(): Run[] {
    return [...this.runs.values()].filter(({ start }) => !this.unbegun.has(start.run))
  }

  /** Activations that it has not answered, or not been sent. */
  *given(): Iterable<{ iid: number; token: number }> {
    yield* this.underway.values()
    yield* this.activations
  }

  /** Has it say that it gets on. */
  ping(): void {
    this.worker?.postMessage(null)
  }

  /** Ends a worker that does not get on; the next one is started. */
  end(ended: Ended): void {
    if (this.worker === null || this.ended !== null) return
    this.ended = ended
    void this.worker.terminate()
  }

  /** Aborts all activities. Resolves when that has been done about it which is done at once. */
  abortAll(): Promise<void> {
    this.runs.clear()
    this.starts = []
    if (this.worker === null || !this.isLoaded) return Promise.resolve()
    this.flush(true)
    return new Promise((resolve) => {
      const timeout = new Timeout(ABORT_MS, resolve)
      this.abortHeard = () => {
        timeout.clear()
        resolve()
      }
    })
  }

  /** The handler of a run has returned: the run, if it was sent to this worker. */
  begun(number: number): Run | undefined {
    const run = this.unbegun.get(number)
    if (run === undefined) return undefined
    this.unbegun.delete(number)
    this.backlogMs = this.unbegun.size === 0 ? 0 : this.backlogMs - run.expectedMs
    return run
  }

  /** With the next microtask, so that one message holds what one batch of the core brings. */
  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    queueMicrotask(this.flushScheduled)
  }

  private readonly flushScheduled = (): void => {
    this.isScheduled = false
    this.flush(false)
  }

  private flush(abortAll: boolean): void {
    if (!this.isLoaded) return
    let head = `"abortAll":${abortAll},"drops":[${this.drops}],"aborts":[${this.aborts}]`
    const most = this.owner.batchChars
    let isNeeded = abortAll || this.drops.length + this.aborts.length > 0
    this.drops = []
    this.aborts = []
    let activations = ''
    let entities = ''
    let activities = ''
    const post = (): void => {
      this.worker?.postMessage(
        `{"payloadBytes":${this.owner.payloadBytes},"batchChars":${most},${head},"activations":[${activations.slice(1)}],"entities":[${entities.slice(1)}],"activities":[${activities.slice(1)}]}`,
      )
      head = '"abortAll":false,"drops":[],"aborts":[]'
      activations = ''
      entities = ''
      activities = ''
      isNeeded = false
    }
    const hasRoom = (text: string): boolean => {
      const chars = activations.length + entities.length + activities.length
      return chars === 0 || chars + text.length <= most
    }
    for (const item of [...this.takeActivations(), ...this.takeBatches()]) {
      const text = this.textOf(item)
      if (text === undefined) continue
      if (!hasRoom(text)) post()
      if (this.noteSent(item)) entities += `,${text}`
      else activations += `,${text}`
    }
    const starts = this.starts
    this.starts = []
    for (const run of starts) {
      const text = this.textOfRun(run)
      if (!hasRoom(text)) post()
      activities += text
    }
    if (isNeeded || activations + entities + activities !== '') post()
  }

  private textOfRun(run: Run): string {
    const text = this.textOf(run.start)
    if (text === undefined) this.begun(run.start.run)
    else this.runs.set(run.start.run, run)
    return text === undefined ? '' : `,${text}`
  }

  /** Whether it is of an entity. */
  private noteSent(item: Activation | EntityActivation): boolean {
    const { iid, token } = item
    const isReplay = 'replayed' in item && item.replayed > 0
    this.underway.set(iid, { iid, token, isReplay })
    return 'operations' in item
  }

  /** Those whose orchestrator the worker has; it may register the others yet. */
  private takeActivations(): Activation[] {
    const ready: Activation[] = []
    const held: Activation[] = []
    for (const activation of this.activations) {
      const name = activation.start?.name
      const isKnown = name === undefined || this.orchestrators.has(name.toLowerCase())
      if (isKnown) ready.push(activation)
      else held.push(activation)
    }
    this.activations = held
    return ready
  }

  /** The same for entities. */
  private takeBatches(): EntityActivation[] {
    const isKnown = ({ entityId }: EntityActivation): boolean =>
      this.entities.has(entityId.slice(1, entityId.indexOf('@', 1)))
    const ready = this.batches.filter(isKnown)
    this.batches = this.batches.filter((batch) => !isKnown(batch))
    return ready
  }

  private textOf(item: Activation | EntityActivation | ActivityStart): string | undefined {
    try {
      return JSON.stringify(item)
    } catch (error) {
      this.owner.unsendable(item, error) // nested as deeply as only the parser can go
      return undefined
    }
  }

  // ---------------------------------------------------------------- what comes back

  private hear(message: FromThread): void {
    if (message.failed !== undefined) {
      this.error = errorFromFailure(JSON.parse(message.failed))
    }
    if (message.loaded !== undefined) {
      this.isLoaded = true
      this.learn(message.loaded)
      this.first?.resolve(message.loaded)
      this.first = null
      this.worker?.unref()
    }
    if (message.registered !== undefined) this.learn(message.registered)
    if (message.aborted === true) this.abortHeard()
    this.owner.heard(this, message)
  }

  private learn({ orchestrators, activities, entities }: Registered): void {
    for (const name of orchestrators) this.orchestrators.add(name.toLowerCase())
    for (const { name } of activities) this.activities.add(name.toLowerCase())
    for (const name of entities) this.entities.add(name.toLowerCase())
    if (this.activations.length + this.batches.length + this.starts.length > 0) this.schedule()
  }

  // ---------------------------------------------------------------- the ends

  private exited(code: number): void {
    this.worker = null
    this.abortHeard()
    if (this.isClosed) return
    const why = this.why(code)
    if (this.first !== null) {
      const { error } = this
      this.first.reject(
        error instanceof InvalidFunction ? error : refused(this.data.module, why, error),
      )
      this.first = null
      return
    }
    const lost: Lost = {
      activations: [...this.underway.values()],
      runs: [...this.runs.values()],
      unsent: this.starts,
      ended: this.ended,
    }
    this.forget()
    const isBlameless = lost.ended === null && lost.activations.length + lost.runs.length === 0
    this.failures = isBlameless ? this.failures + 1 : 0
    const ms = isBlameless ? Math.min(PAUSE_MS_MIN * 2 ** (this.failures - 1), PAUSE_MS_MAX) : 0
    this.pause = setTimeout(() => this.spawn(), ms)
    this.pause.unref()
    this.owner.died(this, why, lost)
  }

  /** What a worker that is gone had. Activations that were not sent are for the next one. */
  private forget(): void {
    this.isLoaded = false
    this.hasDropped = false
    this.ended = null
    this.underway.clear()
    this.runs.clear()
    this.unbegun.clear()
    this.orchestrators.clear()
    this.activities.clear()
    this.entities.clear()
    this.backlogMs = 0
    this.drops = []
    this.aborts = []
    this.starts = []
  }

  private why(code: number): string {
    if (this.ended !== null) return this.ended.why
    if (this.error === undefined) {
      return `it ended with exit code ${code}, by process.exit or because it was terminated`
    }
    const stack = (this.error as Partial<Error> | null)?.stack
    const isFailedLoad = !this.isLoaded
    return typeof stack === 'string' && !isFailedLoad ? stack : messageOf(this.error)
  }

  /** Ends the worker for good. Its activities are aborted first. */
  async close(): Promise<void> {
    this.isClosed = true
    this.activations = []
    this.batches = []
    clearTimeout(this.pause)
    if (this.runs.size > 0) await this.abortAll()
    await this.worker?.terminate()
  }
}
