/**
 * Values to raw JSON text, and the texts that make up a batch.
 *
 * Owns: every place where a value of the user's is written as JSON, and the assembly of objects
 * around raw text by hand (a payload is stringified once and never parsed again on this side).
 * Must never: let a string cross that Rust cannot hold as UTF-8, other than inside a payload.
 * Proved by: `__test__/bad-input.spec.mjs`.
 */

import { types } from 'node:util'
import { InvalidName, PayloadTooLarge, UnserializableValue } from './errors.js'
import { messageOf } from './failure.js'
import type { RawJson } from './protocol.js'

/** The largest JSON text of one value unless the hub says otherwise: 16 MiB. */
export const PAYLOAD_BYTES_DEFAULT: number = 16 * 1024 * 1024

const NAME_CHARS_MAX = 256

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const control = /[\u0000-\u001f\u007f-\u009f]/

/**
 * The JSON text of a value, or null for `undefined`, which means that there is no value.
 *
 * @param field what the value is, for the error: "input of activity 'hello'"
 * @throws UnserializableValue, PayloadTooLarge
 */
export function stringify(value: unknown, field: string, limitBytes: number): RawJson | null {
  if (value === undefined) return null
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw refused(field, error, limitBytes)
  }
  if (text === undefined) {
    const what = typeof value === 'object' ? 'an object whose toJSON gives nothing' : typeof value
    throw new UnserializableValue(
      `The ${field} cannot be written as JSON: it is ${what}. Pass plain data, or undefined for no value.`,
      { field },
    )
  }
  // A UTF-16 unit takes at most three bytes of UTF-8, so most texts need no count.
  if (text.length * 3 > limitBytes) checkSize(text, field, limitBytes)
  return text
}

function refused(field: string, error: unknown, limitBytes: number): Error {
  const message = messageOf(error)
  // Asked this way round, as what a toJSON throws may be a Proxy.
  const isRange = types.isNativeError(error) && error instanceof RangeError
  if (isRange && message === 'Invalid string length') {
    return tooLarge(field, 'more than a string can hold', limitBytes)
  }
  const reason = isRange ? 'it is nested too deeply' : message.split('\n', 1)[0]
  return new UnserializableValue(
    `The ${field} cannot be written as JSON: ${reason}. Pass plain data (a BigInt as a string, ids instead of cycles).`,
    { field, cause: error },
  )
}

function checkSize(text: string, field: string, limitBytes: number): void {
  const bytes = Buffer.byteLength(text)
  if (bytes > limitBytes) throw tooLarge(field, `${bytes} bytes`, limitBytes)
}

function tooLarge(field: string, size: string, limitBytes: number): PayloadTooLarge {
  return new PayloadTooLarge(
    `The ${field} is too large: ${size} of JSON, and the hub allows ${limitBytes}. Store the data elsewhere and pass a reference, or raise limits.payloadBytes.`,
    { field },
  )
}

/** Whether the text holds no half of a surrogate pair. */
export function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed()
}

/** The names met so far with their JSON text; function and event names recur without end. */
const quotedNames: Map<string, string> = new Map()
const QUOTED_NAMES_MAX = 10_000

/**
 * The JSON text of a function's or an event's name.
 *
 * @param field what the name is, for the error: "event name"
 * @throws InvalidName
 */
export function quoteName(name: unknown, field: string): RawJson {
  const known = quotedNames.get(name as string)
  if (known !== undefined) return known
  checkName(name, field)
  if (quotedNames.size >= QUOTED_NAMES_MAX) quotedNames.clear()
  const text = JSON.stringify(name)
  quotedNames.set(name, text)
  return text
}

/**
 * What stands for a version in a request: nothing for none asked, which is the hub's. An empty one is none.
 *
 * @throws InvalidName
 */
export function versionText(version: unknown): RawJson {
  if (version === undefined || version === null) return ''
  return `,"version":${version === '' ? '""' : quoteName(version, 'version')}`
}

/** @throws InvalidName */
export function checkName(name: unknown, field: string): asserts name is string {
  if (typeof name !== 'string') {
    throw new InvalidName(`The ${field} must be a string, not ${typeof name}.`, { field })
  }
  if (name === '' || (name.length > NAME_CHARS_MAX && [...name].length > NAME_CHARS_MAX)) {
    throw new InvalidName(`The ${field} must have 1 to ${NAME_CHARS_MAX} characters.`, { field })
  }
  if (control.test(name)) {
    throw new InvalidName(`The ${field} must hold no control characters.`, { field })
  }
  if (!isWellFormed(name)) {
    throw new InvalidName(`The ${field} holds half of a surrogate pair.`, { field })
  }
}

/** The text of an object whose values are raw JSON; what is null or undefined is left out. */
export function objectText(fields: Record<string, RawJson | null | undefined>): RawJson {
  let text = ''
  for (const key of Object.keys(fields)) {
    const value = fields[key]
    if (value === null || value === undefined) continue
    text += text === '' ? `"${key}":${value}` : `,"${key}":${value}`
  }
  return `{${text}}`
}
