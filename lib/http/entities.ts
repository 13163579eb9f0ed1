/**
 * The routes of entities: state, listing, signals.
 *
 * Owns: what entities look like over HTTP.
 * Must never: wait for an operation: signals are taken, not carried out, when they are answered.
 * Proved by: `__test__/http-entities.spec.mjs`.
 */

import { EntityId } from '../entity-id.js'
import { InvalidEntityId, InvalidName } from '../errors.js'
import { messageOf } from '../failure.js'
import { type Answer, empty, json, problem } from './answers.js'
import { isJson } from './body.js'
import { cursorOf, pageOf, topOf } from './instances.js'
import { parsed } from './operations.js'
import type { ApiParts } from './parts.js'
import type { RouteContext } from './router.js'

/** An entity in a listing, as HTTP has it. */
export interface EntityBody {
  readonly entityId: { readonly name: string; readonly key: string }
  readonly lastOperationTime: string
  readonly state?: unknown
}

/** What stands for a key that is empty. */
const EMPTY_KEY = '$'

/** `GET entities/{name}/{key}` */
export async function getEntity(parts: ApiParts, context: RouteContext): Promise<Answer> {
  return await refused(async () => {
    const response = await parts.client.readEntityState(idOf(context))
    return response.entityExists ? json(200, response.entityState) : empty(404)
  })
}

/** `GET entities[/{name}]` */
export async function listEntities(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const { query, params, request } = context
  const fetchesState = query.boolean('fetchState') ?? false
  const { entities, cursor } = await parts.client.listEntities({
    name: params['entityName'],
    lastOperationFrom: query.time('lastOperationTimeFrom'),
    lastOperationTo: query.time('lastOperationTimeTo'),
    includeState: fetchesState,
    top: topOf(query),
    cursor: cursorOf(request),
  })
  const bodies = entities.map(({ entityId, lastOperationTime, state }): EntityBody => {
    const { name, key } = entityId
    const body = { entityId: { name, key }, lastOperationTime: lastOperationTime.toISOString() }
    return fetchesState && state !== undefined ? { ...body, state } : body
  })
  return pageOf(bodies, cursor)
}

/** `POST entities/{name}/{key}`: the body is the operation's input, JSON or text. */
export async function signalEntity(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const text = await context.text()
  const isText = !isJson(context.request.headers.get('content-type'))
  const input = isText && text !== '' ? { value: text } : parsed(text)
  if ('error' in input) {
    return problem(400, `Could not parse JSON content: ${messageOf(input.error)}`)
  }
  return await signal(parts, context, context.query.get('op') ?? '', input.value)
}

/** `DELETE entities/{name}/{key}` */
export async function deleteEntity(parts: ApiParts, context: RouteContext): Promise<Answer> {
  return await signal(parts, context, 'delete', undefined)
}

async function signal(
  parts: ApiParts,
  context: RouteContext,
  operation: string,
  input: unknown,
): Promise<Answer> {
  return await refused(async () => {
    await parts.client.signalEntity(idOf(context), operation, input)
    return empty(202)
  })
}

/** @throws InvalidEntityId */
function idOf({ params }: RouteContext): EntityId {
  const { entityName = '', entityKey = '' } = params
  return new EntityId(entityName, entityKey === EMPTY_KEY ? '' : entityKey)
}

async function refused(action: () => Promise<Answer>): Promise<Answer> {
  try {
    return await action()
  } catch (error) {
    const isArgument = error instanceof InvalidEntityId || error instanceof InvalidName
    if (isArgument) return problem(400, error.message)
    throw error
  }
}
