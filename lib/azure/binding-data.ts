/**
 * What is known of a trigger beside its value: `context.bindingData` of the classic model,
 * `context.triggerMetadata` of the newer one, and what `{name}` in an output's settings stands for.
 *
 * Owns: which fields of a trigger's JSON are among it, and how they are spelt.
 * Must never: cost anything before it is looked at; see `lazily`.
 * Proved by: `__test__/host-binding-data.spec.mjs`.
 */

/** By names. */
export type BindingData = Readonly<Record<string, unknown>>

/** The fields of a trigger that is a JSON object, or the text of one; of any other there are none. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  const object = typeof value === 'string' ? parsed(value) : value
  return isPlain(object) ? (camelCased(object) as Record<string, unknown>) : {}
}

/** As the original spells names: the first letter of each, at any depth, in lower case. */
export function camelCased(value: unknown, copies: Map<object, unknown> = new Map()): unknown {
  if (!Array.isArray(value) && !isPlain(value)) return value
  const before = copies.get(value)
  if (before !== undefined) return before
  const copy: unknown[] | Record<string, unknown> = Array.isArray(value) ? [] : {}
  copies.set(value, copy)
  for (const [key, each] of Object.entries(value)) {
    define(copy, key.charAt(0).toLowerCase() + key.slice(1), camelCased(each, copies))
  }
  return copy
}

/** What is known of an activity's trigger. */
export function activityData(instanceId: string, input: unknown): Record<string, unknown> {
  return { instanceId, data: input, ...fieldsOf(input) }
}

/** What the trigger of an orchestrator holds, whoever runs it. */
export interface OrchestrationData {
  readonly input: unknown
  readonly instanceId: string
  readonly parentInstanceId?: string | null | undefined
  readonly isReplaying: boolean
}

/** What is known of an orchestrator's trigger. */
export function orchestrationData(trigger: OrchestrationData): Record<string, unknown> {
  return {
    input: camelCased(trigger.input),
    instanceId: trigger.instanceId,
    parentInstanceId: trigger.parentInstanceId ?? null,
    isReplaying: trigger.isReplaying,
  }
}

/** Gives an object a field that is made when it is first looked at, and may be replaced. */
export function lazily(object: object, name: string, make: () => unknown): void {
  const fix = (value: unknown): void => define(object, name, value)
  Object.defineProperty(object, name, {
    configurable: true,
    enumerable: true,
    get: () => {
      const value = make()
      fix(value)
      return value
    },
    set: fix,
  })
}

/** A field as a literal makes it, whatever its name is. */
function define(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  })
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function parsed(text: string): unknown {
  if (!text.trimStart().startsWith('{')) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
