/**
 * What an SDK gives with an action, as the engine takes it.
 *
 * Owns: the reading of inputs, retry options and requests over HTTP.
 * Must never: change what a value means.
 * Proved by: `__test__/sdk.spec.mjs`.
 */

import { headersOf, httpMethod, httpUrl, tokenSourceOf } from '../call-http/fields.js'
import type { DurableHttpRequest } from '../call-http/request.js'
import type { RetryPolicy } from '../retry.js'

/** A string of which the SDK gives the JSON text; any other value as it is. */
export function decoded(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

/** A request of `callHttp`. */
export function requestOf(given: unknown): DurableHttpRequest {
  const { method, uri, content, headers, tokenSource, asynchronousPatternEnabled } = (given ??
    {}) as DurableHttpRequest
  const request: DurableHttpRequest = {
    method: httpMethod(method, 'method of callHttp'),
    uri: httpUrl(uri, 'url of callHttp').href,
  }
  // As in call-http: an empty body is none.
  if (content) request.content = content
  if (headers) request.headers = headersOf(headers)
  if (tokenSource) request.tokenSource = tokenSourceOf(tokenSource)
  if (asynchronousPatternEnabled === false) request.asynchronousPatternEnabled = false
  return request
}

/** A retry policy, with what JSON makes of it undone. */
export function policyOf(options: unknown): RetryPolicy {
  const given = (options ?? {}) as Partial<RetryPolicy>
  const attempts = given.maxNumberOfAttempts
  const policy: RetryPolicy = {
    firstRetryIntervalInMilliseconds: given.firstRetryIntervalInMilliseconds as number,
    // Without end, in JSON.
    maxNumberOfAttempts:
      attempts === Number.POSITIVE_INFINITY ? 2_147_483_647 : (attempts as number),
    backoffCoefficient: given.backoffCoefficient ?? undefined,
    maxRetryIntervalInMilliseconds: given.maxRetryIntervalInMilliseconds ?? undefined,
    retryTimeoutInMilliseconds: given.retryTimeoutInMilliseconds ?? undefined,
  }
  return policy
}
