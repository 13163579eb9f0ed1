/**
 * The context of the classic model.
 *
 * Owns: what `context` has beside what the engine gives it.
 * Must never: call a function; `classic.ts` does.
 * Proved by: `__test__/host-functions.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import { type BindingData, lazily } from '../azure/binding-data.js'
import { type Log, logFunction } from '../log.js'
import type { InvocationContext } from '../types.js'
import type { BindingDefinition } from './binding.js'
import type { ClassicRequest, ClassicResponse } from './classic-http.js'
import type { FunctionDefinition } from './function-json.js'
import type { RetryContext } from './retry-policy.js'

/** What Azure's `context.executionContext` has. */
export interface ExecutionContext {
  readonly invocationId: string
  readonly functionName: string
  /** The folder of the function. */
  readonly functionDirectory: string
  /** Of a function that is tried again: which attempt it is. */
  readonly retryContext: RetryContext | null
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
  /**
   * `invocationId`, `instanceId`, the trigger's input as `data` and by its name, and the fields of a trigger
   * that is a JSON object, each name with its first letter in lower case. Of an orchestrator `input`,
   * `instanceId`, `parentInstanceId` and `isReplaying`.
   */
  // biome-ignore lint/suspicious/noExplicitAny: values of any type by names of the user's
  readonly bindingData: { readonly invocationId: string; readonly [name: string]: any }
  readonly bindingDefinitions: BindingDefinition[]
  readonly traceContext: {
    readonly traceparent: null
    readonly tracestate: null
    readonly attributes: Record<string, string>
  }
}

/** The context of a function in a folder, except for an orchestrator. */
export interface FunctionContext extends FolderContext {
  /** Ends the function, if it is not one that returns a promise. */
  done(error?: unknown, result?: unknown): void
  /** Of an http function: the request. */
  readonly req?: ClassicRequest
  /** Of an http function: the response, unless it is returned or assigned to its binding. */
  res?: ClassicResponse | Record<string, unknown>
}

/** Adds to a context of the engine what the classic model has; the context is made for one call. */
export function extend(
  context: InvocationContext,
  func: FunctionDefinition,
  bindings: Record<string, unknown>,
  data: () => BindingData,
  retry?: RetryContext,
): FolderContext {
  const { invocationId } = context
  const executionContext: ExecutionContext = {
    invocationId,
    functionName: func.name,
    functionDirectory: func.directory,
    retryContext: retry ?? null,
  }
  lazily(context, 'bindingData', () => ({ ...data(), invocationId }))
  return Object.assign(context as FolderContext, {
    executionContext,
    bindings,
    bindingDefinitions: func.bindings.map(({ name, type, direction }) => {
      return { name, type, direction }
    }),
    traceContext: { traceparent: null, tracestate: null, attributes: {} },
  })
}

/** A context for a call that the engine knows nothing of. */
export function plainContext(
  functionName: string,
  log: Log,
  invocationId: string = randomUUID(),
): InvocationContext {
  const write = logFunction((level, args) => log.user(level, args))
  return {
    functionName,
    invocationId,
    log: write,
    trace: write.trace,
    debug: write.debug,
    info: write.info,
    warn: write.warn,
    error: write.error,
  }
}
