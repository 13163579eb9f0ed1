/**
 * Timeouts of any length.
 *
 * Owns: the workaround for `setTimeout`, which fires at once when asked for more than 2^31 - 1 ms.
 * Must never: be used for a durable timer; those are rows, and fire by the core.
 * Proved by: `__test__/client.spec.mjs`.
 */

import { clearTimeout, setTimeout } from './clock.js'

const TIMEOUT_MS_MAX = 2_147_483_647

/** A timeout that can be cleared; it holds the process while it is set. */
export class Timeout {
  private handle: NodeJS.Timeout | undefined

  constructor(ms: number, action: () => void) {
    this.arm(ms, action)
  }

  clear(): void {
    clearTimeout(this.handle)
    this.handle = undefined
  }

  private arm(ms: number, action: () => void): void {
    if (ms <= TIMEOUT_MS_MAX) {
      this.handle = setTimeout(action, ms)
    } else {
      this.handle = setTimeout(() => this.arm(ms - TIMEOUT_MS_MAX, action), TIMEOUT_MS_MAX)
    }
  }
}
