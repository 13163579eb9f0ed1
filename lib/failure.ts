/**
 * How an error crosses the boundary: whatever user code threw becomes a `Failure`, and back.
 *
 * Owns: both directions, and the bounds on what is kept of an error.
 * Must never: throw. What was thrown may be frozen, a Proxy, or lie in every getter.
 * Proved by: `__test__/errors.spec.mjs` (round trips) and `__test__/bad-input.spec.mjs` (hostile values).
 */

import { markTaskFailed } from './azure/task-failed.js'
import { DurableError, errorClass, OrchestrationTerminated } from './errors.js'
import type { ChildEnd, Failure, RawJson } from './protocol.js'

/** A chain of causes longer than this is cut. */
const CAUSES_MAX = 8
/** Own fields beyond this many are dropped. */
const FIELDS_MAX = 64
/** A failure may be this large whatever the hub allows, so that an error is never lost. */
const FAILURE_BYTES_MIN = 65_536
const MESSAGE_CHARS_MAX = 65_536
const STACK_CHARS_MAX = 16_384
/** What is left of message and stack when the whole would exceed the limit. */
const CUT_CHARS_MAX = 4_096
/** Of such an error, own fields longer than this are dropped, and its causes. */
const CUT_FIELD_CHARS_MAX = 256
const CUT_FIELDS_MAX = 16

/** Crossed apart from the own fields, whatever they are on the error. */
const reserved: Set<string> = new Set(['name', 'message', 'stack', 'cause', 'errors'])

// ------------------------------------------------------------------ error to failure

/**
 * The JSON text of the `Failure` for whatever was thrown, within `limitBytes` or 64 KiB.
 *
 * @param more own fields beside those of the error, which win
 */
export function failureText(thrown: unknown, limitBytes: number, more?: object): RawJson {
  const text = withFields(encode(thrown, [], false), thrown, more)
  const limit = Math.max(limitBytes, FAILURE_BYTES_MIN)
  if (text.length * 3 <= limit || Buffer.byteLength(text) <= limit) return text
  return encode(thrown, [], true)
}

/** What a thrown value says, on one line if it is an error; never throws. */
export function messageOf(thrown: unknown): string {
  if (isObject(thrown)) {
    const message = read(thrown, 'message')
    if (typeof message === 'string') return message
  }
  return describe(thrown)
}

function withFields(text: RawJson, thrown: unknown, more: object | undefined): RawJson {
  if (more === undefined) return text
  const own = isObject(thrown) ? keysOf(thrown) : []
  let fields = ''
  for (const key of keysOf(more).slice(0, FIELDS_MAX)) {
    const json = reserved.has(key) || own.includes(key) ? undefined : jsonOf(read(more, key))
    if (json !== undefined) fields += `,${JSON.stringify(key)}:${json}`
  }
  return `${text.slice(0, -1)}${fields}}`
}

function encode(thrown: unknown, chain: unknown[], cut: boolean): RawJson {
  const name = nameOf(thrown)
  const message = messageOf(thrown).slice(0, cut ? CUT_CHARS_MAX : MESSAGE_CHARS_MAX)
  const head = `{"name":${JSON.stringify(name)},"message":${JSON.stringify(message)}`
  if (!isObject(thrown)) return `${head},"stack":${JSON.stringify(`${name}: ${message}`)}}`
  const stackRead = read(thrown, 'stack')
  const stack = typeof stackRead === 'string' ? stackRead : `${name}: ${message}`
  const stackText = JSON.stringify(stack.slice(0, cut ? CUT_CHARS_MAX : STACK_CHARS_MAX))
  if (cut) return `${head},"stack":${stackText}${encodeFields(thrown, true)}}`
  chain.push(thrown)
  const rest =
    encodeCause(thrown, chain) + encodeErrors(thrown, chain) + encodeFields(thrown, false)
  chain.pop()
  return `${head},"stack":${stackText}${rest}}`
}

function nameOf(thrown: unknown): string {
  if (!isObject(thrown)) return 'Error'
  const name = read(thrown, 'name')
  return typeof name === 'string' && name !== '' ? name.slice(0, CUT_CHARS_MAX) : 'Error'
}

function encodeCause(thrown: object, chain: unknown[]): string {
  const cause = read(thrown, 'cause')
  if (cause === undefined || chain.length > CAUSES_MAX || chain.includes(cause)) return ''
  return `,"cause":${encodeNested(cause, chain)}`
}

