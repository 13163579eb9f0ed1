/**
 * The types that users write orchestrators and activities against.
 *
 * Owns: the shape of contexts, handlers and definitions, with the names of durable-functions.
 * Must never: hold code.
 * Proved by: `__test__/types.test-d.ts`.
 */

import type { FunctionExtras, FunctionOptions } from './azure/functions.js'
import type { CallHttpArguments, CallHttpOptions } from './call-http/call.js'
import type { DurableHttpResponse } from './call-http/request.js'
import type { EntityId } from './entity-id.js'
import type { DurableLock, LockState } from './lock.js'
import type { LogFunction } from './log.js'
import type { RetryPolicy } from './retry.js'
import type {
  ExternalEventTask,
  RegisteredActivityTask,
  RegisteredOrchestrationTask,
  Task,
  TaskCombinators,
  TimerTask,
} from './task.js'
import type { SignalOptions } from './types-entity.js'

// ------------------------------------------------------------------ contexts

/** What every function's context has. */
export interface InvocationContext {
  /** The name the function is registered by. */
  readonly functionName: string
  /** A UUID of this invocation. Of an orchestrator it stays the same in replays. */
  readonly invocationId: string
  /** Writes to the hub's logger; of an orchestrator it is silent while it replays. */
  readonly log: LogFunction
  trace(...args: unknown[]): void
  debug(...args: unknown[]): void
  info(...args: unknown[]): void
  warn(...args: unknown[]): void
  error(...args: unknown[]): void
}

/** The context of an orchestrator function. */
export interface OrchestrationContext<TInput = unknown> extends InvocationContext, FunctionExtras {
  /** Everything that is durable. */
  readonly df: DurableOrchestrationContext<TInput>
}

/**
 * The context of an activity function.
 *
 * An activity runs at least once: after a crash it may run again, with the same `idempotencyKey`.
 */
export interface ActivityContext extends InvocationContext, FunctionExtras {
  /** The instance that called the activity. */
  readonly instanceId: string
  /** The number of this attempt, from 1. */
  readonly attempt: number
  /**
   * Aborts when the result is no longer wanted: the orchestration ended, the activity's `timeoutMs`
   * passed (`signal.reason` is a `TimeoutError`), or the hub closes.
   */
  readonly signal: AbortSignal
  /** The same for every attempt and every re-run of this task, and for no other task. */
  readonly idempotencyKey: string
}

/** Options of `context.df.call`. */
export interface CallOptions {
  /** A retry policy. Default: one attempt. */
  retry?: RetryPolicy | undefined
  /** Of an orchestration: the id of the sub-orchestration. Default: one made from the parent's. */
  instanceId?: string | undefined
  /** Of an orchestration: its version; '' for none. Default: the hub's `defaultVersion`. */
  version?: string | undefined
}

/** The arguments after the definition: the input may be left out where it may be undefined. */
export type CallArguments<TInput> = undefined extends TInput
  ? [input?: TInput, options?: CallOptions]
  : [input: TInput, options?: CallOptions]

/**
 * The durable part of an orchestrator's context. Every method that makes a task or changes
 * something must be called inside a turn, that is: from the orchestrator itself, after a task it
 * waited for, not from a callback of the event loop; else it throws `OutsideTurn`.
 */
export interface DurableOrchestrationContext<TInput = unknown> {
  readonly instanceId: string
  /** Of a sub-orchestration: the id of the instance that called it. */
  readonly parentInstanceId: string | undefined
  /** The version that the instance was started with; undefined when it has none. It never changes. */
  readonly version: string | undefined
  /** Whether the code that runs now ran before and only repeats what history holds. */
  readonly isReplaying: boolean
  /** The time of the turn, the same in every replay; never runs back. */
  readonly currentUtcDateTime: Date
  /** The custom status as last set in this execution. */
  readonly customStatus: unknown
  /** `Task.all` and `Task.any`. */
  readonly Task: TaskCombinators

  /** The input; undefined when there is none. */
  getInput<T = TInput>(): T

  /**
   * Calls an activity or a sub-orchestration by its definition, with its types, in both kinds of
   * orchestrators.
   *
   * @example
   * ```ts
   * const hello = df.app.activity('hello', { handler: (name: string) => `Hello ${name}!` })
   * df.app.orchestration('greet', async (context) => {
   *   const text = await context.df.call(hello, 'Ada') // string
   *   return text.length
   * })
   * ```
   *
   * @throws InvalidOption, UnserializableValue, PayloadTooLarge, OutsideTurn
   */
  call<TCalled, TResult>(
    definition: Definition<TCalled, TResult>,
    ...args: CallArguments<TCalled>
  ): Task<TResult>

