/**
 * Calls that are not answered: those the core has, and those that wait in line for it.
 *
 * Owns: the order of calls, and the bounds that keep a flood of them from piling up in the core, in
 * one batch, or here.
 * Must never: let a call overtake another, or hold one back for ever: a reply makes room for the
 * next, and what waits for an instance takes up none, as it may wait for a call behind it.
 * Proved by: `__test__/calls.spec.mjs`.
 */

import { type DurableError, TooManyCalls } from './errors.js'
import type { RawJson } from './protocol.js'

/** Calls that the core has and has not answered. */
const SENT_MAX = 10_000
/** Characters of their requests. V8 holds no text of more than 512 Mi, and a batch is one text. */
const SENT_CHARS_MAX = 64 * 1024 * 1024
/** Calls that are not answered, with those in line. */
export const PENDING_CALLS_DEFAULT = 100_000

/**
 * What a call does to the bounds. A `bounded` one counts, a `waiting` one keeps its place in line and
 * counts for nothing, a `prompt` one goes at once.
 */
export type CallKind = 'bounded' | 'waiting' | 'prompt'

export interface PendingCall {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
  /** Makes of a reply what the caller gets; null: the reply itself. */
  readonly convert: ((ok: never) => unknown) | null
}

interface Entry extends PendingCall {
  readonly kind: CallKind
  readonly chars: number
}

interface InLine {
  readonly rid: number
  readonly request: RawJson
}

const RID_MAX = 4_294_967_295

export class Calls {
  private readonly pendingMax: number
  private readonly pending: Map<number, Entry> = new Map()
  private lastRid = 0
  /** Bounded calls that are not answered. */
  private bounded = 0
  /** Those of them that the core has, and the characters of their requests. */
  private sent = 0
  private sentChars = 0
  private line: InLine[] = []
  /** How many of the line's first have gone. */
  private gone = 0
  /** Requests for the next batch, as text. */
  private outgoing = ''

  constructor(pendingMax: number = PENDING_CALLS_DEFAULT) {
    this.pendingMax = pendingMax
  }

  /** How many are not answered. */
  get size(): number {
    return this.pending.size
  }

  /** How long the requests for the next batch are. */
  get outgoingChars(): number {
    return this.outgoing.length
  }

  /** The requests for the next batch. */
  takeOutgoing(): string {
    const text = this.outgoing
    this.outgoing = ''
    return text
  }

  /** Waits for the reply to the open, which has no request. */
  addOpening(call: PendingCall): void {
    this.pending.set(0, { ...call, kind: 'prompt', chars: 0 })
  }

  /** Takes a call, or refuses it: 0. */
  add(request: RawJson, call: PendingCall, kind: CallKind): number {
    if (kind === 'bounded' && this.bounded >= this.pendingMax) {
      call.reject(this.refusal())
      return 0
    }
    const rid = this.freeRid()
    const { resolve, reject, convert } = call
    this.pending.set(rid, { resolve, reject, convert, kind, chars: request.length })
    if (kind === 'bounded') this.bounded += 1
    if (kind === 'prompt' || (this.line.length === 0 && this.hasRoom(kind, request.length))) {
      this.send(rid, request, kind)
    } else {
      this.line.push({ rid, request })
    }
    return rid
  }

  /** Takes an answered call, or one that was given up, off the list; those in line may move up. */
  settled(rid: number): PendingCall | undefined {
    const entry = this.pending.get(rid)
    if (entry === undefined) return undefined
    this.pending.delete(rid)
    if (entry.kind === 'bounded') {
      // Only calls that wait for an instance are given up, so this one was sent.
      this.bounded -= 1
      this.sent -= 1
      this.sentChars -= entry.chars
    }
    if (this.line.length > 0) this.moveUp()
    return entry
  }

  /** Rejects every call that is not answered. */
  rejectAll(reason: DurableError): void {
    const waiting = [...this.pending.values()]
    this.pending.clear()
    this.line = []
    this.outgoing = ''
    for (const entry of waiting) entry.reject(reason)
  }

  private moveUp(): void {
    while (this.gone < this.line.length) {
      const { rid, request } = this.line[this.gone] as InLine
      const entry = this.pending.get(rid)
      if (entry !== undefined) {
        if (!this.hasRoom(entry.kind, entry.chars)) break
        this.send(rid, request, entry.kind)
      }
      this.gone += 1
    }
    if (this.gone === this.line.length || this.gone >= SENT_MAX) {
      this.line = this.line.slice(this.gone)
      this.gone = 0
    }
  }

  private hasRoom(kind: CallKind, chars: number): boolean {
    if (kind !== 'bounded' || this.sent === 0) return true
    return this.sent < SENT_MAX && this.sentChars + chars <= SENT_CHARS_MAX
  }

  private send(rid: number, request: RawJson, kind: CallKind): void {
    this.outgoing += this.outgoing === '' ? `[${rid},${request}]` : `,[${rid},${request}]`
    if (kind !== 'bounded') return
    this.sent += 1
    this.sentChars += request.length
  }

  /** The core counts calls in 32 bits, which a busy hub uses up within a day. */
  private freeRid(): number {
    do {
      this.lastRid = this.lastRid === RID_MAX ? 1 : this.lastRid + 1
    } while (this.pending.has(this.lastRid))
    return this.lastRid
  }

  private refusal(): TooManyCalls {
    return new TooManyCalls(
      `${this.pendingMax} calls of this client wait for their answers. Await earlier ones before more are made, start many instances by startMany, or raise options.limits.pendingCalls.`,
    )
  }
}
