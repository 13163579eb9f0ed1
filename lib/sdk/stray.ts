/**
 * Rejections that versions 1 and 2 of the SDK let go.
 *
 * Owns: telling whose they are. What a function throws at its call, before it has made a generator,
 * becomes a rejection that nobody hears, and `context.done` is never called: the process would end,
 * and end again with each new start, for the fault of one orchestrator.
 * Must never: swallow a rejection of anybody else.
 * Proved by: `__test__/sdk-calls.spec.mjs`.
 */

/** Calls of this tick that have not settled, by what rejects them, the oldest first. */
const pending: Set<(error: unknown) => void> = new Set()
let isListening = false

/**
 * Makes a call of the classic model. These versions settle within the tick, so a rejection that comes
 * in it, when all others have settled, is that of one that has not.
 */
export function settling<T>(call: () => PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    pending.add(reject)
    if (!isListening) {
      isListening = true
      process.on('unhandledRejection', take)
      setImmediate(stop)
    }
    call().then(
      (value) => {
        pending.delete(reject)
        resolve(value)
      },
      (error) => {
        pending.delete(reject)
        reject(error)
      },
    )
  })
}

function take(reason: unknown): void {
  const [first] = pending
  if (first !== undefined) {
    pending.delete(first)
    first(reason)
  } else if (process.listenerCount('unhandledRejection') === 1) {
    // As if nobody listened.
    throw reason
  }
}

/** The tick is over. What has not settled does other things than these versions do. */
function stop(): void {
  process.off('unhandledRejection', take)
  isListening = false
  pending.clear()
}
