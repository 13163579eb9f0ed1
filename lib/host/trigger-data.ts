/**
 * What is known of the trigger of a call by the host: by one rule for every kind and both models.
 *
 * Owns: what of a request, a payload or an input is binding data, and what comes first.
 * Must never: know a model.
 * Proved by: `__test__/host-binding-data.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import {
  activityData,
  fieldsOf,
  type OrchestrationData,
  orchestrationData,
} from '../azure/binding-data.js'
import { wallMs } from '../clock.js'
import type { HttpInput } from './http-input.js'
import type { Call, Invocable } from './invocation.js'

/**
 * The binding data of a call: the fields of the trigger's JSON before what else is known of it.
 *
 * @param input the trigger's value, as the function sees it
 */
export function triggerData(
  { name, kind, trigger }: Pick<Invocable, 'name' | 'kind' | 'trigger'>,
  call: Call,
  input: unknown,
): Record<string, unknown> {
  if ('http' in call.trigger) {
    return { ...requestData(name, call.trigger.http), req: input, [trigger.name]: input }
  }
  const own = { data: input, [trigger.name]: input, ...call.data }
  if (kind === 'orchestration') return { ...own, ...orchestrationData(input as OrchestrationData) }
  const { instanceId } = call.data ?? {}
  if (kind === 'activity') return { ...own, ...activityData(String(instanceId), input) }
  return { ...own, ...fieldsOf(input) }
}

/** As in the original, the route before the query, and both before fields of the body. */
function requestData(name: string, http: HttpInput): Record<string, unknown> {
  const { params, query, headers, body } = http
  const sys = { methodName: name, utcNow: new Date(wallMs()).toISOString(), randGuid: randomUUID() }
  const fields = fieldsOf(new TextDecoder().decode(body))
  return { ...fields, ...params, sys, query: { ...query }, headers: { ...headers } }
}
