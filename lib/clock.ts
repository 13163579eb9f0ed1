/**
 * Timers and clocks that are the process's own, whatever tests make of the globals.
 *
 * Owns: taking them when durafn is imported, before the fake timers of vitest, jest, sinon or `node:test`
 * stand in their place: an engine that waits for a faked `setImmediate` waits for ever. What is faked is
 * what the user's code sees; durable timers fire in real time.
 * Must never: be passed by: nothing else in `lib/` may use what is here from the globals or from
 * `node:timers` (`biome.json`, `tests/tidy.rs`).
 * Proved by: `__test__/fake-timers.spec.mjs`.
 */

import { performance as clock } from 'node:perf_hooks'
import timers from 'node:timers'

/** Those of the module: in jest's sandbox the globals may be fakes from the beginning. */
export const setTimeout: typeof timers.setTimeout = timers.setTimeout
export const clearTimeout: typeof timers.clearTimeout = timers.clearTimeout
export const setInterval: typeof timers.setInterval = timers.setInterval
export const clearInterval: typeof timers.clearInterval = timers.clearInterval
export const setImmediate: typeof timers.setImmediate = timers.setImmediate
export const clearImmediate: typeof timers.clearImmediate = timers.clearImmediate

export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask
export const nextTick: typeof process.nextTick = process.nextTick

/** Milliseconds that only grow, as `performance.now()`. */
export const monotonicMs: () => number = clock.now.bind(clock)
/** Milliseconds since 1970, as `Date.now()`. */
export const wallMs: () => number = Date.now

/** Resolves in the next macrotask. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
