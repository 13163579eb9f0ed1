/**
 * Answers to requests: what they are made of, and those that say what went wrong.
 *
 * Owns: the shape of an answer, the bodies of errors, and the status that an error's code has.
 * Must never: tell a caller more of an error than its message.
 * Proved by: `__test__/http-errors.spec.mjs`.
 */

import { DurableError } from '../errors.js'
import { messageOf } from '../failure.js'
import { checkStatusBody, type HttpManagementPayload } from './binding.js'

/** What a handler of ours gives; a `Response` costs more to make. */
export interface Answer {
  readonly status: number
  /** Several of one name as an array. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Without one: no body. */
  readonly body?: string | Uint8Array
}

/** An answer as a `Response`. */
export function responseOf({ status, headers, body }: Answer): Response {
  const all = new Headers()
  for (const [name, values] of Object.entries(headers ?? {})) {
    for (const value of [values].flat()) all.append(name, value)
  }
  return new Response(body ?? null, { status, headers: all })
}

/** The body of an error, in the original's manner. */
export interface ErrorBody {
  readonly Message: string
  readonly ExceptionMessage?: string
  /** Here the error's stable `code`. */
  readonly ExceptionType?: string
  /** Always null: where in the code it was is no business of the caller's. */
  readonly StackTrace?: null
}

const CHECK_AFTER_S = '10'
const JSON_TYPE = 'application/json; charset=utf-8'
/** On every answer: nothing here is for a browser to guess at, keep or pass on. */
const common = {
  'Cache-Control': 'no-store',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
} as const
const jsonHeaders = { 'Content-Type': JSON_TYPE, ...common } as const

/** An answer whose body is JSON. */
export function json(
  status: number,
  value: unknown,
  headers?: Readonly<Record<string, string>>,
): Answer {
  return {
    status,
    headers: headers === undefined ? jsonHeaders : { ...jsonHeaders, ...headers },
    body: JSON.stringify(value === undefined ? null : value),
  }
}

/** 202: where to look what becomes of an instance. */
export function checkStatus(
  payload: HttpManagementPayload,
  headers?: Readonly<Record<string, string>>,
): Answer {
  return json(202, checkStatusBody(payload), {
    Location: payload.statusQueryGetUri,
    'Retry-After': CHECK_AFTER_S,
    ...headers,
  })
}

/** An answer without a body. */
export function empty(status: number, headers?: Readonly<Record<string, string>>): Answer {
  return { status, headers: headers === undefined ? common : { ...common, ...headers } }
}

/** An answer that goes on: server-sent events. */
export function eventStream(body: ReadableStream<Uint8Array>): Response {
  // Said here, the server sends each event as it comes.
  const headers = { ...common, 'Content-Type': 'text/event-stream', 'Transfer-Encoding': 'chunked' }
  return new Response(body, { status: 200, headers })
}

/** The refusal of a request, with no error behind it. */
export function problem(
  status: number,
  message: string,
  headers?: Readonly<Record<string, string>>,
): Answer {
  return json(status, { Message: message } satisfies ErrorBody, headers)
}

/** The answer that an error becomes. */
export function failed(
  status: number,
  message: string,
  error: unknown,
  headers?: Readonly<Record<string, string>>,
): Answer {
  const body: ErrorBody = {
    Message: message,
    ExceptionMessage: messageOf(error),
    ExceptionType: error instanceof DurableError ? error.code : 'Error',
    StackTrace: null,
  }
  return json(status, body, headers)
}

const BAD_ARGUMENT = 'One or more of the arguments submitted is incorrect'
const WENT_WRONG = 'Something went wrong while processing your request'
const statuses: Record<string, number> = {
  InvalidInstanceId: 400,
  InvalidName: 400,
  InvalidOption: 400,
  InvalidEntityId: 400,
  UnserializableValue: 400,
  NotRegistered: 400,
  InstanceNotFound: 404,
  InstanceAlreadyExists: 409,
  InstanceEnded: 410,
  InstanceNotEnded: 412,
  NotRewindable: 412,
  PayloadTooLarge: 413,
  TooManyCalls: 429,
  HubClosed: 503,
  StoreFull: 507,
  StoreGone: 503,
  StoreReadOnly: 503,
  StoreUnavailable: 503,
}

/** What becomes of an error that no handler has taken. */
export function answerOf(error: unknown): Answer {
  const status = error instanceof DurableError ? (statuses[error.code] ?? 500) : 500
  if (status >= 500) return failed(status, WENT_WRONG, error)
  if (status === 429) return failed(status, BAD_ARGUMENT, error, { 'Retry-After': '1' })
  if (status === 400) return failed(status, BAD_ARGUMENT, error)
  return failed(status, messageOf(error), error)
}
