/**
 * Entities, as a client sees them.
 *
 * Owns: what is made of the core's rows, and the text of requests about entities.
 * Must never: send anything.
 * Proved by: `__test__/entities.spec.mjs`.
 */

import {
  optionalBoolean,
  optionalInteger,
  optionalString,
  optionalTime,
  optionsOf,
} from './check.js'
import { objectText, stringify } from './codec.js'
import { type EntityId, entityIdFromText, entityIdOf } from './entity-id.js'
import { operationOf, signalText } from './entity-operation.js'
import { InvalidOption } from './errors.js'
import type { EntityRow, RawJson } from './protocol.js'
import type { StatusProblem } from './status.js'
import { requireHub, type TaskHubOptions } from './task-hub-options.js'

const TOP_DEFAULT = 100
const TOP_MAX = 1_000

/** What `readEntityState` gives. */
export class EntityStateResponse<TState = unknown> {
  /** Whether the entity has a state. */
  entityExists: boolean
  /** The state; undefined if there is none. */
  declare entityState?: TState

  constructor(entityExists: boolean, entityState?: TState) {
    this.entityExists = entityExists
    if (entityState !== undefined) this.entityState = entityState
  }
}

/** An entity in a listing. */
export interface EntityStatus<TState = unknown> {
  entityId: EntityId
  /** When it last carried out an operation. */
  lastOperationTime: Date
  /** Only with `includeState`. */
  state?: TState
  /** Whether an orchestration has it for itself. */
  isLocked: boolean
  /** Why its operations wait: its function is not registered. */
  problem?: StatusProblem
}

/** One page of a listing of entities. */
export interface EntityPage {
  entities: EntityStatus[]
  /** Pass it to get the next page; null: this is the last. */
  cursor: string | null
}

/** Which entities, and which page of them. */
export interface ListEntitiesOptions {
  /** The entities' name, matched without regard to case. Default: all. */
  name?: string | undefined
  /** What the key begins with; case counts. Only with a name. */
  keyPrefix?: string | undefined
  /** The last operation was then or later. */
  lastOperationFrom?: Date | undefined
  /** The last operation was then or earlier. */
  lastOperationTo?: Date | undefined
  /** Whether to give the states. Default true. */
  includeState?: boolean | undefined
  /** Whether to give those that have no state, but operations or an orchestration before them. Default false. */
  includeTransient?: boolean | undefined
  /** How many at most, 1 to 1,000. Default 100. */
  top?: number | undefined
  /** The `cursor` of the page before. */
  cursor?: string | null | undefined
}

const LIST_KEYS = [
  'name',
  'keyPrefix',
  'lastOperationFrom',
  'lastOperationTo',
  'includeState',
  'includeTransient',
  'top',
  'cursor',
]

export function stateOf<TState>(row: EntityRow | null): EntityStateResponse<TState> {
  return new EntityStateResponse(row?.exists === true, row?.state as TState | undefined)
}

function entityStatus(row: EntityRow, withState: boolean): EntityStatus {
  const status: EntityStatus = {
    entityId: entityIdFromText(row.entityId),
    lastOperationTime: new Date(row.updated),
    isLocked: row.locked,
  }
  if (withState && row.exists) status.state = row.state
  if (row.problem !== undefined) status.problem = row.problem
  return status
}

export function signalRequest(
  entityId: unknown,
  operationName: unknown,
  operationInput: unknown,
  scheduledTime: unknown,
  limitBytes: number,
): RawJson {
  const id = entityIdOf(entityId)
  const operation = operationOf(operationName)
  const fireAt = optionalTime({ scheduledTime }, 'scheduledTime', 'options')
  const field = `input of operation '${operation}' of entity '${id.name}'`
  const input = stringify(operationInput, field, limitBytes)
  return `{"signalEntity":${signalText(id, operation, input, fireAt)}}`
}

export function entityRequest(
  entityId: unknown,
  options: TaskHubOptions | undefined,
  taskHubName: string,
): RawJson {
  requireHub(options, taskHubName)
  return `{"getEntity":{"entityId":${entityIdOf(entityId).quoted}}}`
}

/** What is made of the reply to a request for a page. */
type ToPage = (reply: { entities: EntityRow[]; cursor: string | null }) => EntityPage

export function entityListing(given: unknown): [request: RawJson, convert: ToPage] {
  const where = 'options'
  const options = optionsOf(given, where, LIST_KEYS)
  const name = optionalString(options, 'name', where)
  const keyPrefix = optionalString(options, 'keyPrefix', where)
  if (keyPrefix !== undefined && name === undefined) {
    throw new InvalidOption('options.keyPrefix needs options.name: keys are listed by name.', {
      field: 'options.keyPrefix',
    })
  }
  const from = optionalTime(options, 'lastOperationFrom', where)
  const to = optionalTime(options, 'lastOperationTo', where)
  const top = optionalInteger(options, 'top', where, 1, TOP_MAX) ?? TOP_DEFAULT
  const hasCursor = options['cursor'] !== null && options['cursor'] !== undefined
  const cursor = hasCursor ? optionalString(options, 'cursor', where) : undefined
  const filter = objectText({
    name: name === undefined ? null : JSON.stringify(name),
    keyPrefix: keyPrefix === undefined ? null : JSON.stringify(keyPrefix),
    lastOperationFrom: from === undefined ? null : String(from),
    lastOperationTo: to === undefined ? null : String(to),
    includeTransient: optionalBoolean(options, 'includeTransient', where) ? 'true' : null,
  })
  const fields = objectText({
    filter,
    top: String(top),
    cursor: cursor === undefined ? null : JSON.stringify(cursor),
  })
  const withState =
    options['includeState'] === undefined || optionalBoolean(options, 'includeState', where)
  const toPage: ToPage = (reply) => ({
    entities: reply.entities.map((row) => entityStatus(row, withState)),
    cursor: reply.cursor,
  })
  return [`{"listEntities":${fields}}`, toPage]
}
