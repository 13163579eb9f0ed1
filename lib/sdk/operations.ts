/**
 * Operations of entities, and locks, as an SDK's orchestrators ask for them.
 *
 * Owns: their texts for the engine, and the messages that the SDK's history shows of them: a request
 * that was sent, and a reply that is an event of the request's name.
 * Must never: know a state.
 * Proved by: `__test__/sdk-entities.spec.mjs`.
 */

import { EntityId, entityIdFromText } from '../entity-id.js'
import { operationOf, signalText } from '../entity-operation.js'
import { InvalidOption } from '../errors.js'
import type { RawJson } from '../protocol.js'
import type { Action } from './state.js'

/** The id `@name@key` of what an action is for. */
export function entityOf({ instanceId }: Action): EntityId {
  return entityIdFromText(typeof instanceId === 'string' ? instanceId : '')
}

/** What is asked of an entity, as the engine's text. */
export function operationText(action: Action, input: RawJson | null): RawJson {
  const { fireAt } = action
  const ms = fireAt === undefined ? undefined : new Date(fireAt as Date | string).getTime()
  return signalText(entityOf(action), operationOf(action.operation), input, ms)
}

/** The entities that an action locks. */
export function lockSetOf({ lockSet }: Action): EntityId[] {
  if (!Array.isArray(lockSet) || lockSet.length === 0) {
    throw new InvalidOption('lock needs at least one EntityId.', { field: 'lockSet' })
  }
  return lockSet.map(({ name, key }) => new EntityId(name, key))
}

/** The request that history shows; the SDK reads the id of it. */
export function requestText(op: string, id: string, parent: string): RawJson {
  return JSON.stringify({ op, id, parent })
}

/** The reply to a request: the JSON text of a result, or what it failed with. */
export function replyText(result: RawJson | null, error: string | null): RawJson {
  return error === null
    ? JSON.stringify({ result: result ?? 'null' })
    : JSON.stringify({ result: JSON.stringify(error), exceptionType: 'Error' })
}
