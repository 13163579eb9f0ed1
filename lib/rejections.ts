/**
 * Rejections that belong to a turn of an orchestrator, or to an operation of an entity.
 *
 * Owns: telling whose they are, by the asynchronous context in which the code runs, and what Node does
 * about them. Code that awaits one helper while another one fails has a rejected promise that it awaits
 * later, perhaps in a later turn; to Node it is unhandled, and the process would end with all
 * instances in it.
 * Must never: take a rejection of anybody else, or change what the process does about those: so it
 * stands before `process.emit`, where Node asks, and adds no listener, which would be a policy.
 * Proved by: `__test__/rejections.spec.mjs`.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import { apart } from './async-context.js'
import { setImmediate } from './clock.js'
import { messageOf } from './failure.js'

/** Whoever runs user code, and answers for the promises made in it. */
export interface Owner {
  /** A promise was rejected and nothing awaits it, so far. */
  rejected(promise: object, reason: unknown): void
  /** Something awaits it now. */
  handled(promise: object): void
}

const owners: AsyncLocalStorage<Owner | undefined> = new AsyncLocalStorage()
/** Whose the promises are that were taken. */
const taken: WeakMap<object, Owner> = new WeakMap()
let isInstalled = false

/**
 * Calls user code, apart from other code; what it leaves rejected is the owner's, also what rejects after it has
 * returned.
 */
export function owned<A extends unknown[], T>(
  owner: Owner,
  code: (...args: A) => T,
  ...args: A
): T {
  if (!isInstalled) install()
  return apart(() => owners.run(owner, code, ...args))
}

/** The same for code that is nobody's here, such as an activity's: Node does what it always does. */
export function unowned<A extends unknown[], T>(code: (...args: A) => T, ...args: A): T {
  if (owners.getStore() === undefined) return apart(code, ...args)
  return apart(() => owners.run(undefined, code, ...args))
}

function install(): void {
  isInstalled = true
  const target = process as { emit: (this: unknown, ...args: unknown[]) => boolean }
  const { emit } = target
  target.emit = function (...args: unknown[]): boolean {
    const [name, first, second] = args
    if (name === 'unhandledRejection' && take(second, first)) return true
    if (name === 'rejectionHandled' && release(first)) return true
    return emit.apply(this, args)
  }
}

/** Node asks in the context of the promise (20, 22), or in that in which it was rejected (24). */
function take(promise: unknown, reason: unknown): boolean {
  const owner = owners.getStore()
  if (owner === undefined || typeof promise !== 'object' || promise === null) return false
  taken.set(promise, owner)
  owner.rejected(promise, reason)
  return true
}

function release(promise: unknown): boolean {
  const owner = taken.get(promise as object)
  owner?.handled(promise as object)
  return owner !== undefined
}

/** Code that begins and ends, and what it has left rejected. */
export abstract class Rejections implements Owner {
  private left: Map<object, unknown> | null = null
  private hasReturned = false
  private isWarned = false

  /** Writes a warning about it. */
  protected abstract warn(does: string): void

  rejected(promise: object, reason: unknown): void {
    this.left ??= new Map()
    this.left.set(promise, reason)
    if (this.hasReturned) this.report()
  }

  handled(promise: object): void {
    this.left?.delete(promise)
  }

  /** The code has ended: what nothing awaits now, nothing ever will. */
  protected returned(): void {
    this.hasReturned = true
    // Node tells of what the end itself awaits when its microtasks are done.
    if (this.left !== null) setImmediate(() => this.report())
  }

  /** The code begins anew. */
  protected forget(): void {
    this.left = null
  }

  /** One line: the others have most often the same cause. */
  private report(): void {
    const left = this.left
    if (left === null || left.size === 0 || this.isWarned) return
    this.isWarned = true
    const [reason] = left.values()
    const others = left.size > 1 ? ` (and ${left.size - 1} more)` : ''
    this.left = null
    this.warn(
      `left a promise rejected that it never awaited: ${messageOf(reason)}${others}. Await it, or give it a catch.`,
    )
  }
}

/** A promise that somebody is told of in another way. */
export function quiet(promise: Promise<unknown>): void {
  Promise.prototype.then.call(promise, undefined, () => {})
}
