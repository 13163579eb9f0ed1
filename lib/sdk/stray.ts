/**
 * Rejections that versions 1 and 2 of the SDK let go.
 *
 * Owns: making them what the call has come to. What a function throws at its call, before it has made a
 * generator, becomes a rejection that nobody hears, and `context.done` is never called.
 * Must never: let a call wait that nothing will settle.
 * Proved by: `__test__/sdk-calls.spec.mjs`.
 */

import { setImmediate } from '../clock.js'
import { type Owner, owned } from '../rejections.js'

/**
 * Makes a call of the classic model, in the name of `owner`. These versions settle within the tick, so a
 * rejection that comes in it, when the call has not settled, is what it has come to.
 */
export function settling<T>(owner: Owner, call: () => PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let isPending = true
    const over = (): void => {
      isPending = false
    }
    const ofCall: Owner = {
      rejected(promise, reason) {
        if (isPending) reject(reason)
        else owner.rejected(promise, reason)
      },
      handled: (promise) => owner.handled(promise),
    }
    // What has not settled then does other things than these versions do.
    setImmediate(over)
    const settled = owned(ofCall, call)
    settled.then(over, over)
    settled.then(resolve, reject)
  })
}
