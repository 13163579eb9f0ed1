/**
 * Runs activations: which execution does which turn when.
 *
 * Owns: the map of live executions, the settling of tasks, and the two moments an async turn needs.
 * A generator runs synchronously. Turns of async functions begin in a macrotask of their own, where
 * no microtask is left over that could belong to anything but the turn, and end in the first
 * `nextTick` after all microtasks that they caused: so nothing that the event loop settles joins a
 * turn.
 * Must never: let two turns of an execution overlap, or an error of one instance reach another.
 * Proved by: `__test__/orchestrators.spec.mjs`, `__test__/async.spec.mjs`.
 */

import type { App } from './app.js'
import { clearImmediate, nextTick, queueMicrotask, setImmediate } from './clock.js'
import { OrchestrationInvocation } from './context.js'
import { Internal, PayloadTooLarge } from './errors.js'
import { Execution } from './execution.js'
import { errorFromChild, errorFromFailure, failureText, messageOf } from './failure.js'
import type {
  Activation,
  ActivationTurn,
  ChildEnd,
  Failure,
  RawJson,
  Resolution,
} from './protocol.js'
import { leaveRaces, watchRaces } from './races.js'
import { owned } from './rejections.js'
import { HostedExecution } from './sdk/execution.js'
import { SEVERAL, type Surroundings } from './surroundings.js'
import { COMPLETED, FAILED } from './task.js'

/** One activation on its way through its turns. */
interface Run {
  readonly execution: Execution
  readonly activation: Activation
  /** The turn that runs, or is next. */
  index: number
  /** The outcomes of the turns before it. */
  outcomes: string
}

/** A `Resolution` as it is read: one of the keys is there. */
interface AnyResolution {
  ok?: { task: number; value?: unknown }
  fail?: { task: number; failure: Failure }
  ask?: { task: number; failure: Failure; child?: ChildEnd }
  child?: { task: number; child: ChildEnd }
}

/** Takes the text of the `ActivationOutcome` of an activation. */
export type Emit = (outcome: RawJson, of: Activation) => void

/** The outcome of an activation, of the outcomes of its turns. */
function turnsText(token: number, outcomes: RawJson): RawJson {
  return `{"token":${token},"turns":[${outcomes}]}`
}

/** The outcome of an activation of which nothing was run: the core makes its execution again. */
export function nothingRun(token: number): RawJson {
  return `{"token":${token},"turns":[]}`
}

/** The outcome of an activation that cannot be run, after the outcomes of its turns that were. */
export function executionFailed(token: number, failure: RawJson, outcomes: RawJson = ''): RawJson {
  const end = `{"end":{"fail":{"failure":${failure}}}}`
  return `{"token":${token},"turns":[${outcomes === '' ? end : `${outcomes},${end}`}]}`
}

/** The outcome of an activation of which more came than can be handed over: its instance is held. */
function executionHeld(token: number, message: string): RawJson {
  return `{"token":${token},"turns":[],"held":${JSON.stringify(`${message} The instance is held; mend its orchestrator and resume it.`)}}`
}

function isTooLarge(error: unknown): error is PayloadTooLarge {
  return error instanceof PayloadTooLarge
}

export class Executor {
  private readonly app: App
  private readonly surroundings: Surroundings
  private readonly emit: Emit
  private readonly flush: () => void
  private readonly live: Map<number, Execution | HostedExecution> = new Map()
  /** Runs whose next turn begins in the next macrotask. */
  private waiting: Run[] = []
  private isClosed = false

  /**
   * @param flush is called after a batch of async turns, outside any other call of the engine
   */
  constructor(app: App, surroundings: Surroundings, emit: Emit, flush: () => void) {
    this.app = app
    this.surroundings = surroundings
    this.emit = emit
    this.flush = flush
  }

  /** Runs what can be run at once, and begins or queues the rest. */
  run(activations: Activation[]): void {
    for (const activation of activations) {
      try {
        this.begin(activation)
      } catch (error) {
        this.defect(error, null, activation, '')
      }
    }
  }

