/**
 * Retry policies as users write them.
 *
 * Owns: `RetryOptions` and its text for the core, which does the arithmetic.
 * Must never: decide whether or when to retry; `retryIf` only answers the core's question.
 * Proved by: `__test__/retry.spec.mjs`.
 */

import { invalid } from './check.js'
import { objectText } from './codec.js'
import type { RawJson } from './protocol.js'

/** A retry policy, as a `RetryOptions` or as a plain object with its fields. Times in milliseconds. */
export interface RetryPolicy {
  /** The pause before the second attempt; more than 0. */
  readonly firstRetryIntervalInMilliseconds: number
  /** All attempts, the first one included; 1 or more. */
  readonly maxNumberOfAttempts: number
  /** Each pause is the one before times this. Default 1. */
  backoffCoefficient?: number | undefined
  /** No pause is longer. Default: six days, as in durable-functions. */
  maxRetryIntervalInMilliseconds?: number | undefined
  /** No attempt is made after this much time from the first. Default: no bound. */
  retryTimeoutInMilliseconds?: number | undefined
  /**
   * 0 to 1: each pause is drawn from `[pause * (1 - jitter), pause]`, once; a replay uses the pause
   * that was drawn. Default 0.
   */
  jitter?: number | undefined
  /**
   * Whether this failure is worth another attempt. Asked before each retry, with the error that the
   * activity threw; the answer is recorded. Throwing counts as false. Default: always.
   */
  retryIf?: ((error: Error) => boolean) | undefined
}

/**
 * A retry policy, with the constructor of durable-functions.
 *
 * @example
 * ```ts
 * const retry = new df.RetryOptions(1_000, 5)
 * retry.backoffCoefficient = 2
 * retry.retryIf = (error) => error.name !== 'CardDeclined'
 * yield context.df.callActivityWithRetry('charge', retry, order)
 * ```
 */
export class RetryOptions implements RetryPolicy {
  readonly firstRetryIntervalInMilliseconds: number
  readonly maxNumberOfAttempts: number
  backoffCoefficient?: number | undefined
  maxRetryIntervalInMilliseconds?: number | undefined
  retryTimeoutInMilliseconds?: number | undefined
  jitter?: number | undefined
  retryIf?: ((error: Error) => boolean) | undefined

  /**
   * @param firstRetryIntervalInMilliseconds the pause before the second attempt, more than 0
   * @param maxNumberOfAttempts all attempts, the first one included, 1 or more
   * @throws InvalidOption
   */
  constructor(firstRetryIntervalInMilliseconds: number, maxNumberOfAttempts: number) {
    this.firstRetryIntervalInMilliseconds = firstRetryIntervalInMilliseconds
    this.maxNumberOfAttempts = maxNumberOfAttempts
    retryText(this)
  }
}

/**
 * The text of a policy for the core.
 *
 * @throws InvalidOption
 */
export function retryText(policy: RetryPolicy): RawJson {
  if (typeof policy !== 'object' || policy === null) {
    throw invalid('retryOptions', 'must be a RetryOptions', policy ?? null)
  }
  if (policy.firstRetryIntervalInMilliseconds === undefined) {
    throw invalid('retryOptions.firstRetryIntervalInMilliseconds', 'must be given')
  }
  const attempts = policy.maxNumberOfAttempts
  if (!Number.isInteger(attempts) || attempts < 1) {
    throw invalid('retryOptions.maxNumberOfAttempts', 'must be a whole number, 1 or more', attempts)
  }
  if (policy.retryIf !== undefined && typeof policy.retryIf !== 'function') {
    throw invalid('retryOptions.retryIf', 'must be a function', policy.retryIf)
  }
  return objectText({
    firstRetryIntervalMs: msText(policy, 'firstRetryIntervalInMilliseconds'),
    maxNumberOfAttempts: String(Math.min(attempts, 2_147_483_647)),
    backoffCoefficient: numberText(policy, 'backoffCoefficient', 0, Number.MAX_SAFE_INTEGER),
    maxRetryIntervalMs: msText(policy, 'maxRetryIntervalInMilliseconds'),
    retryTimeoutMs: msText(policy, 'retryTimeoutInMilliseconds'),
    jitter: numberText(policy, 'jitter', 0, 1),
    ask: policy.retryIf === undefined ? null : 'true',
  })
}

type NumberField = Exclude<keyof RetryPolicy, 'retryIf'>

/** Whole milliseconds; `Infinity` becomes the longest time there is. */
function msText(policy: RetryPolicy, key: NumberField): RawJson | null {
  const value = policy[key]
  if (value === undefined || value === null) return null
  if (typeof value !== 'number' || !(value > 0)) {
    throw invalid(`retryOptions.${key}`, 'must be a number of milliseconds, more than 0', value)
  }
  return String(Math.ceil(Math.min(value, Number.MAX_SAFE_INTEGER)))
}

function numberText(
  policy: RetryPolicy,
  key: NumberField,
  min: number,
  max: number,
): RawJson | null {
  const value = policy[key]
  if (value === undefined || value === null) return null
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    throw invalid(`retryOptions.${key}`, `must be a number, ${min} to ${max}`, value)
  }
  return String(value)
}
