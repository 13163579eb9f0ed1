/**
 * Functions that an SDK runs: how they are registered, and what their triggers hand to them.
 *
 * Owns: the seam between whoever loads and calls functions (`lib/host/`) and the engine. An
 * orchestrator made by the original package is called once for each turn, with the whole history of
 * its execution, and gives a state in return; to the engine it is an orchestrator like any other.
 * Must never: know how a function is called, or by which package it was made.
 * Proved by: `__test__/sdk-calls.spec.mjs`.
 */

import type { App } from '../app.js'
import type { HostedOutcome } from '../entities.js'
import { Internal, InvalidFunction } from '../errors.js'
import type { HistoryEvent } from './history.js'

/** The value of an `orchestrationTrigger`, as Azure's host hands it to a worker, already parsed. */
export interface OrchestrationTriggerValue {
  /**
   * All events of the execution, those of the turn that runs last. The SDK marks them, and they are
   * handed to it again in the next turn.
   */
  readonly history: HistoryEvent[]
  /** A value of its own for each call; null if there is none. */
  readonly input: unknown
  readonly instanceId: string
  readonly isReplaying: boolean
  readonly parentInstanceId: string | null
  readonly upperSchemaVersion: number
  readonly upperSchemaVersionNew: number
  readonly longRunningTimerIntervalDuration: string
  readonly maximumShortTimerDuration: string
  readonly defaultHttpAsyncRequestSleepTimeMillseconds: number
}

/** A function that an SDK runs, ready to be called; an `Invocable` of the host is one. */
export interface HostedFunction {
  readonly name: string
  /** 'orchestration' or 'entity'; activities need no SDK. */
  readonly kind: string
  /** 'classic': a folder with `function.json`; 'v4': registered through `@azure/functions` 4. */
  readonly model: 'classic' | 'v4'
  /** Where it is declared, for errors. */
  readonly file: string
  /**
   * Calls the function once with the value of its trigger. Resolves to what it returned, or passed to
   * `context.done`, itself and not a copy: an action that is listed twice is one object. Rejects with
   * what it threw, or passed to `context.done`, itself.
   */
  invoke(call: {
    readonly trigger: { readonly value: unknown }
    readonly data: Readonly<Record<string, unknown>>
  }): PromiseLike<{ readonly returnValue: unknown }>
}

/**
 * Registers a function that an SDK runs.
 *
 * @throws AlreadyRegistered, InvalidName, InvalidFunction
 */
export function registerHosted(app: App, func: HostedFunction): void {
  if (func.kind === 'orchestration') {
    app.addHosted(func)
  } else if (func.kind === 'entity') {
    app.hostedEntity(func.name, async (value) =>
      entityState(await func.invoke({ trigger: { value }, data: {} })),
    )
  } else {
    throw new InvalidFunction(
      `${func.file}: function '${func.name}' is an ${func.kind}, which needs no SDK. Register it with app.activity.`,
    )
  }
}

/** What an SDK gives for a batch of operations. */
function entityState({ returnValue }: { readonly returnValue: unknown }): HostedOutcome {
  const state = typeof returnValue === 'string' ? JSON.parse(returnValue) : returnValue
  const { results, signals } = (state ?? {}) as Partial<HostedOutcome>
  if (Array.isArray(results) && Array.isArray(signals)) return state
  throw new Internal(
    'It did not give the state of an entity. Is it made with df.entity, or df.app.entity, of durable-functions?',
  )
}
