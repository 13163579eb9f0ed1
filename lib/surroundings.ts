/**
 * What runs user code has around it, given by the hub or by a thread of it.
 *
 * Owns: the shape. Must never: know who gives it.
 * Proved by: `__test__/threads.spec.mjs`.
 */

import type { HttpSettings } from './call-http/settings.js'
import type { Log } from './log.js'
import type { CrossingBounds } from './outgoing.js'

/** What an execution needs of its hub. */
export interface Surroundings {
  /** The largest JSON text of one value. */
  payloadBytes: number
  readonly log: Log
  /** How much crosses at once. */
  readonly crossing: CrossingBounds
  /** What the hub says of `callHttp`. */
  readonly http: HttpSettings
  /** Has the instance run at once: it has done something outside a turn, and is to fail. */
  violated(instanceId: string): void
  /**
   * User code begins that may not return: a turn, by the token of its activation, or an activity, by its
   * run as a number below zero. `SEVERAL`: one of the turns that have begun.
   *
   * @param timeoutMs of the activity, if it has one
   */
  enters(inside: number, timeoutMs?: number): void
  /** It has returned. */
  leaves(): void
}

/** See `Surroundings.enters`; no token is as large. */
export const SEVERAL = 0x1_0000_0000
