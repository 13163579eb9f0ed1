/**
 * Suspects: what was under way at more than one death of a thread in a row. They run again one after
 * the other in a thread apart, so that what kills threads is told from what happened to be beside it.
 *
 * Owns: the counts of deaths, the suspects that wait, and the thread apart.
 * Must never: hold a suspect back for longer than `SUSPECT_MS` because of the one before it.
 * Proved by: `__test__/threads.spec.mjs`.
 */

import { clearTimeout, monotonicMs, setTimeout } from '../clock.js'
import type { Activation, EntityActivation } from '../protocol.js'
import type { Run, Thread } from './thread.js'

/** As in `src/core/limits.rs`. */
const SUSPECT_DEATHS = 2
export const CRASHES = 5
/** How long a suspect is alone before the next one runs, at the most. */
const SUSPECT_MS = 1_000
/** After what time without a suspect the thread apart is ended. */
const IDLE_MS = 5_000

/** The key of an activation: that of its execution. */
export function keyOfExecution(iid: number): string {
  return `execution ${iid}`
}

export function keyOfRun(run: number): string {
  return `run ${run}`
}

type Suspect = Activation | EntityActivation | Run

export class Apart {
  private readonly make: () => Thread
  /** How many threads in a row have died under it, by key. */
  private readonly deaths: Map<string, number> = new Map()
  private waiting: Suspect[] = []
  private thread: Thread | null = null
  /** The last suspect that was sent, and when. */
  private latest = ''
  private since = 0
  private timer: NodeJS.Timeout | undefined = undefined
  private endings: Promise<void>[] = []

  /** @param make makes the thread, which is yet to be started */
  constructor(make: () => Thread) {
    this.make = make
  }

  /**
   * Counts a death of a thread: whether it was one too many. What was in the thread apart before the
   * latest suspect has been there alone without harm, so that one is to blame.
   *
   * @param isSure it is known that the thread was ended for it
   */
  died(key: string, thread: Thread, isSure = false): boolean {
    const isRecent = monotonicMs() - this.since < SUSPECT_MS
    if (!isSure && thread === this.thread && isRecent && key !== this.latest) {
      this.deaths.delete(key)
      return false
    }
    const deaths = (this.deaths.get(key) ?? 0) + 1
    if (deaths < CRASHES) this.deaths.set(key, deaths)
    else this.deaths.delete(key)
    return deaths >= CRASHES
  }

  /** It has got on. */
  clear(key: string): void {
    if (this.deaths.size > 0) this.deaths.delete(key)
  }

  isSuspect(key: string): boolean {
    return this.deaths.size > 0 && (this.deaths.get(key) ?? 0) >= SUSPECT_DEATHS
  }

  add(suspect: Suspect): void {
    this.waiting.push(suspect)
    this.next()
  }

  /** Sends the next suspect if it is time. To be called whenever the thread has answered, or died. */
  next(): void {
    const now = monotonicMs()
    if (this.waiting.length === 0) {
      if (this.thread?.isIdle === true) this.after(IDLE_MS, () => this.retire())
      return
    }
    const thread = this.started()
    const restMs = this.since + SUSPECT_MS - now
    if (!thread.isIdle && restMs > 0) {
      this.after(restMs, () => this.next())
      return
    }
    const suspect = this.waiting.shift() as Suspect
    this.since = now
    this.latest = isRun(suspect) ? keyOfRun(suspect.start.run) : keyOfExecution(suspect.iid)
    if (isRun(suspect)) thread.start(suspect)
    else if ('operations' in suspect) thread.runEntity(suspect)
    else thread.run(suspect)
    if (this.waiting.length > 0) this.after(SUSPECT_MS, () => this.next())
    else clearTimeout(this.timer)
  }

  /** All that concerns an execution that is forgotten. */
  drop(iid: number): void {
    this.thread?.drop(iid)
    if (this.waiting.length === 0) return
    this.waiting = this.waiting.filter((suspect) => !('iid' in suspect && suspect.iid === iid))
  }

  /** Whether the run was here. */
  abort(run: number): boolean {
    if (this.thread?.abort(run) === true) return true
    const before = this.waiting.length
    this.waiting = this.waiting.filter((suspect) => !isRun(suspect) || suspect.start.run !== run)
    return this.waiting.length < before
  }

  /** Gives up the runs that wait. */
  drain(): void {
    this.waiting = this.waiting.filter((suspect) => !isRun(suspect))
  }

  is(thread: Thread): boolean {
    return thread === this.thread
  }

  /** The thread, if there is one. */
  get threads(): Thread[] {
    return this.thread === null ? [] : [this.thread]
  }

  async close(): Promise<void> {
    this.waiting = []
    this.retire()
    await Promise.all(this.endings)
  }

  private started(): Thread {
    if (this.thread === null) {
      this.thread = this.make()
      this.thread.spawn()
    }
    return this.thread
  }

  private retire(): void {
    clearTimeout(this.timer)
    const thread = this.thread
    this.thread = null
    if (thread !== null) this.endings.push(thread.close())
  }

  private after(ms: number, action: () => void): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(action, ms)
    this.timer.unref()
  }
}

function isRun(suspect: Suspect): suspect is Run {
  return 'expectedMs' in suspect
}
