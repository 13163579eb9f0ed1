/**
 * Functions of the classic model: how they are called, and how they say that they are done.
 *
 * Owns: the arguments, the end by promise or `context.done`, and what becomes of the result.
 * Must never: decide when a function runs.
 * Proved by: `__test__/host-functions.spec.mjs`.
 */

import type { BindingData } from '../azure/binding-data.js'
import { messageOf } from '../failure.js'
import type { InvocationContext, OrchestrationContext } from '../types.js'
import type { EntityContext } from '../types-entity.js'
import { type Binding, isObject, isOutput, isTrigger, RETURN } from './binding.js'
import { ClassicResponse, classicRequest } from './classic-http.js'
import { extend, type FolderContext, type FunctionContext, plainContext } from './context.js'
import {
  bounded,
  type Call,
  type Environment,
  type Invocable,
  type Outcome,
  type TriggerValue,
} from './invocation.js'
import type { LoadedFunction } from './script.js'
import { triggerData } from './trigger-data.js'

/** What `context.bindings` holds for an orchestrator's trigger. */
export interface OrchestrationTrigger {
  readonly input: unknown
  readonly instanceId: string
  readonly parentInstanceId: string | null
  readonly isReplaying: boolean
}

/** `done` of what ends when it returns; the type that Azure has for contexts wants one. */
const NOTHING = (): void => {}

/** Calls an orchestrator; what that gives, a generator or a promise, is the engine's to run. */
export function callOrchestrator(func: LoadedFunction, context: OrchestrationContext): unknown {
  const { df } = context
  const trigger: OrchestrationTrigger = {
    input: df.getInput(),
    instanceId: df.instanceId,
    parentInstanceId: df.parentInstanceId ?? null,
    get isReplaying() {
      return df.isReplaying
    },
  }
  const bindings = { [func.trigger.name]: trigger }
  const extended = extend(context, func, bindings, () => context.triggerMetadata ?? {})
  return func.run(Object.assign(extended, { done: NOTHING }), trigger)
}

/** Calls an entity function for one operation. */
export function callEntity(func: LoadedFunction, context: EntityContext): unknown {
  const { entityName, entityKey, operationName } = context.df
  const trigger = { self: { name: entityName, key: entityKey }, operationName }
  const bindings = { [func.trigger.name]: trigger }
  const data = (): BindingData => ({ ...context.triggerMetadata, operationName })
  return func.run(Object.assign(extend(context, func, bindings, data), { done: NOTHING }), trigger)
}

/** A function of a folder, ready to be called. */
export class ClassicFunction implements Invocable {
  readonly model = 'classic'
  readonly #func: LoadedFunction
  readonly #environment: Environment

  constructor(func: LoadedFunction, environment: Environment) {
    this.#func = func
    this.#environment = environment
  }

  get name(): string {
    return this.#func.name
  }
  get kind(): LoadedFunction['kind'] {
    return this.#func.kind
  }
  get file(): string {
    return this.#func.file
  }
  get bindings(): readonly Binding[] {
    return this.#func.bindings
  }
  get trigger(): Binding {
    return this.#func.trigger
  }
  get retry(): unknown {
    return this.#func.retry
  }
  get isHosted(): boolean {
    return this.#func.isHosted
  }
  /** What its folder says, and its code. */
  get loaded(): LoadedFunction {
    return this.#func
  }

  async invoke(call: Call): Promise<Outcome> {
    const func = this.#func
    const base = call.context ?? plainContext(func.name, this.#environment.log, call.invocationId)
    const input = await inputOf(call.trigger)
    const bindings: Record<string, unknown> = {}
    const inputs: unknown[] = []
    for (const binding of func.bindings) {
      if (!isTrigger(binding) && binding.type === 'http') continue
      const value = isTrigger(binding) ? input : await this.#environment.input(binding, this)
      if (value === undefined && isOutput(binding)) continue
      bindings[binding.name] = value
      // The trigger comes first, wherever it stands in the file.
      if (isTrigger(binding)) inputs.unshift(value)
      else if (binding.direction !== 'out') inputs.push(value)
    }
    const data = (): BindingData => triggerData(func, call, input)
    const context = extend(base, func, bindings, data, call.retry)
    const before = { ...bindings }
    await this.#environment.enter(context)
    const result = await bounded(this, this.#environment, () =>
      run(func, context as FunctionContext, inputs, call.trigger),
    )
    const outputs = outputsOf(func, context as FunctionContext, result, before)
    await this.#environment.deliver(this, outputs, context, data)
    return { returnValue: result, outputs }
  }
}

async function inputOf(trigger: TriggerValue): Promise<unknown> {
  if ('http' in trigger) return classicRequest(trigger.http)
  return 'json' in trigger ? JSON.parse(trigger.json) : trigger.value
}

/**
 * What a function leaves for its outputs: its result for `$return`; else what an object that it
 * returns has by their names; else what it assigned to `context.bindings`, and for http to
 * `context.res`.
 */
function outputsOf(
  func: LoadedFunction,
  context: FunctionContext,
  result: unknown,
  before: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const outputs: Record<string, unknown> = {}
  const hasReturn = func.bindings.some(({ name }) => name === RETURN)
  const named = !hasReturn && isObject(result) ? result : {}
  for (const binding of func.bindings) {
    const value = outputOf(binding, context, result, named)
    // A binding that goes both ways and was left alone, or a client, says nothing.
    if (value !== undefined && value !== before[binding.name]) outputs[binding.name] = value
  }
  return outputs
}

function outputOf(
  { name, type, direction }: Binding,
  context: FolderContext & { res?: unknown },
  result: unknown,
  named: Readonly<Record<string, unknown>>,
): unknown {
  if (name === RETURN) return type === 'http' && !result ? context.res : result
  const isOut = direction !== 'in'
  if (isOut && Object.hasOwn(named, name) && named[name] !== undefined) return named[name]
  const own = context.bindings[name]
  return own === undefined && type === 'http' ? context.res : own
}

/** Calls a function that ends by the promise it returns, or by `context.done`. */
function run(
  func: LoadedFunction,
  context: FunctionContext & { suppressAsyncDoneError?: unknown },
  inputs: unknown[],
  trigger: TriggerValue,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let endedBy: 'done' | 'promise' | null = null
    const end = (by: 'done' | 'promise', hasFailed: boolean, value: unknown): void => {
      if (endedBy !== null) {
        if (by === 'done') warnOfSecondEnd(context, endedBy)
        else if (hasFailed) context.log.error(`It failed after done: ${messageOf(value)}`)
        return
      }
      endedBy = by
      if (hasFailed) reject(value)
      else resolve(value)
    }
    context.done = (error, result) => end('done', Boolean(error), error ? error : result)
    if ('http' in trigger) {
      Object.assign(context, { req: inputs[0], res: new ClassicResponse(() => context.done()) })
    }
    const returned = func.run(context, ...inputs)
    if (isThenable(returned)) {
      returned.then(
        (result) => end('promise', false, result),
        (error) => end('promise', true, error),
      )
    } else if (returned !== undefined && endedBy === null) {
      context.log.warn(
        `Function '${func.name}' returned a value that is no promise, which is ignored: make it async, or call context.done(null, result). It is waited for.`,
      )
    }
  })
}

function warnOfSecondEnd(
  context: InvocationContext & { suppressAsyncDoneError?: unknown },
  endedBy: string,
): void {
  if (context.suppressAsyncDoneError) return
  const what = endedBy === 'done' ? 'a second time' : 'after its promise had settled'
  context.log.warn(`context.done was called ${what}, which is ignored.`)
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return typeof (value as PromiseLike<unknown>).then === 'function'
}
