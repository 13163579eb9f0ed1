/**
 * Where user code runs, as the pump sees it.
 *
 * Owns: the interface between `engine.ts` and whoever runs activations and activities, and the runner
 * of the calling thread; the one of worker threads is `threads/pool.ts`.
 * Must never: cost anything between the pump and the executor of the calling thread.
 * Proved by: every test under `__test__/`.
 */

import { Activities, type Report } from './activities.js'
import type { App } from './app.js'
import { Entities } from './entities.js'
import { Executor, nothingRun } from './executor.js'
import type {
  Activation,
  ActivityStart,
  EntityActivation,
  RawJson,
  Registered,
} from './protocol.js'
import type { Surroundings } from './surroundings.js'

/** Where what user code did goes: the next batch for the core. */
export interface Outlet extends Surroundings {
  /** Takes the result of an activity. */
  readonly queueResult: Report
  /** Takes the text of an `ActivationOutcome`. */
  readonly queueTurn: (outcome: RawJson) => void
  /** Takes the text of an `EntityOutcome`. */
  readonly queueEntity: (outcome: RawJson) => void
  /** Takes the token of an activation that ended its thread too often, and how long the last held it. */
  readonly queuePoison: (token: number, heldMs: number) => void
  /** Takes what has held its thread for too long, as `Surroundings.enters` is told, and for how long. */
  readonly queueOverdue: (inside: number, heldMs: number) => void
  /** Takes the token of an activation that waits behind what holds its thread. */
  readonly queueWaiting: (token: number) => void
  /** Exchanges now. Not to be called from within a call of a runner. */
  readonly pump: () => void
}

/** Carries out the parts of an `Outbound` that are user code's. */
export interface Runner {
  drop(iids: number[]): void
  abort(runs: number[]): void
  start(starts: ActivityStart[]): void
  run(activations: Activation[]): void
  runEntities(activations: EntityActivation[]): void
  /**
   * Resolves when no activity runs and no operation of an entity, at the latest a little after `timeoutMs`, when what still runs is
   * aborted. The core starts none from now on.
   */
  drain(timeoutMs: number): Promise<void>
  /** Aborts the activities and forgets the rest. */
  close(): void
  /** Resolves when nothing of the runner is left, once it is closed. */
  closed(): Promise<void>
}

/** Functions of the user's, wherever they are. */
export interface Functions {
  /** All that is registered now. */
  registered(): Registered
  /** Tells of what is registered from now on, until the function given back is called. */
  onRegister(listener: (added: Registered) => void): () => void
  /** Makes what runs them for a hub. */
  runner(outlet: Outlet): Runner
}

/** The functions of an `App` on the calling thread. */
export class LocalFunctions implements Functions {
  private readonly app: App

  constructor(app: App) {
    this.app = app
  }

  registered(): Registered {
    return this.app.registered()
  }

  onRegister(listener: (added: Registered) => void): () => void {
    return this.app.onRegister(listener)
  }

  runner(outlet: Outlet): Runner {
    return new LocalRunner(this.app, outlet)
  }
}

class LocalRunner implements Runner {
  private readonly activities: Activities
  private readonly entities: Entities
  private readonly executor: Executor

  constructor(app: App, outlet: Outlet) {
    this.activities = new Activities(app, outlet, outlet.queueResult)
    this.entities = new Entities(app, outlet, (outcome, { token }) =>
      outcome === nothingRun(token) ? outlet.queueTurn(outcome) : outlet.queueEntity(outcome),
    )
    this.executor = new Executor(app, outlet, outlet.queueTurn, outlet.pump)
  }

  drop(iids: number[]): void {
    this.executor.drop(iids)
  }

  abort(runs: number[]): void {
    this.activities.abort(runs)
  }

  start(starts: ActivityStart[]): void {
    this.activities.start(starts)
  }

  run(activations: Activation[]): void {
    this.executor.run(activations)
  }

  runEntities(activations: EntityActivation[]): void {
    this.entities.run(activations)
  }

  async drain(timeoutMs: number): Promise<void> {
    await Promise.all([this.activities.drain(timeoutMs), this.entities.drain(timeoutMs)])
  }

  close(): void {
    this.activities.abortAll()
    this.executor.close()
  }

  closed(): Promise<void> {
    return Promise.resolve()
  }
}