  /**
   * Calls the activity of this name. The task fails with what the activity threw, or with
   * `NotRegistered`.
   *
   * @throws InvalidName, UnserializableValue, PayloadTooLarge, OutsideTurn
   */
  callActivity<TResult = unknown>(name: string, input?: unknown): Task<TResult>
  /** The same with a retry policy. */
  callActivityWithRetry<TResult = unknown>(
    name: string,
    retryOptions: RetryPolicy,
    input?: unknown,
  ): Task<TResult>

  /**
   * Runs another orchestration and waits for its result. The task fails with the error that it
   * failed with, with `OrchestrationTerminated`, or with why it could not start.
   *
   * @param instanceId its id; by default one is made from the caller's
   * @param version its version; '' for none; by default the hub's `defaultVersion`
   * @throws InvalidName, InvalidInstanceId, UnserializableValue, PayloadTooLarge, OutsideTurn
   */
  callSubOrchestrator<TResult = unknown>(
    name: string,
    input?: unknown,
    instanceId?: string,
    version?: string,
  ): Task<TResult>
  /** The same with a retry policy. */
  callSubOrchestratorWithRetry<TResult = unknown>(
    name: string,
    retryOptions: RetryPolicy,
    input?: unknown,
    instanceId?: string,
    version?: string,
  ): Task<TResult>

  /**
   * Waits for an event, sent by `client.raiseEvent`. Names match without regard to case; of several
   * open waits of one name the newest is served first. A wait that has lost its race stays open until
   * `cancel()`: its event is there when the code waits for it again, or else goes to the next wait of
   * that name.
   *
   * @throws InvalidName, OutsideTurn
   */
  waitForExternalEvent<TResult = unknown>(name: string): ExternalEventTask<TResult>

  /**
   * Has an entity carry out an operation. The task gives what the operation returned, or fails with
   * what it threw. The operations of one entity are carried out one after the other; those that one
   * orchestration sends, in the order of the sending.
   *
   * @throws InvalidEntityId, InvalidName, UnserializableValue, PayloadTooLarge, OutsideTurn,
   * LockingRulesViolationError
   */
  callEntity<TResult = unknown>(
    entityId: EntityId,
    operationName: string,
    operationInput?: unknown,
  ): Task<TResult>

  /**
   * The same, and does not wait for it.
   *
   * @throws InvalidEntityId, InvalidName, UnserializableValue, PayloadTooLarge, OutsideTurn,
   * LockingRulesViolationError
   */
  signalEntity(
    entityId: EntityId,
    operationName: string,
    operationInput?: unknown,
    options?: SignalOptions,
  ): void

  /**
   * Begins a critical section: the task gives a lock once all of the entities are this orchestration's
   * own, and until `lock.release()` no other one's operations are carried out by them. Entities are
   * locked in one order by everyone, so that two sections never wait for each other.
   *
   * Inside a section only its entities are called, one call of each at a time; they are not signalled;
   * there are no sub-orchestrations, and no further section.
   *
   * @throws InvalidEntityId, InvalidOption, OutsideTurn, LockingRulesViolationError
   *
   * @example
   * ```ts
   * const lock = yield context.df.lock(from, to)
   * try {
   *   yield context.df.callEntity(from, 'withdraw', 10)
   *   yield context.df.callEntity(to, 'deposit', 10)
   * } finally {
   *   lock.release()
   * }
   * ```
   */
  lock(...entities: EntityId[]): Task<DurableLock>
  lock(entities: readonly EntityId[]): Task<DurableLock>

  /** Whether there is a critical section, asked for or begun, and of which entities. */
  isLocked(): LockState

  /**
   * A timer that fires when wall time has reached `fireAt`, never early; one in the past fires at
   * once. Timers that are left when the orchestrator returns are cancelled.
   *
   * @throws InvalidOption, OutsideTurn
   */
  createTimer(fireAt: Date): TimerTask

  /**
   * Calls an HTTP service. The task gives the answer, whatever its status, and fails where there is none:
   * with `HttpRequestFailed`, `TimeoutError`, `AddressRefused` (a private address, unless the hub's option
   * `http.allowPrivateAddresses` has it) or `PayloadTooLarge`.
   *
   * An answer of 202 with a `Location` is followed: that is polled, with durable timers between, until it
   * answers otherwise. Requests are made at least once, as activities are.
   *
   * @throws InvalidOption, PayloadTooLarge, OutsideTurn
   *
   * @example
   * ```ts
   * const answer = yield* context.df.callHttp({ method: 'POST', url: 'https://example.com/jobs', body: job })
   * if (answer.statusCode !== 200) throw new Error(answer.content)
   * ```
   */
  callHttp(options: CallHttpOptions): Task<DurableHttpResponse>
  /** The older form. */
  callHttp(...args: CallHttpArguments): Task<DurableHttpResponse>

  /**
   * Starts the orchestrator anew with this input and an empty history, when it returns, or at its
   * next `yield` or `await` at the latest.
   *
   * @throws UnserializableValue, PayloadTooLarge, OutsideTurn
   */
  continueAsNew(input?: unknown): void

