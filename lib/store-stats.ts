/**
 * What a store holds and how it fares, for operators.
 *
 * Owns: its form in JavaScript.
 * Must never: count.
 * Proved by: `__test__/store-stats.spec.mjs`.
 */

import type { RawJson } from './protocol.js'

/** What a store holds and how it fares, see `hub.storeStats`. */
export interface StoreStats {
  /** Bytes that it takes, indexes included; of a file, without its write-ahead log. */
  readonly bytes: number
  /** Bytes of the file that are free for what comes. Not known of a server. */
  readonly freeBytes?: number
  /** The tables of a hub on a PostgreSQL server, by name; none of a file. */
  readonly tables: readonly TableStats[]
}

/** A table of a hub on a PostgreSQL server, as the server's statistics have it. */
export interface TableStats {
  readonly name: string
  /** About how many rows it has. */
  readonly rows: number
  /**
   * About how many more were changed or removed and take room until the table is vacuumed. If they are
   * many and do not go, something keeps the server from vacuuming: most often an old transaction.
   */
  readonly deadRows: number
  /** Bytes that it takes, indexes included. */
  readonly bytes: number
  /** When it was last vacuumed, if it ever was. */
  readonly vacuumed?: Date
}

interface SentStats extends Omit<StoreStats, 'tables'> {
  tables: (Omit<TableStats, 'vacuumed'> & { vacuumedMs?: number })[]
}

export const STATS_REQUEST = '{"stats":{}}' as RawJson

export function storeStatsOf(sent: unknown): StoreStats {
  const { tables, ...sizes } = sent as SentStats
  return {
    ...sizes,
    tables: tables.map(({ vacuumedMs, ...table }) =>
      vacuumedMs === undefined ? table : { ...table, vacuumed: new Date(vacuumedMs) },
    ),
  }
}
