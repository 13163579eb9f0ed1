/**
 * The boundary between the JavaScript thread and the Rust core, as data.
 *
 * Owns: the shape of everything that crosses. Each side hands over one JSON text a batch:
 * JavaScript calls `exchange(inbound)` with all that was produced in one tick and gets an
 * `Outbound` back. When the core has something new (a commit became durable, a client process
 * wrote a message) it calls `wake`, and JavaScript exchanges again, with an empty batch if need be.
 *
 * Must never: decide anything. `src/runtime/protocol.rs` is the same contract in Rust; the test
 * that proves both is every test under `__test__/`.
 *
 * A `Payload` is a JSON value of the user's. It is embedded as raw JSON text: JavaScript
 * stringifies it once, Rust keeps the bytes, and `JSON.parse` of the batch makes it a value again.
 */

export type Payload = unknown

/** Raw JSON text, to be embedded in an inbound batch as it is. */
export type RawJson = string

// ---------------------------------------------------------------- JavaScript to Rust

/** Embedded as JSON text by `lib/codec.ts`, which builds the batch by hand around raw payloads. */
export interface Inbound {
  /** Client calls; each is answered by a `Reply` with the same `rid` (> 0, unique in the engine). */
  requests?: [rid: number, request: Request][]
  /** Waits whose caller gave up (`waitForCompletion` timed out). */
  forget?: number[]
  /** Activities that ended: `run` from `ActivityStart`. `ok` 1: payload is the result, left out if there is none; 0: a `Failure`. */
  results?: [run: number, ok: 0 | 1, payload?: RawJson][]
  /** Instances whose code did something outside a turn: each gets a turn now, to fail in. */
  violations?: string[]
  /** Outcomes of activations. */
  turns?: ActivationOutcome[]
  /** Outcomes of activations of entities. */
  entities?: EntityOutcome[]
  /** What ended its thread too often, and is parked as `Poison`; 0 if it was not ended for holding it. */
  poisons?: [token: number, heldMs: number][]
  /** What has held its thread for too long. */
  overdue?: [inside: number, heldMs: number][]
  /** Tokens of activations that wait behind what holds their thread. */
  waiting?: number[]
}

/** One key each, as in `{ "start": { … } }`. */
export type Request =
  /** All starts or none, in one transaction. Reply: `{ instanceIds: string[] }`; an error carries `index`. */
  | { start: { starts: StartSpec[] } }
  /** Reply: `RaiseOutcome`. */
  | { raiseEvent: { instanceId: string; name: string; input?: RawJson } }
  /** Reply: null. Errors: InstanceNotFound, InstanceEnded. */
  | { terminate: { instanceId: string; reason?: RawJson; recursive?: boolean } }
  | { suspend: { instanceId: string; reason?: RawJson; recursive?: boolean } }
  | { resume: { instanceId: string; reason?: RawJson; recursive?: boolean } }
  /** Only for Failed instances; reply null. Errors: InstanceNotFound, NotRewindable. */
  | { rewind: { instanceId: string; reason?: RawJson } }
  /** A new start with the stored name, version and input. Reply: `{ instanceIds: [id] }`. */
  | { restart: { instanceId: string; withNewInstanceId: boolean } }
  /** Reply: `{ deleted: number }`. An open instance is refused with InstanceNotEnded; an unknown one counts 0. */
  | { purge: { instanceId: string } }
  /** Only ended instances are purged. Reply: `{ deleted: number }`. */
  | { purgeBy: { filter: Filter } }
  /** Reply: `StatusRow | null`. */
  | { get: { instanceId: string; pending?: boolean; history?: boolean } & HistoryParts }
  /** Reply: `{ instances: StatusRow[], cursor: string | null }`, in order of schedule. */
  | { list: { filter: Filter; top: number; cursor?: string } }
  /** Reply: number. */
  | { count: { filter: Filter } }
  /** Reply: `StoreStats`, with `vacuumedMs`. */
  | { stats: Record<string, never> }
  /** Reply, when the instance has ended: `StatusRow`. Error at once: InstanceNotFound. */
  | { wait: { instanceId: string } }
  /** Reply: null, when the copy is on disk. */
  | { backup: { file: string } }
  /** Reply: null. `fireAt` in milliseconds. */
  | { signalEntity: EntitySignal }
  /** Reply: `EntityRow | null`. */
  | { getEntity: { entityId: string } }
  /** Reply: `{ entities: EntityRow[], cursor: string | null }`, in the order of the ids. */
  | { listEntities: { filter: EntityFilter; top: number; cursor?: string } }
  /** Worker: orchestrator and activity names added after the open. Reply: null. */
  | { register: Registered }
  /** Worker: no activity starts from now on; those that run may still report. Reply: null. */
  | { drain: Record<string, never> }
  /** Finish what is queued, release the store, end the threads. Reply: null. The last request. */
  | { close: Record<string, never> }
  /** The core panics, so that tests can see that this is an error like any other. No reply. */
  | { panic: Record<string, never> }

