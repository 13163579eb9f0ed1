/**
 * The types that users write entities against.
 *
 * Owns: the shape of an entity's context and handlers, with the names of durable-functions.
 * Must never: hold code.
 * Proved by: `__test__/types.test-d.ts`.
 */

import type { FunctionExtras, FunctionOptions } from './azure/functions.js'
import type { EntityId } from './entity-id.js'
import type { InvocationContext } from './types.js'

/** How a signal is sent. */
export interface SignalOptions {
  /** The operation is not carried out before this time. Default: at once. */
  scheduledTime?: Date | undefined
}

/** The context of an entity function. */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit entities of any state
export interface EntityContext<TState = any> extends InvocationContext, FunctionExtras {
  /** Everything that is durable. */
  readonly df: DurableEntityContext<TState>
}

/**
 * The durable part of an entity's context, for one operation. What an operation changes and sends is
 * stored at once when it has ended, and not at all if it fails.
 */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit entities of any state
export interface DurableEntityContext<TState = any> {
  /** The entity's name, in lower case. */
  readonly entityName: string
  readonly entityKey: string
  readonly entityId: EntityId
  /** The operation that is to be carried out. */
  readonly operationName: string
  /** Whether the entity has no state yet. */
  readonly isNewlyConstructed: boolean

  /** The operation's input; undefined when there is none. */
  getInput<TInput = TState>(): TInput | undefined

  /**
   * A copy of the state; to change it, call `setState`.
   *
   * @param initializer gives what is returned while there is no state
   */
  getState(initializer: () => TState): TState
  getState(): TState | undefined

  /**
   * Replaces the state. Undefined means none, which is the same as `destructOnExit`.
   *
   * @throws UnserializableValue, PayloadTooLarge
   */
  setState(state: TState): void

  /** What the caller of the operation gets. Without it, that is what the function returns. */
  return<TResult = unknown>(result: TResult): void

  /** Deletes the entity's state when the operation has ended. */
  destructOnExit(): void

  /**
   * Sends an operation to an entity, and does not wait for it.
   *
   * @throws InvalidEntityId, InvalidName, UnserializableValue, PayloadTooLarge
   */
  signalEntity(
    entity: EntityId,
    operationName: string,
    operationInput?: unknown,
    options?: SignalOptions,
  ): void
}

/**
 * An entity function: called once for each operation, sync or async, one operation of an entity at a
 * time. It may do anything, as an activity may, and like one it may run again after a crash.
 */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit entities of any state
export type EntityHandler<TState = any> = (context: EntityContext<TState>) => unknown

/** An entity that is written as a class, see `App.entity`. */
export type EntityClass = new () => object

/** What an entity is registered with, if not the handler alone. */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit entities of any state
export interface EntityOptions<TState = any> extends FunctionOptions {
  handler: EntityHandler<TState> | EntityClass
}
