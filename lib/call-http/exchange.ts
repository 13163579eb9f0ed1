/**
 * One request over the network and its answer, with redirects.
 *
 * Owns: the bounds of an exchange: which addresses, how many redirects, how much text, how much time.
 * Must never: follow a redirect without checking where it leads, or send credentials to another origin.
 * Proved by: `__test__/call-http.spec.mjs`.
 */

import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request as secureRequest } from 'node:https'
import { isIP } from 'node:net'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress, createGunzip, createInflate, constants as zlib } from 'node:zlib'
import { HttpRequestFailed, PayloadTooLarge } from '../errors.js'
import { messageOf } from '../failure.js'
import type { AddressRules } from './addresses.js'
import { httpUrl } from './fields.js'
import { type DurableHttpRequest, type HttpResult, headersAfter } from './request.js'

/** The bounds of an exchange. */
export interface Bounds {
  readonly rules: AddressRules
  /** The longest body of an answer, in bytes, as sent and as decoded. */
  readonly bodyBytes: number
  /** Aborts when the answer is no longer wanted, or was waited for long enough. */
  readonly signal: AbortSignal
}

/** What goes to one URL. */
interface Leg {
  readonly url: URL
  readonly method: string
  readonly headers: NonNullable<DurableHttpRequest['headers']>
  readonly content: string | undefined
}

const REDIRECTS_MAX = 20
const REDIRECTS = [301, 302, 303, 307, 308]
/** What the connection itself needs; Node says these as they are. */
const OF_CONNECTION = [
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/**
 * Sends a request and gives the answer, whatever its status.
 *
 * @throws HttpRequestFailed when there is none, AddressRefused, PayloadTooLarge, InvalidOption
 */
export async function exchange(request: DurableHttpRequest, bounds: Bounds): Promise<HttpResult> {
  let leg: Leg = {
    url: httpUrl(request.uri, 'uri'),
    method: request.method,
    headers: request.headers ?? {},
    content: request.content,
  }
  for (let redirects = 0; ; redirects++) {
    const answer = await send(leg, bounds)
    const next = redirected(leg, answer)
    if (next === null) return await resultOf(answer, redirects === 0 ? null : leg.url, bounds)
    answer.destroy()
    if (redirects === REDIRECTS_MAX) {
      throw failed(leg, `it was redirected more than ${REDIRECTS_MAX} times`)
    }
    leg = next
  }
}

/** Where an answer leads, by the rules of `fetch`; null if it is the last. */
function redirected(leg: Leg, answer: IncomingMessage): Leg | null {
  const { location } = answer.headers
  const status = answer.statusCode ?? 0
  if (location === undefined || !REDIRECTS.includes(status)) return null
  const url = httpUrl(location, "the redirect's Location", leg.url.href)
  const { method } = leg
  const isGet =
    (status === 303 && method !== 'HEAD') ||
    ((status === 301 || status === 302) && method === 'POST')
  const sameOrigin = url.origin === leg.url.origin
  return {
    url,
    method: isGet ? 'GET' : method,
    headers: headersAfter(leg.headers, sameOrigin, !isGet),
    content: isGet ? undefined : leg.content,
  }
}

function send(leg: Leg, { rules, signal }: Bounds): Promise<IncomingMessage> {
  const { url, method, content } = leg
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  // A socket that is given an address looks nothing up.
  if (isIP(host) !== 0) rules.check(host, host)
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? secureRequest : plainRequest)(url, {
      method,
      headers: sentHeaders(leg),
      lookup: rules.lookup,
      signal,
      // A connection of its own, as one that is kept was checked by the rules of its time.
      agent: false,
    })
    request.once('response', resolve)
    request.once('error', (error) => reject(causeOf(leg, error)))
    request.end(content)
  })
}

function sentHeaders({ headers, content }: Leg): Record<string, string | string[]> {
  const sent: Record<string, string | string[]> = {}
  let hasType = false
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase()
    if (OF_CONNECTION.includes(lower)) continue
    if (lower === 'content-type') hasType = true
    sent[name] = typeof value === 'string' ? value : [...value]
  }
  if (content === undefined) return sent
  if (!hasType) sent['content-type'] = 'text/plain; charset=utf-8'
  sent['content-length'] = String(Buffer.byteLength(content))
  return sent
}

// ------------------------------------------------------------------ answers

