/**
 * `df.getClient`: the client of the hub that a function runs in.
 *
 * Owns: finding it from a context of any model, and what is said where there is none.
 * Must never: open or connect anything.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

import { DurableClient } from '../client.js'
import { ActivityInvocation, OrchestrationInvocation } from '../context.js'
import { InvalidOption } from '../errors.js'
import { clientOf } from '../host/client-of.js'
import type { DurableOrchestrationClient } from './classic-types.js'

/**
 * The client of the hub that the function with this context runs in: an activity, in any process; in the
 * function host also http, timer and manual functions, classic ones too.
 *
 * @throws InvalidOption where there is none: in an orchestrator, in a worker thread, in a context that no
 * hub made
 *
 * @example
 * ```ts
 * df.app.activity('escalate', {
 *   handler: async (id: string, context) => {
 *     await df.getClient(context).raiseEvent(id, 'Escalated')
 *   },
 * })
 * ```
 */
export function getClient(context: {
  bindings: Record<string, unknown>
}): DurableOrchestrationClient
export function getClient(context: object): DurableClient
export function getClient(context: object): DurableClient {
  const client = bound(context) ?? clientOf(context) ?? ofHub(context)
  if (client !== undefined) return client
  throw new InvalidOption(`df.getClient found no client: ${whyNone(context)}`, { field: 'context' })
}

/** Of an activity: the client of the hub that started it. */
function ofHub(context: object): DurableClient | undefined {
  return context instanceof ActivityInvocation ? clientOf(context.hub) : undefined
}

/** Of a classic function: the client among its bindings. */
function bound(context: object): DurableClient | undefined {
  const { bindings } = context as { bindings?: unknown }
  if (typeof bindings !== 'object' || bindings === null) return undefined
  return Object.values(bindings).find((value) => value instanceof DurableClient)
}

function whyNone(context: object): string {
  if (context instanceof OrchestrationInvocation) {
    return 'an orchestrator has none, as what it does must be replayed; let an activity do it.'
  }
  if (context instanceof ActivityInvocation) {
    return 'it stays in the thread that opened the hub; open it without threads, or use df.connect.'
  }
  return 'the context is of no function that runs in a hub. Outside the function host (npx durafn start) take the client that df.open or df.connect gives.'
}
