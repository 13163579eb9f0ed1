/**
 * `RpcTypedData`: how values cross between a host and `@azure/functions` 4.
 *
 * Owns: both directions.
 * Must never: parse what may be a text of the user's.
 * Proved by: `__test__/host-modern.spec.mjs`.
 */

import { stringify } from '../codec.js'
import type { HttpInput } from './http-input.js'
import type { TriggerValue } from './invocation.js'

/** An object with one of these. */
export interface TypedData {
  readonly string?: string | null
  readonly json?: string | null
  readonly bytes?: Uint8Array | null
  readonly stream?: Uint8Array | null
  readonly http?: HttpData | null
  readonly int?: number | null
  readonly double?: number | null
}

/** A request, or a response. */
export interface HttpData {
  readonly method?: string
  readonly url?: string
  readonly statusCode?: string | null
  readonly headers?: Readonly<Record<string, string>> | null
  readonly params?: Readonly<Record<string, string>>
  readonly cookies?: readonly Record<string, unknown>[] | null
  readonly body?: TypedData | null
}

/** The value of a trigger, going in. */
export function toTypedData(trigger: TriggerValue): TypedData {
  if ('http' in trigger) return { http: toHttp(trigger.http) }
  if ('json' in trigger) return { json: trigger.json }
  return valueToTypedData(trigger.value)
}

/**
 * An object going in as it is: the package tries to parse any text, and takes what it cannot parse for
 * the value. So the history of an orchestration crosses without being written and read at each turn.
 */
export function liveTypedData(value: object): TypedData {
  return { string: value as unknown as string }
}

/** Any JSON value, or bytes, going in. */
export function valueToTypedData(value: unknown): TypedData {
  if (value instanceof Uint8Array) return { bytes: value }
  return { json: stringify(value, 'input', Number.POSITIVE_INFINITY) ?? 'null' }
}

/** Without the query: the package reads it from the URL, where each value stands for itself. */
function toHttp({ method, url, headers, params, body }: HttpInput): HttpData {
  const bytes = body.length === 0 ? {} : { body: { bytes: body } }
  return { method, url, headers, params, ...bytes }
}

/** What came back from a function; of http the data as it is. */
export function fromTypedData(data: unknown): unknown {
  const typed = data as TypedData | null | undefined
  if (typed === null || typed === undefined) return typed
  if (isGiven(typed.string)) return typed.string
  if (isGiven(typed.json)) return JSON.parse(typed.json)
  if (isGiven(typed.bytes)) return Buffer.from(typed.bytes)
  if (isGiven(typed.stream)) return Buffer.from(typed.stream)
  if (isGiven(typed.http)) return typed.http
  return typed.int ?? typed.double ?? undefined
}

function isGiven<T>(value: T): value is NonNullable<T> {
  return value !== null && value !== undefined
}
