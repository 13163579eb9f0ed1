/**
 * The contexts that orchestrators and activities are called with.
 *
 * Owns: the checks of what user code passes, and the text of the actions it asks for.
 * Must never: keep state of an execution; that is in `execution.ts`.
 * Proved by: `__test__/orchestrators.spec.mjs`, `__test__/activities.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import { activityData, orchestrationData } from './azure/binding-data.js'
import { bareOptions, ExtraValues } from './azure/extras.js'
import type { EffectiveFunctionOptions } from './azure/functions.js'
import { bindMethods } from './bound.js'
import { type CallHttpArguments, HttpTask, httpCall } from './call-http/call.js'
import { HTTP_ACTIVITY } from './call-http/request.js'
import { invalid, newInstanceId, optionsOf } from './check.js'
import { quoteName, stringify, versionText } from './codec.js'
import type { EntityId } from './entity-id.js'
import { InvalidOption, OutsideTurn } from './errors.js'
import { currentExecution, type Execution } from './execution.js'
import type { LockState } from './lock.js'
import { type Log, type LogFunction, type LogLevel, logFunction } from './log.js'
import {
  callEntity,
  lockEntities,
  lockState,
  refuseInSection,
  signalEntity,
} from './orchestrator-entities.js'
import type { ActivityStart } from './protocol.js'
import { type RetryPolicy, retryText } from './retry.js'
import {
  type SingleTask,
  Task,
  type TaskCombinators,
  type TaskKind,
  type TimerTask,
} from './task.js'
import type {
  ActivityContext,
  CallOptions,
  Definition,
  DurableOrchestrationContext,
  InvocationContext,
  OrchestrationContext,
} from './types.js'
import type { SignalOptions } from './types-entity.js'

// biome-ignore lint/suspicious/noExplicitAny: definitions of any input and result
type AnyDefinition = Definition<any, any>

const CALL_KEYS = ['retry', 'instanceId', 'version']

/** The log methods; made on first use, as most invocations log nothing. */
export abstract class LoggingContext implements InvocationContext {
  readonly functionName: string
  private logMade: LogFunction | null = null
  private idMade: string | null = null
  private inputsMade: ExtraValues | null = null
  private outputsMade: ExtraValues | null = null

  constructor(functionName: string) {
    this.functionName = functionName
  }

  protected abstract write(level: LogLevel, args: unknown[]): void
  protected abstract makeId(): string
  abstract get options(): EffectiveFunctionOptions

  get log(): LogFunction {
    this.logMade ??= logFunction((level, args) => this.write(level, args))
    return this.logMade
  }

  get invocationId(): string {
    this.idMade ??= this.makeId()
    return this.idMade
  }

  get extraInputs(): ExtraValues {
    this.inputsMade ??= new ExtraValues()
    return this.inputsMade
  }

  get extraOutputs(): ExtraValues {
    this.outputsMade ??= new ExtraValues()
    return this.outputsMade
  }

  trace(...args: unknown[]): void {
    this.write('debug', args)
  }

  debug(...args: unknown[]): void {
    this.write('debug', args)
  }

  info(...args: unknown[]): void {
    this.write('info', args)
  }

  warn(...args: unknown[]): void {
    this.write('warn', args)
  }

  error(...args: unknown[]): void {
    this.write('error', args)
  }
}

// ------------------------------------------------------------------ orchestrations

export class OrchestrationInvocation extends LoggingContext implements OrchestrationContext {
  readonly df: DurableOrchestrationContext
  private readonly execution: Execution

  constructor(execution: Execution) {
    super(execution.name)
    this.execution = execution
    this.df = new DurableContext(execution)
  }

  get options(): EffectiveFunctionOptions {
    return bareOptions('orchestrationTrigger')
  }

  get triggerMetadata(): Record<string, unknown> {
    const { input, instanceId, parentInstanceId, replaying } = this.execution
    return orchestrationData({ input, instanceId, parentInstanceId, isReplaying: replaying })
  }

  protected write(level: LogLevel, args: unknown[]): void {
    this.execution.log(level, args)
  }

  protected makeId(): string {
    return this.execution.guid('invocation')
  }
}

