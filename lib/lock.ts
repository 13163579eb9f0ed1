/**
 * Critical sections: entities that an orchestrator has for itself.
 *
 * Owns: the rules of a critical section, which are those of durable-functions, and the tasks in which
 * they show. Must never: decide who gets a lock; the core does.
 * Proved by: `__test__/locks.spec.mjs`.
 */

import { type EntityId, entityIdOf } from './entity-id.js'
import { InvalidOption, LockingRulesViolationError } from './errors.js'
import type { Execution } from './execution.js'
import { COMPLETED, SingleTask } from './task.js'

const LOCKED_MAX = 1_000

/**
 * A critical section, as `yield context.df.lock(…)` gives it. While it lasts, only this orchestration's
 * operations are carried out by its entities. It ends with `release()`, and by itself when the
 * orchestration ends, is terminated or continues as new.
 */
export class DurableLock implements Disposable {
  /** The entities, in the order in which they were locked. */
  readonly ownedLocks: readonly EntityId[]
  readonly #execution: Execution
  /** Entities with a call of this section under way, by id. */
  readonly #calls: Set<string> = new Set()
  #isReleased = false

  /** @internal */
  constructor(execution: Execution, entities: readonly EntityId[]) {
    this.#execution = execution
    this.ownedLocks = Object.freeze([...entities])
  }

  /** Gives the entities back. Does nothing when it was called before. */
  release(): void {
    if (this.#isReleased) return
    this.#execution.releaseLock(this)
    this.#isReleased = true
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** @internal */
  has(id: EntityId): boolean {
    const text = id.toString()
    return this.ownedLocks.some((owned) => owned.toString() === text)
  }

  /** @internal */
  begin(id: EntityId): void {
    const text = id.toString()
    if (!this.has(id)) {
      throw violation(
        `An entity that is not locked (${text}) cannot be called inside a critical section. Lock it too, or call it before or after.`,
      )
    }
    if (this.#calls.has(text)) {
      throw violation(
        `Entity ${text} is being called already: inside a critical section one call of an entity follows the other. Wait for the first.`,
      )
    }
    this.#calls.add(text)
  }

  /** @internal */
  end(id: EntityId): void {
    this.#calls.delete(id.toString())
  }
}

/** Whether an orchestrator is inside a critical section, and of which entities. */
export class LockState {
  readonly isLocked: boolean
  readonly ownedLocks: EntityId[]

  constructor(isLocked: boolean, ownedLocks: EntityId[]) {
    this.isLocked = isLocked
    this.ownedLocks = ownedLocks
  }
}

/** Completes with the lock. */
export class LockTask extends SingleTask {
  private readonly lock: DurableLock

  constructor(execution: Execution, id: number, action: string, lock: DurableLock) {
    super(execution, id, action, 'wait')
    this.lock = lock
  }

  override settle(state: number, value: unknown): void {
    super.settle(state, state === COMPLETED ? this.lock : value)
  }
}

/** A call inside a critical section. */
export class LockedCallTask extends SingleTask {
  private readonly lock: DurableLock
  private readonly entity: EntityId

  constructor(
    execution: Execution,
    id: number,
    action: string,
    lock: DurableLock,
    entity: EntityId,
  ) {
    super(execution, id, action, 'wait')
    this.lock = lock
    this.entity = entity
  }

  override settle(state: number, value: unknown): void {
    this.lock.end(this.entity)
    super.settle(state, value)
  }
}

/** What `context.df.lock` was given: some ids or a list of them, sorted, each once. */
export function entitiesToLock(given: unknown[]): EntityId[] {
  const list = (given.length === 1 && Array.isArray(given[0]) ? given[0] : given) as unknown[]
  const byId = new Map<string, EntityId>()
  for (const each of list) {
    const id = entityIdOf(each)
    byId.set(id.toString(), id)
  }
  if (byId.size === 0 || byId.size > LOCKED_MAX) {
    throw new InvalidOption(`lock takes 1 to ${LOCKED_MAX} entities, not ${byId.size}.`, {
      field: 'entities',
    })
  }
  return [...byId.values()].sort((a, b) => Buffer.compare(bytesOf(a), bytesOf(b)))
}

/** As the core sorts them. */
function bytesOf(id: EntityId): Buffer {
  return Buffer.from(id.toString())
}

export function violation(message: string): LockingRulesViolationError {
  return new LockingRulesViolationError(message)
}
