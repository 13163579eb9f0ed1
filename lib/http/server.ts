/**
 * Servers: of the management API, and of the original packages' way to it.
 *
 * Owns: ports, which addresses may be listened to, and ending without breaking off answers.
 * Must never: know a path, or listen beyond this machine without a key.
 * Proved by: `__test__/http-keys.spec.mjs`.
 */

import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Options, optionalInteger, optionalString } from '../check.js'
import { clearTimeout, setTimeout } from '../clock.js'
import { InvalidOption, PortUnavailable } from '../errors.js'
import { messageOf } from '../failure.js'
import {
  clientOf,
  createHttpApi,
  type HttpApi,
  type HttpApiOptions,
  type HubOrClient,
  listenerOf,
  type RpcOptions,
  rpcRouter,
} from './api.js'
import { hostsOf, isLoopback } from './origins.js'
import { rememberOrigin } from './responses.js'

/** How the management API is served. */
export interface ServeOptions extends HttpApiOptions {
  /** Default 7071; 0: any that is free. */
  port?: number | undefined
  /**
   * The address to listen to. Default `127.0.0.1`, which only this machine reaches. Another one needs
   * keys; put TLS before it.
   */
  hostname?: string | undefined
}

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => void

const PORT_DEFAULT = 7071
const PORT_MAX = 65_535
const HOSTNAME_DEFAULT = '127.0.0.1'
const CLOSE_TIMEOUT_MS = 10_000
const TIMER_MS_MAX = 2_147_483_647
const PATH_BYTES = 32

/** A server that listens. Without a listener it says 503. */
export class HttpServer implements AsyncDisposable {
  readonly #server: Server
  /** `http://host:port`. */
  readonly url: string
  readonly port: number
  #listener: Listener | undefined
  #underWay = 0
  #idle: (() => void) | undefined

  private constructor(server: Server, hostname: string) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.url = `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${this.port}`
    server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
      this.#underWay += 1
      outgoing.once('close', () => this.#ended())
      if (this.#listener === undefined) refuse(outgoing)
      else this.#listener(incoming, outgoing)
    })
  }

  /**
   * Listens.
   *
   * @throws PortUnavailable
   */
  static listen(port: number, hostname: string): Promise<HttpServer> {
    const server = createServer({ requireHostHeader: true })
    return new Promise((resolve, reject) => {
      server.once('error', (error) => reject(unavailable(error, port, hostname)))
      server.listen(port, hostname, () => {
        server.removeAllListeners('error')
        resolve(new HttpServer(server, hostname))
      })
    })
  }

  /** Answers by this from now on. */
  answerBy(listener: Listener): void {
    this.#listener = listener
  }

  /** Listens without holding the process. */
  unref(): this {
    this.#server.unref()
    return this
  }

  /** Takes no more requests; resolves when those under way are answered, or after `timeoutMs`. */
  async close(timeoutMs: number = CLOSE_TIMEOUT_MS): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    await this.#drained(timeoutMs)
    this.#server.closeAllConnections()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #drained(timeoutMs: number): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timeout = setTimeout(resolve, Math.min(timeoutMs, TIMER_MS_MAX))
      this.#idle = () => {
        clearTimeout(timeout)
        resolve()
      }
    })
  }

  #ended(): void {
    this.#underWay -= 1
    if (this.#underWay === 0) this.#idle?.()
  }
}

function refuse(outgoing: ServerResponse): void {
  outgoing.writeHead(503, { 'Retry-After': '1', 'Content-Type': 'application/json' })
  outgoing.end('{"state":"Starting"}')
}

function unavailable(error: NodeJS.ErrnoException, port: number, hostname: string): Error {
  const why = {
    EADDRINUSE: 'is in use: stop what listens there, or choose another one',
    EACCES: 'may not be used by this user: choose one of 1024 or more',
  }[error.code ?? '']
  const text = why ?? `cannot be listened to: ${messageOf(error)}`
  return new PortUnavailable(`Port ${port} of ${hostname} ${text}.`, {
    field: 'options.port',
    cause: error,
  })
}

// ------------------------------------------------------------------ the management API

/** A server of the management API. */
export interface ManagementServer extends AsyncDisposable {
  /** `http://host:port`. */
  readonly url: string
  readonly port: number
  readonly api: HttpApi
  /** Takes no more requests; resolves when those under way are answered, or after `timeoutMs` (10,000). */
  close(timeoutMs?: number): Promise<void>
}

/**
 * Serves the management API of a hub, to this machine only unless `hostname` says otherwise.
 *
 * @throws PortUnavailable; InvalidOption, also for an address beyond this machine with `keys: false`;
 * StoreUnavailable for a key file that cannot be used
 *
 * @example
 * ```ts
 * await using server = await serve(hub, { port: 7071 })
 * console.log(server.api.managementPayload(server.url, id).statusQueryGetUri)
 * ```
 */
export async function serve(
  hubOrClient: HubOrClient,
  options: ServeOptions = {},
): Promise<ManagementServer> {
  const { port: _port, hostname: _hostname, ...apiOptions } = options
  const { port, hostname } = addressOf(options as Options, 'options')
  refuseOpenBeyond(hostname, apiOptions.keys === false, 'options')
  const allowedHosts = hostsOf(hostname, apiOptions.allowedHosts)
  const api = createHttpApi(hubOrClient, { ...apiOptions, allowedHosts })
  const server = await HttpServer.listen(port, hostname)
  server.answerBy(api.listener)
  rememberOrigin(clientOf(hubOrClient), server.url)
  const close = (timeoutMs?: number): Promise<void> => {
    api.close()
    return server.close(timeoutMs)
  }
  return {
    url: server.url,
    port: server.port,
    api,
    close,
    [Symbol.asyncDispose]: () => close(),
  }
}

/** Port and address, checked. */
export function addressOf(options: Options, where: string): { port: number; hostname: string } {
  return {
    port: optionalInteger(options, 'port', where, 0, PORT_MAX) ?? PORT_DEFAULT,
    hostname: optionalString(options, 'hostname', where) ?? HOSTNAME_DEFAULT,
  }
}

/**
 * Refuses to serve the network without a key.
 *
 * @throws InvalidOption
 */
export function refuseOpenBeyond(hostname: string, isOpen: boolean, where: string): void {
  if (!isOpen || isLoopback(hostname)) return
  throw new InvalidOption(
    `${where}.hostname '${hostname}' is reached from other machines, which needs keys: leave out ${where}.keys, or listen to 127.0.0.1.`,
    { field: `${where}.hostname` },
  )
}

// ------------------------------------------------------------------ the way of the original packages

/** Where the original packages reach the API: on this machine, without a key, below a secret path. */
export interface RpcServer extends AsyncDisposable {
  /** Ends with a slash. */
  readonly rpcBaseUrl: string
  close(timeoutMs?: number): Promise<void>
}

/**
 * Serves the routes that the original packages call without a key.
 *
 * @throws PortUnavailable
 */
export async function serveRpc(hubOrClient: HubOrClient, options: RpcOptions): Promise<RpcServer> {
  const path = `/${randomBytes(PATH_BYTES).toString('base64url')}/durabletask`
  const router = rpcRouter(hubOrClient, path, options)
  // Whoever calls is in this very process, and holds it while it waits for an answer.
  const server = (await HttpServer.listen(0, HOSTNAME_DEFAULT)).unref()
  server.answerBy(listenerOf(router))
  const close = (timeoutMs?: number): Promise<void> => server.close(timeoutMs)
  return {
    rpcBaseUrl: `${server.url}${path}/`,
    close,
    [Symbol.asyncDispose]: () => close(),
  }
}
