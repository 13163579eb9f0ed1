/**
 * Where the functions of an app find the management API.
 *
 * Owns: what they get as a client binding, and the way of the original packages, opened when it is first
 * asked for.
 * Must never: be reached from another machine.
 * Proved by: `__test__/host-sdk.spec.mjs`.
 */

import type { HttpApi, HubOrClient } from '../http/api.js'
import type { ClientBinding } from '../http/binding.js'
import { type RpcServer, serveRpc } from '../http/server.js'

export class ClientUrls {
  readonly #hub: HubOrClient
  readonly #api: HttpApi
  readonly #origin: string
  #rpc: Promise<RpcServer> | undefined

  /** @param origin where the API is served, `http://host:port` */
  constructor(hub: HubOrClient, api: HttpApi, origin: string) {
    this.#hub = hub
    this.#api = api
    this.#origin = origin
  }

  /** The client binding. */
  async binding(): Promise<ClientBinding> {
    const code = this.#api.keys?.system ?? null
    this.#rpc ??= serveRpc(this.#hub, { code, publicUrl: this.#origin })
    return this.#api.clientBinding(this.#origin, (await this.#rpc).rpcBaseUrl)
  }

  async close(timeoutMs: number): Promise<void> {
    await (await this.#rpc)?.close(timeoutMs)
  }
}
