/**
 * What an engine is made with.
 *
 * Owns: the shape of the text that the native class gets. As in `src/runtime/protocol/mod.rs`.
 * Must never: be shown to users: `hub.ts` makes it of their options.
 * Proved by: `__test__/opening.spec.mjs`.
 */

import type { Registered } from './protocol.js'

/** JSON of this is the first argument of the native constructor. */
export interface EngineOptions {
  role: 'worker' | 'client'
  /** A file, or null for a hub in memory or on a server. */
  path: string | null
  /** The URL of a PostgreSQL database. */
  url?: string
  /** The same without a pooler between, for LISTEN. */
  listenUrl?: string
  /** Only what PostgreSQL has in common with servers that speak its protocol. */
  distributed?: boolean
  hubName?: string
  durability?: 'full' | 'relaxed'
  unmatchedEvents?: 'discard' | 'buffer'
  onNondeterminism?: 'hold' | 'fail'
  defaultVersion?: string
  versionMatchStrategy?: 'None' | 'Strict' | 'CurrentOrOlder'
  versionFailureStrategy?: 'Reject' | 'Fail'
  payloadBytes?: number
  cachedInstances?: number
  activeInstances?: number
  maxConcurrentActivities?: number
  /** Bytes of payloads that one exchange takes, about. For tests; no option of the user's. */
  exchangeBytes?: number
  /** Of a hub on a server. */
  leaseMs?: number
  /** After what time a turn that does not return is told of. */
  turnMs?: number
  threads?: boolean
  /** Nothing is to be written to stderr. */
  quiet?: boolean
  /** Of a hub on a server: activities of other queues are not for this worker. Absent: all are. */
  queues?: string[]
  /** Ended instances older than this are purged; absent: kept. */
  retention?: { completedMs?: number; failedMs?: number; terminatedMs?: number }
  registered?: Registered
}
