/**
 * The client: everything that can be asked of a task hub from outside an orchestrator.
 *
 * Owns: the methods, and what their callers get of the core's replies.
 * Must never: decide an outcome; the core does, in one transaction.
 * Proved by: `__test__/client.spec.mjs`, `__test__/events.spec.mjs`.
 */

import type { HttpResponse } from './azure/functions.js'
import { optionalBoolean, optionsOf, quoteInstanceId } from './check.js'
import { stringify } from './codec.js'
import type { Engine } from './engine.js'
import type { EntityId } from './entity-id.js'
import {
  type EntityPage,
  type EntityStateResponse,
  entityListing,
  entityRequest,
  type ListEntitiesOptions,
  signalRequest,
  stateOf,
} from './entity-status.js'
import type { HttpManagementPayload } from './http/binding.js'
import {
  checkStatusResponse,
  originsFor,
  payloadFor,
  type WithUrl,
  waitedResponse,
} from './http/responses.js'
import type { Log } from './log.js'
import type { EntityRow, RaiseOutcome, RawJson, StatusRow } from './protocol.js'
import { type RaiseEventOutcome, warnOfDiscard } from './raised.js'
import {
  filterRequest,
  type GetStatusOptions,
  getOptions,
  getRequest,
  type ListOptions,
  listRequest,
  type OrchestrationFilter,
  type RecursiveOptions,
  type RestartOptions,
  raiseRequest,
  reasonRequest,
  type Startable,
  type StartNewOptions,
  type StartOnceOptions,
  type StartRequest,
  startManyRequest,
  startOnceRequest,
  startRequest,
} from './requests.js'
import { type InstancePage, type OrchestrationStatus, statusFromRow } from './status.js'
import { requireHub, type TaskHubOptions } from './task-hub-options.js'
import type { SignalOptions } from './types-entity.js'
import { giveUp, type WaitForCompletionOptions, waitOptions } from './wait.js'

/** What a purge did. */
export interface PurgeHistoryResult {
  readonly instancesDeleted: number
}

const PAGE_OF_ALL = 1_000
const DONE = {
  terminate: 'terminated',
  suspend: 'suspended',
  resume: 'resumed',
  rewind: 'rewound',
}

/**
 * Starts, queries, terminates and sends events to instances.
 *
 * A promise of a method that changes something resolves when the change is durable. Every method
 * rejects with `HubClosed` after the hub (or this client) was closed, with `InvalidInstanceId`
 * or `InvalidOption` for arguments of the wrong type, and with `TooManyCalls` while 100,000 calls
 * (`limits.pendingCalls`) wait for their answers.
 */
export class DurableClient {
  /** The hub's name. */
  readonly taskHubName: string
  readonly #engine: Engine

  /** @internal */
  constructor(engine: Engine, taskHubName: string) {
    this.#engine = engine
    this.taskHubName = taskHubName
  }

  /** @internal What names of files that belong to the hub begin with; null: it is in memory. */
  get filePrefix(): string | null {
    return this.#engine.filePrefix
  }

  /** @internal */
  get log(): Log {
    return this.#engine.log
  }

  /** The older form. An id of undefined, null or '' means a random one. Stands first, as types of mocks take the last form. */
  startNew<TInput = unknown>(
    orchestrator: Startable<TInput>,
    instanceId: string | null | undefined,
    input?: TInput,
  ): Promise<string>
  /**
   * Starts an orchestration.
   *
   * @returns the id of the instance
   * @throws InstanceAlreadyExists if the id is in use by an instance that has not ended (see
   * `onConflict`), NotRegistered if workers of the hub run and none registers the name, InvalidName,
   * InvalidInstanceId, UnserializableValue, PayloadTooLarge
   *
   * @example
   * ```ts
   * const id = await client.startNew('sayHello', { input: 'Tokyo' })
   * ```
   */
  startNew<TInput = unknown>(
    orchestrator: Startable<TInput>,
    options?: StartNewOptions<TInput>,
  ): Promise<string>
  startNew(orchestrator: Startable, ...rest: unknown[]): Promise<string> {
    return this.#send(
      () => startRequest(orchestrator, rest, this.#engine.payloadBytes),
      (reply: { instanceIds: string[] }) => reply.instanceIds[0] as string,
    )
  }

