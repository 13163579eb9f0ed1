/**
 * The server of a function app.
 *
 * Owns: the port, from before the app is loaded until the last request is answered.
 * Must never: know a path.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { InvalidOption } from '../errors.js'
import { messageOf } from '../failure.js'
import { Timeout } from '../timer.js'

export type Fetch = (request: Request) => Response | Promise<Response>

/** A server that listens; until it is told what to answer it says 503. */
export class HostServer {
  readonly #server: Server
  readonly url: string
  #fetch: Fetch | undefined
  #underWay = 0
  #idle: (() => void) | undefined

  private constructor(server: Server, hostname: string) {
    this.#server = server
    const { port } = server.address() as AddressInfo
    const isBare = hostname.includes(':')
    this.url = `http://${isBare ? `[${hostname}]` : hostname}:${port}`
    // `Request` and `Response` of the process stay those of Node: user code compares with them.
    const listener = getRequestListener((request) => this.#answer(request), {
      overrideGlobalObjects: false,
    })
    server.on('request', (incoming, outgoing) => {
      this.#underWay += 1
      outgoing.once('close', () => this.#ended())
      void listener(incoming, outgoing)
    })
  }

  /**
   * Listens.
   *
   * @throws InvalidOption if the port is in use, or may not be used
   */
  static listen(port: number, hostname: string): Promise<HostServer> {
    const server = createServer({ requireHostHeader: true })
    return new Promise((resolve, reject) => {
      server.once('error', (error) => reject(refusal(error, port, hostname)))
      server.listen(port, hostname, () => resolve(new HostServer(server, hostname)))
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Answers by this from now on. */
  answerBy(fetch: Fetch): void {
    this.#fetch = fetch
  }

  /** Takes no more requests; resolves when those under way are answered, or after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    await this.#drained(timeoutMs)
    this.#server.closeAllConnections()
    await closed
  }

  #drained(timeoutMs: number): Promise<void> {
    if (this.#underWay === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timeout = new Timeout(timeoutMs, resolve)
      this.#idle = () => {
        timeout.clear()
        resolve()
      }
    })
  }

  #ended(): void {
    this.#underWay -= 1
    if (this.#underWay === 0) this.#idle?.()
  }

  #answer(request: Request): Response | Promise<Response> {
    if (this.#fetch !== undefined) return this.#fetch(request)
    return Response.json({ state: 'Starting' }, { status: 503, headers: { 'retry-after': '1' } })
  }
}

function refusal(error: NodeJS.ErrnoException, port: number, hostname: string): InvalidOption {
  const why = {
    EADDRINUSE: `is in use on ${hostname}: stop what listens there, or use another one (--port)`,
    EACCES: `may not be used by this user: use one of 1024 or more (--port)`,
  }[error.code ?? '']
  const text = why ?? `cannot be listened to on ${hostname}: ${messageOf(error)}`
  return new InvalidOption(`Port ${port} ${text}.`, { field: 'options.port', cause: error })
}
