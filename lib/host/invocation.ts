/**
 * Functions ready to be called, whichever model they are written in.
 *
 * Owns: what a call takes and gives, for the host and for whoever runs orchestrators and entities of
 * the original packages; and how long it may take.
 * Must never: know a model; `classic.ts` and `modern.ts` do.
 * Proved by: `__test__/host-functions.spec.mjs`, `__test__/host-modern.spec.mjs`.
 */

import type { BindingData } from '../azure/binding-data.js'
import { TimeoutError } from '../errors.js'
import type { Log } from '../log.js'
import { Timeout } from '../timer.js'
import type { InvocationContext } from '../types.js'
import type { Binding, FunctionKind } from './binding.js'
import type { HttpInput } from './http-input.js'
import type { RetryContext } from './retry-policy.js'

/**
 * The value of a trigger: as it is; as JSON text, which is parsed for each call, so that what the
 * function does to it stays its own; or a request.
 */
export type TriggerValue =
  | { readonly value: unknown }
  | { readonly json: string }
  | { readonly http: HttpInput }

/** A call of a function. */
export interface Call {
  readonly trigger: TriggerValue
  /** What is known of the trigger beside its value. */
  readonly data?: Readonly<Record<string, unknown>>
  /** Default: a new UUID. */
  readonly invocationId?: string
  /** Of a function that is tried again: which attempt it is. */
  readonly retry?: RetryContext
  /** What the engine gives of its own; a classic context is made of it. Its invocationId holds then. */
  readonly context?: InvocationContext
}

/** What became of a call. */
export interface Outcome {
  /** What the function returned, or gave to `context.done`. */
  readonly returnValue: unknown
  /** What it left for its output bindings, by their names. All but those of type http are delivered. */
  readonly outputs: Readonly<Record<string, unknown>>
}

/** A function of an app, loaded. */
export interface Invocable {
  readonly name: string
  readonly kind: FunctionKind
  /** 'classic': a folder with `function.json`; 'v4': registered through `@azure/functions` 4. */
  readonly model: 'classic' | 'v4'
  /** What it is declared in: its `function.json`, or the module that registered it. */
  readonly file: string
  readonly bindings: readonly Binding[]
  readonly trigger: Binding
  /** What its declaration says of retries, unread. */
  readonly retry: unknown
  /**
   * Of an orchestrator or entity: whether it is one of the original packages, which speak the
   * out-of-process protocol: the trigger is their payload and the outcome their state.
   */
  readonly isHosted: boolean
  /**
   * Calls it. Rejects with what it threw, or gave to `context.done` as an error, untouched.
   */
  invoke(call: Call): Promise<Outcome>
}

/**
 * Runs a call within the bound that an app has for it. What a function does after that is ignored.
 * Activities have the bound from the engine, and what the engine runs step by step has none.
 *
 * @throws TimeoutError
 */
export async function bounded<T>(
  { name, kind }: Invocable,
  { functionTimeoutMs }: Environment,
  run: () => Promise<T>,
): Promise<T> {
  const isBounded = kind === 'http' || kind === 'timer' || kind === 'manual'
  if (functionTimeoutMs === undefined || !isBounded) return run()
  return new Promise((resolve, reject) => {
    const timeout = new Timeout(functionTimeoutMs, () => {
      const text = `Function '${name}' did not end within ${functionTimeoutMs} ms (functionTimeout of host.json).`
      reject(new TimeoutError(text))
    })
    run()
      .then(resolve, reject)
      .finally(() => timeout.clear())
  })
}

/** What surrounds the functions of an app: where inputs come from, and where outputs go. */
export interface Environment {
  readonly log: Log
  /** How long a call may take; undefined: no bound. */
  readonly functionTimeoutMs: number | undefined
  /** The value of an input that is not the trigger; in the newer model it must be plain JSON. */
  input(binding: Binding, func: Invocable): Promise<unknown>
  /** Remembers whose context it is, for `clientOf`. */
  enter(context: object): Promise<void>
  /** Hands on what a call left for its outputs, except for http. */
  deliver(
    func: Invocable,
    outputs: Outcome['outputs'],
    context: InvocationContext,
    data: () => BindingData,
  ): Promise<void>
}
