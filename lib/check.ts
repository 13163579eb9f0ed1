/**
 * Checks of what callers pass in.
 *
 * Owns: the wording of "this option is wrong", in one place, with the field named.
 * Must never: change a value, or let one of the wrong type through.
 * Proved by: `__test__/bad-input.spec.mjs`.
 */

import { isWellFormed } from './codec.js'
import { InvalidInstanceId, InvalidOption } from './errors.js'

/** An options object as it came in. */
export type Options = Record<string, unknown>

const INSTANCE_ID_CHARS_MAX = 256

/** The refusal of one field. */
export function invalid(field: string, must: string, value?: unknown): InvalidOption {
  const got = value === undefined ? '' : `, not ${describe(value)}`
  return new InvalidOption(`${field} ${must}${got}.`, { field })
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (value instanceof Date) return 'an invalid Date'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/**
 * Takes an options object, refusing anything else and any key that is not known, as a misspelt
 * option that is silently ignored costs more than it saves.
 */
export function optionsOf(value: unknown, where: string, known: readonly string[]): Options {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(where, 'must be an object', value)
  }
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue
    throw new InvalidOption(`${where}.${key} is not an option. There are: ${known.join(', ')}.`, {
      field: `${where}.${key}`,
    })
  }
  return value as Options
}

export function optionalString(options: Options, key: string, where: string): string | undefined {
  const value = options[key]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '' || !isWellFormed(value)) {
    throw invalid(`${where}.${key}`, 'must be a string that is not empty', value)
  }
  return value
}

export function optionalBoolean(options: Options, key: string, where: string): boolean {
  const value = options[key]
  if (value === undefined) return false
  if (typeof value !== 'boolean') throw invalid(`${where}.${key}`, 'must be true or false', value)
  return value
}

/** A number from `min` to `max`, whole. */
export function optionalInteger(
  options: Options,
  key: string,
  where: string,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = options[key]
  if (value === undefined) return undefined
  if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`
    throw invalid(`${where}.${key}`, `must be a whole number, ${range}`, value)
  }
  return value as number
}

/** Milliseconds: 0 or more, `Infinity` for no end, which is the same as absent. */
export function optionalMs(options: Options, key: string, where: string): number | undefined {
  const value = options[key]
  if (value === undefined || value === Number.POSITIVE_INFINITY) return undefined
  if (typeof value !== 'number' || !(value >= 0)) {
    throw invalid(`${where}.${key}`, 'must be a number of milliseconds, 0 or more', value)
  }
  return value
}

export function optionalOneOf<T extends string>(
  options: Options,
  key: string,
  where: string,
  allowed: readonly T[],
): T | undefined {
  const value = options[key]
  if (value === undefined) return undefined
  if (!allowed.includes(value as T)) {
    throw invalid(`${where}.${key}`, `must be one of ${quoteAll(allowed)}`, value)
  }
  return value as T
}

export function optionalSignal(
  options: Options,
  key: string,
  where: string,
): AbortSignal | undefined {
  const value = options[key]
  if (value === undefined) return undefined
  // By what it does, as one may come from another realm.
  const { addEventListener } = (value ?? {}) as Partial<AbortSignal>
  if (typeof addEventListener === 'function') return value as AbortSignal
  throw invalid(`${where}.${key}`, 'must be an AbortSignal', value)
}

/** A Date, as milliseconds since the epoch. */
export function optionalTime(options: Options, key: string, where: string): number | undefined {
  const value = options[key]
  if (value === undefined) return undefined
  const ms = value instanceof Date ? value.getTime() : Number.NaN
  if (Number.isNaN(ms)) throw invalid(`${where}.${key}`, 'must be a valid Date', value)
  return ms
}

/** One status or a list of them. */
export function optionalListOf<T extends string>(
  options: Options,
  key: string,
  where: string,
  allowed: readonly T[],
): T[] | undefined {
  const value = options[key]
  if (value === undefined) return undefined
  const list: unknown[] = Array.isArray(value) ? value : [value]
  for (const item of list) {
    if (allowed.includes(item as T)) continue
    throw invalid(`${where}.${key}`, `must hold only ${quoteAll(allowed)}`, item ?? String(item))
  }
  return list as T[]
}

const QUEUE_CHARS_MAX = 100

/** Checks the name of a queue, and gives it back. */
export function queueName(value: unknown, field: string): string {
  if (
    typeof value === 'string' &&
    value !== '' &&
    value.length <= QUEUE_CHARS_MAX &&
    isWellFormed(value)
  ) {
    return value
  }
  throw invalid(field, `must be a string of 1 to ${QUEUE_CHARS_MAX} characters`, value)
}

function quoteAll(allowed: readonly string[]): string {
  return allowed.map((item) => `'${item}'`).join(', ')
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const forbiddenInIds = /[/\\#?\u0000-\u001f\u007f-\u009f]/

/**
 * Checks an id that is to be given to a new instance, and gives it back.
 *
 * @throws InvalidInstanceId
 */
export function newInstanceId(id: unknown, field: string): string {
  const why = whyNotAnId(id)
  if (why === undefined) return id as string
  throw new InvalidInstanceId(`The ${field} ${why}.`, { field })
}

function whyNotAnId(id: unknown): string | undefined {
  if (typeof id !== 'string') return `must be a string, not ${describe(id)}`
  if (id === '') return 'must not be empty'
  if (id.length > INSTANCE_ID_CHARS_MAX && [...id].length > INSTANCE_ID_CHARS_MAX) {
    return `must have at most ${INSTANCE_ID_CHARS_MAX} characters`
  }
  if (id.startsWith('@')) return "must not begin with '@', which marks entities"
  if (id === '.' || id === '..') return "must not be '.' or '..', which no URL reaches"
  if (forbiddenInIds.test(id)) return 'must hold no control characters and none of / \\ # ?'
  if (!isWellFormed(id)) return 'holds half of a surrogate pair'
  return undefined
}

/**
 * The JSON text of an id that names an existing instance. It need not be a valid one: an id that no
 * instance can have is simply not found.
 *
 * @throws InvalidInstanceId
 */
export function quoteInstanceId(id: unknown): string {
  if (typeof id !== 'string' || !isWellFormed(id)) {
    const why = typeof id === 'string' ? 'holds half of a surrogate pair' : 'must be a string'
    throw new InvalidInstanceId(`The instanceId ${why}.`, { field: 'instanceId' })
  }
  return JSON.stringify(id)
}
