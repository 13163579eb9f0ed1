/**
 * Waiting for an instance to end, and giving it up.
 *
 * Owns: until when a caller waits.
 * Must never: touch the instance: it goes on.
 * Proved by: `__test__/client.spec.mjs`.
 */

import { optionalMs, optionalSignal, optionsOf } from './check.js'
import type { Call } from './engine.js'
import { TimeoutError } from './errors.js'
import { Timeout } from './timer.js'

/** How long to wait. */
export interface WaitForCompletionOptions {
  /** Milliseconds to wait, of any length. Default: no end. */
  timeoutMs?: number | undefined
  /** The name durable-functions has for `timeoutMs`. */
  timeoutInMilliseconds?: number | undefined
  /** Only for durable-functions: here nothing is asked again and again. */
  retryIntervalInMilliseconds?: number | undefined
  /** Ends the wait when it aborts; the promise rejects with its reason. */
  signal?: AbortSignal | undefined
}

/** Until when to wait. */
export type Until = Pick<WaitForCompletionOptions, 'timeoutMs' | 'signal'>

const OPTIONS = ['timeoutMs', 'timeoutInMilliseconds', 'retryIntervalInMilliseconds', 'signal']

/**
 * Options, checked.
 *
 * @throws InvalidOption
 */
export function waitOptions(given: unknown): Until {
  const known = optionsOf(given, 'options', OPTIONS)
  const timeoutMs = optionalMs(known, 'timeoutMs', 'options')
  return {
    timeoutMs: timeoutMs ?? optionalMs(known, 'timeoutInMilliseconds', 'options'),
    signal: optionalSignal(known, 'signal', 'options'),
  }
}

/** Gives a call up when its time is over or its signal aborts. */
export function giveUp(
  call: Call<unknown>,
  instanceId: string,
  { timeoutMs, signal }: Until,
): void {
  if (timeoutMs !== undefined) giveUpAfter(call, instanceId, timeoutMs)
  if (signal !== undefined) giveUpBy(call, signal)
}

function giveUpAfter(call: Call<unknown>, instanceId: string, timeoutMs: number): void {
  const timeout = new Timeout(timeoutMs, () => {
    const message = `Instance '${instanceId}' has not ended within ${timeoutMs} ms; it goes on.`
    call.abandon(new TimeoutError(message, { instanceId }))
  })
  const clear = (): void => timeout.clear()
  call.promise.then(clear, clear)
}

function giveUpBy(call: Call<unknown>, signal: AbortSignal): void {
  const abandon = (): void => call.abandon(signal.reason as Error)
  const clear = (): void => signal.removeEventListener('abort', abandon)
  if (signal.aborted) abandon()
  else signal.addEventListener('abort', abandon, { once: true })
  call.promise.then(clear, clear)
}