class DurableContext implements DurableOrchestrationContext {
  private readonly execution: Execution

  constructor(execution: Execution) {
    this.execution = execution
  }

  get instanceId(): string {
    return this.execution.instanceId
  }

  get version(): string | undefined {
    return this.execution.version
  }

  get parentInstanceId(): string | undefined {
    return this.execution.parentInstanceId
  }

  get isReplaying(): boolean {
    return this.execution.replaying
  }

  get currentUtcDateTime(): Date {
    return new Date(this.execution.time)
  }

  get customStatus(): unknown {
    return this.execution.customStatus
  }

  get Task(): TaskCombinators {
    return Task
  }

  getInput<T>(): T {
    return this.execution.input as T
  }

  call(definition: AnyDefinition, input?: unknown, options?: CallOptions): never {
    return callDefinition(this.execution, definition, input, options) as never
  }

  callActivity(name: string, input?: unknown): never {
    return scheduleActivity(this.execution, name, input) as never
  }

  callActivityWithRetry(name: string, retryOptions: RetryPolicy, input?: unknown): never {
    return scheduleActivity(this.execution, name, input, retryOptions ?? null) as never
  }

  callSubOrchestrator(name: string, input?: unknown, instanceId?: string, version?: string): never {
    return scheduleOrchestration(this.execution, name, input, { instanceId, version }) as never
  }

  callSubOrchestratorWithRetry(
    name: string,
    retryOptions: RetryPolicy,
    input?: unknown,
    instanceId?: string,
    version?: string,
  ): never {
    const retry = retryOptions ?? null
    const child = { instanceId, version }
    return scheduleOrchestration(this.execution, name, input, child, retry) as never
  }

  waitForExternalEvent(name: string): never {
    const execution = this.execution
    execution.requireTurn('called waitForExternalEvent')
    const action = `{"waitForEvent":{"name":${quoteName(name, 'event name')}`
    return execution.scheduleWait(action, name) as never
  }

  callEntity(entityId: EntityId, operationName: string, operationInput?: unknown): never {
    return callEntity(this.execution, entityId, operationName, operationInput) as never
  }

  signalEntity(
    entityId: EntityId,
    operationName: string,
    operationInput?: unknown,
    options?: SignalOptions,
  ): void {
    signalEntity(this.execution, entityId, operationName, operationInput, options)
  }

  lock(...entities: unknown[]): never {
    return lockEntities(this.execution, entities) as never
  }

  isLocked(): LockState {
    return lockState(this.execution)
  }

  createTimer(fireAt: Date): TimerTask {
    this.execution.requireTurn('called createTimer')
    const ms = fireAt instanceof Date ? fireAt.getTime() : Number.NaN
    if (Number.isNaN(ms)) throw invalid('fireAt', 'must be a valid Date', fireAt ?? null)
    return this.execution.scheduleTimer(ms)
  }

  callHttp(...args: [unknown] | CallHttpArguments): never {
    const execution = this.execution
    execution.requireTurn('called callHttp')
    const { request, retry } = httpCall(args)
    return new HttpTask(execution, request, (next) =>
      scheduleActivity(execution, HTTP_ACTIVITY, next, retry),
    ) as never
  }

  continueAsNew(input?: unknown): void {
    this.execution.continueAsNew(input)
  }

  setCustomStatus(customStatus: unknown): void {
    this.execution.setCustomStatus(customStatus)
  }

  newGuid(seed?: string): string {
    return this.execution.newGuid(seed === undefined ? '' : String(seed))
  }
}

bindMethods(DurableContext)

/** @param retry undefined: none; null: one was asked for and is missing, which is refused */
function scheduleActivity(
  execution: Execution,
  name: string,
  input: unknown,
  retry?: RetryPolicy | null,
): SingleTask {
  execution.requireTurn('called an activity')
  let action = `{"callActivity":{"name":${quoteName(name, 'activity name')}`
  if (input !== undefined) {
    action += `,"input":${stringify(input, `input of activity '${name}'`, execution.limit)}`
  }
  return scheduleWithRetry(execution, action, 'activity', retry)
}

