/**
 * Operations that are sent to entities.
 *
 * Owns: what may be the name of one, and the text of one. Must never: fold the case of a name, by which
 * operations are told apart.
 * Proved by: `__test__/entities.spec.mjs`.
 */

import { checkName } from './codec.js'
import type { EntityId } from './entity-id.js'
import type { RawJson } from './protocol.js'

/** @throws InvalidName */
export function operationOf(name: unknown): string {
  if (name === undefined || name === '') return ''
  checkName(name, 'operation name')
  return name
}

export function signalText(
  id: EntityId,
  operation: string,
  input: RawJson | null,
  fireAt?: number,
): RawJson {
  let text = `{"entityId":${id.quoted},"operation":${JSON.stringify(operation)}`
  if (input !== null) text += `,"input":${input}`
  if (fireAt !== undefined) text += `,"fireAt":${fireAt}`
  return `${text}}`
}
