/**
 * The routes that change an instance: start, events, terminate, suspend, resume, rewind, restart.
 *
 * Owns: which outcome has which status code.
 * Must never: decide an outcome.
 * Proved by: `__test__/http.spec.mjs`.
 */

import { exactly } from '../azure/client-semantics.js'
import {
  DurableError,
  InstanceAlreadyExists,
  InstanceEnded,
  InstanceNotFound,
  NotRewindable,
} from '../errors.js'
import { parseJson } from '../json.js'
import { type Answer, empty, failed, json, problem } from './answers.js'
import { isJson } from './body.js'
import { startOnce } from './idempotency.js'
import { hasEnded } from './instances.js'
import type { ApiParts } from './parts.js'
import type { RouteContext } from './router.js'
import { waitOrCheck } from './waiting.js'

const INVALID_JSON = 'Invalid JSON content'
const NOT_AN_INSTANCE = 'InstanceId does not match a valid orchestration instance.'
const IN_USE = 'A non-terminal instance with this instance ID already exists.'
const NOT_ALLOWED = 'Something went wrong while processing your request'

// ------------------------------------------------------------------ start

/** `POST orchestrators/{functionName}[/{instanceId}]` */
export async function startInstance(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const input = parsed(await context.text())
  if ('error' in input) return failed(400, INVALID_JSON, input.error)
  const { functionName = '', instanceId = '' } = context.params
  const key = context.request.headers.get('idempotency-key')
  try {
    const version = context.query.get('version')
    if (key !== null) return await startOnce(parts, context, key, input.value, version)
    const id = await parts.client.startNew(functionName, {
      instanceId: instanceId === '' ? undefined : instanceId,
      version,
      input: input.value,
    })
    return await waitOrCheck(parts, context, id)
  } catch (error) {
    if (error instanceof InstanceAlreadyExists) return problem(409, error.message)
    const isArgument = error instanceof DurableError && argumentCodes.includes(error.code)
    if (isArgument) return problem(400, error.message)
    throw error
  }
}

const argumentCodes = ['NotRegistered', 'InvalidInstanceId', 'InvalidName', 'UnserializableValue']

// ------------------------------------------------------------------ events

/** `POST instances/{id}/raiseEvent/{eventName}` */
export async function raiseEvent(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const { instanceId = '', eventName = '' } = context.params
  const type = context.request.headers.get('content-type')
  const text = await context.text()
  const data = parsed(text)
  // As in the original, whether there is such an instance comes first.
  if (!isJson(type) && !(type === null && text === '')) {
    return (
      (await absence(parts, instanceId)) ??
      problem(400, 'Only application/json request content is supported')
    )
  }
  if ('error' in data) {
    return (await absence(parts, instanceId)) ?? failed(400, INVALID_JSON, data.error)
  }
  const outcome = await exactly(parts.client).raiseEvent(instanceId, eventName, data.value)
  if (outcome.outcome !== 'discarded' || outcome.reason === 'NotWaiting') return empty(202)
  return empty(outcome.reason === 'NotFound' ? 404 : 410)
}

/** 404 or 410 for an instance that cannot be sent anything. */
async function absence(parts: ApiParts, instanceId: string): Promise<Answer | undefined> {
  const status = await parts.client.getStatus(instanceId, { pending: true, showInput: false })
  if (status === null) return empty(404)
  return hasEnded(status) ? empty(410) : undefined
}

// ------------------------------------------------------------------ the others

/** `POST instances/{id}/terminate` */
export async function terminate(parts: ApiParts, context: RouteContext): Promise<Answer> {
  return changed(() => exactly(parts.client).terminate(idOf(context), reasonOf(context)))
}

/** `POST instances/{id}/suspend` */
export async function suspend(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const status = await parts.client.getStatus(idOf(context), { pending: true, showInput: false })
  if (status?.runtimeStatus === 'Suspended') return notAllowed(`The instance is suspended already.`)
  return changed(() => exactly(parts.client).suspend(idOf(context), reasonOf(context)))
}

/** `POST instances/{id}/resume` */
export async function resume(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const status = await parts.client.getStatus(idOf(context), { pending: true, showInput: false })
  const isOpen = status !== null && !hasEnded(status)
  if (isOpen && status.runtimeStatus !== 'Suspended') {
    return notAllowed(`The instance is ${status.runtimeStatus}, not suspended.`)
  }
  return changed(() => exactly(parts.client).resume(idOf(context), reasonOf(context)))
}

/** What the original says of a change that the instance's status does not allow. */
function notAllowed(message: string): Answer {
  return failed(500, NOT_ALLOWED, new DurableError(message, { code: 'InvalidOperation' }))
}

async function changed(change: () => Promise<void>): Promise<Answer> {
  try {
    await change()
    return empty(202)
  } catch (error) {
    if (error instanceof InstanceNotFound) return empty(404)
    if (error instanceof InstanceEnded) return empty(410)
    throw error
  }
}

/** `POST instances/{id}/rewind` */
export async function rewind(parts: ApiParts, context: RouteContext): Promise<Answer> {
  try {
    return await changed(() => parts.client.rewind(idOf(context), reasonOf(context)))
  } catch (error) {
    if (!(error instanceof NotRewindable)) throw error
    return json((await absence(parts, idOf(context))) === undefined ? 412 : 410, error.message)
  }
}

/** `POST instances/{id}/restart` */
export async function restart(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const withNewInstanceId = context.query.boolean('restartWithNewInstanceId') ?? true
  try {
    const id = await parts.client.restart(idOf(context), { withNewInstanceId })
    return await waitOrCheck(parts, context, id)
  } catch (error) {
    if (error instanceof InstanceNotFound) return failed(400, NOT_AN_INSTANCE, error)
    if (error instanceof InstanceAlreadyExists) return failed(409, IN_USE, error)
    throw error
  }
}

function idOf({ params }: RouteContext): string {
  return params['instanceId'] ?? ''
}

function reasonOf({ query }: RouteContext): string | undefined {
  return query.get('reason')
}

/** The value of a JSON text; undefined of none. */
export function parsed(text: string): { value: unknown } | { error: unknown } {
  if (text === '') return { value: undefined }
  try {
    return { value: parseJson(text, 'body') }
  } catch (error) {
    return { error }
  }
}
