/**
 * A thread that runs user code: the program of each worker of `threads/pool.ts`.
 *
 * Owns: the thread's registry, executions and activities, and the collecting of what they give.
 * Must never: load the native addon, or decide anything; the core is on the calling thread.
 * Proved by: `__test__/threads.spec.mjs`.
 */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { Activities } from '../activities.js'
import type { App } from '../app.js'
import type { HttpSettings } from '../call-http/settings.js'
import { monotonicMs, nextTick, queueMicrotask, setImmediate } from '../clock.js'
import { PAYLOAD_BYTES_DEFAULT } from '../codec.js'
import { Entities } from '../entities.js'
import { Executor } from '../executor.js'
import { failureText } from '../failure.js'
import { Log, type LogLevel } from '../log.js'
import { CrossingBounds } from '../outgoing.js'
import type { Activation, ActivityStart, EntityActivation, RawJson } from '../protocol.js'
import type { Surroundings } from '../surroundings.js'
import { Cell } from './cell.js'
import { enter } from './inside.js'
import type { FromThread, ThreadData, ToThread, WorkerData } from './messages.js'
import { loadApp } from './module.js'

class ThreadSide implements Surroundings {
  payloadBytes: number = PAYLOAD_BYTES_DEFAULT
  readonly log: Log
  readonly http: HttpSettings
  crossing: CrossingBounds = new CrossingBounds()
  private readonly port: MessagePort
  private readonly cell: Cell
  private readonly activities: Activities
  private readonly entities: Entities
  private readonly executor: Executor
  // Of the next message:
  private violations: string[] = []
  private begun: [number, number][] = []
  private results: [number, 0 | 1, RawJson | null][] = []
  private turns: [number, number, RawJson][] = []
  private outcomes: [number, number, RawJson][] = []
  private chars = 0
  private isScheduled = false

  constructor(port: MessagePort, app: App, log: Log, { http, cell }: WorkerData) {
    this.port = port
    this.cell = new Cell(cell)
    this.log = log
    this.http = http
    this.activities = new Activities(app, this, this.takeResult)
    this.entities = new Entities(app, this, this.takeEntity)
    this.executor = new Executor(app, this, this.takeTurn, this.post)
    // Whatever ends the thread in an orderly way, what was done before is not lost.
    process.on('exit', this.post)
  }

  violated(instanceId: string): void {
    this.violations.push(instanceId)
    this.schedule()
  }

  enters(inside: number, timeoutMs?: number): void {
    this.cell.enters(inside, timeoutMs)
  }

  leaves(): void {
    this.cell.leaves()
  }

  readonly receive = (text: string | null): void => {
    if (text === null) {
      this.cell.beat()
      return
    }
    const message = JSON.parse(text) as ToThread
    this.payloadBytes = message.payloadBytes
    if (message.batchChars !== this.crossing.batchChars) {
      this.crossing = new CrossingBounds(message.batchChars)
    }
    const starts = message.activities as ActivityStart[]
    this.executor.drop(message.drops)
    this.activities.abort(message.aborts)
    if (message.abortAll) this.abortAll()
    const activations = message.activations as Activation[]
    const entities = message.entities as EntityActivation[]
    if (activations.length + entities.length === 0) {
      this.start(starts)
      return
    }
    this.executor.run(activations)
    this.entities.run(entities)
    if (starts.length === 0) return
    // Turns are short and activities may not be: the turns end and are told of first. Those of async
    // functions have asked for the next macrotasks already.
    this.post()
    setImmediate(() => this.start(starts))
  }

  private start(starts: ActivityStart[]): void {
    for (const start of starts) {
      const before = monotonicMs()
      this.activities.start([start])
      this.begun.push([start.run, monotonicMs() - before])
    }
    this.schedule()
  }

  private abortAll(): void {
    this.activities.abortAll()
    // After what the handlers do about it at once.
    setImmediate(() => this.port.postMessage({ aborted: true } satisfies FromThread))
  }

  private readonly takeResult = (run: number, ok: 0 | 1, payload: RawJson | null): void => {
    this.results.push([run, ok, payload])
    this.count(payload?.length ?? 0)
  }

  private readonly takeTurn = (outcome: RawJson, of: Activation): void => {
    this.turns.push([of.iid, of.token, outcome])
    this.count(outcome.length)
  }

  private readonly takeEntity = (outcome: RawJson, of: EntityActivation): void => {
    this.outcomes.push([of.iid, of.token, outcome])
    this.count(outcome.length)
  }

  /** What has grown large goes at once. */
  private count(chars: number): void {
    this.chars += chars
    if (this.chars > this.crossing.batchChars) this.post()
    else this.schedule()
  }

  /** Posts once the microtasks of this tick are done, so that one message holds all of them. */
  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    queueMicrotask(this.afterMicrotasks)
  }

  private readonly afterMicrotasks = (): void => {
    nextTick(this.post)
  }

  private readonly post = (): void => {
    this.isScheduled = false
    const message: FromThread = {}
    if (this.violations.length > 0) message.violations = this.violations
    if (this.begun.length > 0) message.begun = this.begun
    if (this.results.length > 0) message.results = this.results
    if (this.turns.length > 0) message.turns = this.turns
    if (this.outcomes.length > 0) message.entities = this.outcomes
    if (Object.keys(message).length === 0) return
    this.violations = []
    this.begun = []
    this.results = []
    this.turns = []
    this.outcomes = []
    this.chars = 0
    this.port.postMessage(message)
  }
}

/** Lines go at once, not with the next message: they are what is left of a thread that dies. */
function threadLog(port: MessagePort, verbosity: ThreadData['verbosity']): Log {
  if (verbosity === 'none') return new Log(false)
  const at =
    (level: LogLevel) =>
    (line: string): void =>
      port.postMessage({ logs: [[level, line]] } satisfies FromThread)
  const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return new Log(logger, verbosity === 'console')
}

async function main(port: MessagePort, data: WorkerData): Promise<void> {
  const log = threadLog(port, data.verbosity)
  enter('loading')
  let app: App
  try {
    app = await loadApp(data.module)
  } catch (error) {
    port.postMessage({ failed: failureText(error, PAYLOAD_BYTES_DEFAULT) } satisfies FromThread)
    process.exit(1)
  }
  enter('running')
  const side = new ThreadSide(port, app, log, data)
  port.on('message', side.receive)
  port.postMessage({ loaded: app.registered() } satisfies FromThread)
  app.onRegister((registered) => port.postMessage({ registered } satisfies FromThread))
}

if (parentPort !== null) void main(parentPort, workerData as WorkerData)