/** Whether the events of a history have them; default true. */
type HistoryParts = { inputs?: boolean; outputs?: boolean }

export interface Registered {
  orchestrators: string[]
  activities: { name: string; maxConcurrency?: number; queue?: string }[]
  entities: string[]
}

export interface StartSpec {
  name: string
  instanceId?: string
  /** Left out: the hub's `defaultVersion`; empty: none. */
  version?: string
  input?: RawJson
  /** 'once': refused too if the instance that has the id has ended. */
  onConflict?: 'error' | 'return' | 'terminate' | 'once'
}

export interface Filter {
  name?: string
  idPrefix?: string
  runtimeStatus?: RuntimeStatus[]
  /** Milliseconds since the epoch, compared with the time the instance was scheduled; inclusive. */
  createdFrom?: number
  createdTo?: number
}

export interface EntitySignal {
  /** `@name@key`. */
  entityId: string
  operation: string
  input?: RawJson
  fireAt?: number
}

/** Times in milliseconds, inclusive. */
export interface EntityFilter {
  name?: string
  /** Only with a name. */
  keyPrefix?: string
  lastOperationFrom?: number
  lastOperationTo?: number
  includeTransient?: boolean
}

export type RuntimeStatus =
  | 'Pending'
  | 'Running'
  | 'Completed'
  | 'ContinuedAsNew'
  | 'Failed'
  | 'Terminated'
  | 'Suspended'

/**
 * What JavaScript made of an `Activation`, with one `TurnOutcome` for each of its turns, in order.
 * No outcome at all: nothing was run, as JavaScript does not hold the execution or its function.
 */
export interface ActivationOutcome {
  token: number
  turns: TurnOutcome[]
  /** What came of it is too large to cross, as said here: the instance is held. */
  held?: string
}

export interface TurnOutcome {
  /** In the order of creation. Those that make a task take the next task ids of the execution, from 0. */
  actions?: Action[]
  /** Answers to `ask` resolutions of this turn: shall the task be tried again? In the order asked. */
  answers?: [task: number, again: boolean][]
  /** The last value set in this turn. */
  customStatus?: RawJson
  end?: End
}

export type Action =
  | { callActivity: { name: string; input?: RawJson; retry?: Retry; group?: Group } }
  | {
      callSubOrchestrator: {
        name: string
        instanceId?: string
        /** As in a start. */
        version?: string
        input?: RawJson
        retry?: Retry
        group?: Group
      }
    }
  | { createTimer: { fireAt: number } }
  /** Makes no task. */
  | { cancelTimer: { task: number } }
  | { waitForEvent: { name: string } }
  | { callEntity: { entityId: string; operation: string; input?: RawJson } }
  /** Makes no task. */
  | { signalEntity: EntitySignal }
  | { lockEntities: { entities: string[] } }
  /** Makes no task. */
  | { releaseEntities: Record<string, never> }

export type End =
  | { complete: { result?: RawJson } }
  | { fail: { failure: RawJson } }
  | { continueAsNew: { input?: RawJson } }

