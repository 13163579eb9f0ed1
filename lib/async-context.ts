/**
 * The asynchronous context of user code: what `AsyncLocalStorage` gives there.
 *
 * Owns: that it is the context of `open`. Whoever starts, raises or closes in a request of his own lends
 * that to nobody: his traces, tenants and loggers are not theirs.
 * Must never: let a context that user code enters (`enterWith`) outlive the call.
 * Proved by: `__test__/async-context.spec.mjs`.
 */

import { AsyncResource } from 'node:async_hooks'

/** Names the resources for whoever looks at `async_hooks`. */
const TYPE = 'DURAFN'

/** The context that was there when this was made. */
export class Origin {
  private readonly resource: AsyncResource = new AsyncResource(TYPE)

  /** Calls `action` in it. */
  run<T>(action: () => T): T {
    return this.resource.runInAsyncScope(apart, undefined, action) as T
  }
}

/**
 * Calls user code in the context that is there now, and in one of its own: until Node 24 `enterWith`
 * changes that of whoever called, and what runs next would be in it.
 */
export function apart<A extends unknown[], T>(code: (...args: A) => T, ...args: A): T {
  return new AsyncResource(TYPE).runInAsyncScope(code, undefined, ...args)
}