async function resultOf(
  answer: IncomingMessage,
  url: URL | null,
  { bodyBytes }: Bounds,
): Promise<HttpResult> {
  const result: HttpResult = {
    statusCode: answer.statusCode ?? 0,
    headers: headersOf(answer),
    content: await textOf(answer, bodyBytes),
  }
  if (url !== null) result.url = url.href
  return result
}

/** Names that the original writes in this manner, whatever the server does; others stay as they came. */
const SPELT = [
  'Accept-Ranges Age Cache-Control Connection Content-Disposition Content-Encoding Content-Language',
  'Content-Length Content-Location Content-Range Content-Type Date ETag Expires Last-Modified Link',
  'Location Pragma Proxy-Authenticate Retry-After Server Set-Cookie Trailer Transfer-Encoding Upgrade',
  'Vary Via Warning WWW-Authenticate',
].flatMap((line) => line.split(' '))
const spelling = new Map(SPELT.map((name) => [name.toLowerCase(), name]))

function headersOf(answer: IncomingMessage): HttpResult['headers'] {
  const headers = new Map<string, string | string[]>()
  const names = new Map<string, string>()
  const { rawHeaders } = answer
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const raw = rawHeaders[i] as string
    const value = rawHeaders[i + 1] as string
    const lower = raw.toLowerCase()
    const name = names.get(lower) ?? spelling.get(lower) ?? raw
    names.set(lower, name)
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : [before, value].flat())
  }
  return Object.fromEntries(headers)
}

async function textOf(answer: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  let refusal: PayloadTooLarge | null = null
  const take = async (source: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of source) {
      bytes += chunk.length
      if (bytes > limit) {
        refusal = tooLarge(limit)
        throw refusal
      }
      chunks.push(chunk)
    }
  }
  const decoder = decoderOf(answer)
  try {
    if (decoder === null) await pipeline(answer, take)
    else await pipeline(answer, decoder, take)
  } catch (error) {
    answer.destroy()
    // What the pipeline throws may be what the refusal did to the other end.
    if (refusal !== null) throw refusal
    throw new HttpRequestFailed(`The answer broke off: ${messageOf(error)}`, { cause: error })
  }
  return decoded(Buffer.concat(chunks), answer.headers['content-type'])
}

/** Only what was asked for by a header of the caller's is encoded. */
function decoderOf(answer: IncomingMessage): (NodeJS.ReadWriteStream & Readable) | null {
  switch (answer.headers['content-encoding']?.trim().toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip({ flush: zlib.Z_SYNC_FLUSH, finishFlush: zlib.Z_SYNC_FLUSH })
    case 'deflate':
      return createInflate({ flush: zlib.Z_SYNC_FLUSH, finishFlush: zlib.Z_SYNC_FLUSH })
    case 'br':
      return createBrotliDecompress({
        flush: zlib.BROTLI_OPERATION_FLUSH,
        finishFlush: zlib.BROTLI_OPERATION_FLUSH,
      })
    default:
      return null
  }
}

/** The body as text: in the charset that its type names, if Node knows it, else UTF-8. */
function decoded(body: Buffer, type: string | undefined): string {
  const charset = /;\s*charset\s*=\s*"?([\w.:-]{1,40})/i.exec((type ?? '').slice(0, 1_024))?.[1]
  try {
    return new TextDecoder(charset ?? 'utf-8').decode(body)
  } catch {
    return new TextDecoder().decode(body)
  }
}

// ------------------------------------------------------------------ errors

function tooLarge(limit: number): PayloadTooLarge {
  return new PayloadTooLarge(
    `The answer is too large: more than ${limit} bytes, which is what the hub allows. Ask for less, or raise limits.payloadBytes.`,
    { field: 'content' },
  )
}

function failed(leg: Leg, why: string, cause?: unknown): HttpRequestFailed {
  const { origin, pathname } = leg.url
  // Without the query, which may hold a key.
  return new HttpRequestFailed(`${leg.method} ${origin}${pathname} failed: ${why}.`, { cause })
}

/** An error of the socket, of the look-up, or of the headers. */
function causeOf(leg: Leg, error: NodeJS.ErrnoException & { errors?: unknown[] }): Error {
  const refusal = [error, error.cause].find(
    (each) => (each as HttpRequestFailed)?.code === 'AddressRefused',
  )
  if (refusal !== undefined) return refusal as Error
  const first = error.errors?.[0]
  const said = messageOf(error) || messageOf(first)
  return failed(leg, said || error.code || 'no answer', error)
}
