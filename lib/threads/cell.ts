/**
 * What a thread is in, for the calling thread to read while that does not answer.
 *
 * Owns: a few words of shared memory. The thread writes them, the calling thread reads.
 * Must never: be waited on.
 * Proved by: `__test__/hung-threads.spec.mjs`.
 */

import { SEVERAL } from '../surroundings.js'

/** The words. */
const KIND = 0
const NUMBER = 1
const TIMEOUT = 2
/** Changes whenever the thread gets on. */
const COUNT = 3

const NOTHING = 0
const TURN = 1
const ACTIVITY = 2
const TURNS = 3

/** What a thread is in, at one time. */
export interface Inside {
  /** The same as long as the thread has not got on. */
  readonly count: number
  /** See `Surroundings.enters`; 0: nothing that it has told of. */
  readonly inside: number
  /** Of the activity, in milliseconds; 0: none. */
  readonly timeoutMs: number
}

export class Cell {
  readonly memory: SharedArrayBuffer
  private readonly words: Int32Array

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(16)) {
    this.memory = memory
    this.words = new Int32Array(memory)
  }

  enters(inside: number, timeoutMs = 0): void {
    const { words } = this
    words[KIND] = inside < 0 ? ACTIVITY : inside === SEVERAL ? TURNS : TURN
    words[NUMBER] = Math.abs(inside)
    words[TIMEOUT] = Math.min(timeoutMs, 2 ** 31 - 1)
    Atomics.add(words, COUNT, 1)
  }

  leaves(): void {
    this.words[KIND] = NOTHING
    Atomics.add(this.words, COUNT, 1)
  }

  /** The thread is in its event loop. */
  beat(): void {
    Atomics.add(this.words, COUNT, 1)
  }

  read(): Inside {
    const { words } = this
    const count = Atomics.load(words, COUNT)
    const number = (words[NUMBER] as number) >>> 0
    const inside = [0, number, -number, SEVERAL][words[KIND] as number] as number
    return { count, inside, timeoutMs: words[TIMEOUT] as number }
  }
}
