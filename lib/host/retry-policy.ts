/**
 * Retry policies of functions: `retry` in `function.json`, or in the options of `@azure/functions` 4.
 *
 * Owns: reading one, and how long to wait before each attempt.
 * Must never: be asked for orchestrators or activities; what calls them says how they are retried.
 * Proved by: `__test__/host-timers.spec.mjs`.
 */

import { isObject, refused } from './binding.js'

/** What a function may know of its attempts. */
export interface RetryContext {
  /** How often it was tried before. */
  readonly retryCount: number
  /** -1: without end. */
  readonly maxRetryCount: number
}

/** How often a function that fails is tried again, and after how long. */
export interface FunctionRetry {
  /** -1: without end. */
  readonly maxRetryCount: number
  /** Milliseconds before the attempt of this number, from 1. */
  delayMs(attempt: number): number
}

type Json = Record<string, unknown>

const TIME = /^(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,7}))?$/
const STRATEGIES: readonly unknown[] = ['fixedDelay', 'exponentialBackoff']

/**
 * Reads a policy; undefined if there is none.
 *
 * @param given `retry` of `function.json`, or `retryOptions` as `@azure/functions` 4 registers it
 * @throws InvalidFunction
 */
export function parseRetry(given: unknown, file: string): FunctionRetry | undefined {
  if (given === undefined || given === null) return undefined
  if (!isObject(given)) throw refused(file, 'retry', 'must be an object')
  const strategy = given['strategy'] ?? given['retryStrategy']
  if (!STRATEGIES.includes(strategy)) {
    throw refused(file, 'retry.strategy', "must be 'fixedDelay' or 'exponentialBackoff'")
  }
  const { maxRetryCount } = given
  if (!Number.isInteger(maxRetryCount) || (maxRetryCount as number) < -1) {
    throw refused(file, 'retry.maxRetryCount', 'must be a whole number, or -1 for no end')
  }
  const delayMs = strategy === 'fixedDelay' ? fixed(given, file) : growing(given, file)
  return { maxRetryCount: maxRetryCount as number, delayMs }
}

function fixed(json: Json, file: string): FunctionRetry['delayMs'] {
  const ms = durationMs(json, 'delayInterval', file)
  return () => ms
}

function growing(json: Json, file: string): FunctionRetry['delayMs'] {
  const min = durationMs(json, 'minimumInterval', file)
  const max = durationMs(json, 'maximumInterval', file)
  return (attempt) => Math.min(min * 2 ** (attempt - 1), max)
}

/** `hh:mm:ss` of `function.json`, or `{ seconds }`. */
function durationMs(json: Json, key: string, file: string): number {
  const value = json[key]
  if (isObject(value) && typeof value['seconds'] === 'number') return value['seconds'] * 1000
  const parts = typeof value === 'string' ? TIME.exec(value) : null
  if (parts === null) throw refused(file, `retry.${key}`, "must be a time, such as '00:00:10'")
  const [days, hours, minutes, seconds] = parts.slice(1, 5).map((part) => Number(part ?? 0))
  const whole = ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds)
  return whole * 1000 + Number(`0.${parts[5] ?? 0}`) * 1000
}
