/**
 * `context.df.callHttp`: its arguments, and the task that it gives.
 *
 * Owns: the checks of the arguments, and the steps of a call: a request, and while it is answered by 202
 * a durable timer and the next request. Each step is asked for when the one before settles, inside the
 * turn in which that happens, so a replay asks for the same.
 * Must never: do I/O; requests are activities.
 * Proved by: `__test__/call-http-polling.spec.mjs`.
 */

import { invalid, optionalInteger, optionsOf } from '../check.js'
import type { Execution } from '../execution.js'
import { type RetryPolicy, retryText } from '../retry.js'
import { COMPLETED, CompoundTask, FAILED, type TaskNode, TimerNode } from '../task.js'
import { headersOf, httpMethod, httpUrl, tokenSourceOf } from './fields.js'
import {
  type DurableHttpRequest,
  DurableHttpResponse,
  type HttpResult,
  pollOf,
  pollTime,
  type TokenSource,
} from './request.js'
import { TIMEOUT_MS_MAX } from './settings.js'

/** A request of `context.df.callHttp`, and how it is carried out. */
export interface CallHttpOptions {
  /** Such as GET or POST. */
  method: string
  /** Absolute, of http or https. */
  url: string
  /** The body; what is no string is sent as its JSON text. Default: none. */
  body?: unknown
  /** Headers by name. With a body and no `Content-Type`, that is `text/plain`, as in the original. */
  headers?: Record<string, string | readonly string[]> | undefined
  /** Whose bearer token to send: `new df.ManagedIdentityTokenSource(resource)`. See `App.setTokenProvider`. */
  tokenSource?: TokenSource | undefined
  /** Whether to follow an answer of 202 by polling its `Location` until it is another. Default true. */
  enablePolling?: boolean | undefined
  /** The older name of `enablePolling`, which wins. */
  asynchronousPatternEnabled?: boolean | undefined
  /**
   * A retry policy, for requests that are not answered, and for answers of `retryOnStatus`; if the last
   * attempt fails too, so does the task. Default: one attempt, and every answer is a result.
   */
  retry?: RetryPolicy | undefined
  /** With `retry`: the statuses to retry. Default: all from 400 on. */
  retryOnStatus?: readonly number[] | undefined
  /** Milliseconds that each request may take. Default: the hub's `http.timeoutMs`. */
  timeoutMs?: number | undefined
}

/** The older form of the arguments. */
export type CallHttpArguments = [
  method: string,
  url: string,
  body?: unknown,
  headers?: Record<string, string | readonly string[]>,
  tokenSource?: TokenSource,
  asynchronousPatternEnabled?: boolean,
]

const KEYS = [
  'method',
  'url',
  'body',
  'headers',
  'tokenSource',
  'enablePolling',
  'asynchronousPatternEnabled',
  'retry',
  'retryOnStatus',
  'timeoutMs',
]
/** Errors that another attempt gives again. */
const PERMANENT = ['AddressRefused', 'InvalidOption', 'PayloadTooLarge']

/** What a call asks for first, and how each of its requests is retried. */
export interface HttpCall {
  readonly request: DurableHttpRequest
  readonly retry: RetryPolicy | undefined
}

/**
 * The call that `callHttp` was called with.
 *
 * @throws InvalidOption
 */
export function httpCall(args: readonly unknown[]): HttpCall {
  const [first, url, body, headers, tokenSource, asynchronousPatternEnabled] = args
  const given =
    typeof first === 'string'
      ? { method: first, url, body, headers, tokenSource, asynchronousPatternEnabled }
      : first
  const options = optionsOf(given ?? null, 'options', KEYS) as {
    [K in keyof CallHttpOptions]?: unknown
  }
  const request: DurableHttpRequest = {
    method: httpMethod(options.method, 'options.method'),
    uri: httpUrl(options.url, 'options.url').href,
  }
  const content = contentOf(options.body)
  if (content !== undefined) request.content = content
  if (isGiven(options.headers)) request.headers = headersOf(options.headers)
  if (isGiven(options.tokenSource)) request.tokenSource = tokenSourceOf(options.tokenSource)
  request.asynchronousPatternEnabled = isPolled(options)
  const timeoutMs = optionalInteger(options, 'timeoutMs', 'options', 1, TIMEOUT_MS_MAX)
  if (timeoutMs !== undefined) request.timeoutMs = timeoutMs
  const retry = retryOf(options.retry)
  if (retry !== undefined) request.failOnStatus = statusesOf(options.retryOnStatus)
  return { request, retry }
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null
}

/** As the original: an empty body is none. */
function contentOf(body: unknown): string | undefined {
  if (!isGiven(body) || body === '') return undefined
  if (typeof body === 'string') return body
  try {
    const text: unknown = JSON.stringify(body)
    if (typeof text === 'string') return text
  } catch {
    // said below
  }
  throw invalid('options.body', 'must be a string, or a value that can be written as JSON', body)
}

function isPolled(options: { [K in keyof CallHttpOptions]?: unknown }): boolean {
  const enabled = options.enablePolling ?? options.asynchronousPatternEnabled ?? true
  if (typeof enabled === 'boolean') return enabled
  throw invalid('options.enablePolling', 'must be true or false', enabled)
}

function statusesOf(given: unknown): number[] {
  if (given === undefined) return []
  const statuses: unknown[] = Array.isArray(given) ? given : [null]
  if (statuses.every((status) => Number.isInteger(status))) return statuses as number[]
  throw invalid('options.retryOnStatus', 'must be a list of statuses, such as [429, 503]', given)
}

/** The policy, with no attempts after what no attempt can mend. */
function retryOf(given: unknown): RetryPolicy | undefined {
  if (given === undefined) return undefined
  const policy = given as RetryPolicy
  retryText(policy)
  const retryIf = (error: Error): boolean => {
    if (PERMANENT.includes((error as { code?: string }).code ?? '')) return false
    return policy.retryIf === undefined || policy.retryIf(error)
  }
  return Object.assign(Object.create(policy) as RetryPolicy, { retryIf })
}

/** A call over HTTP: a request, and as long as the answer says so another one later. */
export class HttpTask extends CompoundTask {
  declare readonly execution: Execution
  /** The request that is under way, or that follows the timer. */
  private request: DurableHttpRequest
  private readonly send: (request: DurableHttpRequest) => TaskNode

  /** @param send schedules a request */
  constructor(
    execution: Execution,
    request: DurableHttpRequest,
    send: (request: DurableHttpRequest) => TaskNode,
  ) {
    super(execution, [])
    this.request = request
    this.send = send
    send(request).addParent(this)
  }

  childSettled(child: TaskNode): void {
    try {
      this.proceed(child)
    } catch (error) {
      this.settle(FAILED, error)
    }
  }

  private proceed(child: TaskNode): void {
    if (child instanceof TimerNode) {
      this.send(this.request).addParent(this)
      return
    }
    if (child.state === FAILED) {
      this.settle(FAILED, child.value)
      return
    }
    const result = child.value as HttpResult
    const poll = pollOf(this.request, result)
    if (poll === null) {
      const { statusCode, content, headers } = result
      this.settle(COMPLETED, new DurableHttpResponse(statusCode, content, headers))
      return
    }
    this.request = poll
    const { time, http } = this.execution
    const fireAt = pollTime(result, time, http.pollingIntervalMs)
    this.execution.scheduleTimer(fireAt).addParent(this)
  }
}