/** Times in milliseconds. */
export interface Retry {
  firstRetryIntervalMs: number
  maxNumberOfAttempts: number
  backoffCoefficient?: number
  maxRetryIntervalMs?: number
  retryTimeoutMs?: number
  /** 0 to 1: each delay is drawn from `[delay * (1 - jitter), delay]`. */
  jitter?: number
  /** There is a `retryIf`: the core asks by an `ask` resolution before it tries again. */
  ask?: boolean
}

/** `Task.all(tasks, { concurrency })`: members carry the same `id`, unique within the execution. */
export interface Group {
  id: number
  limit: number
}

// ---------------------------------------------------------------- Rust to JavaScript

/** To be carried out in the order of the fields. Absent fields are empty. */
export interface Outbound {
  logs?: { level: 'error' | 'warn' | 'info' | 'debug'; message: string; instanceId?: string }[]
  /** Live executions to forget: their generators are never resumed, late outcomes are ignored. */
  drops?: number[]
  /** Runs whose `context.signal` is to abort. Their results are ignored. */
  aborts?: number[]
  replies?: Reply[]
  activities?: ActivityTuple[]
  activations?: ActivationTuple[]
  entities?: EntityTuple[]
  /** The hub is lost, as said here. What waits for a reply gets none. */
  fatal?: EngineError
  /** When to exchange again at the latest, for a timer: milliseconds from now. */
  wakeInMs?: number
  /** There is more than one exchange takes: to be exchanged again at once. */
  more?: boolean
  /** What the core takes JavaScript to be in: the one thing that it is given here. */
  inside?: number
}

/** `rid` 0 answers the open itself: ok is `EngineInfo`. */
export type Reply = [rid: number, ok: unknown] | [rid: number, nothing: null, error: EngineError]

export interface EngineInfo {
  hubId: string
  hubName: string | null
  epoch: number
  synchronous: string
  /** What of the store's durability is not as it should be, each with its remedy; told to the log once. */
  warnings: string[]
  payloadBytes: number
}

export interface EngineError {
  code: string
  message: string
  /** Of a batch of starts, the one refused. */
  index?: number
  instanceId?: string
}

/**
 * An `ActivityStart`, an `Activation` and a successful resolution as they cross: what crosses at each
 * step has no names, which are most of a batch's bytes. `lib/wire.ts` makes objects of them.
 */
export type ActivityTuple = [
  run: number,
  iid: number,
  exec: number,
  task: number,
  attempt: number,
  instanceId: string,
  name: string,
  input?: Payload,
]

export type EntityTuple = [
  token: number,
  key: number,
  entityId: string,
  operations: OperationTuple[],
  state?: Payload,
]

/** An operation that nobody waits for is a signal. */
export type OperationTuple = [name: string, isSignal: 0 | 1, input?: Payload]

export type ActivationTuple = [
  token: number,
  iid: number,
  replayed: number,
  turns: TurnTuple[],
  start?: ExecutionStart,
]

/** A resolution that is no array is a `Resolution`. */
export type TurnTuple = [
  time: number,
  ...resolutions: ([task: number, value?: Payload] | Resolution)[],
]

export interface ActivityStart {
  run: number
  iid: number
  instanceId: string
  name: string
  input?: Payload
  /** From 1. */
  attempt: number
  /** The same for every attempt and every re-run of this task, and for no other task. */
  idempotencyKey: string
}

/** Operations of one entity, to be carried out one after the other. */
export interface EntityActivation {
  token: number
  /** What threads know it by. No instance has such a number. */
  iid: number
  /** `@name@key`. */
  entityId: string
  operations: OperationTuple[]
  /** Left out if there is none. */
  state?: Payload
}

/** What became of them: of the first ones, if the batch was cut short. */
export interface EntityOutcome {
  token: number
  /** `ok` 1: payload is the result, left out if there is none; 0: a `Failure`. */
  results: [ok: 0 | 1, payload?: RawJson][]
  /** The new state, if it is another one. */
  state?: RawJson
  /** There is none any more. */
  deleted?: boolean
  signals?: EntitySignal[]
}

