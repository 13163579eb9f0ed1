/**
 * The hooks of a v4 app around the call of a function: `app.hook.preInvocation` and `postInvocation`.
 *
 * Owns: what hooks see of a call, and what of it they may change.
 * Must never: know how a function is called.
 * Proved by: `__test__/host-modern.spec.mjs`, `__test__/one-import-host.spec.mjs`.
 */

import type { ActivityHandler } from '../types.js'
import { type CoreApp, type CoreCallback, runAs } from './core-module.js'

/** What a call is at, as `@azure/functions` names it. */
export type CallState = 'preInvocationHooks' | 'invocation' | 'postInvocationHooks'

/** A call, before hooks have changed anything of it. */
export interface HookedCall {
  readonly app: CoreApp
  readonly context: object
  readonly inputs: unknown[]
  readonly callback: CoreCallback
  invoke(inputs: unknown[], callback: CoreCallback): unknown
  /** Is told what the call is at. */
  during?<T>(state: CallState, action: () => Promise<T>): Promise<T>
}

/** Makes a call between the hooks of its app; gives what they leave of its result. */
export async function invokeHooked(call: HookedCall): Promise<unknown> {
  const { app, context, callback } = call
  const during = call.during?.bind(call) ?? ((_state, action) => action())
  const fixed = { hookData: {}, appHookData: app.hookData, invocationContext: context }
  const before = withFixed({ inputs: call.inputs, functionCallback: callback }, fixed)
  await during('preInvocationHooks', () => app.runHooks('preInvocation', before))
  const { inputs, functionCallback } = before
  const outcome = { inputs, result: null as unknown, error: null as unknown }
  try {
    outcome.result = await during('invocation', async () => call.invoke(inputs, functionCallback))
  } catch (error) {
    outcome.error = error ?? new TypeError(`The function threw ${String(error)}.`)
  }
  const after = withFixed(outcome, fixed)
  await during('postInvocationHooks', () => app.runHooks('postInvocation', after))
  if (after.error !== null && after.error !== undefined) throw after.error
  return after.result
}

/** An activity of `df.app` is called as any other function of its app. */
export function withHooks(app: CoreApp, handler: ActivityHandler): ActivityHandler {
  return (input, context) => {
    if (!app.hasInvocationHooks) return handler(input, context)
    return runAs(app, () =>
      invokeHooked({
        app,
        context,
        inputs: [input],
        callback: handler,
        invoke: (inputs, callback) => callback(...inputs, context),
      }),
    )
  }
}

/** Adds the fields of a hook's context that a hook may fill, and not replace. */
function withFixed<T extends object>(context: T, fixed: object): T {
  for (const [key, value] of Object.entries(fixed)) {
    Object.defineProperty(context, key, {
      enumerable: true,
      get: () => value,
      set: () => {
        throw new TypeError(`${key} is read-only: change what is in it instead.`)
      },
    })
  }
  return context
}
