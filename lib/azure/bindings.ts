/**
 * `df.trigger` and `df.input`: descriptions of bindings, for registrations with `@azure/functions`.
 *
 * Owns: their types and their names, which are the same in every process.
 * Must never: register anything.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

import { createHash } from 'node:crypto'
import type { FunctionInput, FunctionTrigger } from './functions.js'

/** The trigger of an activity. */
export interface ActivityTrigger extends FunctionTrigger {
  type: 'activityTrigger'
}

/** The trigger of an orchestrator. */
export interface OrchestrationTrigger extends FunctionTrigger {
  type: 'orchestrationTrigger'
}

/** The trigger of an entity. */
export interface EntityTrigger extends FunctionTrigger {
  type: 'entityTrigger'
}

/** The input that is a client of the hub. */
export interface DurableClientInput extends FunctionInput {
  type: 'durableClient'
}

/** `df.trigger`. */
export interface Triggers {
  activity(): ActivityTrigger
  orchestration(): OrchestrationTrigger
  entity(): EntityTrigger
}

/** `df.input`. */
export interface Inputs {
  /** For `extraInputs`; `df.getClient(context)` then gives the client. */
  durableClient(): DurableClientInput
}

/** Triggers of durable functions, for `app.generic` of `@azure/functions`. */
export const trigger: Triggers = {
  activity: () => named('activityTrigger', ''),
  orchestration: () => named('orchestrationTrigger', ''),
  entity: () => named('entityTrigger', ''),
}

/** Inputs of functions, for `extraInputs`. */
export const input: Inputs = {
  durableClient: () => named('durableClient', 'Input'),
}

/** A binding with the name that `@azure/functions` would give it. */
function named<TType extends string>(type: TType, suffix: string): { type: TType; name: string } {
  const hash = createHash('sha256').update(JSON.stringify({ type })).digest('hex').slice(0, 10)
  return { type, name: `${type}${suffix}${hash}` }
}

/** Whether an input is a client of the hub. */
export function isClientInput({ type }: { readonly type: string }): boolean {
  return type === 'durableClient' || type === 'orchestrationClient'
}
