/**
 * What orchestrators ask of entities.
 *
 * Owns: the checks and the text of those actions.
 * Must never: keep state of an execution; that is in `execution.ts`.
 * Proved by: `__test__/entities.spec.mjs`, `__test__/locks.spec.mjs`.
 */

import { optionalTime, optionsOf } from './check.js'
import { stringify } from './codec.js'
import { type EntityId, entityIdOf } from './entity-id.js'
import { operationOf, signalText } from './entity-operation.js'
import type { Execution } from './execution.js'
import { DurableLock, entitiesToLock, LockState, violation } from './lock.js'
import type { SingleTask } from './task.js'

export function callEntity(
  execution: Execution,
  entityId: unknown,
  operationName: unknown,
  operationInput: unknown,
): SingleTask {
  execution.requireTurn('called an entity')
  const { id, text } = operationText(execution, entityId, operationName, operationInput)
  const action = `{"callEntity":${text.slice(0, -1)}`
  const { lock } = execution
  if (lock === null) return execution.schedule(action, 'wait')
  lock.begin(id)
  return execution.scheduleLockedCall(action, lock, id)
}

export function signalEntity(
  execution: Execution,
  entityId: unknown,
  operationName: unknown,
  operationInput: unknown,
  options: unknown,
): void {
  execution.requireTurn('signalled an entity')
  const known = optionsOf(options, 'options', ['scheduledTime'])
  const fireAt = optionalTime(known, 'scheduledTime', 'options')
  const { id, text } = operationText(execution, entityId, operationName, operationInput, fireAt)
  if (execution.lock?.has(id) === true) {
    throw violation(
      `An entity that is locked (${id}) cannot be signalled inside the critical section. Call it, or signal it after.`,
    )
  }
  execution.tell(`{"signalEntity":${text}}`, 'signalled an entity')
}

export function lockEntities(execution: Execution, given: unknown[]): SingleTask {
  execution.requireTurn('called lock')
  const entities = entitiesToLock(given)
  if (execution.lock !== null) {
    throw violation(
      'There is a critical section already; there is no other one inside it. Lock all entities at once, or release the first lock before.',
    )
  }
  const ids = entities.map((id) => id.quoted).join(',')
  return execution.scheduleLock(
    `{"lockEntities":{"entities":[${ids}]`,
    new DurableLock(execution, entities),
  )
}

export function lockState({ lock }: Execution): LockState {
  return new LockState(lock !== null, lock === null ? [] : [...lock.ownedLocks])
}

/** Sub-orchestrations might wait for what this one has locked. */
export function refuseInSection(execution: Execution): void {
  if (execution.lock === null) return
  throw violation(
    'A sub-orchestration cannot be called inside a critical section. Call it before or after.',
  )
}

function operationText(
  execution: Execution,
  entityId: unknown,
  operationName: unknown,
  operationInput: unknown,
  fireAt?: number,
): { id: EntityId; text: string } {
  const id = entityIdOf(entityId)
  const operation = operationOf(operationName)
  const field = `input of operation '${operation}' of entity '${id.name}'`
  const input = stringify(operationInput, field, execution.limit)
  return { id, text: signalText(id, operation, input, fireAt) }
}
