/**
 * Task hubs: opening, connecting, closing.
 *
 * Owns: the options of a hub, their checks, and where the store is.
 * Must never: handle a signal of the process, or end it; that is its owner's.
 * Proved by: `__test__/api.spec.mjs`, `__test__/close.spec.mjs`, `__test__/bad-input.spec.mjs`.
 */

import { App, app as defaultApp } from './app.js'
import { CLIENT_SEMANTICS, type ClientSemantics, withSemantics } from './azure/client-semantics.js'
import { type HttpOptions, type HttpSettings, httpSettings } from './call-http/settings.js'
import {
  invalid,
  type Options,
  optionalInteger,
  optionalMs,
  optionalOneOf,
  optionalString,
  optionsOf,
  queueName,
} from './check.js'
import { DurableClient, type HubClient } from './client.js'
import { checkName } from './codec.js'
import { ConnectedClient } from './connected-client.js'
import { Engine } from './engine.js'
import type { EngineOptions } from './engine-options.js'
import { InvalidOption } from './errors.js'
import { rememberClient } from './host/client-of.js'
import { checkLogger, Log, type Logger } from './log.js'
import { backupRequest } from './requests.js'
import { type Functions, LocalFunctions } from './runner.js'
import { makeFolder, type StorePlace, storeOf } from './store-place.js'
import { STATS_REQUEST, type StoreStats, storeStatsOf } from './store-stats.js'
import { refuseOpening } from './threads/inside.js'
import { loadApp, moduleUrl } from './threads/module.js'
import { Threads } from './threads/pool.js'

/** Where the hub is, and where its log goes. */
export interface ConnectOptions {
  /**
   * `sqlite:PATH`, relative to the current directory; folders are made. Or the URL of a PostgreSQL
   * database, `postgres://USER:PASSWORD@HOST/DATABASE`, where each hub has a schema of its own. Default:
   * the environment's `DURAFN_STORE`, else `sqlite:.durafn/hub.db`.
   */
  store?: string | undefined
  /**
   * The URL of the same PostgreSQL database, where `store` leads to a pooler in transaction mode: what other
   * processes do is heard on it, and looked for without it. Default: the environment's `DURAFN_LISTEN`.
   */
  listenUrl?: string | undefined
  /**
   * Use only what PostgreSQL has in common with servers that speak its protocol (docs/scaling.md). Also
   * `?distributed=true` in the URL. All processes of a hub must agree. Default false.
   */
  distributed?: boolean | undefined
  /** 1 to 64 letters, digits, `.`, `_` or `-`. Default: what the store has, else 'default'. */
  hubName?: string | undefined
  /**
   * What calls of the client do that can change nothing. 'durafn': `terminate`, `suspend` and `resume` of an
   * instance that has ended reject with `InstanceEnded`, and `raiseEvent` to an unknown one resolves and says
   * that it was discarded. 'azure': as `durable-functions` of every version, the first resolve, and the last
   * rejects with `InstanceNotFound`. Default 'durafn'.
   */
  clientSemantics?: ClientSemantics | undefined
  /** Where log lines go; false: nowhere. Default: `console`, with the engine's warnings and errors. */
  logger?: Logger | false | undefined
}

