/**
 * The public interface of durafn.
 *
 * Owns: what is public. What is not named here is not.
 * Must never: hold code.
 * Proved by: `index.d.ts`, whose drift is checked, and `__test__/package.spec.mjs`.
 */

// Callers compile without this package's `lib`: `Symbol.asyncDispose` must come with the types.
/// <reference lib="esnext.disposable" preserve="true" />

// ------------------------------------------------------------------ functions and hubs

export { App, app } from './app.js'
export {
  type CloseOptions,
  type ConnectOptions,
  connect,
  type LimitOptions,
  type OpenOptions,
  open,
  type RetentionOptions,
  TaskHub,
} from './hub.js'
export type { LogFunction, Logger } from './log.js'

// ------------------------------------------------------------------ function folders

export type { BindingDefinition, FunctionKind } from './host/binding.js'
export type { OrchestrationTrigger as OrchestrationTriggerInput } from './host/classic.js'
export type { ClassicRequest, ClassicResponse, Form, FormPart } from './host/classic-http.js'
export type { ExecutionContext, FolderContext, FunctionContext } from './host/context.js'
export {
  entity,
  FunctionApp,
  type FunctionAppOptions,
  openFunctionApp,
  orchestrator,
  type ServedRoute,
} from './host/function-app.js'
export type { AuthLevel } from './host/http-functions.js'
export type { FunctionInfo, HttpInfo } from './host/load.js'
export { type BindingHandler, type OutputBinding, registerBinding } from './host/outputs.js'
export type { RetryContext } from './host/retry-policy.js'

// ------------------------------------------------------------------ orchestrators and activities

export { RetryOptions, type RetryPolicy } from './retry.js'
export {
  type AllOptions,
  type AllTaskOf,
  type AnyResult,
  type AnyTask,
  type AwaitedOf,
  type ExternalEventTask,
  type RegisteredActivityTask,
  type RegisteredOrchestrationTask,
  Task,
  type TaskCombinators,
  type TimerTask,
  type YieldedOf,
} from './task.js'
export type {
  ActivityContext,
  ActivityDefinition,
  ActivityHandler,
  ActivityOptions,
  AnyOrchestrationHandler,
  AsyncHandler,
  CallArguments,
  CallOptions,
  Definition,
  DurableOrchestrationContext,
  GeneratorHandler,
  InvocationContext,
  OrchestrationContext,
  OrchestrationDefinition,
  OrchestrationHandler,
  OrchestrationOptions,
  RegisteredActivity,
  RegisteredOrchestration,
} from './types.js'

// ------------------------------------------------------------------ calls over HTTP

export type { TokenProvider } from './call-http/activity.js'
export type { CallHttpArguments, CallHttpOptions } from './call-http/call.js'
export {
  DurableHttpRequest,
  DurableHttpResponse,
  ManagedIdentityTokenSource,
  type TokenSource,
} from './call-http/request.js'
export type { HttpOptions } from './call-http/settings.js'

// ------------------------------------------------------------------ names of durable-functions

