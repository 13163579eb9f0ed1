/**
 * What surrounds the functions of an app whose hub is open.
 *
 * Owns: the values of client bindings, and where outputs go.
 * Must never: call a function.
 * Proved by: `__test__/starter.spec.mjs`, `__test__/host-bindings.spec.mjs`.
 */

import type { BindingData } from '../azure/binding-data.js'
import { classicMethod } from '../azure/classic-client.js'
import { DurableClient } from '../client.js'
import type { ClientBinding } from '../http/binding.js'
import type { Log } from '../log.js'
import type { InvocationContext } from '../types.js'
import { type Binding, isClient, isForeign } from './binding.js'
import { rememberClient } from './client-of.js'
import type { Environment, Invocable, Outcome } from './invocation.js'
import { handOn } from './outputs.js'
import { type Assigned, isAssigned, startAssigned } from './starter.js'

/** What the original packages make a client of: the URLs of the management API. */
export type ClientPayload = ClientBinding | Record<string, never>

/** What an environment is made of. */
export interface EnvironmentParts {
  readonly log: Log
  /** Waited for, as a function may run before the hub has told that it is open. */
  readonly client: () => Promise<DurableClient>
  /** What the original packages make a client of; left out where no management API is served. */
  readonly payload?: () => Promise<ClientPayload>
  readonly functionTimeoutMs?: number | undefined
}

export class HubEnvironment implements Environment {
  readonly log: Log
  readonly functionTimeoutMs: number | undefined
  readonly #client: () => Promise<DurableClient>
  readonly #payload: (() => Promise<ClientPayload>) | undefined
  #starter: Promise<DurableClient> | undefined

  constructor({ log, client, payload, functionTimeoutMs }: EnvironmentParts) {
    this.log = log
    this.functionTimeoutMs = functionTimeoutMs
    this.#client = client
    this.#payload = payload
  }

  async input(binding: Binding, func: Invocable): Promise<unknown> {
    if (!isClient(binding)) return undefined
    if (func.model === 'v4') return (await this.#payload?.()) ?? {}
    this.#starter ??= this.#makeStarter()
    return this.#starter
  }

  async #makeStarter(): Promise<DurableClient> {
    return starterOf(await this.#client(), (await this.#payload?.()) ?? {})
  }

  async enter(context: object): Promise<void> {
    rememberClient(context, await this.#client())
  }

  async deliver(
    func: Invocable,
    outputs: Outcome['outputs'],
    context: InvocationContext,
    data: () => BindingData,
  ): Promise<void> {
    const assigned: Assigned[] = []
    for (const binding of func.bindings) {
      const value = outputs[binding.name]
      if (!isAssigned(value)) continue
      if (isClient(binding)) assigned.push({ binding: binding.name, value })
      else if (isForeign(binding)) await handOn(value, binding, context, data)
    }
    if (assigned.length === 0) return
    await startAssigned(await this.#client(), assigned, (text) => this.log.user('warn', [text]))
  }
}

/**
 * A starter: a client that also is what the original packages make a client of. They look for its
 * fields among the bindings, and so they must be its own.
 */
function starterOf(client: DurableClient, payload: ClientPayload): DurableClient {
  const starter = Object.create(client, {
    taskHubName: { value: client.taskHubName, enumerable: true, writable: true },
    uniqueWebhookOrigins: { get: () => client.uniqueWebhookOrigins },
  }) as Record<string, unknown>
  for (const name of Object.getOwnPropertyNames(DurableClient.prototype)) {
    const value = classicMethod(client, name)
    if (name !== 'constructor' && value !== undefined)
      Object.defineProperty(starter, name, { value })
  }
  return Object.assign(starter, payload) as unknown as DurableClient
}
