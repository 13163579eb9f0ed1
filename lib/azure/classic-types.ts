/**
 * The types of `durable-functions` 1 and 2 that programs of folders name.
 *
 * Owns: their shape: what is of a type here fits the type of that name there, and the types of
 * `@azure/functions` 3.
 * Must never: hold code, or import one of those packages.
 * Proved by: `__test__/one-import-classic.spec.mjs`.
 */

import type { DurableClient, PurgeHistoryResult } from '../client.js'
import type { EntityId } from '../entity-id.js'
import type { EntityStateResponse } from '../entity-status.js'
import type { FolderContext } from '../host/context.js'
import type { WithUrl } from '../http/responses.js'
import type { RaiseEventOutcome } from '../raised.js'
import type { GetStatusOptions, OrchestrationFilter } from '../requests.js'
import type { OrchestrationRuntimeStatus, OrchestrationStatus } from '../status.js'
import type { TaskHubOptions } from '../task-hub-options.js'
import type { OrchestrationContext } from '../types.js'
import type { EntityContext, SignalOptions } from '../types-entity.js'
import type { WaitForCompletionOptions } from '../wait.js'
import type { HttpResponse } from './functions.js'

/** The context of an orchestrator in a folder. */
export interface IOrchestrationFunctionContext<TInput = unknown>
  extends OrchestrationContext<TInput>,
    FolderContext {
  readonly traceContext: FolderContext['traceContext']
  /** Does nothing: the function ends when it returns. */
  done(error?: unknown, result?: unknown): void
}

/** The context of an entity function in a folder. */
// biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit entities of any state
export interface IEntityFunctionContext<TState = any> extends EntityContext<TState>, FolderContext {
  readonly traceContext: FolderContext['traceContext']
  /** Does nothing: the function ends when it returns. */
  done(error?: unknown, result?: unknown): void
}

/** A generator function in a folder. */
export type ClassicOrchestrator<TInput = unknown, TResult = unknown> = (
  context: IOrchestrationFunctionContext<TInput>,
  // biome-ignore lint/suspicious/noExplicitAny: what a `yield` gives depends on the task
) => Generator<unknown, TResult, any>

/** A request, as check-status responses are made for one. */
export interface IHttpRequest {
  http: { url: string }
}

/** A response, as far as programs of folders look at it. */
export interface IHttpResponse {
  status: number
  body: unknown
  headers?: object
}

/**
 * The client that functions of a folder get: as its binding, and by `df.getClient(context)`. It takes its
 * arguments one after the other too.
 */
export interface DurableOrchestrationClient extends DurableClient {
  getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus>
  getStatus(
    instanceId: string,
    showHistory?: boolean,
    showHistoryOutput?: boolean,
    showInput?: boolean,
  ): Promise<OrchestrationStatus>
  getStatusBy(filter: OrchestrationFilter): Promise<OrchestrationStatus[]>
  getStatusBy(
    createdTimeFrom: Date | undefined,
    createdTimeTo: Date | undefined,
    runtimeStatus?: OrchestrationRuntimeStatus[],
  ): Promise<OrchestrationStatus[]>
  purgeInstanceHistoryBy(filter: OrchestrationFilter): Promise<PurgeHistoryResult>
  purgeInstanceHistoryBy(
    createdTimeFrom: Date,
    createdTimeTo?: Date,
    runtimeStatus?: OrchestrationRuntimeStatus[],
  ): Promise<PurgeHistoryResult>
  raiseEvent(
    instanceId: string,
    eventName: string,
    eventData?: unknown,
    options?: TaskHubOptions,
  ): Promise<RaiseEventOutcome>
  raiseEvent(
    instanceId: string,
    eventName: string,
    eventData: unknown,
    taskHubName?: string,
    connectionName?: string,
  ): Promise<RaiseEventOutcome>
  rewind(instanceId: string, reason?: unknown, options?: TaskHubOptions): Promise<void>
  rewind(
    instanceId: string,
    reason: string,
    taskHubName?: string,
    connectionName?: string,
  ): Promise<void>
  signalEntity(
    entityId: EntityId,
    operationName?: string,
    operationInput?: unknown,
    options?: SignalOptions & TaskHubOptions,
  ): Promise<void>
  signalEntity(
    entityId: EntityId,
    operationName?: string,
    operationContent?: unknown,
    taskHubName?: string,
    connectionName?: string,
  ): Promise<void>
  readEntityState<TState = unknown>(
    entityId: EntityId,
    options?: TaskHubOptions,
  ): Promise<EntityStateResponse<TState>>
  readEntityState<TState = unknown>(
    entityId: EntityId,
    taskHubName?: string,
    connectionName?: string,
  ): Promise<EntityStateResponse<TState>>
  waitForCompletionOrCreateCheckStatusResponse(
    request: WithUrl | null | undefined,
    instanceId: string,
    waitOptions?: WaitForCompletionOptions,
  ): Promise<HttpResponse>
  waitForCompletionOrCreateCheckStatusResponse(
    request: WithUrl | null | undefined,
    instanceId: string,
    timeoutInMilliseconds?: number,
    retryIntervalInMilliseconds?: number,
  ): Promise<HttpResponse>
}