export {
  type ActivityTrigger,
  type DurableClientInput,
  type EntityTrigger,
  type Inputs,
  input,
  type OrchestrationTrigger,
  type Triggers,
  trigger,
} from './azure/bindings.js'
export type {
  ClassicOrchestrator,
  DurableOrchestrationClient,
  IEntityFunctionContext,
  IHttpRequest,
  IHttpResponse,
  IOrchestrationFunctionContext,
} from './azure/classic-types.js'
export type {
  ClientFunctions,
  CloudDurableClientOptions,
  CosmosDBDurableClientHandler,
  CosmosDBDurableClientOptions,
  CosmosDBv3DurableClientOptions,
  CosmosDBv4DurableClientOptions,
  DurableClientHandler,
  DurableClientOptions,
  EventGridDurableClientHandler,
  EventGridDurableClientOptions,
  EventHubDurableClientHandler,
  EventHubDurableClientOptions,
  HttpDurableClientHandler,
  HttpDurableClientOptions,
  ServiceBusQueueDurableClientHandler,
  ServiceBusQueueDurableClientOptions,
  ServiceBusTopicDurableClientHandler,
  ServiceBusTopicDurableClientOptions,
  StorageBlobDurableClientHandler,
  StorageBlobDurableClientOptions,
  StorageQueueDurableClientHandler,
  StorageQueueDurableClientOptions,
  TimerDurableClientHandler,
  TimerDurableClientOptions,
} from './azure/client-functions.js'
export type { ClientSemantics } from './azure/client-semantics.js'
export {
  type DummyContext,
  DummyEntityContext,
  DummyOrchestrationContext,
} from './azure/dummies.js'
export type {
  Cookie,
  EffectiveFunctionOptions,
  EventGridEvent,
  FunctionExtras,
  FunctionInput,
  FunctionInvocationContext,
  FunctionOptions,
  FunctionOutput,
  FunctionResult,
  FunctionTrigger,
  HttpMethod,
  HttpRequest,
  HttpResponse,
  HttpResponseInit,
  InvocationContextExtraInputs,
  InvocationContextExtraOutputs,
  LogHandler,
  Timer,
} from './azure/functions.js'
export { getClient } from './azure/get-client.js'
export {
  AggregatedError,
  type ExceptionPropertiesProvider,
  type FailureDetails,
  TaskFailedError,
} from './azure/task-failed.js'

// ------------------------------------------------------------------ entities

export { EntityId } from './entity-id.js'
export { DurableLock, LockState } from './lock.js'
export type {
  DurableEntityContext,
  EntityClass,
  EntityContext,
  EntityHandler,
  EntityOptions,
  SignalOptions,
} from './types-entity.js'

// ------------------------------------------------------------------ the client

export {
  DurableClient,
  type HubClient,
  type PurgeHistoryResult,
} from './client.js'
export { ConnectedClient } from './connected-client.js'
export {
  type EntityPage,
  EntityStateResponse,
  type EntityStatus,
  type ListEntitiesOptions,
} from './entity-status.js'
export type { HttpManagementPayload } from './http/binding.js'
export type { WithUrl } from './http/responses.js'
export type { RaiseEventOutcome } from './raised.js'
export type {
  GetStatusOptions,
  ListOptions,
  OnConflict,
  OrchestrationFilter,
  RecursiveOptions,
  RestartOptions,
  Startable,
  StartNewOptions,
  StartRequest,
} from './requests.js'
export {
  type DurableOrchestrationStatus,
  type InstancePage,
  OrchestrationRuntimeStatus,
  type OrchestrationStatus,
  type StatusFailure,
  type StatusHistoryEvent,
  type StatusProblem,
  type StatusWaitingFor,
} from './status.js'
export type { StoreStats, TableStats } from './store-stats.js'
export type { TaskHubOptions } from './task-hub-options.js'
export type { WaitForCompletionOptions } from './wait.js'

// ------------------------------------------------------------------ errors

export {
  AddressRefused,
  AlreadyRegistered,
  CorruptHistory,
  DurableError,
  EntityInUse,
  EntityReplyLost,
  type ErrorDetails,
  HttpRequestFailed,
  HttpStatusError,
  HubClosed,
  HubInUse,
  HubTooNew,
  InstanceAlreadyExists,
  InstanceEnded,
  InstanceNotEnded,
  InstanceNotFound,
  Internal,
  InvalidEntityId,
  InvalidFunction,
  InvalidInstanceId,
  InvalidName,
  InvalidOption,
  LockingRulesViolationError,
  NonDurableAwait,
  Nondeterminism,
  NotAHub,
  NotATask,
  NotRegistered,
  NotRewindable,
  OrchestrationTerminated,
  OutsideTurn,
  PayloadTooLarge,
  Poison,
  PortUnavailable,
  StoreFull,
  StoreGone,
  StoreReadOnly,
  StoreUnavailable,
  TimeoutError,
  TooManyCalls,
  UnserializableValue,
  UnsupportedPlatform,
  VersionMismatch,
} from './errors.js'
