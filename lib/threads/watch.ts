/**
 * The watch over the threads of a hub: which of them do not get on.
 *
 * Owns: how long a thread has been in one thing, and when that is too long. A turn has no excuse: it is told
 * of, and its thread ended, after `turnMs`. An activity is told of then, and its thread ended at its own
 * `timeoutMs`. What was dropped meanwhile (its instance was terminated) has a second.
 * Must never: end a thread for what it may do, or take a process for slow that was stopped.
 * Proved by: `__test__/hung-threads.spec.mjs`.
 */

import { clearInterval, monotonicMs, setInterval } from '../clock.js'
import { SEVERAL } from '../surroundings.js'
import type { Cell, Inside } from './cell.js'
import type { Thread } from './thread.js'

/** How often the threads are looked at while they have something to do, at the most. */
const LOOK_MS_MAX = 250
/** What a thread has been in for so long keeps starts from their first turn, which are then stored without it. */
const BUSY_MS = 500
/** The same for a start whose own first turn it is; and how long what was dropped may hold its thread. */
const DROPPED_MS = 1_000

/** Who is told. */
export interface Watched {
  /** All that may be held. */
  readonly every: Thread[]
  /** It has held its thread for so long. */
  overdue(thread: Thread, inside: number, heldMs: number): void
  /** An activation waits behind what holds its thread. */
  waits(token: number): void
}

/** What is known of one thread. */
interface Seen {
  /** Of the worker that the thread had then. */
  cell: Cell
  inside: Inside
  heldMs: number
  isTold: boolean
  /** Activations that are known to wait. */
  waiting: Set<number>
}

export class Watch {
  private readonly owner: Watched
  private readonly turnMs: number
  private readonly lookMs: number
  private readonly seen: WeakMap<Thread, Seen> = new WeakMap()
  private timer: NodeJS.Timeout | undefined = undefined
  private looked = 0

  constructor(owner: Watched, turnMs: number) {
    this.owner = owner
    this.turnMs = turnMs
    this.lookMs = Math.min(LOOK_MS_MAX, turnMs / 4)
  }

  /** A thread has been given something. */
  begin(): void {
    if (this.timer !== undefined) return
    this.looked = monotonicMs()
    this.timer = setInterval(this.look, this.lookMs)
    this.timer.unref()
  }

  end(): void {
    clearInterval(this.timer)
    this.timer = undefined
  }

  private readonly look = (): void => {
    const now = monotonicMs()
    // While this thread did not run, perhaps nothing did.
    const ms = Math.min(now - this.looked, this.lookMs * 2)
    this.looked = now
    let areIdle = true
    for (const thread of this.owner.every) {
      if (this.isIdle(thread)) this.seen.delete(thread)
      else {
        areIdle = false
        this.lookAt(thread, ms)
      }
    }
    if (areIdle) this.end()
  }

  /** What was dropped may hold a thread that has nothing else to do. */
  private isIdle(thread: Thread): boolean {
    return thread.isIdle && !thread.hasDropped
  }

  private lookAt(thread: Thread, ms: number): void {
    if (!thread.isLoaded) return
    const { cell } = thread
    const inside = cell.read()
    const seen = this.seen.get(thread)
    if (seen?.cell !== cell || seen.inside.count !== inside.count) {
      this.seen.set(thread, { cell, inside, heldMs: 0, isTold: false, waiting: new Set() })
      if (inside.inside === 0) thread.hasDropped = false
      thread.ping()
      return
    }
    seen.heldMs += ms
    this.judge(thread, seen)
  }

  private judge(thread: Thread, seen: Seen): void {
    const { heldMs } = seen
    const { inside, timeoutMs } = seen.inside
    const end = (why: string): void => thread.end({ inside, heldMs, timeoutMs, why })
    if (heldMs >= BUSY_MS) this.tellWaiting(thread, seen)
    if (!thread.wants(inside)) {
      if (heldMs >= DROPPED_MS) end('what it ran was given up, and did not return')
      return
    }
    if (heldMs >= this.turnMs && !seen.isTold) {
      seen.isTold = true
      this.owner.overdue(thread, inside, heldMs)
    }
    const isTurn = inside > 0 || (inside === 0 && thread.begunRuns.length === 0)
    if (isTurn && heldMs >= this.turnMs) {
      end(`a turn had not returned after ${Math.round(heldMs)} ms`)
    } else if (inside < 0 && timeoutMs > 0 && heldMs >= timeoutMs) {
      end(`an activity had not returned at its timeoutMs of ${timeoutMs}`)
    }
  }

  /** Starts whose first turn is to run there. */
  private tellWaiting(thread: Thread, seen: Seen): void {
    for (const { iid, token } of thread.given()) {
      if (iid >= 0 || !Number.isInteger(iid) || seen.waiting.has(token)) continue
      const isIt = seen.inside.inside === token || seen.inside.inside === SEVERAL
      if (isIt && seen.heldMs < DROPPED_MS) continue
      seen.waiting.add(token)
      this.owner.waits(token)
    }
  }
}