  /**
   * Sets what `getStatus` shows as `customStatus`, as of the end of this turn.
   *
   * @throws UnserializableValue, PayloadTooLarge, OutsideTurn
   */
  setCustomStatus(customStatus: unknown): void

  /**
   * A UUID that is the same in every replay, and another one at every call.
   *
   * @param seed goes into the UUID; it is never needed
   */
  newGuid(seed?: string): string
}

// ------------------------------------------------------------------ handlers

/** A generator function that yields tasks: `function* (context) { … }`. */
export type GeneratorHandler<TInput = unknown, TResult = unknown> = (
  context: OrchestrationContext<TInput>,
  // biome-ignore lint/suspicious/noExplicitAny: what a `yield` gives depends on the task
) => Generator<Task<any, any>, TResult, any>

/** An async function that awaits tasks, or a plain function. */
export type AsyncHandler<TInput = unknown, TResult = unknown> = (
  context: OrchestrationContext<TInput>,
) => TResult | PromiseLike<TResult>

/** The name durable-functions has for a generator function, to annotate one with. */
export type OrchestrationHandler<TInput = unknown, TResult = unknown> = GeneratorHandler<
  TInput,
  TResult
>

/** An orchestrator function of any kind. */
export type AnyOrchestrationHandler<TInput = unknown, TResult = unknown> =
  | GeneratorHandler<TInput, TResult>
  | AsyncHandler<TInput, TResult>

/** What an orchestration is registered with, if not the handler alone. */
export interface OrchestrationOptions<THandler = AnyOrchestrationHandler> extends FunctionOptions {
  handler: THandler
}

/** An activity function. What it returns must be JSON; it may be a promise. */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit handlers of any input
export type ActivityHandler<TInput = any, TResult = unknown> = (
  input: TInput,
  context: ActivityContext,
) => TResult | PromiseLike<TResult>

/** What an activity is registered with. */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit handlers of any input
export interface ActivityOptions<TInput = any, TResult = unknown> extends FunctionOptions {
  handler: ActivityHandler<TInput, TResult>
  /**
   * Milliseconds after which an attempt fails with a `TimeoutError` and its `context.signal` aborts;
   * what it returns later is ignored. Default: no bound.
   */
  timeoutMs?: number | undefined
  /**
   * How many invocations of this activity the hub runs at a time, on all its workers together. Default:
   * the bounds of the workers alone.
   */
  maxConcurrency?: number | undefined
  /**
   * The group of workers that run it, of a hub on a PostgreSQL server: those that have it among their
   * `queues`, or name none. 1 to 100 characters. Default 'default'.
   */
  queue?: string | undefined
}

// ------------------------------------------------------------------ definitions

declare const types: unique symbol

/** What an activity and an orchestration have in common: the types of input and result. */
export interface Definition<TInput = unknown, TResult = unknown> {
  readonly kind: 'activity' | 'orchestration'
  /** The name it is registered by. */
  readonly functionName: string
  /** Only for the types; there is no such property. */
  readonly [types]?: (input: TInput) => TResult
}

/**
 * What `app.activity` gives. Pass it to `context.df.call`, or, in a generator function, call it:
 * `yield hello('x')`, `yield hello('x').withRetry(retryOptions)`.
 */
export interface ActivityDefinition<TInput = unknown, TResult = unknown>
  extends Definition<TInput, TResult> {
  (
    ...args: undefined extends TInput ? [input?: TInput] : [input: TInput]
  ): RegisteredActivityTask<TResult>
  /** As loose as in durable-functions; `context.df.call` is not. */
  (input?: unknown): RegisteredActivityTask<TResult>
  readonly kind: 'activity'
  /** The function itself, for tests of it. */
  readonly handler: ActivityHandler<TInput, TResult>
}

/** What `app.orchestration` gives: for `context.df.call`, `client.startNew`, and to be called. */
export interface OrchestrationDefinition<TInput = unknown, TResult = unknown>
  extends Definition<TInput, TResult> {
  (
    ...args: undefined extends TInput
      ? [input?: TInput, instanceId?: string]
      : [input: TInput, instanceId?: string]
  ): RegisteredOrchestrationTask<TResult>
  /** As loose as in durable-functions; `context.df.call` is not. */
  (input?: unknown, instanceId?: string): RegisteredOrchestrationTask<TResult>
  readonly kind: 'orchestration'
  /** The function itself, for tests of it. */
  readonly handler: AnyOrchestrationHandler<TInput, TResult>
}

/** The name durable-functions has for it. */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit definitions of any input
export type RegisteredActivity<TInput = any, TResult = any> = ActivityDefinition<TInput, TResult>
/** The name durable-functions has for it. */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit definitions of any input
export type RegisteredOrchestration<TInput = any, TResult = any> = OrchestrationDefinition<
  TInput,
  TResult
>