function scheduleOrchestration(
  execution: Execution,
  name: string,
  input: unknown,
  { instanceId, version }: Pick<CallOptions, 'instanceId' | 'version'>,
  retry?: RetryPolicy | null,
): SingleTask {
  execution.requireTurn('called an orchestration')
  refuseInSection(execution)
  let action = `{"callSubOrchestrator":{"name":${quoteName(name, 'orchestrator name')}${versionText(version)}`
  if (instanceId !== undefined && instanceId !== null) {
    action += `,"instanceId":${JSON.stringify(newInstanceId(instanceId, 'instanceId'))}`
  }
  if (input !== undefined) {
    action += `,"input":${stringify(input, `input of orchestrator '${name}'`, execution.limit)}`
  }
  return scheduleWithRetry(execution, action, 'orchestration', retry)
}

function scheduleWithRetry(
  execution: Execution,
  action: string,
  kind: TaskKind,
  retry: RetryPolicy | null | undefined,
): SingleTask {
  if (retry === undefined) return execution.schedule(action, kind)
  // Checked before the task exists, as one that was refused must not be scheduled.
  const text = retryText(retry as RetryPolicy)
  const task = execution.schedule(`${action},"retry":${text}`, kind)
  task.hasRetry = true
  task.retryIf = retry?.retryIf ?? null
  return task
}

function callDefinition(
  execution: Execution,
  definition: AnyDefinition,
  input: unknown,
  callOptions: CallOptions | undefined,
): SingleTask {
  const isFunction: boolean = typeof definition === 'function'
  if (!isFunction || typeof definition.functionName !== 'string') {
    throw invalid(
      'definition',
      'must be what app.activity or app.orchestration gave; call by name with callActivity or callSubOrchestrator',
    )
  }
  const name = definition.functionName
  const options = optionsOf(callOptions, 'options', CALL_KEYS) as CallOptions
  if (definition.kind === 'orchestration') {
    return scheduleOrchestration(execution, name, input, options, options.retry)
  }
  for (const key of ['instanceId', 'version'] as const) {
    if (options[key] === undefined) continue
    const message = `options.${key} is for orchestrations; an activity has none.`
    throw new InvalidOption(message, { field: `options.${key}` })
  }
  return scheduleActivity(execution, name, input, options.retry)
}

/** A definition that is called: schedules it in the orchestrator whose generator runs right now. */
export function callInCurrent(
  definition: AnyDefinition,
  input: unknown,
  instanceId?: string,
): SingleTask {
  const execution = currentExecution()
  if (execution === null) {
    throw new OutsideTurn(
      `'${definition.functionName}' was called outside a generator function's turn. In an async orchestrator write context.df.call(definition, input).`,
    )
  }
  return callDefinition(
    execution,
    definition,
    input,
    instanceId === undefined ? {} : { instanceId },
  )
}

// ------------------------------------------------------------------ activities

export class ActivityInvocation extends LoggingContext implements ActivityContext {
  readonly instanceId: string
  readonly attempt: number
  readonly idempotencyKey: string
  /** What the hub is to its activities; it tells whose client is theirs. */
  readonly hub: { readonly log: Log }
  private readonly input: unknown
  private controller: AbortController | null = null
  private abortReason: unknown = undefined
  private isAborted = false

  constructor(functionName: string, start: ActivityStart, hub: { readonly log: Log }) {
    super(functionName)
    this.instanceId = start.instanceId
    this.attempt = start.attempt
    this.idempotencyKey = start.idempotencyKey
    this.input = start.input
    this.hub = hub
  }

  /** Made on first use: most activities never look at it, and it is not cheap. */
  get signal(): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController()
      if (this.isAborted) this.controller.abort(this.abortReason)
    }
    return this.controller.signal
  }

  abort(reason?: unknown): void {
    if (this.isAborted) return
    this.isAborted = true
    this.abortReason = reason
    this.controller?.abort(reason)
  }

  get options(): EffectiveFunctionOptions {
    return bareOptions('activityTrigger')
  }

  get triggerMetadata(): Record<string, unknown> {
    return activityData(this.instanceId, this.input)
  }

  protected write(level: LogLevel, args: unknown[]): void {
    this.hub.log.user(level, args)
  }

  protected makeId(): string {
    return randomUUID()
  }
}
