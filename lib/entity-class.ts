/**
 * Entities that are written as classes: methods are operations, fields are the state.
 *
 * Owns: what of an object is state, and which methods can be called.
 * Must never: keep an object from one operation to the next: its state is what its JSON holds.
 * Proved by: `__test__/entities.spec.mjs`.
 */

import { NotRegistered } from './errors.js'
import { isThenable } from './thenable.js'
import type {
  DurableEntityContext,
  EntityClass,
  EntityContext,
  EntityHandler,
} from './types-entity.js'

/** `isDestroyed`: the operation has deleted its entity. */
type ClassOperation = DurableEntityContext & { readonly isDestroyed: boolean }
type Method = (input: unknown, context: EntityContext) => unknown

/** Whether a function is a class: written as one, or with methods on its prototype. */
export function isClass(value: unknown): value is EntityClass {
  if (typeof value !== 'function') return false
  if (/^class\b/.test(Function.prototype.toString.call(value))) return true
  const prototype: unknown = value.prototype
  return (
    typeof prototype === 'object' &&
    prototype !== null &&
    typeof value.prototype.next !== 'function' &&
    Object.getOwnPropertyNames(prototype).some((name) => name !== 'constructor')
  )
}

/** The entity function of a class. */
export function handlerOfClass(name: string, made: EntityClass): EntityHandler {
  return (context) => {
    const df = context.df as ClassOperation
    const entity = new made()
    const method = methodOf(entity, df.operationName)
    if (method === undefined) {
      if (df.operationName === 'delete') return df.destructOnExit()
      throw new NotRegistered(
        `Entity '${name}' has no operation '${df.operationName}': its class has no method of that name.`,
      )
    }
    const state = df.getState()
    if (typeof state === 'object' && state !== null) Object.assign(entity, state)
    const result = method.call(entity, df.getInput(), context)
    if (!isThenable(result)) return finish(entity, df, result)
    return Promise.resolve(result).then((value) => finish(entity, df, value))
  }
}

/** What is done to the state from outside the object stands. */
function finish(entity: object, df: ClassOperation, result: unknown): unknown {
  if (!df.isDestroyed) df.setState(entity)
  return result
}

/** A method of the class or of one that it extends, not of every object. */
function methodOf(entity: object, name: string): Method | undefined {
  if (name === 'constructor') return undefined
  let prototype: object | null = Object.getPrototypeOf(entity)
  while (prototype !== null && prototype !== Object.prototype) {
    const own = Object.getOwnPropertyDescriptor(prototype, name)
    if (own !== undefined)
      return typeof own.value === 'function' ? (own.value as Method) : undefined
    prototype = Object.getPrototypeOf(prototype)
  }
  return undefined
}