/** How a hub runs. `unmatchedEvents` and `limits.payloadBytes` hold for clients in other processes too. */
export interface OpenOptions extends ConnectOptions {
  /** As for `ConnectOptions`; also `sqlite::memory:`, which ends with the hub. */
  store?: string | undefined
  /**
   * The functions: an App, or the module that registers them, by its `file:` URL or its path (relative
   * to the current directory). Of a module its default export or its export `app` counts if it is an
   * App, else what it registers on `df.app`. Default: `df.app`.
   */
  app?: App | URL | string | undefined
  /**
   * How many worker threads run orchestrators and activities, 0 to 256. With 1 or more, `app` must be a
   * module; each thread loads it. The client stays in the calling thread, and a thread that dies is
   * replaced. Default 0: all runs in the calling thread.
   *
   * @example
   * ```ts
   * const hub = await df.open({ threads: 4, app: new URL('./app.js', import.meta.url) })
   * ```
   */
  threads?: number | undefined
  /**
   * What to do with an event that an instance does not wait for: 'discard' it, and say so, or
   * 'buffer' it until it does. Default 'discard'.
   */
  unmatchedEvents?: 'discard' | 'buffer' | undefined
  /**
   * What to do with an instance whose code no longer does what its history says: 'hold' it until the
   * code is put right, or 'fail' it. Default 'hold'.
   */
  onNondeterminism?: 'hold' | 'fail' | undefined
  /**
   * The version of this worker, as `defaultVersion` of Azure's `host.json`: `context.df.version` of every
   * instance and sub-orchestration that is started without one, by clients in other processes too. An
   * instance keeps the version that it was started with. Default: none.
   */
  defaultVersion?: string | undefined
  /**
   * Which instances this worker runs, by their version and its own: 'CurrentOrOlder', those of its version
   * and of older ones, or none; 'Strict', those of its version alone; 'None', all. Default 'CurrentOrOlder'
   * with a `defaultVersion`, else 'None'.
   */
  versionMatchStrategy?: 'None' | 'Strict' | 'CurrentOrOlder' | undefined
  /**
   * What to do with an instance that this worker does not run: 'Reject' leaves it as it is, for a worker
   * that does; 'Fail' fails it. Default 'Reject'.
   */
  versionFailureStrategy?: 'Reject' | 'Fail' | undefined
  /**
   * 'full': what is acknowledged survives a power failure. 'relaxed': it survives the death of the
   * process, and may be lost, never half, in a power failure. On PostgreSQL 'full' sets `synchronous_commit`
   * to `on` where the server, the database or the role have it weaker, and 'relaxed' to `off`; what was
   * acknowledged with 'relaxed' may be lost when the server crashes. Default 'full'.
   */
  durability?: 'full' | 'relaxed' | undefined
  /** How many activities run at a time. Default 256. */
  maxConcurrentActivities?: number | undefined
  /**
   * Of a hub on a PostgreSQL server: after how many milliseconds of silence a worker has lost it to
   * another one, 1,000 to 600,000. Default 10,000. Silent is also one whose event loop stands still: code that
   * holds it for longer has its worker lose what it runs. A hub in a file has no lease: its worker has it
   * while the process lives.
   */
  leaseMs?: number | undefined
  /**
   * Of a hub on a PostgreSQL server: this worker runs only activities of these queues; those registered
   * without one are of 'default'. Instances are not bound to queues. Default: activities of all queues.
   */
  queues?: string[] | undefined
  /** How long ended instances are kept. Default: for ever. */
  retention?: RetentionOptions | undefined
  /** Bounds of size. */
  limits?: LimitOptions | undefined
  /** How `context.df.callHttp` calls services. */
  http?: HttpOptions | undefined
}

/** After how many milliseconds from its end an instance is purged; one left out: never. */
export interface RetentionOptions {
  completedMs?: number | undefined
  failedMs?: number | undefined
  terminatedMs?: number | undefined
}

/** Bounds of size. */
export interface LimitOptions {
  /** The largest JSON text of one value, in bytes of UTF-8, 1,024 or more. Default 16 MiB. */
  payloadBytes?: number | undefined
  /** How many instances stay in memory between their turns. Default 10,000. */
  cachedInstances?: number | undefined
  /**
   * How many instances are under way at a time: in a turn, or with activities that run or are due. The
   * others wait in the store, those that something came for before those that start, and cost no memory.
   * Never fewer than twice `maxConcurrentActivities`. Default 10,000.
   */
  activeInstances?: number | undefined
  /**
   * How many calls of this process may wait for their answers (beside `waitForCompletion`). The first
   * 10,000 are with the engine, the others wait in line; one more is refused with `TooManyCalls`.
   * Default 100,000, which is also what `connect` has.
   */
  pendingCalls?: number | undefined
  /**
   * How long a turn of an orchestrator, or an operation of an entity until its first `await`, may hold its
   * thread, in milliseconds, 100 to 600,000. One that takes longer is told of while it runs: in the log (by a line
   * on stderr while the calling thread stands still) and by `problem.code` 'TurnOverdue' in its status. With `threads` its thread is then
   * ended and replaced, and what has ended its thread so five times is parked as `Poison`. Activities may
   * compute for longer, which is told of as well; one with `timeoutMs` is ended at that with its thread.
   * Default 10,000.
   */
  turnMs?: number | undefined
}

/** How a hub is closed. */
export interface CloseOptions {
  /** How long running activities may take to end, in milliseconds; then they are aborted. Default 10,000. */
  drainTimeoutMs?: number | undefined
}

