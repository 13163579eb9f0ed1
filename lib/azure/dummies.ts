/**
 * Contexts for unit tests of orchestrators and entities, to be filled with stubs.
 *
 * Owns: what such a context has before anything is stubbed.
 * Must never: run an orchestrator; a hub in memory does that.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import { type LogFunction, type LogLevel, logFunction } from '../log.js'
import type { DurableOrchestrationContext, OrchestrationContext } from '../types.js'
import type { DurableEntityContext, EntityContext } from '../types-entity.js'
import { bareOptions, ExtraValues } from './extras.js'
import type {
  EffectiveFunctionOptions,
  InvocationContextExtraInputs,
  InvocationContextExtraOutputs,
  LogHandler,
} from './functions.js'

const levels = { debug: 'debug', info: 'information', warn: 'warning', error: 'error' } as const

/** What both have; without a handler its log goes to the console. */
export class DummyContext {
  readonly functionName: string
  readonly invocationId: string
  readonly log: LogFunction
  readonly trace: (...args: unknown[]) => void
  readonly debug: (...args: unknown[]) => void
  readonly info: (...args: unknown[]) => void
  readonly warn: (...args: unknown[]) => void
  readonly error: (...args: unknown[]) => void
  readonly extraInputs: InvocationContextExtraInputs = new ExtraValues()
  readonly extraOutputs: InvocationContextExtraOutputs = new ExtraValues()
  readonly options: EffectiveFunctionOptions

  constructor(
    trigger: string,
    functionName = 'dummyContextFunctionName',
    invocationId: string = randomUUID(),
    logHandler: LogHandler = toConsole,
  ) {
    this.functionName = functionName
    this.invocationId = invocationId
    this.options = bareOptions(trigger)
    const write = (level: LogLevel, args: unknown[]): void => logHandler(levels[level], ...args)
    this.log = logFunction(write)
    this.trace = (...args) => logHandler('trace', ...args)
    this.debug = this.log.debug
    this.info = this.log.info
    this.warn = this.log.warn
    this.error = this.log.error
  }
}

function toConsole(_level: unknown, ...args: unknown[]): void {
  // biome-ignore lint/suspicious/noConsole: where the original's goes
  console.log(...args)
}

/**
 * The context of no orchestrator: `df` is yours to fill with what the code under test calls. To run an
 * orchestrator with its engine, open a hub in memory: `df.open({ store: 'sqlite::memory:' })`.
 *
 * @example
 * ```ts
 * const context = new df.DummyOrchestrationContext()
 * context.df = { callActivity: (name) => ({ name }) } as never
 * const steps = handler(context)
 * console.log(steps.next().value)
 * ```
 */
export class DummyOrchestrationContext extends DummyContext implements OrchestrationContext {
  /** Undefined, until it is assigned. */
  df: DurableOrchestrationContext = undefined as never

  /**
   * @param functionName default 'dummyContextFunctionName'
   * @param invocationId default: a random UUID
   * @param logHandler takes what is logged; default: the console
   */
  constructor(functionName?: string, invocationId?: string, logHandler?: LogHandler) {
    super('orchestrationTrigger', functionName, invocationId, logHandler)
  }
}

/** The same of no entity. To run an entity, open a hub in memory. */
// biome-ignore lint/suspicious/noExplicitAny: of any state unless it is said
export class DummyEntityContext<TState = any>
  extends DummyContext
  implements EntityContext<TState>
{
  /** Undefined, until it is assigned. */
  df: DurableEntityContext<TState> = undefined as never

  /**
   * @param functionName default 'dummyContextFunctionName'
   * @param invocationId default: a random UUID
   * @param logHandler takes what is logged; default: the console
   */
  constructor(functionName?: string, invocationId?: string, logHandler?: LogHandler) {
    super('entityTrigger', functionName, invocationId, logHandler)
  }
}
