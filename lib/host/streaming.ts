/**
 * Http functions of apps that stream (`app.setup({ enableHttpStream: true })`).
 *
 * Owns: passing a request on to where `@azure/functions` 4 listens for it, and its answer back.
 * Must never: hold a body.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import { type IncomingMessage, request as send } from 'node:http'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { Log } from '../log.js'
import { inputOf, logFailure } from './http-functions.js'
import { connectionHeaders } from './http-output.js'
import type { Invocable } from './invocation.js'

/** Calls an http function whose request and response go by another connection than the call. */
export async function callStreaming(
  func: Invocable,
  params: Readonly<Record<string, string>>,
  request: Request,
  streamTo: string,
  log: Log,
): Promise<Response> {
  const invocationId = randomUUID()
  const abort = new AbortController()
  const passing = passOn(request, streamTo, invocationId, abort.signal)
  // It is told of the failure of the call; this one says no more.
  passing.catch(() => {})
  const http = inputOf(request, params, Buffer.alloc(0))
  const data = { ...http.params, Headers: http.headers }
  const call = func.invoke({ trigger: { http }, data, invocationId })
  try {
    // The response begins before the call has ended, which waits until all of it is written.
    return await Promise.race([passing, call.then(() => passing)])
  } catch (error) {
    abort.abort()
    logFailure(func.name, error, log)
    return new Response(null, { status: 500 })
  } finally {
    call.catch((error: unknown) => {
      if (!abort.signal.aborted) logFailure(func.name, error, log)
    })
  }
}

function passOn(
  request: Request,
  streamTo: string,
  invocationId: string,
  signal: AbortSignal,
): Promise<Response> {
  const { pathname, search, host, protocol } = new URL(request.url)
  const headers: Record<string, string> = {}
  for (const [name, value] of request.headers) {
    if (name !== 'host' && !connectionHeaders.has(name)) headers[name] = value
  }
  // After those of the caller, whose they are not to say.
  headers['x-ms-invocation-id'] = invocationId
  headers['x-forwarded-host'] = host
  headers['x-forwarded-proto'] = protocol.slice(0, -1)
  return new Promise((resolve, reject) => {
    const url = new URL(pathname + search, streamTo)
    const outgoing = send(url, { method: request.method, headers, signal })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => resolve(responseOf(incoming)))
    if (request.body === null) outgoing.end()
    else
      Readable.fromWeb(request.body as ReadableStream)
        .on('error', reject)
        .pipe(outgoing)
  })
}

function responseOf(incoming: IncomingMessage): Response {
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    const isOurs = name === 'x-ms-invocation-id' || name === 'date'
    if (isOurs || connectionHeaders.has(name)) continue
    for (const value of values ?? []) headers.append(name, value)
  }
  const status = incoming.statusCode ?? 200
  const isEmpty = [101, 204, 205, 304].includes(status)
  if (isEmpty) incoming.resume()
  const body = isEmpty ? null : (Readable.toWeb(incoming) as globalThis.ReadableStream)
  return new Response(body, { status, headers })
}