const CONNECT_KEYS = ['store', 'listenUrl', 'distributed', 'hubName', 'clientSemantics', 'logger']
const OPEN_KEYS = [
  ...CONNECT_KEYS,
  'app',
  'threads',
  'unmatchedEvents',
  'onNondeterminism',
  'defaultVersion',
  'versionMatchStrategy',
  'versionFailureStrategy',
  'durability',
  'maxConcurrentActivities',
  'leaseMs',
  'queues',
  'retention',
  'limits',
  'http',
]
const LIMIT_KEYS = ['payloadBytes', 'cachedInstances', 'activeInstances', 'pendingCalls', 'turnMs']
const DRAIN_TIMEOUT_MS_DEFAULT = 10_000
const PAYLOAD_BYTES_MIN = 1_024
/** V8 holds no longer text, and a batch must fit into one. */
const PAYLOAD_BYTES_MAX = 256 * 1024 * 1024
const COUNT_MAX = 1_000_000
const THREADS_MAX = 256
/** Which instances a worker runs, by their version; the names are those of `host.json`. */
export const MATCH_STRATEGIES = ['None', 'Strict', 'CurrentOrOlder'] as const
/** What becomes of the others. */
export const FAILURE_STRATEGIES = ['Reject', 'Fail'] as const
const LEASE_MS_MIN = 1_000
const LEASE_MS_MAX = 600_000
/** As in `src/core/limits.rs`. */
const TURN_MS_DEFAULT = 10_000
const TURN_MS_MIN = 100
const TURN_MS_MAX = 600_000

/**
 * Opens a task hub and runs its workers in this process. An open hub keeps the process alive until
 * `close()`.
 *
 * @throws HubInUse, NotAHub, HubTooNew, StoreReadOnly, StoreFull, StoreUnavailable, InvalidOption,
 * UnsupportedPlatform; InvalidFunction for a module that cannot be loaded
 *
 * @example
 * ```ts
 * await using hub = await df.open({ store: 'sqlite:./orders.db' })
 * const id = await hub.client.startNew('order', { input: { total: 12 } })
 * console.log(await hub.client.waitForCompletion(id, { timeoutMs: 10_000 }))
 * ```
 */
export async function open(options?: OpenOptions): Promise<TaskHub> {
  const known = optionsOf(options, 'options', OPEN_KEYS)
  const source = sourceOf(known)
  const log = new Log(checkLogger(known['logger'], 'options.logger'))
  const place = storeOf(known, true)
  const semantics = semanticsOf(known)
  const engineOptions = workerOptions(known, place)
  const limits = optionsOf(known['limits'], 'options.limits', LIMIT_KEYS)
  const pendingCalls = optionalInteger(limits, 'pendingCalls', 'options.limits', 1)
  const http = httpSettings(known['http'], 'options.http')
  makeFolder(place.path)
  const turnMs = engineOptions.turnMs ?? TURN_MS_DEFAULT
  const { functions, app } = await functionsOf(source, log, http, turnMs)
  engineOptions.registered = functions.registered()
  const engine = await Engine.open(engineOptions, functions, log, pendingCalls, http)
  return new TaskHub(engine, app, semantics)
}

/**
 * Connects a client to a task hub, from any process, whether or not workers run; the hub is made if
 * there is none. A client alone does not keep the process alive; a call of it that waits does.
 *
 * @throws NotAHub, HubTooNew, StoreReadOnly, StoreFull, StoreUnavailable, InvalidOption,
 * UnsupportedPlatform
 *
 * @example
 * ```ts
 * await using client = await df.connect({ store: 'sqlite:./orders.db' })
 * await client.raiseEvent(id, 'Approve', { by: 'Ada' })
 * ```
 */
export async function connect(options?: ConnectOptions): Promise<ConnectedClient> {
  const known = optionsOf(options, 'options', CONNECT_KEYS)
  const log = new Log(checkLogger(known['logger'], 'options.logger'))
  const place = storeOf(known, false)
  const semantics = semanticsOf(known)
  const engineOptions: EngineOptions = { role: 'client', ...place }
  const hubName = hubNameOf(known)
  if (hubName !== undefined) engineOptions.hubName = hubName
  makeFolder(place.path)
  const engine = await Engine.open(engineOptions, new LocalFunctions(defaultApp), log)
  return withSemantics(new ConnectedClient(engine, engine.hubName), semantics)
}

