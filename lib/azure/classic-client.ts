/**
 * What a starter takes beside what every client takes: arguments one after the other, as clients of
 * `durable-functions` 1 and 2 take them.
 *
 * Owns: telling those arguments from options.
 * Must never: do anything itself; the client does.
 * Proved by: `__test__/one-import-classic.spec.mjs`.
 */

import type { DurableClient } from '../client.js'

type Arguments = readonly unknown[]

/** How arguments of a method become those that the client takes; others pass as they are. */
const conversions: Record<string, (given: Arguments) => Arguments> = {
  /** `(instanceId, showHistory, showHistoryOutput, showInput)` */
  getStatus: ([id, ...rest]) => {
    const [showHistory, showHistoryOutput, showInput] = rest
    const isOlder = rest.length > 1 || typeof showHistory === 'boolean'
    return isOlder ? [id, given({ showHistory, showHistoryOutput, showInput })] : [id, ...rest]
  },
  /** `(createdTimeFrom, createdTimeTo, runtimeStatus)` */
  getStatusBy: filtered,
  purgeInstanceHistoryBy: filtered,
  /** `(instanceId, eventName, eventData, taskHubName, connectionName)` */
  raiseEvent: ([id, name, data, ...hub]) => [id, name, data, ...hubOf(hub)],
  /** `(instanceId, reason, taskHubName, connectionName)` */
  rewind: ([id, reason, ...hub]) => [id, reason, ...hubOf(hub)],
  /** `(entityId, operationName, operationContent, taskHubName, connectionName)` */
  signalEntity: ([id, name, content, ...hub]) => [id, name, content, ...hubOf(hub)],
  /** `(entityId, taskHubName, connectionName)` */
  readEntityState: ([id, ...hub]) => [id, ...hubOf(hub)],
  /** Without a request it is for a classic function all the same. */
  createCheckStatusResponse: ([request, id]) => [request ?? { headers: {} }, id],
  /** `(request, instanceId, timeoutInMilliseconds, retryIntervalInMilliseconds)` */
  waitForCompletionOrCreateCheckStatusResponse: ([request, id, ...rest]) => {
    const [timeoutInMilliseconds, retryIntervalInMilliseconds] = rest
    const isOlder = rest.length > 1 || typeof timeoutInMilliseconds === 'number'
    const options = given({ timeoutInMilliseconds, retryIntervalInMilliseconds })
    return [request ?? { headers: {} }, id, ...(isOlder ? [options] : rest)]
  },
}

/** A method of a client, bound to it, that takes arguments in either manner. */
export function classicMethod(
  client: DurableClient,
  name: string,
): ((...given: unknown[]) => unknown) | undefined {
  const method = (client as unknown as Record<string, unknown>)[name]
  if (typeof method !== 'function') return undefined
  const convert = Object.hasOwn(conversions, name) ? conversions[name] : undefined
  if (convert === undefined) return method.bind(client)
  return (...given) => method.apply(client, convert(given))
}

function filtered(args: Arguments): Arguments {
  const [createdTimeFrom, createdTimeTo, runtimeStatus] = args
  const isOlder = args.length > 1 || createdTimeFrom instanceof Date
  return isOlder ? [given({ createdTimeFrom, createdTimeTo, runtimeStatus })] : args
}

/** The hub of a call: two texts, of which either may be missing, or options. */
function hubOf(args: Arguments): Arguments {
  const [taskHubName, connectionName] = args
  const isOlder = args.length > 1 || typeof taskHubName === 'string'
  return isOlder ? [given({ taskHubName, connectionName })] : args
}

/** An object of what was given. */
function given(fields: Record<string, unknown>): Record<string, unknown> {
  const left = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)
  return Object.fromEntries(left)
}