/** The members of an `AggregateError`, which are no enumerable field of it. */
function encodeErrors(thrown: object, chain: unknown[]): string {
  const errors = read(thrown, 'errors')
  if (!isArray(errors) || chain.length > CAUSES_MAX) return ''
  const texts: string[] = []
  for (let i = 0; i < FIELDS_MAX; i++) {
    if (!((read(errors, 'length') as number) > i)) break
    const member = read(errors, String(i))
    if (!chain.includes(member)) texts.push(encodeNested(member, chain))
  }
  return `,"errors":[${texts.join(',')}]`
}

/** An error inside an error; any other value as its own JSON, or described if it has none. */
function encodeNested(value: unknown, chain: unknown[]): RawJson {
  if (isObject(value) && typeof read(value, 'message') === 'string' && hasStack(value)) {
    return encode(value, chain, false)
  }
  return jsonOf(value) ?? JSON.stringify(describe(value))
}

function hasStack(value: object): boolean {
  return typeof read(value, 'stack') === 'string'
}

function encodeFields(thrown: object, cut: boolean): string {
  let text = ''
  for (const key of keysOf(thrown).slice(0, cut ? CUT_FIELDS_MAX : FIELDS_MAX)) {
    if (reserved.has(key)) continue
    const json = jsonOf(read(thrown, key))
    if (json === undefined) continue
    if (cut && key.length + json.length > CUT_FIELD_CHARS_MAX) continue
    text += `,${JSON.stringify(key)}:${json}`
  }
  return text
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

function isArray(value: unknown): value is unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false // a revoked Proxy
  }
}

function read(object: object, key: string): unknown {
  try {
    return (object as Record<string, unknown>)[key]
  } catch {
    return undefined
  }
}

function keysOf(object: object): string[] {
  try {
    return Object.keys(object)
  } catch {
    return []
  }
}

function jsonOf(value: unknown): RawJson | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

function describe(thrown: unknown): string {
  try {
    if (isObject(thrown)) {
      const json = JSON.stringify(thrown)
      if (typeof json === 'string') return json.slice(0, CUT_CHARS_MAX)
    }
    return String(thrown)
  } catch {
    return 'a value that cannot be read was thrown'
  }
}

// ------------------------------------------------------------------ failure to error

const builtIn: Map<string, new (message: string) => Error> = new Map<
  string,
  new (
    message: string,
  ) => Error
>([
  ['EvalError', EvalError],
  ['RangeError', RangeError],
  ['ReferenceError', ReferenceError],
  ['SyntaxError', SyntaxError],
  ['TypeError', TypeError],
  ['URIError', URIError],
])

/** The error of a failed task: carries all of a `Failure`, of the class its name or code stands for. */
export function errorFromFailure(failure: Failure): Error {
  return markTaskFailed(reviveError(failure))
}

function reviveError(failure: Failure): Error {
  const name = typeof failure.name === 'string' ? failure.name : 'Error'
  const message = typeof failure.message === 'string' ? failure.message : ''
  const error = instantiate(name, message, failure['code'])
  if (error.name !== name) define(error, 'name', name, false)
  if (typeof failure.stack === 'string') define(error, 'stack', failure.stack, false)
  if (failure.cause !== undefined) define(error, 'cause', revive(failure.cause), false)
  const errors = failure['errors']
  if (Array.isArray(errors)) define(error, 'errors', errors.map(revive), false)
  for (const key of Object.keys(failure)) {
    if (!reserved.has(key)) define(error, key, failure[key], true)
  }
  return error
}

/** The error that a parent sees when a sub-orchestration did not complete. */
export function errorFromChild(child: ChildEnd): Error {
  if (child.failure !== undefined) return errorFromFailure(child.failure)
  const reason = child.reason === undefined ? '' : `: ${describeReason(child.reason)}`
  const message = `Orchestration '${child.instanceId}' (${child.name}) was terminated${reason}`
  return markTaskFailed(
    new OrchestrationTerminated(message, { instanceId: child.instanceId, cause: child.reason }),
  )
}

function describeReason(reason: unknown): string {
  return typeof reason === 'string' ? reason : (jsonOf(reason) ?? '')
}

function instantiate(name: string, message: string, code: unknown): Error {
  const known = builtIn.get(name)
  if (known !== undefined) return new known(message)
  if (typeof code === 'string') {
    const own = errorClass(code)
    if (own !== DurableError && own.prototype.name === name) return new own(message)
  }
  return new Error(message)
}

function revive(cause: unknown): unknown {
  if (typeof cause !== 'object' || cause === null) return cause
  const { name, message, stack } = cause as Partial<Failure>
  const isFailure =
    typeof name === 'string' && typeof message === 'string' && typeof stack === 'string'
  return isFailure ? reviveError(cause as Failure) : cause
}

/** Never by assignment: a field may be named `__proto__`, or be read-only on the class. */
function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true })
}
