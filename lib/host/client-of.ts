/**
 * Which client a function's context belongs to.
 *
 * Owns: remembering it, for contexts whose model has no room for a live object.
 * Must never: keep a context alive.
 * Proved by: `__test__/host-modern.spec.mjs`.
 */

import type { DurableClient } from '../client.js'

const clients: WeakMap<object, DurableClient> = new WeakMap()

/** Remembers the client of the hub that a call runs in. */
export function rememberClient(context: object, client: DurableClient): void {
  clients.set(context, client)
}

/** The client of the hub that a function with this context runs in; undefined outside of a host. */
export function clientOf(context: object): DurableClient | undefined {
  return clients.get(context)
}
