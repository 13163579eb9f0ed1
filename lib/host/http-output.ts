/**
 * Answers, from what functions of either model give as a response.
 *
 * Owns: status, headers, cookies and bodies.
 * Must never: see a request.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

import { validateHeaderName, validateHeaderValue } from 'node:http'
import { generateCookie } from 'hono/cookie'
import type { Answer } from '../http/answers.js'
import { isObject } from './binding.js'

const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json; charset=utf-8'
const BYTES = 'application/octet-stream'
/** Headers of a connection, and not of what crosses it: a host says them itself. */
export const connectionHeaders: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** Statuses that have no body. */
const EMPTY: readonly number[] = [101, 204, 205, 304]

/**
 * The response of a function. Without any it is 204.
 *
 * @param isTyped whether `@azure/functions` 4 has made it, which spells cookies in its own way
 * @throws TypeError for what is no response
 */
export function answerOf(output: unknown, isTyped: boolean): Answer | Response {
  if (output === undefined || output === null) return { status: 204 }
  if (output instanceof Response) return output
  if (!isObject(output)) {
    throw new TypeError(
      `The HTTP response must be an object with status, headers and body, not ${typeof output}.`,
    )
  }
  const { statusCode, headers: given, cookies } = output
  const status = statusOf(statusCode ?? (isObjectWithStatus(output) ? output.status : undefined))
  const headers = headersOf(given)
  if (Array.isArray(cookies) && cookies.length > 0) {
    const own = [headers['set-cookie'] ?? []].flat()
    headers['set-cookie'] = [...own, ...cookies.map((cookie) => cookieText(cookie, isTyped))]
  }
  const { body, type } = bodyOf(output['body'])
  if (type !== undefined) headers['content-type'] ??= type
  return body === null || EMPTY.includes(status) ? { status, headers } : { status, headers, body }
}

/** `status` of the Express-like response is a method. */
function isObjectWithStatus(output: Record<string, unknown>): output is { status: unknown } {
  return typeof output['status'] !== 'function'
}

function statusOf(value: unknown): number {
  if (value === undefined || value === null || value === '') return 200
  const status = Number(value)
  if (Number.isInteger(status) && status >= 200 && status <= 599) return status
  throw new TypeError(`The status of an HTTP response must be from 200 to 599, not ${value}.`)
}

type Fields = Record<string, string | readonly string[]>

function headersOf(given: unknown): Fields {
  const headers: Fields = {}
  if (!isObject(given)) return headers
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue
    const key = name.toLowerCase()
    // The length is that of the body as it is written; theirs may be that of another spelling.
    if (key === 'content-length' || connectionHeaders.has(key)) continue
    validateHeaderName(name)
    const values = (Array.isArray(value) ? value : [value]).map(String)
    for (const each of values) validateHeaderValue(name, each)
    headers[key] = values.length === 1 ? (values[0] as string) : values
  }
  return headers
}

function bodyOf(body: unknown): { body: Uint8Array | string | null; type?: string } {
  if (body === undefined || body === null) return { body: null }
  if (typeof body === 'string') return { body, type: TEXT }
  if (body instanceof Uint8Array) return { body, type: BYTES }
  if (body instanceof ArrayBuffer) return { body: new Uint8Array(body), type: BYTES }
  // What `@azure/functions` 4 gives: of texts and forms it has set the type itself.
  if (isObject(body) && body['bytes'] instanceof Uint8Array) {
    return body['bytes'].length === 0 ? { body: null } : { body: body['bytes'], type: BYTES }
  }
  return { body: JSON.stringify(body) ?? null, type: JSON_TYPE }
}

function cookieText(cookie: unknown, isTyped: boolean): string {
  if (!isObject(cookie) || typeof cookie['name'] !== 'string') {
    throw new TypeError('A cookie must be an object with name and value.')
  }
  const text = (key: string): string | undefined => {
    const value = unwrapped(cookie[key])
    return value === undefined || value === null ? undefined : String(value)
  }
  const expires = expiresOf(unwrapped(cookie['expires']))
  const maxAge = text('maxAge')
  const sameSite = sameSiteOf(text('sameSite'), isTyped)
  const options = {
    domain: text('domain'),
    path: text('path'),
    expires,
    maxAge: maxAge === undefined ? undefined : Math.trunc(Number(maxAge)),
    secure: unwrapped(cookie['secure']) === true,
    httpOnly: unwrapped(cookie['httpOnly']) === true,
    sameSite,
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return generateCookie(cookie['name'], text('value') ?? '', Object.fromEntries(given))
}

/** The newer model has values that may be absent as `{ value }`. */
function unwrapped(value: unknown): unknown {
  return isObject(value) && 'value' in value ? value['value'] : value
}

/** A Date, a text or milliseconds; or, of the newer model, seconds and nanoseconds. */
function expiresOf(value: unknown): Date | undefined {
  if (value === undefined || value === null) return undefined
  const seconds = isObject(value) ? value['seconds'] : undefined
  const date = seconds === undefined ? new Date(value as string) : new Date(Number(seconds) * 1000)
  return Number.isNaN(date.getTime()) ? undefined : date
}

function sameSiteOf(
  value: string | undefined,
  isTyped: boolean,
): 'Lax' | 'Strict' | 'None' | undefined {
  const none = isTyped ? 'explicitnone' : 'none'
  const known = { lax: 'Lax', strict: 'Strict', [none]: 'None' } as const
  return known[(value ?? '').toLowerCase() as keyof typeof known]
}
