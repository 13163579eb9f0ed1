/**
 * What an HTTP function answers for an instance: check-status responses.
 *
 * Owns: where the management API of a client's hub is served, and the responses that say so.
 * Must never: keep a client alive.
 * Proved by: `__test__/http-payloads.spec.mjs`.
 */

import type { HttpResponse } from '../azure/functions.js'
import type { DurableClient } from '../client.js'
import { InvalidOption, TimeoutError } from '../errors.js'
import { type WaitForCompletionOptions, waitOptions } from '../wait.js'
import { type Answer, checkStatus, json } from './answers.js'
import { type HttpManagementPayload, managementPayload } from './binding.js'
import type { ApiPlace } from './parts.js'

/** A request, as any model has it. */
export interface WithUrl {
  readonly url?: string | undefined
}

/** Where the management API of a hub is served. */
export interface Webhooks extends ApiPlace {
  /** `http://host:port`, for URLs that no request asks for; undefined if only requests tell. */
  readonly origin?: string | undefined
  /** The system key; null if none is asked for. */
  readonly code: string | null
}

const known: WeakMap<object, Webhooks> = new WeakMap()
const WAIT_MS_DEFAULT = 10_000

/** Remembers where the API of a client's hub is served; what was said before is replaced. */
export function rememberWebhooks(client: DurableClient, webhooks: Webhooks): void {
  known.set(client, webhooks)
}

/** Adds where it listens. */
export function rememberOrigin(client: DurableClient, origin: string): void {
  const webhooks = known.get(client)
  if (webhooks !== undefined) known.set(client, { ...webhooks, origin })
}

/** Says the same of another client of the hub. */
export function shareWebhooks(client: DurableClient, other: DurableClient): void {
  const webhooks = known.get(client)
  if (webhooks !== undefined) known.set(other, webhooks)
}

/** The origins at which the API is served. */
export function originsFor(client: DurableClient): string[] {
  const webhooks = known.get(client)
  const url = webhooks?.publicUrl ?? webhooks?.origin
  return url === undefined ? [] : [url]
}

/**
 * The URLs of an instance.
 *
 * @throws InvalidOption
 */
export function payloadFor(
  client: DurableClient,
  request: WithUrl | null | undefined,
  instanceId: string,
): HttpManagementPayload {
  const webhooks = known.get(client)
  if (webhooks === undefined) {
    throw new InvalidOption(
      "No management API of this client's hub is served: call serve(hub) or createHttpApi(hub) of durafn/http first, or start the app by the function host.",
      { field: 'request' },
    )
  }
  const { publicUrl, basePath, code } = webhooks
  const origin = publicUrl ?? originOf(request) ?? webhooks.origin
  if (origin === undefined) {
    throw new InvalidOption(
      'It is not known where the management API is reached: pass the request, or give createHttpApi the option publicUrl.',
      { field: 'request' },
    )
  }
  const { taskHubName } = client
  return managementPayload({ baseUrl: origin + basePath, taskHubName, code }, instanceId)
}

function originOf(request: WithUrl | null | undefined): string | undefined {
  const url = request?.url
  return typeof url === 'string' && URL.canParse(url) ? new URL(url).origin : undefined
}

/**
 * In the body are all URLs, as the original packages have it; the management API leaves one out.
 *
 * @throws InvalidOption
 */
export function checkStatusResponse(
  client: DurableClient,
  request: WithUrl | null | undefined,
  instanceId: string,
): HttpResponse {
  const payload = payloadFor(client, request, instanceId)
  const answer = checkStatus(payload)
  if (isClassic(request)) return classicOf(answer, payload)
  return responseOf({ ...answer, body: JSON.stringify(payload) })
}

/** The response for an instance that may end within a while. */
export async function waitedResponse(
  client: DurableClient,
  request: WithUrl | null | undefined,
  instanceId: string,
  options: WaitForCompletionOptions | undefined,
): Promise<HttpResponse> {
  // Before the wait, so that what is wrong with it is said at once.
  const check = checkStatusResponse(client, request, instanceId)
  const { timeoutMs = WAIT_MS_DEFAULT, signal } = waitOptions(options)
  try {
    const status = await client.waitForCompletion(instanceId, { timeoutMs, signal })
    const body = status.runtimeStatus === 'Completed' ? status.output : status
    const answer = json(status.runtimeStatus === 'Failed' ? 500 : 200, body)
    return isClassic(request) ? classicOf(answer, answer.body) : responseOf(answer)
  } catch (error) {
    if (error instanceof TimeoutError) return check
    throw error
  }
}

/** A request of the classic model has its headers as a plain object. */
function isClassic(request: WithUrl | null | undefined): boolean {
  const { headers } = (request ?? {}) as { headers?: { get?: unknown } | null }
  return typeof headers === 'object' && headers !== null && typeof headers.get !== 'function'
}

/** What a classic function gives; its type is for those of the newer model. */
function classicOf({ status, headers }: Answer, body: unknown): HttpResponse {
  return { status, body, headers: { ...headers } } as never
}

/** A `Response` with what that of `@azure/functions` 4 has beside. */
function responseOf({ status, headers, body }: Answer): HttpResponse {
  const response = new Response(body ?? null, { status, headers: { ...headers } })
  return Object.assign(response, {
    cookies: [],
    enableContentNegotiation: false,
  }) as unknown as HttpResponse
}
