/**
 * What becomes of an event, for who sent it.
 *
 * Owns: that a discard is never silent. Must never: decide; the core does.
 * Proved by: `__test__/events.spec.mjs`.
 */

import type { Log } from './log.js'
import type { RaiseOutcome } from './protocol.js'

/** What became of an event. */
export type RaiseEventOutcome =
  /** The instance waited for it, and will see it. */
  | { outcome: 'delivered' }
  /** Kept until the instance waits for it (`unmatchedEvents: 'buffer'`). */
  | { outcome: 'buffered' }
  /** Lost; a warning in the log says so. */
  | { outcome: 'discarded'; reason: 'NotFound' | 'Ended' | 'NotWaiting' }

export function warnOfDiscard(
  log: Log,
  instanceId: string,
  eventName: string,
  { reason }: RaiseOutcome & { outcome: 'discarded' },
): void {
  const why = {
    NotFound: 'there is no such instance',
    Ended: 'the instance has ended',
    NotWaiting: 'the instance does not wait for it',
  }[reason]
  const remedy =
    reason === 'NotWaiting'
      ? "Open the hub with unmatchedEvents: 'buffer' to keep events until they are waited for (of a function app host.json, extensions.durableTask.unmatchedEvents)."
      : "unmatchedEvents: 'buffer' keeps only events for instances that have not ended."
  log.engine(
    'warn',
    `Event '${eventName}' for instance '${instanceId}' was discarded: ${why}. ${remedy}`,
  )
}
