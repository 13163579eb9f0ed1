/**
 * The request and the response of `callHttp`, as they stand in history.
 *
 * Owns: their shape, that of the original's built-in HTTP activity; the checks of a request, and what is
 * asked when a call is answered by 202.
 * Must never: do I/O, or read a clock.
 * Proved by: `__test__/call-http.spec.mjs`, `__test__/call-http-polling.spec.mjs`.
 */

import { httpUrl } from './fields.js'

/** The activity that carries out requests; every hub has it, as every hub of the original has. */
export const HTTP_ACTIVITY = 'BuiltIn::HttpActivity'

/** Where the bearer token of a request comes from. */
export interface TokenSource {
  /** The resource that the token is for, such as `https://management.core.windows.net/`. */
  readonly resource: string
  /** Only 'AzureManagedIdentity' is known. */
  readonly kind?: string
}

/** The token of an Azure managed identity; see `App.setTokenProvider` for who gives it here. */
export class ManagedIdentityTokenSource implements TokenSource {
  readonly resource: string
  readonly kind: string = 'AzureManagedIdentity'

  /** @param resource such as `https://management.core.windows.net/` */
  constructor(resource: string) {
    this.resource = resource
  }
}

/** The input of `BuiltIn::HttpActivity`. */
export class DurableHttpRequest {
  method: string
  uri: string
  declare content?: string
  declare headers?: Record<string, string | readonly string[]>
  declare tokenSource?: TokenSource
  /** Whether an answer of 202 is followed; the activity itself makes one request and ignores it. */
  declare asynchronousPatternEnabled?: boolean
  /** Milliseconds that the request may take. Default: the hub's. */
  declare timeoutMs?: number
  /** Statuses that are failures of the activity; an empty list: all from 400 on. Absent: none. */
  declare failOnStatus?: readonly number[]

  constructor(
    method: string,
    uri: string,
    content?: string,
    headers?: Record<string, string | readonly string[]>,
    tokenSource?: TokenSource,
    asynchronousPatternEnabled = true,
  ) {
    this.method = method
    this.uri = uri
    this.asynchronousPatternEnabled = asynchronousPatternEnabled
    if (content !== undefined) this.content = content
    if (headers !== undefined) this.headers = headers
    if (tokenSource !== undefined) this.tokenSource = tokenSource
  }
}

/** The result of `BuiltIn::HttpActivity`. */
export interface HttpResult {
  statusCode: number
  headers: Record<string, string | string[]>
  content: string
  /** Where it came from in the end, if redirects were followed. */
  url?: string
}

/** The answer to `context.df.callHttp`. */
export class DurableHttpResponse {
  /** The status of the answer; whichever it is, the call has succeeded. */
  readonly statusCode: number
  /** The body, as text. */
  readonly content: string
  /** By name; an array where there were several of one name. */
  readonly headers: Readonly<Record<string, string | string[]>>

  constructor(
    statusCode: number,
    content?: string,
    headers?: Readonly<Record<string, string | string[]>>,
  ) {
    this.statusCode = statusCode
    this.content = content ?? ''
    this.headers = headers ?? {}
  }

  /** A header by its name in any case; of several of one name, all with commas between. */
  getHeader(name: string): string | undefined {
    const found = headerOf(this.headers, name)
    return Array.isArray(found) ? found.join(', ') : found
  }
}

/** A header by its name in any case. */
export function headerOf<T>(headers: Readonly<Record<string, T>>, name: string): T | undefined {
  const lower = name.toLowerCase()
  const key = Object.keys(headers).find((each) => each.toLowerCase() === lower)
  return key === undefined ? undefined : headers[key]
}

/** Header names that say who the caller is; they go to no other origin than the one they are for. */
const CREDENTIALS = ['authorization', 'cookie', 'proxy-authorization', 'x-functions-key']
/** Header names that say what the content is. */
const OF_CONTENT = ['content-type', 'content-encoding', 'content-language', 'content-location']

/**
 * The headers of a request that follows another.
 *
 * @param sameOrigin whether it goes where the other went
 * @param withContent whether it has the content of the other
 */
export function headersAfter(
  headers: DurableHttpRequest['headers'],
  sameOrigin: boolean,
  withContent: boolean,
  drop: readonly string[] = [],
): NonNullable<DurableHttpRequest['headers']> {
  const left: [string, string | readonly string[]][] = []
  for (const [name, value] of Object.entries(headers ?? {})) {
    const lower = name.toLowerCase()
    if (drop.includes(lower)) continue
    if (!sameOrigin && CREDENTIALS.includes(lower)) continue
    if (!withContent && OF_CONTENT.includes(lower)) continue
    left.push([name, value])
  }
  return Object.fromEntries(left)
}

/**
 * What to ask next, if a response says that the work goes on: GET its `Location`, which may be
 * relative. The function key is not sent along, as it is that of one function; credentials and tokens go
 * to the same origin only.
 *
 * @param response what `request` was answered
 * @throws InvalidOption for a `Location` that is no URL of http or https
 */
export function pollOf(
  request: DurableHttpRequest,
  response: HttpResult,
): DurableHttpRequest | null {
  if (request.asynchronousPatternEnabled === false || response.statusCode !== 202) return null
  const location = [headerOf(response.headers, 'location')].flat()[0]
  if (location === undefined) return null
  const asked = response.url ?? request.uri
  const url = httpUrl(location, "the answer's Location", asked)
  const sameOrigin = url.origin === new URL(asked).origin && url.origin === originOf(request)
  const { content: _, tokenSource, headers, ...rest } = request
  const poll: DurableHttpRequest = { ...rest, method: 'GET', uri: url.href }
  if (headers !== undefined) {
    poll.headers = headersAfter(headers, sameOrigin, false, ['x-functions-key'])
  }
  if (tokenSource !== undefined && sameOrigin) poll.tokenSource = tokenSource
  return poll
}

function originOf(request: DurableHttpRequest): string {
  return new URL(request.uri).origin
}

/** The latest time that there is a Date for. */
const TIME_MAX = 8_640_000_000_000_000

/**
 * When to poll, in milliseconds since the epoch: after the `Retry-After` of a response, which is a number
 * of seconds or a date, or else after `defaultMs`.
 *
 * @param now the time of the turn
 */
export function pollTime(response: HttpResult, now: number, defaultMs: number): number {
  const after = [headerOf(response.headers, 'retry-after')].flat()[0]?.trim()
  let time = now + defaultMs
  if (after !== undefined && /^\d+(\.\d+)?$/.test(after)) time = now + Number(after) * 1_000
  else if (after !== undefined && !Number.isNaN(Date.parse(after))) time = Date.parse(after)
  return Math.ceil(Math.min(Math.max(time, now), TIME_MAX))
}
