/**
 * What the routes of the management API share.
 *
 * Owns: the client they use, where URLs lead, and how long and how often a caller may wait.
 * Must never: hold anything of a single request.
 * Proved by: `__test__/http.spec.mjs`.
 */

import type { DurableClient } from '../client.js'
import { TimeoutError, TooManyCalls } from '../errors.js'
import type { OrchestrationStatus } from '../status.js'
import { type Answer, checkStatus } from './answers.js'
import { type HttpManagementPayload, managementPayload } from './binding.js'
import { Changes } from './changes.js'
import type { LinkSigner } from './links.js'
import type { RouteContext } from './router.js'

const WAITS_MAX = 10_000
/** Longer waits are cut to this: an hour. */
const WAIT_MS_MAX = 3_600_000

/** Where an API is reached. */
export interface ApiPlace {
  /** Undefined: where the caller has sent the request to. */
  readonly publicUrl: string | undefined
  /** Without a slash at its end. */
  readonly basePath: string
}

/** The parts of one API. */
export class ApiParts {
  readonly client: DurableClient
  /** The system key; null if none is asked for. */
  readonly code: string | null
  readonly links: LinkSigner | null
  readonly changes: Changes
  readonly #place: ApiPlace
  readonly #waits: Set<AbortController> = new Set()
  #isClosed = false

  constructor(
    client: DurableClient,
    code: string | null,
    links: LinkSigner | null,
    place: ApiPlace,
  ) {
    this.client = client
    this.code = code
    this.links = links
    this.changes = new Changes(client)
    this.#place = place
  }

  /** Answers all who wait, as if their time were over; and whoever comes later at once. */
  close(): void {
    this.#isClosed = true
    for (const wait of this.#waits) wait.abort()
    this.changes.close()
  }

  /** The origin that URLs in answers have. */
  originOf({ origin }: RouteContext): string {
    return this.#place.publicUrl ?? origin
  }

  /** Where callers reach the API. */
  baseUrlOf(context: RouteContext): string {
    return this.originOf(context) + this.#place.basePath
  }

  /** The URLs of an instance. */
  payloadOf(context: RouteContext, instanceId: string): HttpManagementPayload {
    const { taskHubName } = this.client
    const parts = { baseUrl: this.baseUrlOf(context), taskHubName, code: this.code }
    return managementPayload(parts, instanceId)
  }

  /** 202, and where to look. */
  checkStatus(
    context: RouteContext,
    instanceId: string,
    headers?: Readonly<Record<string, string>>,
  ): Answer {
    return checkStatus(this.payloadOf(context, instanceId), headers)
  }

  /**
   * The status of an instance once it has ended; undefined if it has not within that time, or the
   * caller has gone.
   *
   * @throws TooManyCalls, InstanceNotFound
   */
  async ended(
    { request }: RouteContext,
    instanceId: string,
    timeoutMs: number,
  ): Promise<OrchestrationStatus | undefined> {
    if (this.#waits.size >= WAITS_MAX) {
      throw new TooManyCalls(`${WAITS_MAX} requests wait for instances already.`)
    }
    const wait = new AbortController()
    const giveUp = (): void => wait.abort()
    if (this.#isClosed || request.signal.aborted) giveUp()
    request.signal.addEventListener('abort', giveUp)
    this.#waits.add(wait)
    try {
      return await this.client.waitForCompletion(instanceId, {
        timeoutMs: Math.min(Math.max(timeoutMs, 0), WAIT_MS_MAX),
        signal: wait.signal,
      })
    } catch (error) {
      if (error instanceof TimeoutError || wait.signal.aborted) return undefined
      throw error
    } finally {
      request.signal.removeEventListener('abort', giveUp)
      this.#waits.delete(wait)
    }
  }
}
