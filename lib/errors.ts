/**
 * The errors of this package: one class a code.
 *
 * Owns: the classes, their stable codes and the one map from an error of the core to its class.
 * Must never: hold a message template of the core; a message is for people, the code for programs.
 * Proved by: `__test__/errors.spec.mjs` and every test of bad input under `__test__/`.
 */

import type { EngineError } from './protocol.js'

/** What an error of this package says beside its message. */
export interface ErrorDetails {
  /** Only for a code that has no class of its own. */
  code?: string | undefined
  /** The argument, option or field that was refused. */
  field?: string | undefined
  /** Of several starts in one call, the one that was refused, from 0. */
  index?: number | undefined
  /** The instance that the error is about. */
  instanceId?: string | undefined
  /** The error behind this one. */
  cause?: unknown
}

/**
 * The base of every error that this package makes. Programs tell them apart by `code` (or by class).
 *
 * @example
 * ```ts
 * try {
 *   await client.startNew('order', { instanceId: 'order-1' })
 * } catch (error) {
 *   if (error instanceof df.DurableError && error.code === 'InstanceAlreadyExists') return
 *   throw error
 * }
 * ```
 */
export class DurableError extends Error {
  static readonly code: string = 'DurableError'
  /** Stable: never renamed, never given another meaning. */
  readonly code: string
  /** The argument, option or field that was refused. */
  declare readonly field?: string
  /** Of several starts in one call, the one that was refused, from 0. */
  declare readonly index?: number
  /** The instance that the error is about. */
  declare readonly instanceId?: string

  constructor(message?: string, details?: ErrorDetails) {
    super(message, details?.cause === undefined ? undefined : { cause: details.cause })
    this.code = details?.code ?? new.target.code
    if (details === undefined) return
    if (details.field !== undefined) Object.assign(this, { field: details.field })
    if (details.index !== undefined) Object.assign(this, { index: details.index })
    if (details.instanceId !== undefined) Object.assign(this, { instanceId: details.instanceId })
  }
}

/** The id is in use by an instance that has not ended. */
export class InstanceAlreadyExists extends DurableError {
  static override readonly code: string = 'InstanceAlreadyExists'
}
/** No instance has this id. */
export class InstanceNotFound extends DurableError {
  static override readonly code: string = 'InstanceNotFound'
}
/** The instance has ended already. */
export class InstanceEnded extends DurableError {
  static override readonly code: string = 'InstanceEnded'
}
/** The instance has not ended yet, which the call needs. */
export class InstanceNotEnded extends DurableError {
  static override readonly code: string = 'InstanceNotEnded'
}
/** An id of an entity that breaks the rules for those. */
export class InvalidEntityId extends DurableError {
  static override readonly code: string = 'InvalidEntityId'
}
/** Operations wait for the entity, or an orchestration has it for itself. */
export class EntityInUse extends DurableError {
  static override readonly code: string = 'EntityInUse'
}
/** The orchestration had failed before the entity answered, so it is not known what it did. */
export class EntityReplyLost extends DurableError {
  static override readonly code: string = 'EntityReplyLost'
}
/** An orchestrator does what is not allowed inside a critical section. */
export class LockingRulesViolationError extends DurableError {
  static override readonly code: string = 'LOCKING_RULES_VIOLATION'
}
/**
 * Only a failed instance can be rewound, and only where something that failed can be tried anew; the message says
 * what cannot.
 */
