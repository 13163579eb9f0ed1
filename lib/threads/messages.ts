/**
 * What the calling thread and the threads of an app say to each other.
 *
 * Owns: the shape of the messages.
 * Must never: hold code. Payloads cross as text: what user code is given inside the JSON of a message,
 * what it gives as raw text that goes into the batch for the core as it is.
 * Proved by: `__test__/threads.spec.mjs`.
 */

import type { HttpSettings } from '../call-http/settings.js'
import type { LogLevel, Verbosity } from '../log.js'
import type { RawJson, Registered } from '../protocol.js'

/** What a thread is started with. */
export interface ThreadData {
  /** The URL of the module that registers the functions. */
  readonly module: string
  readonly verbosity: Verbosity
  /** What the hub says of `callHttp`. */
  readonly http: HttpSettings
}

/** The same, with the memory that this worker of the thread shares. */
export interface WorkerData extends ThreadData {
  readonly cell: SharedArrayBuffer
}

/** To a thread, as JSON text; null only asks whether it gets on. To be carried out in the order of the fields. */
export interface ToThread {
  /** The largest JSON text of one value. */
  payloadBytes: number
  /** See `CrossingBounds`. */
  batchChars: number
  drops: number[]
  aborts: number[]
  /** `Activation`s. */
  activations: unknown[]
  /** `EntityActivation`s. */
  entities: unknown[]
  /** `ActivityStart`s. */
  activities: unknown[]
  /** Abort all activities, and answer `aborted`. */
  abortAll: boolean
}

/** From a thread. To be carried out in the order of the fields. */
export interface FromThread {
  logs?: [level: LogLevel, line: string][]
  /** The module is loaded, and has registered this. */
  loaded?: Registered
  /** The module cannot be loaded: a `Failure`. */
  failed?: RawJson
  /** What was registered later. */
  registered?: Registered
  violations?: string[]
  /** Activities whose handler has returned, or given a promise, and how long that took. */
  begun?: [run: number, ms: number][]
  results?: [run: number, ok: 0 | 1, payload: RawJson | null][]
  turns?: [iid: number, token: number, outcome: RawJson][]
  entities?: [iid: number, token: number, outcome: RawJson][]
  aborted?: true
}