export interface Activation {
  token: number
  /** The live execution: the key of the map that holds the generator or the async function. */
  iid: number
  /** Present when a new execution is to be made for `iid`, in place of any older one. */
  start?: ExecutionStart
  /** Each is run to quiescence before the next. */
  turns: ActivationTurn[]
  /** How many of `turns`, from the first, are recorded ones: `isReplaying` is true in them. */
  replayed: number
}

export interface ExecutionStart {
  instanceId: string
  /** As registered names match without regard to case, this is the stored spelling. */
  name: string
  input?: Payload
  parentInstanceId?: string
  version?: string
  /** Generation: 0, and one more for each continue-as-new. */
  exec: number
  /** The rules that the execution lives by: 0 are those of versions that had no numbers. */
  rules: number
  /** Drawn for this execution, from rules 1 on. */
  salt?: string
}

export interface ActivationTurn {
  /** `currentUtcDateTime` of this turn, in milliseconds. */
  time: number
  /** In the order in which they are to be settled. */
  resolutions: Resolution[]
}

export type Resolution =
  /** Activity or sub-orchestration completed, event raised (payload) or timer fired (no payload). */
  | { ok: { task: number; value?: Payload } }
  /** Activity failed. */
  | { fail: { task: number; failure: Failure } }
  /** Failed, attempts are left, and the policy has a `retryIf`: answer, and if `false` settle as failed. */
  | { ask: { task: number; failure: Failure; attempt: number; child?: ChildEnd } }
  /** Sub-orchestration did not complete. */
  | { child: { task: number; child: ChildEnd } }

export interface ChildEnd {
  name: string
  instanceId: string
  /** Failed (a `Failure`), Terminated (the reason), or refused at its start (a `Failure`). */
  status: 'Failed' | 'Terminated'
  failure?: Failure
  reason?: Payload
}

/** How an error crosses: own JSON fields stand beside these. Up to 64 KiB whatever the hub's limit. */
export interface Failure {
  name: string
  message: string
  stack?: string
  cause?: unknown
  [field: string]: unknown
}

export interface StatusRow {
  instanceId: string
  name: string
  version?: string
  status: RuntimeStatus
  /** When the orchestrator function began; null while Pending. */
  created: number | null
  updated: number
  scheduled: number
  input?: Payload
  /** The result when Completed, the reason when Terminated. */
  output?: Payload
  /** When Failed. */
  failure?: Failure
  customStatus?: Payload
  problem?: Problem
  parentInstanceId?: string
  /** Of an open instance, from `get` only. */
  waitingFor?: WaitingFor[]
  /** On request. */
  history?: HistoryRow[]
}

export interface EntityRow {
  entityId: string
  /** It has a state. */
  exists: boolean
  /** An orchestration has it for itself. */
  locked: boolean
  updated: number
  state?: Payload
  problem?: Problem
}

export interface Problem {
  code: string
  message: string
  historyEvent?: string
  expected?: string
  actual?: string
}

/** Times in milliseconds; `lib/status.ts` makes them Dates. */
export type WaitingFor =
  | { kind: 'event'; name: string; since: number }
  | { kind: 'timer'; fireAt: number }
  | { kind: 'activity'; name: string; attempt: number; since: number }
  | { kind: 'orchestration'; name: string; instanceId: string }
  | { kind: 'entity'; entityId: string; operation: string; since: number }
  | { kind: 'lock'; entityIds: string[]; since: number }

/** One event of the history view, oldest first. */
export interface HistoryRow {
  eventType: string
  timestamp: number
  taskId?: number
  name?: string
  input?: Payload
  result?: Payload
  failure?: Failure
  reason?: Payload
  instanceId?: string
  fireAt?: number
  attempt?: number
}

export type RaiseOutcome =
  | { outcome: 'delivered' }
  | { outcome: 'buffered' }
  | { outcome: 'discarded'; reason: 'NotFound' | 'Ended' | 'NotWaiting' }