/** An open task hub. */
export class TaskHub implements AsyncDisposable {
  /** The client to this hub, in this process. */
  readonly client: HubClient
  /** The functions that it runs. With `threads` those are in the threads, and nothing registers here. */
  readonly app: App
  readonly #engine: Engine

  /**
   * What the store says, read back when it was opened, of how it syncs: for SQLite the value of
   * `PRAGMA synchronous`, 'FULL', or 'NORMAL' with `durability: 'relaxed'`; 'in memory' for a hub in memory;
   * on PostgreSQL `synchronous_commit=…, fsync=…, full_page_writes=…`: the first as the hub's transactions
   * have it, the others as the server has them. What is not as it should be is a warning in the log.
   */
  readonly synchronous: string

  /** @internal */
  constructor(engine: Engine, app: App, semantics: ClientSemantics) {
    this.#engine = engine
    this.client = this.lend(semantics) as HubClient
    this.app = app
    this.synchronous = engine.synchronous
  }

  /** @internal A client of its own semantics; the activities of the hub get it from now on. */
  lend(semantics: ClientSemantics): DurableClient {
    const client = new DurableClient(this.#engine, this.#engine.hubName)
    rememberClient(this.#engine, client)
    return withSemantics(client, semantics)
  }

  /**
   * Closes the hub: no activity starts from now on, those that run get time to end, what is queued
   * is written, and the store is released. Calls that then still wait reject with `HubClosed`. May
   * be called again; instances go on at the next `open`.
   */
  async close(options?: CloseOptions): Promise<void> {
    const known = optionsOf(options, 'options', ['drainTimeoutMs'])
    const isEndless = known['drainTimeoutMs'] === Number.POSITIVE_INFINITY
    const drainTimeoutMs = optionalMs(known, 'drainTimeoutMs', 'options')
    const ms = isEndless ? Number.POSITIVE_INFINITY : DRAIN_TIMEOUT_MS_DEFAULT
    await this.#engine.close(drainTimeoutMs ?? ms)
  }

  /**
   * Copies the hub, while it runs, to a new file. The store's write-ahead log grows meanwhile by what is
   * written.
   *
   * @param file its path; it must not exist
   * @throws StoreUnavailable, StoreFull, StoreReadOnly, InvalidOption
   */
  async backup(file: string): Promise<void> {
    await this.#engine.call(backupRequest(file))
  }

  /** As that of a connected client. */
  async storeStats(): Promise<StoreStats> {
    return await this.#engine.call(STATS_REQUEST, storeStatsOf)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

// ------------------------------------------------------------------ options

/** Where the functions are: an App, or the URL of a module and how many threads load it. */
type Source = { app: App } | { module: string; threads: number }

function sourceOf(options: Options): Source {
  const threads = optionalInteger(options, 'threads', 'options', 0, THREADS_MAX) ?? 0
  refuseOpening(threads)
  const app = options['app'] === undefined ? defaultApp : options['app']
  if (app instanceof URL || typeof app === 'string') {
    return { module: moduleUrl(app, 'options.app'), threads }
  }
  if (!(app instanceof App)) throw invalid('options.app', 'must be an App or a module', app)
  if (threads === 0) return { app }
  throw new InvalidOption(
    "options.app must be a module when options.threads is given, as each thread loads its own: put the functions into a file, and pass new URL('./app.js', import.meta.url), or its path.",
    { field: 'options.app' },
  )
}

async function functionsOf(
  source: Source,
  log: Log,
  http: HttpSettings,
  turnMs: number,
): Promise<{ functions: Functions; app: App }> {
  if ('app' in source) return { functions: new LocalFunctions(source.app), app: source.app }
  const { module, threads } = source
  if (threads === 0) {
    const app = await loadApp(module)
    return { functions: new LocalFunctions(app), app }
  }
  const functions = await Threads.load(module, threads, log, http, turnMs)
  const app = new App()
  app.onRegister(() => {
    throw new InvalidOption(
      `With threads, functions are registered by the module that each of them loads: ${module}`,
      { field: 'options.app' },
    )
  })
  return { functions, app }
}

function workerOptions(options: Options, place: StorePlace): EngineOptions {
  const where = 'options'
  const limits = optionsOf(options['limits'], 'options.limits', LIMIT_KEYS)
  const all: { [K in keyof EngineOptions]: EngineOptions[K] | undefined } = {
    role: 'worker',
    path: place.path,
    url: place.url,
    listenUrl: place.listenUrl,
    distributed: place.distributed,
    hubName: hubNameOf(options),
    durability: optionalOneOf(options, 'durability', where, ['full', 'relaxed']),
    unmatchedEvents: optionalOneOf(options, 'unmatchedEvents', where, ['discard', 'buffer']),
    onNondeterminism: optionalOneOf(options, 'onNondeterminism', where, ['hold', 'fail']),
    defaultVersion: defaultVersionOf(options),
    versionMatchStrategy: optionalOneOf(options, 'versionMatchStrategy', where, MATCH_STRATEGIES),
    versionFailureStrategy: optionalOneOf(
      options,
      'versionFailureStrategy',
      where,
      FAILURE_STRATEGIES,
    ),
    payloadBytes: optionalInteger(
      limits,
      'payloadBytes',
      'options.limits',
      PAYLOAD_BYTES_MIN,
      PAYLOAD_BYTES_MAX,
    ),
    cachedInstances: optionalInteger(limits, 'cachedInstances', 'options.limits', 1, COUNT_MAX),
    activeInstances: optionalInteger(limits, 'activeInstances', 'options.limits', 1, COUNT_MAX),
    maxConcurrentActivities: optionalInteger(
      options,
      'maxConcurrentActivities',
      where,
      1,
      COUNT_MAX,
    ),
    leaseMs: optionalInteger(options, 'leaseMs', where, LEASE_MS_MIN, LEASE_MS_MAX),
    queues: queuesOf(options, place),
    turnMs: turnMsOf(options),
    threads: Number(options['threads'] ?? 0) > 0 || undefined,
    quiet: options['logger'] === false || undefined,
    retention: retentionOf(options),
    registered: undefined,
  }
  for (const key of Object.keys(all) as (keyof EngineOptions)[]) {
    if (all[key] === undefined) delete all[key]
  }
  return all as EngineOptions
}

function turnMsOf(options: Options): number | undefined {
  const limits = optionsOf(options['limits'], 'options.limits', LIMIT_KEYS)
  return optionalInteger(limits, 'turnMs', 'options.limits', TURN_MS_MIN, TURN_MS_MAX)
}

function queuesOf(options: Options, place: StorePlace): string[] | undefined {
  const queues = options['queues']
  if (queues === undefined) return undefined
  const field = 'options.queues'
  if (!Array.isArray(queues) || queues.length === 0) {
    throw invalid(field, 'must be an array of one queue or more', queues)
  }
  if (place.url === undefined) {
    throw invalid(
      field,
      'needs a hub on a PostgreSQL server: a hub in a file has one worker',
      queues,
    )
  }
  return queues.map((queue, index) => queueName(queue, `${field}[${index}]`))
}

function retentionOf(options: Options): EngineOptions['retention'] {
  if (options['retention'] === undefined) return undefined
  const where = 'options.retention'
  const keys = ['completedMs', 'failedMs', 'terminatedMs'] as const
  const given = optionsOf(options['retention'], where, keys)
  const retention: NonNullable<EngineOptions['retention']> = {}
  for (const key of keys) {
    const ms = optionalMs(given, key, where)
    if (ms !== undefined) retention[key] = Math.ceil(ms)
  }
  return retention
}

function defaultVersionOf(options: Options): string | undefined {
  const version = optionalString(options, 'defaultVersion', 'options')
  if (version === undefined || version === '') return undefined
  try {
    checkName(version, 'options.defaultVersion')
    return version
  } catch {
    const must = 'must have at most 256 characters, none of which controls'
    throw invalid('options.defaultVersion', must, version)
  }
}

function semanticsOf(options: Options): ClientSemantics {
  return optionalOneOf(options, 'clientSemantics', 'options', CLIENT_SEMANTICS) ?? 'durafn'
}

function hubNameOf(options: Options): string | undefined {
  const name = optionalString(options, 'hubName', 'options')
  if (name === undefined || /^[A-Za-z0-9._-]{1,64}$/.test(name)) return name
  throw invalid('options.hubName', "must be 1 to 64 letters, digits, '.', '_' or '-'", name)
}
