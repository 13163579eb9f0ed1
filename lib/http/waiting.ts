/**
 * Requests that wait for an instance to end.
 *
 * Owns: what they are answered, in time or too late.
 * Must never: ask the store again and again; the engine says when an instance has ended.
 * Proved by: `__test__/http.spec.mjs`, `__test__/http-beyond.spec.mjs`.
 */

import { InstanceNotFound } from '../errors.js'
import { type Answer, empty, json } from './answers.js'
import { getInstance, isErrorOnFailure, statusAnswer } from './instances.js'
import type { ApiParts } from './parts.js'
import type { RouteContext } from './router.js'

const WAIT_S_DEFAULT = 30

/** With `timeout` the answer to a start is the outcome, if there is one within that time. */
export async function waitOrCheck(
  parts: ApiParts,
  context: RouteContext,
  id: string,
  headers?: Readonly<Record<string, string>>,
): Promise<Answer> {
  const timeout = context.query.number('timeout')
  if (timeout === undefined) return parts.checkStatus(context, id, headers)
  const status = await parts.ended(context, id, timeout * 1_000)
  if (status === undefined) return parts.checkStatus(context, id, headers)
  if (status.runtimeStatus === 'Completed') return json(200, status.output, headers)
  return statusAnswer(parts, context, status, false)
}

/** `GET instances/{id}/wait`: the status when it has ended, or as it is when the time is over. */
export async function waitForInstance(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const timeout = context.query.number('timeout') ?? WAIT_S_DEFAULT
  try {
    const status = await parts.ended(context, context.params['instanceId'] ?? '', timeout * 1_000)
    if (status === undefined) return await getInstance(parts, context)
    return statusAnswer(parts, context, status, isErrorOnFailure(context.query))
  } catch (error) {
    if (error instanceof InstanceNotFound) return empty(404)
    throw error
  }
}
