/**
 * The built-in activity that makes HTTP requests.
 *
 * Owns: what it accepts, the token and the time limit of a request, and which answers are failures.
 * Must never: be replaced by a function of the user's: what it may connect to is the hub's to say.
 * Proved by: `__test__/call-http.spec.mjs`.
 */

import { invalid } from '../check.js'
import { HttpRequestFailed, HttpStatusError, InvalidOption, TimeoutError } from '../errors.js'
import { messageOf } from '../failure.js'
import { AddressRules } from './addresses.js'
import { type Bounds, exchange } from './exchange.js'
import { headersOf, httpMethod, httpUrl, tokenSourceOf } from './fields.js'
import type { DurableHttpRequest, HttpResult, TokenSource } from './request.js'
import { type HttpSettings, TIMEOUT_MS_MAX } from './settings.js'

/** Gives a bearer token for a resource. */
export type TokenProvider = (source: TokenSource) => string | PromiseLike<string>

/** What the activity needs of its hub. */
export interface HttpSurroundings {
  readonly http: HttpSettings
  /** The longest body of an answer. */
  readonly payloadBytes: number
}

/** What the activity needs of its invocation. */
interface HttpInvocation {
  readonly signal: AbortSignal
}

export class HttpActivity {
  private readonly surroundings: HttpSurroundings
  private readonly tokens: () => TokenProvider | undefined
  private rules: AddressRules | null = null

  /** @param tokens gives the provider that is registered now */
  constructor(surroundings: HttpSurroundings, tokens: () => TokenProvider | undefined) {
    this.surroundings = surroundings
    this.tokens = tokens
  }

  /**
   * Makes one request.
   *
   * @param input a `DurableHttpRequest`, or an array with one, as the original writes it
   */
  async run(input: unknown, { signal }: HttpInvocation): Promise<HttpResult> {
    const { http, payloadBytes } = this.surroundings
    const request = checked(Array.isArray(input) ? input[0] : input)
    this.rules ??= new AddressRules(http.allowPrivateAddresses)
    const timeoutMs = request.timeoutMs ?? http.timeoutMs
    const timeout = AbortSignal.timeout(timeoutMs)
    const bounds: Bounds = {
      rules: this.rules,
      bodyBytes: payloadBytes,
      signal: AbortSignal.any([signal, timeout]),
    }
    try {
      const result = await exchange(await this.withToken(request), bounds)
      refuseStatus(request, result)
      return result
    } catch (error) {
      if (!timeout.aborted || !(error instanceof HttpRequestFailed)) throw error
      const { origin, pathname } = new URL(request.uri)
      throw new TimeoutError(
        `${request.method} ${origin}${pathname} was not answered within ${timeoutMs} ms.`,
        { cause: error },
      )
    }
  }

  private async withToken(request: DurableHttpRequest): Promise<DurableHttpRequest> {
    const { tokenSource } = request
    if (tokenSource === undefined) return request
    const provider = this.tokens()
    if (provider === undefined) {
      throw new InvalidOption(
        `The request has a tokenSource for '${tokenSource.resource}', and there is no managed identity here. Register who gives tokens: app.setTokenProvider(async ({ resource }) => token).`,
        { field: 'tokenSource' },
      )
    }
    let token: unknown
    try {
      token = await provider(tokenSource)
    } catch (error) {
      const why = `The token provider failed for '${tokenSource.resource}': ${messageOf(error)}`
      throw new HttpRequestFailed(why, { cause: error })
    }
    if (typeof token !== 'string' || token === '') {
      throw invalid('the result of the token provider', 'must be a token, a string', token ?? null)
    }
    const others = Object.entries(request.headers ?? {}).filter(
      ([name]) => name.toLowerCase() !== 'authorization',
    )
    const headers = Object.fromEntries([...others, ['authorization', `Bearer ${token}`]])
    return { ...request, headers }
  }
}

/** With a retry policy some statuses are failures, so that there is something to retry. */
function refuseStatus({ failOnStatus, method, uri }: DurableHttpRequest, result: HttpResult): void {
  const { statusCode } = result
  if (failOnStatus === undefined) return
  if (failOnStatus.length === 0 ? statusCode < 400 : !failOnStatus.includes(statusCode)) return
  const { origin, pathname } = new URL(uri)
  throw Object.assign(
    new HttpStatusError(`${method} ${origin}${pathname} was answered by ${statusCode}.`),
    { statusCode, headers: result.headers, content: result.content },
  )
}

// ------------------------------------------------------------------ checks

/** Whatever an orchestrator of any kind, or its SDK, has asked for. */
function checked(input: unknown): DurableHttpRequest {
  if (typeof input !== 'object' || input === null) {
    throw invalid('the request', 'must be an object: { method, uri, content, headers }', input)
  }
  const given = input as { [K in keyof DurableHttpRequest]?: unknown }
  const request: DurableHttpRequest = {
    method: httpMethod(given.method, 'method'),
    uri: httpUrl(given.uri, 'uri').href,
  }
  if (given.content !== undefined && given.content !== null) {
    request.content = contentOf(given.content)
  }
  if (given.headers !== undefined && given.headers !== null) {
    request.headers = headersOf(given.headers)
  }
  if (given.tokenSource !== undefined && given.tokenSource !== null) {
    request.tokenSource = tokenSourceOf(given.tokenSource)
  }
  const { timeoutMs, failOnStatus } = given
  if (typeof timeoutMs === 'number' && timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS_MAX) {
    request.timeoutMs = Math.ceil(timeoutMs)
  }
  if (Array.isArray(failOnStatus)) request.failOnStatus = failOnStatus as number[]
  return request
}

function contentOf(content: unknown): string {
  return typeof content === 'string' ? content : JSON.stringify(content)
}
