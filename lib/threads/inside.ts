/**
 * Whether this is a thread that a hub runs.
 *
 * Owns: that one fact, and what is refused for it.
 * Must never: import anything of a hub, as the hub asks it.
 * Proved by: `__test__/threads.spec.mjs`.
 */

import { InvalidOption } from '../errors.js'

let stage: 'outside' | 'loading' | 'running' = 'outside'

/** Told by the thread itself. */
export function enter(now: 'loading' | 'running'): void {
  stage = now
}

/**
 * An app's module that opens its own hub would do so in every thread, and each of those again.
 *
 * @throws InvalidOption
 */
export function refuseOpening(threads: number): void {
  if (stage === 'outside' || (stage === 'running' && threads === 0)) return
  throw new InvalidOption(
    "open was called in a thread of a hub, by the module that registers its functions. Open the hub in another module, or only if `isMainThread` of 'node:worker_threads' is true.",
    { field: 'options.threads' },
  )
}