  private begin(activation: Activation): void {
    const execution =
      activation.start === undefined ? this.live.get(activation.iid) : this.create(activation)
    if (execution === undefined) {
      // Nothing was run, which the core takes as: this process does not hold the execution.
      this.emit(nothingRun(activation.token), activation)
    } else if (execution instanceof HostedExecution) {
      this.surroundings.enters(activation.token)
      void this.runHosted(execution, activation)
    } else {
      const run: Run = { execution, activation, index: 0, outcomes: '' }
      if (execution.isAsync) this.enqueue(run)
      else {
        this.surroundings.enters(activation.token)
        this.guarded(run, () => this.runSync(run))
      }
    }
    this.surroundings.leaves()
  }

  drop(iids: number[]): void {
    for (const iid of iids) {
      this.live.get(iid)?.drop()
      this.live.delete(iid)
    }
  }

  /** Forgets everything; user code that still waits is never resumed. */
  close(): void {
    this.isClosed = true
    for (const execution of this.live.values()) execution.drop()
    this.live.clear()
    this.waiting = []
  }

  get liveCount(): number {
    return this.live.size
  }

  private create(activation: Activation): Execution | HostedExecution | undefined {
    const start = activation.start
    if (start === undefined) return undefined
    this.live.get(activation.iid)?.drop()
    const entry = this.app.findOrchestrator(start.name)
    if (entry === undefined) {
      this.live.delete(activation.iid)
      return undefined
    }
    const { hosted } = entry
    const execution =
      hosted === undefined
        ? new Execution(start, entry, this.surroundings)
        : new HostedExecution(start, hosted, this.surroundings)
    this.live.set(activation.iid, execution)
    return execution
  }

  // ---------------------------------------------------------------- turns

  private runSync(run: Run): void {
    while (run.index < run.activation.turns.length) {
      this.beginTurn(run)
      this.endTurn(run)
    }
    this.finish(run)
  }

  private beginTurn(run: Run): void {
    const { execution, activation, index } = run
    const turn = activation.turns[index] as ActivationTurn
    if (!execution.openTurn(turn.time, index < activation.replayed)) return
    if (index === 0 && activation.start !== undefined) {
      execution.start(new OrchestrationInvocation(execution))
    }
    // All of them before the code goes on: it may end the execution, and has then seen every event
    // whose sender was told that it was delivered.
    for (const resolution of turn.resolutions) this.settle(execution, resolution)
    if (execution.isDue) execution.step()
  }

  private endTurn(run: Run): void {
    const outcome = run.execution.closeTurn()
    run.outcomes += run.index === 0 ? outcome : `,${outcome}`
    run.index += 1
  }

  private finish(run: Run): void {
    const { execution, activation } = run
    if (execution.isDropped) return
    if (execution.hasEnded) {
      this.live.delete(activation.iid)
      execution.ended()
    }
    this.emit(turnsText(activation.token, run.outcomes), activation)
  }

