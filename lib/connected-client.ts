/**
 * A client with a connection of its own.
 *
 * Owns: its end, and copies of the hub.
 * Must never: run a worker.
 * Proved by: `__test__/client.spec.mjs`, `__test__/processes.spec.mjs`.
 */

import { DurableClient, type HubClient } from './client.js'
import type { Engine } from './engine.js'
import { backupRequest, type GetStatusOptions } from './requests.js'
import type { OrchestrationStatus } from './status.js'
import { STATS_REQUEST, type StoreStats, storeStatsOf } from './store-stats.js'

/** A client with a connection of its own, from `df.connect`. */
export class ConnectedClient extends DurableClient implements HubClient, AsyncDisposable {
  readonly #engine: Engine

  /** @internal */
  constructor(engine: Engine, taskHubName: string) {
    super(engine, taskHubName)
    this.#engine = engine
  }

  /** The status of an instance; null when there is none, or when it has not begun to run. */
  override getStatus(
    instanceId: string,
    options?: GetStatusOptions,
  ): Promise<OrchestrationStatus | null>
  /** The type that durable-functions has for it. */
  override getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus>
  override getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus> {
    return super.getStatus(instanceId, options)
  }

  /** Itself, so that `{ client }` can be taken from a hub and a connection alike. */
  get client(): this {
    return this
  }

  /**
   * Copies the hub, while it runs, to a new file.
   *
   * @param file its path; it must not exist
   * @throws StoreUnavailable, StoreFull, StoreReadOnly, InvalidOption
   */
  async backup(file: string): Promise<void> {
    await this.#engine.call(backupRequest(file))
  }

  /**
   * What the store holds and how it fares: sizes, and for a PostgreSQL server rows and dead rows of each
   * table. `durafn stats` prints it.
   *
   * @throws StoreUnavailable
   *
   * @example
   * ```ts
   * const { tables } = await client.storeStats()
   * const dead = Math.max(...tables.map(({ deadRows }) => deadRows))
   * ```
   */
  async storeStats(): Promise<StoreStats> {
    return await this.#engine.call(STATS_REQUEST, storeStatsOf)
  }

  /** Writes what was asked for and releases the store. May be called again. */
  close(): Promise<void> {
    return this.#engine.close(0)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
