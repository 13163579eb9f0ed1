/**
 * What goes to the core with the next exchanges, as text, beside the calls.
 *
 * Owns: the pieces. A batch is one text, and V8 holds none of more than 512 Mi characters, so what came of one tick
 * may be several batches.
 * Must never: reorder what came, or make a piece that holds more than one thing and is over the bound.
 * Proved by: `__test__/exchange.spec.mjs`.
 */

import { PayloadTooLarge } from './errors.js'
import type { RawJson } from './protocol.js'

/** Characters of one batch, about. As in `src/core/limits.rs`. */
const EXCHANGE_CHARS: number = 32 * 1024 * 1024
/** How many times as long one thing may be that crosses undivided. */
const EXCHANGES_UNDIVIDED = 14

/** What a hub takes at once. */
export class CrossingBounds {
  /** Characters of one batch, about. */
  readonly batchChars: number

  constructor(batchChars: number = EXCHANGE_CHARS) {
    this.batchChars = batchChars
  }

  /**
   * Refuses what no batch can hold.
   *
   * @param what it is, for the error: "What this turn of orchestrator 'x' asks for"
   * @throws PayloadTooLarge
   */
  check(chars: number, what: string): void {
    const most = this.batchChars * EXCHANGES_UNDIVIDED
    if (chars <= most) return
    throw new PayloadTooLarge(
      `${what} has ${chars} characters of JSON in all, and at most ${most} can be handed over at once. Do it in smaller pieces, or keep large data elsewhere and pass references.`,
    )
  }
}

/** The fields of a batch that are lists of items, in the order in which they are written. */
const FIELDS = [
  'turns',
  'forget',
  'results',
  'violations',
  'entities',
  'poisons',
  'overdue',
  'waiting',
] as const
type Field = (typeof FIELDS)[number]

export class Outgoing {
  private readonly bounds: CrossingBounds
  private lists: { [F in Field]: string } = empty()
  /** Characters of all lists. */
  private chars = 0
  /** Whole batches that go before. */
  private full: string[] = []

  constructor(bounds: CrossingBounds) {
    this.bounds = bounds
  }

  get isEmpty(): boolean {
    return this.chars === 0 && this.full.length === 0
  }

  add(field: Field, item: RawJson): void {
    const { length } = item
    if (this.chars > 0 && this.chars + length > this.bounds.batchChars) this.seal()
    const list = this.lists[field]
    this.lists[field] = list === '' ? item : `${list},${item}`
    this.chars += length
  }

  /**
   * The next batch. Calls go with the last one, as they come after what was there before them.
   *
   * @param calls takes the requests that wait
   * @param callsChars how long they are
   */
  take(callsChars: number, calls: () => string): string {
    if (this.chars > 0 && callsChars > 0 && this.chars + callsChars > this.bounds.batchChars) {
      this.seal()
    }
    const full = this.full.shift()
    if (full !== undefined) return full
    // A first field that is always there spares a comma to be removed from a long text.
    let text = `{"turns":[${this.lists.turns}]`
    if (callsChars > 0) text += `,"requests":[${calls()}]`
    return this.finished(text)
  }

  private seal(): void {
    this.full.push(this.finished(`{"turns":[${this.lists.turns}]`))
  }

  private finished(begun: string): string {
    let text = begun
    for (const field of FIELDS) {
      const list = this.lists[field]
      if (list !== '' && field !== 'turns') text += `,"${field}":[${list}]`
    }
    this.lists = empty()
    this.chars = 0
    return `${text}}`
  }
}

function empty(): { [F in Field]: string } {
  return {
    turns: '',
    forget: '',
    results: '',
    violations: '',
    entities: '',
    poisons: '',
    overdue: '',
    waiting: '',
  }
}
