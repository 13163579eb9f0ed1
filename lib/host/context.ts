/**
 * The context of the classic model, and the calls of functions with it.
 *
 * Owns: what `context` has beside what the engine gives it, how a function says that it is done, and
 * which arguments it gets.
 * Must never: decide when a function runs.
 * Proved by: `__test__/host-functions.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import type { DurableClient } from '../client.js'
import { messageOf } from '../failure.js'
import { type Log, logFunction } from '../log.js'
import type { ActivityContext, InvocationContext, OrchestrationContext } from '../types.js'
import { type BindingDefinition, isObject } from './function-json.js'
import type { LoadedFunction } from './script.js'
import { type Assigned, isAssigned, startAssigned } from './starter.js'

/** What Azure's `context.executionContext` has. */
export interface ExecutionContext {
  readonly invocationId: string
  readonly functionName: string
  /** The folder of the function. */
  readonly functionDirectory: string
  readonly retryContext: null
}

/** What the context of every function in a folder has beside what the engine gives it. */
export interface FolderContext extends InvocationContext {
  readonly executionContext: ExecutionContext
  /**
   * By the names of `function.json`: the trigger's input; and a starter, which is a client, and to
   * which starts can be assigned.
   */
  // biome-ignore lint/suspicious/noExplicitAny: values of any type by names of the user's
  bindings: Record<string, any>
  /** `invocationId`, `instanceId`, and the trigger's input as `data` and by its name. */
  readonly bindingData: Record<string, unknown>
  readonly bindingDefinitions: readonly BindingDefinition[]
  readonly traceContext: {
    readonly traceparent: null
    readonly tracestate: null
    readonly attributes: Record<string, string>
  }
}

/** The context of a manual function, and of an activity in a folder. */
export interface FunctionContext extends FolderContext {
  /** Ends the function, if it is not one that returns a promise. */
  done(error?: unknown, result?: unknown): void
}

/** What `context.bindings` holds for an orchestrator's trigger. */
export interface OrchestrationTrigger {
  readonly input: unknown
  readonly instanceId: string
  readonly parentInstanceId: string | null
  readonly isReplaying: boolean
}

// ------------------------------------------------------------------ calls

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
  return func.run(extend(context, func, bindings, { instanceId: df.instanceId }), trigger)
}

/** Calls an activity, and starts what it assigned. */
export function callActivity(
  func: LoadedFunction,
  input: unknown,
  context: ActivityContext,
  client: DurableClient,
): Promise<unknown> {
  return call(func, input, context, client, { instanceId: context.instanceId })
}

/** Calls a manual function, and starts what it assigned. */
export function callManual(
  func: LoadedFunction,
  input: unknown,
  client: DurableClient,
  log: Log,
): Promise<unknown> {
  return call(func, input, manualContext(func.name, log), client, {})
}

async function call(
  func: LoadedFunction,
  input: unknown,
  base: InvocationContext,
  client: DurableClient,
  data: Record<string, unknown>,
): Promise<unknown> {
  const { trigger } = func
  const bindings: Record<string, unknown> = {}
  const inputs: unknown[] = []
  for (const binding of func.bindings) {
    bindings[binding.name] = binding === trigger ? input : client
    if (binding.direction !== 'out') inputs.push(bindings[binding.name])
  }
  const context = extend(base, func, bindings, { ...data, data: input, [trigger.name]: input })
  const result = await run(func, context as FunctionContext, inputs)
  const assigned = assignedBy(func, context, result, client)
  await startAssigned(client, assigned, (message) => base.log.warn(message))
  return result
}

/** What a function leaves for its starters: in `context.bindings`, or by their names in its result. */
function assignedBy(
  func: LoadedFunction,
  context: FolderContext,
  result: unknown,
  client: DurableClient,
): Assigned[] {
  const assigned: Assigned[] = []
  const named = isObject(result) ? result : {}
  for (const { name, direction } of func.clients) {
    const own = context.bindings[name]
    const isOut = direction !== 'in'
    const returned = name === '$return' ? result : Object.hasOwn(named, name) && named[name]
    if (isAssigned(own, client)) assigned.push({ binding: name, value: own })
    else if (isOut && returned !== false && isAssigned(returned, client)) {
      assigned.push({ binding: name, value: returned })
    }
  }
  return assigned
}

/** Calls a function that ends by the promise it returns, or by `context.done`. */
function run(func: LoadedFunction, context: FunctionContext, inputs: unknown[]): Promise<unknown> {
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

function warnOfSecondEnd(context: FunctionContext, endedBy: string): void {
  const what = endedBy === 'done' ? 'a second time' : 'after its promise had settled'
  context.log.warn(`context.done was called ${what}, which is ignored.`)
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return typeof (value as PromiseLike<unknown>).then === 'function'
}

// ------------------------------------------------------------------ contexts

/** Adds to a context of the engine what the classic model has; the context is made for one call. */
function extend(
  context: InvocationContext,
  func: LoadedFunction,
  bindings: Record<string, unknown>,
  data: Record<string, unknown>,
): FolderContext {
  const { invocationId } = context
  const executionContext: ExecutionContext = {
    invocationId,
    functionName: func.name,
    functionDirectory: func.directory,
    retryContext: null,
  }
  return Object.assign(context, {
    executionContext,
    bindings,
    bindingData: { invocationId, ...data },
    bindingDefinitions: func.bindings,
    traceContext: { traceparent: null, tracestate: null, attributes: {} },
  })
}

function manualContext(functionName: string, log: Log): InvocationContext {
  const write = logFunction((level, args) => log.user(level, args))
  return {
    functionName,
    invocationId: randomUUID(),
    log: write,
    trace: write.trace,
    debug: write.debug,
    info: write.info,
    warn: write.warn,
    error: write.error,
  }
}
