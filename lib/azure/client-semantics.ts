/**
 * What calls of a client do that can change nothing: as this package has it, or as `durable-functions` of every
 * version has it.
 *
 * Owns: the second of these, made of the first.
 * Must never: ask or tell the engine anything by itself.
 * Proved by: `__test__/client-semantics.spec.mjs`.
 */

import type { DurableClient } from '../client.js'
import { InstanceEnded, InstanceNotFound } from '../errors.js'

/** See `ConnectOptions.clientSemantics`. */
export type ClientSemantics = 'durafn' | 'azure'

export const CLIENT_SEMANTICS: readonly ClientSemantics[] = ['durafn', 'azure']

type Exact = Pick<DurableClient, 'terminate' | 'suspend' | 'resume' | 'raiseEvent'>

/** The methods of this package, of clients that have the others. */
const exact: WeakMap<object, Exact> = new WeakMap()

/** Gives a client the semantics that were chosen; it gives the client back. */
export function withSemantics<T extends DurableClient>(client: T, chosen: ClientSemantics): T {
  if (chosen === 'durafn') return client
  const own = methodsOf(client)
  const { terminate, suspend, resume, raiseEvent } = own
  exact.set(client, own)
  const methods: Exact = {
    terminate: (...given) => terminate(...given).catch(passEnded),
    suspend: (...given) => suspend(...given).catch(passEnded),
    resume: (...given) => resume(...given).catch(passEnded),
    raiseEvent: async (instanceId, ...rest) => {
      const outcome = await raiseEvent(instanceId, ...rest)
      if (outcome.outcome !== 'discarded' || outcome.reason !== 'NotFound') return outcome
      // Word for word, as programs compare it.
      throw new InstanceNotFound(`No instance with ID '${instanceId}' found.`, { instanceId })
    },
  }
  for (const [name, value] of Object.entries(methods))
    Object.defineProperty(client, name, { value })
  return client
}

/** The methods of this package, whatever semantics a client has: for those who tell the outcomes apart. */
export function exactly(client: DurableClient): Exact {
  return exact.get(client) ?? client
}

function methodsOf(client: DurableClient): Exact {
  return {
    terminate: client.terminate.bind(client),
    suspend: client.suspend.bind(client),
    resume: client.resume.bind(client),
    raiseEvent: client.raiseEvent.bind(client),
  }
}

function passEnded(error: unknown): void {
  if (!(error instanceof InstanceEnded)) throw error
}