  /** A defect of this layer costs one instance, not the hub. */
  private guarded(run: Run, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.defect(error, run.execution, run.activation, run.outcomes)
    }
  }

  private defect(
    error: unknown,
    execution: Execution | HostedExecution | null,
    activation: Activation,
    outcomes: RawJson,
  ): void {
    const instanceId = (execution ?? activation.start)?.instanceId ?? ''
    const message = `Instance '${instanceId}' cannot be run: ${messageOf(error)}`
    this.surroundings.log.engine('error', message)
    const failure = failureText(new Internal(message, { instanceId, cause: error }), 65_536)
    execution?.drop()
    this.live.delete(activation.iid)
    const outcome = isTooLarge(error)
      ? executionHeld(activation.token, error.message)
      : executionFailed(activation.token, failure, outcomes)
    this.emit(outcome, activation)
  }

  // ---------------------------------------------------------------- orchestrators of an SDK

  /** Their turns end when they say so, and wait for nobody else's. */
  private async runHosted(execution: HostedExecution, activation: Activation): Promise<void> {
    const { token, iid } = activation
    const isAhead = iid < 0 && activation.start !== undefined && activation.replayed === 0
    const ahead = isAhead ? setImmediate(() => this.runLater(execution, activation)) : undefined
    try {
      const outcomes = await execution.run(activation)
      if (execution.isDropped) return
      if (outcomes === null) this.drop([iid])
      else if (execution.hasEnded) this.live.delete(iid)
      const text = outcomes === null ? nothingRun(token) : turnsText(token, outcomes)
      this.emit(text, activation)
    } catch (error) {
      if (!execution.isDropped) this.defect(error, execution, activation, '')
    } finally {
      clearImmediate(ahead)
    }
  }

  /**
   * Of an instance whose start is not stored yet: that must not wait for code that does input or
   * output. It is stored now, and the code is called again.
   */
  private runLater(execution: HostedExecution, activation: Activation): void {
    if (execution.isDropped) return
    this.drop([activation.iid])
    this.emit(nothingRun(activation.token), activation)
  }

  // ---------------------------------------------------------------- async functions

  private enqueue(run: Run): void {
    this.waiting.push(run)
    if (this.waiting.length === 1) setImmediate(this.beginWaiting)
  }

  /** In a macrotask of its own, so that no microtask is left over; and in a microtask of that. */
  private readonly beginWaiting = (): void => {
    queueMicrotask(this.beginAll)
  }

  /**
   * The end is asked for before any code runs, and every `nextTick` waits until no microtask is left.
   * So all microtasks that these turns cause belong to them, and nothing else does, not even what
   * their own code puts off by `process.nextTick`.
   */
  private readonly beginAll = (): void => {
    const runs = this.waiting
    this.waiting = []
    const begun: Run[] = []
    nextTick(this.endBegun, begun)
    watchRaces()
    for (const run of runs) {
      if (run.execution.isDropped) continue
      this.guarded(run, () => {
        this.surroundings.enters(run.activation.token)
        this.beginTurn(run)
        if (run.execution.isAsync) begun.push(run)
        else this.resumeSync(run)
      })
    }
    // The rest of each runs in microtasks, which nobody can tell apart.
    if (begun.length !== 1) this.surroundings.enters(SEVERAL)
  }

  /** The function was called and has turned out not to be async. */
  private resumeSync(run: Run): void {
    this.endTurn(run)
    this.runSync(run)
  }

  private readonly endBegun = (runs: Run[]): void => {
    leaveRaces()
    this.surroundings.leaves()
    if (this.isClosed) return
    for (const run of runs) {
      if (run.execution.isDropped) continue
      this.guarded(run, () => {
        this.endTurn(run)
        if (run.index < run.activation.turns.length) this.enqueue(run)
        else this.finish(run)
      })
    }
    this.flush()
  }

  // ---------------------------------------------------------------- resolutions

  private settle(execution: Execution, resolution: Resolution): void {
    const any = resolution as AnyResolution
    if (any.ok !== undefined) {
      this.settleTask(execution, any.ok.task, COMPLETED, any.ok.value)
    } else if (any.fail !== undefined) {
      this.settleTask(execution, any.fail.task, FAILED, errorFromFailure(any.fail.failure))
    } else if (any.child !== undefined) {
      this.settleTask(execution, any.child.task, FAILED, errorFromChild(any.child.child))
    } else if (any.ask !== undefined) {
      this.ask(execution, any.ask)
    }
  }

  private settleTask(execution: Execution, id: number, state: number, value: unknown): void {
    const task = execution.open.get(id)
    if (task === undefined) return // cancelled meanwhile
    execution.open.delete(id)
    task.settle(state, value)
  }

  private ask(execution: Execution, ask: NonNullable<AnyResolution['ask']>): void {
    const error =
      ask.child === undefined ? errorFromFailure(ask.failure) : errorFromChild(ask.child)
    const retryIf = execution.open.get(ask.task)?.retryIf
    let again = true
    if (retryIf !== undefined && retryIf !== null) again = this.askUser(execution, retryIf, error)
    execution.answer(ask.task, again)
    if (!again) this.settleTask(execution, ask.task, FAILED, error)
  }

  private askUser(execution: Execution, retryIf: (error: Error) => boolean, error: Error): boolean {
    try {
      const again: unknown = owned(execution, retryIf, error)
      if (typeof again !== 'object' && typeof again !== 'function') return Boolean(again)
      if (again === null) return false
      throw new TypeError('it returned an object or a promise, not true or false')
    } catch (thrown) {
      const message = `retryIf of orchestrator '${execution.name}' (instance '${execution.instanceId}') failed, so there is no retry: ${messageOf(thrown)}`
      this.surroundings.log.engine('error', message)
      return false
    }
  }
}