  /**
   * @internal Starts an orchestration under an id that no instance has, an ended one neither.
   *
   * @throws as `startNew`
   */
  startOnce(orchestrator: string, options: StartOnceOptions): Promise<string> {
    return this.#send(
      () => startOnceRequest(orchestrator, options, this.#engine.payloadBytes),
      (reply: { instanceIds: string[] }) => reply.instanceIds[0] as string,
    )
  }

  /**
   * Starts several orchestrations, at most 10,000, in one transaction: all or, if one is refused, none.
   * The error then has the `index` of the one.
   *
   * @returns the ids, in the same order
   * @throws as `startNew`
   */
  startMany(starts: readonly StartRequest[]): Promise<string[]> {
    return this.#send(
      () => startManyRequest(starts, this.#engine.payloadBytes),
      (reply: { instanceIds: string[] }) => reply.instanceIds,
    )
  }

  /**
   * The status of an instance; null when there is none, or when it has not begun to run (unless
   * `pending` is set).
   *
   * Its type here is that of durable-functions, which knows no null, so that programs written for that
   * compile; as a `HubClient`, which `hub.client` and `df.connect` give, null is in it.
   *
   * @throws PayloadTooLarge if what is shown of its history has more than 128 MiB
   * @example
   * ```ts
   * const status = await client.getStatus(id, { showHistory: true })
   * console.log(status?.runtimeStatus, status?.waitingFor)
   * ```
   */
  getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus> {
    return this.#attempt(() => {
      const parts = getOptions(options)
      return this.#engine.call(getRequest(instanceId, parts), (row: StatusRow | null) =>
        // Null, whatever the type says; see above.
        row === null || isHidden(row, parts) ? (null as never) : statusFromRow(row, parts),
      )
    })
  }

  /** The statuses of all instances. Prefer `list` where there may be many. */
  getStatusAll(): Promise<OrchestrationStatus[]> {
    return this.getStatusBy({})
  }

  /** The statuses of all instances that a filter lets pass, as one list. */
  async getStatusBy(filter: OrchestrationFilter): Promise<OrchestrationStatus[]> {
    const all: OrchestrationStatus[] = []
    let cursor: string | null = null
    do {
      const page: InstancePage = await this.list({ ...filter, top: PAGE_OF_ALL, cursor })
      for (const status of page.instances) all.push(status)
      cursor = page.cursor
    } while (cursor !== null)
    return all
  }

  /**
   * One page of the instances that a filter lets pass, pending ones included, in the order in which
   * they were scheduled.
   *
   * @example
   * ```ts
   * let cursor: string | null = null
   * do {
   *   const page = await client.list({ runtimeStatus: 'Failed', top: 100, cursor })
   *   for (const { instanceId } of page.instances) await client.rewind(instanceId, 'fixed')
   *   cursor = page.cursor
   * } while (cursor !== null)
   * ```
   */
  list(options?: ListOptions): Promise<InstancePage> {
    return this.#send(
      () => listRequest(options),
      (reply: { instances: StatusRow[]; cursor: string | null }) => ({
        instances: reply.instances.map((row) => statusFromRow(row)),
        cursor: reply.cursor,
      }),
    )
  }

  /** How many instances a filter lets pass. */
  count(filter?: OrchestrationFilter): Promise<number> {
    return this.#send(() => filterRequest('count', filter))
  }

  /**
   * Terminates an instance: it stops at its next await point, at once if it is at one. Activities
   * that run are not interrupted, but their `context.signal` aborts and their results are dropped.
   *
   * @param reason logged, and the status's `output`; any JSON value
   * @throws InstanceNotFound, InstanceEnded, UnserializableValue, PayloadTooLarge
   */
  terminate(instanceId: string, reason?: unknown, options?: RecursiveOptions): Promise<void> {
    return this.#reason('terminate', instanceId, reason, options)
  }

  /**
   * Suspends an instance: messages, timers and results are kept, and none is processed until
   * `resume`.
   *
   * @throws InstanceNotFound, InstanceEnded, UnserializableValue, PayloadTooLarge
   */
  suspend(instanceId: string, reason?: unknown, options?: RecursiveOptions): Promise<void> {
    return this.#reason('suspend', instanceId, reason, options)
  }

  /**
   * Lets a suspended instance go on, also one that is held because its code no longer matched its
   * history.
   *
   * @throws InstanceNotFound, InstanceEnded, UnserializableValue, PayloadTooLarge
   */
  resume(instanceId: string, reason?: unknown, options?: RecursiveOptions): Promise<void> {
    return this.#reason('resume', instanceId, reason, options)
  }

  /**
   * Lets a failed instance run again from where it failed: what succeeded is kept, what failed is
   * tried anew, also in sub-orchestrations. Refused where nothing that failed can be tried anew.
   *
   * @throws InstanceNotFound, NotRewindable, UnserializableValue, PayloadTooLarge
   */
  rewind(instanceId: string, reason?: unknown, options?: TaskHubOptions): Promise<void> {
    return this.#attempt(() => {
      requireHub(options, this.taskHubName)
      return this.#reason('rewind', instanceId, reason, undefined)
    })
  }

  /**
   * Starts a new instance with the name and input of this one.
   *
   * @returns the id of the new one
   * @throws InstanceNotFound; InstanceAlreadyExists if the id is to be the same and it has not ended
   */
  restart(instanceId: string, options?: RestartOptions | boolean): Promise<string> {
    return this.#send(
      () => {
        const given = typeof options === 'boolean' ? { withNewInstanceId: options } : options
        const known = optionsOf(given, 'options', ['withNewInstanceId'])
        const isNew =
          known['withNewInstanceId'] === undefined ||
          optionalBoolean(known, 'withNewInstanceId', 'options')
        return `{"restart":{"instanceId":${quoteInstanceId(instanceId)},"withNewInstanceId":${isNew}}}`
      },
      (reply: { instanceIds: string[] }) => reply.instanceIds[0] as string,
    )
  }

  /**
   * Deletes an instance that has ended, with its history; or, by its id `@name@key`, an entity for
   * which nothing waits.
   *
   * @returns how many were deleted: 0 if there is none of this id
   * @throws InstanceNotEnded, EntityInUse
   */
  purgeInstanceHistory(instanceId: string): Promise<PurgeHistoryResult> {
    return this.#send(
      () => `{"purge":{"instanceId":${quoteInstanceId(instanceId)}}}`,
      (reply: { deleted: number }) => ({ instancesDeleted: reply.deleted }),
    )
  }

  /** Deletes all instances that have ended and that the filter lets pass. */
  purgeInstanceHistoryBy(filter: OrchestrationFilter): Promise<PurgeHistoryResult> {
    return this.#send(
      () => filterRequest('purgeBy', filter),
      (reply: { deleted: number }) => ({ instancesDeleted: reply.deleted }),
    )
  }

  /**
   * Sends an event to an instance. Events that one client sends to one instance arrive in the order
   * of the calls, awaited or not.
   *
   * Resolves, once it is durable, to what became of the event; it is never lost silently. What
   * happens to one that the instance does not wait for is the hub's `unmatchedEvents`.
   *
   * @throws InvalidName, UnserializableValue, PayloadTooLarge
   */
  raiseEvent(
    instanceId: string,
    eventName: string,
    eventData?: unknown,
    options?: TaskHubOptions,
  ): Promise<RaiseEventOutcome> {
    return this.#send(
      () => {
        requireHub(options, this.taskHubName)
        return raiseRequest(instanceId, eventName, eventData, this.#engine.payloadBytes)
      },
      (outcome: RaiseOutcome) => {
        if (outcome.outcome === 'discarded')
          warnOfDiscard(this.#engine.log, instanceId, eventName, outcome)
        return outcome
      },
    )
  }

  /**
   * Sends an operation to an entity. Resolves when that is durable, not when it has been carried out;
   * whether a worker runs does not matter. Signals that one client sends to one entity are carried out
   * in the order of the calls, awaited or not.
   *
   * @throws InvalidEntityId, InvalidName, UnserializableValue, PayloadTooLarge
   *
   * @example
   * ```ts
   * await client.signalEntity(new df.EntityId('counter', 'visits'), 'add', 1)
   * ```
   */
  signalEntity(
    entityId: EntityId,
    operationName?: string,
    operationInput?: unknown,
    options?: SignalOptions & TaskHubOptions,
  ): Promise<void> {
    const request = (): RawJson => {
      const { scheduledTime, ...hub } = options ?? {}
      requireHub(hub, this.taskHubName)
      const limit = this.#engine.payloadBytes
      return signalRequest(entityId, operationName, operationInput, scheduledTime, limit)
    }
    return this.#send(request, () => undefined)
  }

  /**
   * The state of an entity, as its last operation left it. What was signalled and not carried out yet
   * does not show.
   *
   * @throws InvalidEntityId
   */
  readEntityState<TState = unknown>(
    entityId: EntityId,
    options?: TaskHubOptions,
  ): Promise<EntityStateResponse<TState>> {
    const request = (): RawJson => entityRequest(entityId, options, this.taskHubName)
    return this.#send(request, (row: EntityRow | null) => stateOf<TState>(row))
  }

  /**
   * One page of the entities that have a state, in the order of their ids.
   *
   * @example
   * ```ts
   * const { entities } = await client.listEntities({ name: 'counter', keyPrefix: 'eu-' })
   * ```
   */
  listEntities(options?: ListEntitiesOptions): Promise<EntityPage> {
    const listing = (): Promise<EntityPage> => this.#engine.call(...entityListing(options))
    return this.#attempt(listing)
  }

  /**
   * Waits until an instance has ended, and gives its status. For one that continues as new that is
   * when the last generation ends.
   *
   * @throws InstanceNotFound, TimeoutError
   */
  waitForCompletion(
    instanceId: string,
    options?: WaitForCompletionOptions,
  ): Promise<OrchestrationStatus> {
    return this.#attempt(() => {
      const request = `{"wait":{"instanceId":${quoteInstanceId(instanceId)}}}`
      const until = waitOptions(options)
      const call = this.#engine.callUntil(request, statusOf)
      giveUp(call, instanceId, until)
      return call.promise
    })
  }

  /**
   * The URLs by which an instance is managed, for whoever is to have no client. They hold the key of the
   * management API.
   *
   * @throws InvalidOption where none is served
   */
  createHttpManagementPayload(instanceId: string): HttpManagementPayload {
    return payloadFor(this, undefined, instanceId)
  }

  /**
   * The response of an HTTP function that has started an instance: 202, with the URLs by which it is
   * managed.
   *
   * @param request the function's; the URLs lead to where it was sent to
   * @throws InvalidOption where no management API is served
   */
  createCheckStatusResponse(request: WithUrl | null | undefined, instanceId: string): HttpResponse {
    return checkStatusResponse(this, request, instanceId)
  }

  /**
   * The response of an HTTP function that waits a while for an instance: its output if it completes in
   * time, its status if it fails (500) or is terminated (200), else that of `createCheckStatusResponse`.
   *
   * @param waitOptions Default: 10 seconds
   * @throws InstanceNotFound; InvalidOption where no management API is served
   */
  waitForCompletionOrCreateCheckStatusResponse(
    request: WithUrl | null | undefined,
    instanceId: string,
    waitOptions?: WaitForCompletionOptions,
  ): Promise<HttpResponse> {
    return this.#attempt(() => waitedResponse(this, request, instanceId, waitOptions))
  }

  /** The origins at which the management API is served: one at most. */
  get uniqueWebhookOrigins(): string[] {
    return originsFor(this)
  }

  #reason(
    verb: 'terminate' | 'suspend' | 'resume' | 'rewind',
    instanceId: string,
    reason: unknown,
    options: RecursiveOptions | undefined,
  ): Promise<void> {
    return this.#attempt(() => {
      // Once: the caller may change it before the answer is there.
      const text = stringify(reason, 'reason', this.#engine.payloadBytes)
      return this.#engine.call(reasonRequest(verb, instanceId, text, options), () => {
        const why = text === null ? '' : `: ${text}`
        this.#engine.log.engine('info', `Instance '${instanceId}' was ${DONE[verb]}${why}`)
      })
    })
  }

  /** Sends what `request` makes; what that throws becomes the rejection. */
  #send<T>(request: () => RawJson, convert: ((ok: never) => T) | null = null): Promise<T> {
    return this.#attempt(() => this.#engine.call(request(), convert))
  }

  #attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return action()
    } catch (error) {
      return Promise.reject(error)
    }
  }
}

/** Only the listing shows pending instances by itself. */
function isHidden(row: StatusRow, parts: { [K in keyof GetStatusOptions]-?: boolean }): boolean {
  return row.status === 'Pending' && !parts.pending
}

function statusOf(row: StatusRow): OrchestrationStatus {
  return statusFromRow(row)
}

/** A client whose `getStatus` says by its type that there may be no status. */
export interface HubClient extends DurableClient {
  /** The status of an instance; null when there is none, or when it has not begun to run. */
  getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus | null>
  /** The type that durable-functions has for it; a `HubClient` is a `DurableClient` by it. */
  getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus>
}