export class NotRewindable extends DurableError {
  static override readonly code: string = 'NotRewindable'
}
/** Ids have 1 to 256 characters, no leading `@`, none of `/ \ # ?`, no control characters. */
export class InvalidInstanceId extends DurableError {
  static override readonly code: string = 'InvalidInstanceId'
}
/** The name of a function or an event is not one. */
export class InvalidName extends DurableError {
  static override readonly code: string = 'InvalidName'
}
/** An argument or option has the wrong type or value; `field` names it. */
export class InvalidOption extends DurableError {
  static override readonly code: string = 'InvalidOption'
}
/** No function of this name is registered. */
export class NotRegistered extends DurableError {
  static override readonly code: string = 'NotRegistered'
}
/** A function of this name is registered already; names match without regard to case. */
export class AlreadyRegistered extends DurableError {
  static override readonly code: string = 'AlreadyRegistered'
}
/** A value cannot be written as JSON; `field` says which. */
export class UnserializableValue extends DurableError {
  static override readonly code: string = 'UnserializableValue'
}
/** The JSON of a value is larger than the hub allows; `field` says which. */
export class PayloadTooLarge extends DurableError {
  static override readonly code: string = 'PayloadTooLarge'
}
/** The time given has passed: a `timeoutMs` of `waitForCompletion` or of an activity. */
export class TimeoutError extends DurableError {
  static override readonly code: string = 'Timeout'
}
/** An orchestrator waits for something that is not a durable task, so it could never be replayed. */
export class NonDurableAwait extends DurableError {
  static override readonly code: string = 'NonDurableAwait'
}
/** An orchestrator returned, threw or used `context.df` when no turn of it was running. */
export class OutsideTurn extends DurableError {
  static override readonly code: string = 'OutsideTurn'
}
/** An orchestrator yielded, or combined, something that is not a task of its own. */
export class NotATask extends DurableError {
  static override readonly code: string = 'NotATask'
}
/** The code of an orchestrator no longer does what its history says. */
export class Nondeterminism extends DurableError {
  static override readonly code: string = 'Nondeterminism'
}
/** The version of the instance is not this worker's to run (`versionMatchStrategy`). */
export class VersionMismatch extends DurableError {
  static override readonly code: string = 'VersionMismatch'
}
/** An instance, or an activity, took the process or its thread down too often. */
export class Poison extends DurableError {
  static override readonly code: string = 'Poison'
}
/** What is stored of the instance cannot be read. */
export class CorruptHistory extends DurableError {
  static override readonly code: string = 'CorruptHistory'
}
/** A sub-orchestration was terminated; `cause` is the reason given. */
export class OrchestrationTerminated extends DurableError {
  static override readonly code: string = 'OrchestrationTerminated'
}
/** An HTTP request was not answered: no address, no connection, or an answer that breaks off. */
export class HttpRequestFailed extends DurableError {
  static override readonly code: string = 'HttpRequestFailed'
}
/** With a retry policy: an HTTP request was answered by a status that is retried, to the last. */
export class HttpStatusError extends DurableError {
  static override readonly code: string = 'HttpStatus'
  /** The status of the answer. */
  declare readonly statusCode?: number
}
/** `callHttp` does not call a private, loopback, link-local or reserved address that is not allowed. */
export class AddressRefused extends DurableError {
  static override readonly code: string = 'AddressRefused'
}
/** Functions cannot be loaded: a `function.json`, a script, or the module of an app is at fault. */
export class InvalidFunction extends DurableError {
  static override readonly code: string = 'InvalidFunction'
}
/** A port is in use, or may not be listened to. */
export class PortUnavailable extends DurableError {
  static override readonly code: string = 'PortUnavailable'
}
/** More calls wait for their answers than the client may have; await earlier ones. */
export class TooManyCalls extends DurableError {
  static override readonly code: string = 'TooManyCalls'
}
/** The hub or client was closed. */
export class HubClosed extends DurableError {
  static override readonly code: string = 'HubClosed'
}
/** Another process (or another hub of this one) runs the workers of this store. */
export class HubInUse extends DurableError {
  static override readonly code: string = 'HubInUse'
}
/** The file is not a task hub. */
export class NotAHub extends DurableError {
  static override readonly code: string = 'NotAHub'
}
/** The task hub was written by a newer version of this package. */
export class HubTooNew extends DurableError {
  static override readonly code: string = 'HubTooNew'
}
/** The store cannot be written: a read-only file, folder or file system. */
export class StoreReadOnly extends DurableError {
  static override readonly code: string = 'StoreReadOnly'
}
/** The disk that holds the store is full. */
export class StoreFull extends DurableError {
  static override readonly code: string = 'StoreFull'
}
/**
 * The files of the store were removed, renamed or replaced, or given a second name (a hard link), while it was
 * open. The hub or client that had it is given up: nothing more is acknowledged, as nobody would find it.
 */
export class StoreGone extends DurableError {
  static override readonly code: string = 'StoreGone'
}
/** The store cannot be opened, read or written. */
export class StoreUnavailable extends DurableError {
  static override readonly code: string = 'StoreUnavailable'
}
/** There is no binary of this package for this platform. */
export class UnsupportedPlatform extends DurableError {
  static override readonly code: string = 'UnsupportedPlatform'
}
/** A defect of this package. */
export class Internal extends DurableError {
  static override readonly code: string = 'Internal'
}

type ErrorClass = typeof DurableError

const classes: ErrorClass[] = [
  DurableError,
  InstanceAlreadyExists,
  InstanceNotFound,
  InstanceEnded,
  InstanceNotEnded,
  InvalidEntityId,
  EntityInUse,
  EntityReplyLost,
  LockingRulesViolationError,
  NotRewindable,
  InvalidInstanceId,
  InvalidName,
  InvalidOption,
  NotRegistered,
  AlreadyRegistered,
  UnserializableValue,
  PayloadTooLarge,
  TimeoutError,
  NonDurableAwait,
  OutsideTurn,
  NotATask,
  Nondeterminism,
  VersionMismatch,
  Poison,
  CorruptHistory,
  OrchestrationTerminated,
  HttpRequestFailed,
  HttpStatusError,
  AddressRefused,
  InvalidFunction,
  PortUnavailable,
  TooManyCalls,
  HubClosed,
  HubInUse,
  NotAHub,
  HubTooNew,
  StoreReadOnly,
  StoreFull,
  StoreGone,
  StoreUnavailable,
  UnsupportedPlatform,
  Internal,
]

const byCode = new Map<string, ErrorClass>()

for (const errorClass of classes) {
  byCode.set(errorClass.code, errorClass)
  // On the prototype, so that the first line of a stack shows it and it is no own field.
  Object.defineProperty(errorClass.prototype, 'name', {
    value: errorClass.name,
    writable: true,
    configurable: true,
  })
}

/** The class of a code; codes that a newer core may bring are plain `DurableError`s. */
export function errorClass(code: string): ErrorClass {
  return byCode.get(code) ?? DurableError
}

/** The error that an `EngineError` of the core stands for. */
export function fromEngine(error: EngineError): DurableError {
  return new (errorClass(error.code))(error.message, {
    code: error.code,
    index: error.index,
    instanceId: error.instanceId,
  })
}
