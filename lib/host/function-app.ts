/**
 * Function apps: folders of functions, as the original runs them.
 *
 * Owns: loading a folder into a registry, opening its hub, and the calls of manual functions.
 * Must never: handle a signal of the process, or end it; the command line does.
 * Proved by: `__test__/host.spec.mjs`.
 */

import type { App } from '../app.js'
import type {
  ClassicOrchestrator,
  IEntityFunctionContext,
  IOrchestrationFunctionContext,
} from '../azure/classic-types.js'
import type { ClientSemantics } from '../azure/client-semantics.js'
import { invalid } from '../check.js'
import type { HubClient } from '../client.js'
import { type DurableError, HubClosed, NotRegistered } from '../errors.js'
import type { Keys } from '../http/keys.js'
import type { CloseOptions, OpenOptions, TaskHub } from '../hub.js'
import type { AsyncHandler, GeneratorHandler } from '../types.js'
import type { EntityClass, EntityHandler } from '../types-entity.js'
import { howToRun } from './binding.js'
import { type Host, openHost } from './host.js'
import type { Invocable } from './invocation.js'
import type { FunctionInfo } from './load.js'
import { markOwn } from './script.js'

/** As `OpenOptions`, with defaults of the folder. */
export interface FunctionAppOptions extends Omit<OpenOptions, 'threads'> {
  /** `sqlite:PATH`. Default: the environment's `DURAFN_STORE`, else `.durafn/hub.db` in the folder. */
  store?: string | undefined
  /** A registry to add the functions to. Default: a new one. */
  app?: App | undefined
  /** Default: 'discard'; in an app with a `durableClient` binding, or with the package
   * `durable-functions`, 'buffer', unless `host.json` says. */
  unmatchedEvents?: 'discard' | 'buffer' | undefined
  /**
   * As `ConnectOptions` has it. Default: 'durafn'; the clients that functions get have 'azure' in an app with a
   * `durableClient` binding, of modules, or with the package `durable-functions`, unless `host.json` says.
   */
  clientSemantics?: ClientSemantics | undefined
  /**
   * What to do with a function that cannot be loaded: 'refuse' the app, or 'skip' the function, with an
   * error in the log, as long as others are left. Default 'refuse'; `durafn start` skips.
   */
  onInvalidFunction?: 'refuse' | 'skip' | undefined
  /**
   * Serves the http functions, and the paths of the host, on this port; 0 is any that is free.
   * Default: nothing is served. `durafn start` serves on 7071.
   */
  port?: number | undefined
  /** Where it listens, with `port`. Default '127.0.0.1', which is reached from this machine alone. */
  host?: string | undefined
  /**
   * Names beside `localhost`, `127.0.0.1` and `[::1]` that the app is reached by, without ports; '*' is
   * any. Others are refused, as pages of other sites may have had their name point here. Default: with
   * a `host` beyond this machine any, else none.
   */
  allowedHosts?: readonly string[] | undefined
  /**
   * Origins of pages that may send requests that need a key, and read answers, such as
   * `https://shop.example`; '*': any. Default: `Host.CORS` of `local.settings.json`.
   */
  allowedOrigins?: readonly string[] | undefined
  /**
   * Whether http functions, the management API and `/admin` ask for their keys. False is for the development on
   * this machine, as `func start` has it: with `port`, `host` must be reached from this machine alone; pages of
   * other sites are refused all the same. Default true.
   */
  auth?: boolean | undefined
  /** Where callers reach the app, if not where it is served: for the URLs that they are given. */
  publicUrl?: string | undefined
}

/**
 * Marks the function that an orchestrator's folder exports; it gives the function back, with its
 * types.
 *
 * @throws InvalidOption
 *
 * @example
 * ```js
 * const df = require('durafn')
 * module.exports = df.orchestrator(function* (context) {
 *   return yield context.df.callActivity('hello', context.df.getInput())
 * })
 * ```
 */
export function orchestrator<TInput = unknown, TResult = unknown>(
  handler: ClassicOrchestrator<TInput, TResult>,
): GeneratorHandler<TInput, TResult>
export function orchestrator<TInput = unknown, TResult = unknown>(
  handler: (context: IOrchestrationFunctionContext<TInput>) => TResult | PromiseLike<TResult>,
): AsyncHandler<TInput, TResult>
export function orchestrator(handler: unknown): unknown {
  if (typeof handler === 'function') {
    markOwn(handler)
    return handler
  }
  throw invalid(
    'handler',
    'must be a function: df.orchestrator(function* (context) { … })',
    handler,
  )
}

/**
 * Marks the function, or the class, that an entity's folder exports; it gives it back.
 *
 * @throws InvalidOption
 *
 * @example
 * ```js
 * const df = require('durafn')
 * module.exports = df.entity((context) => {
 *   const count = context.df.getState(() => 0)
 *   if (context.df.operationName === 'add') context.df.setState(count + context.df.getInput())
 * })
 * ```
 */
// biome-ignore lint/suspicious/noExplicitAny: of any state unless it is said
export function entity<TState = any>(
  handler: (context: IEntityFunctionContext<TState>) => unknown,
): EntityHandler<TState>
export function entity<TClass extends EntityClass>(entityClass: TClass): TClass
export function entity(handler: unknown): unknown {
  if (typeof handler !== 'function') {
    throw invalid(
      'handler',
      'must be a function or a class: df.entity((context) => { … })',
      handler,
    )
  }
  markOwn(handler)
  return handler
}

/**
 * Opens a function app: a folder with a folder for each function, which holds `function.json` and
 * the script; or one whose `main` registers its functions with `app` of `@azure/functions` 4. Loads all
 * of it, opens the hub and runs its workers.
 *
 * @throws InvalidFunction, AlreadyRegistered, and what `open` throws
 *
 * @example
 * ```ts
 * await using app = await df.openFunctionApp('./functions')
 * await app.invoke('startBackup', { folder: 'photos' })
 * ```
 */
export async function openFunctionApp(
  directory: string,
  options?: FunctionAppOptions,
): Promise<FunctionApp> {
  return new FunctionApp(await openHost(directory, options ?? {}))
}

/** A route of a function app's server. */
export interface ServedRoute {
  /** In upper case; `ALL`: any. */
  readonly method: string
  /** With parameters as `:name`, of http functions as `{name}`. */
  readonly path: string
  /** Who may reach it: all, or who has the function key, the management API's, or the master key. */
  readonly access: 'open' | 'function' | 'system' | 'admin'
}

/** A function app whose hub is open. */
export class FunctionApp implements AsyncDisposable {
  /** Its folder. */
  readonly directory: string
  readonly hub: TaskHub
  /** The client of the hub. */
  readonly client: HubClient
  /** All functions of the folder, by name. */
  readonly functions: readonly FunctionInfo[]
  /** Why functions were left out (`onInvalidFunction: 'skip'`). */
  readonly problems: readonly DurableError[]
  /** Where it is served: `http://127.0.0.1:7071`; undefined without the option `port`. */
  readonly url: string | undefined
  readonly #host: Host
  readonly #invocables: readonly Invocable[]
  #isClosed = false

  /** @internal */
  constructor(host: Host) {
    const { loaded } = host
    this.directory = host.directory
    this.hub = host.hub
    this.client = host.hub.client
    this.functions = loaded.functions
    this.problems = loaded.problems
    this.url = host.server?.url
    this.#host = host
    this.#invocables = loaded.invocables
  }

  get #keys(): Keys | null {
    return this.#host.api.keys
  }

  /** All that is served, in the order in which it is tried, and who may reach it. */
  get routes(): readonly ServedRoute[] {
    return this.#host.api.router.routes.map(({ method, path, access }) => ({
      method,
      path,
      access,
    }))
  }

  /** The file that holds the keys; undefined for a hub in memory, whose keys end with it, and with `auth: false`. */
  get keyFile(): string | undefined {
    const { filePrefix } = this.hub.client
    return filePrefix === null || this.#keys === null ? undefined : `${filePrefix}-keys.json`
  }

  /** The key that opens all that is served, '' with `auth: false`. Keep it as a password. */
  get masterKey(): string {
    return this.#keys?.master ?? ''
  }

  /** The key that opens http functions of `authLevel` 'function'; '' with `auth: false`. */
  get functionKey(): string {
    return this.#keys?.function ?? ''
  }

  /**
   * Answers a request as the server of the app would, for an app that is mounted into another server.
   *
   * @example
   * ```ts
   * const response = await app.fetch(new Request('http://localhost/api/hello'))
   * ```
   */
  async fetch(request: Request): Promise<Response> {
    if (this.#isClosed) throw new HubClosed('The function app is closed.')
    return this.#host.api.fetch(request)
  }

  /**
   * Calls a manual function, and then starts all that it assigned to its starters, in one
   * transaction; if one start is refused, none is made and the call fails.
   *
   * @returns what the function gave
   * @throws what the function throws; NotRegistered; of a start that was refused its error, with the
   * `index` of the start
   */
  async invoke(name: string, input?: unknown): Promise<unknown> {
    if (this.#isClosed) throw new HubClosed('The function app is closed.')
    if (typeof name !== 'string') throw invalid('name', 'must be a string', name ?? null)
    const isIt = (each: { name: string }): boolean => each.name.toLowerCase() === name.toLowerCase()
    const info = this.functions.find(isIt)
    if (info !== undefined) requireManual(info)
    const func = this.#invocables.find(isIt)
    if (func !== undefined) return (await func.invoke({ trigger: { value: input } })).returnValue
    const names = this.#invocables.filter(({ kind }) => kind === 'manual').map((each) => each.name)
    throw new NotRegistered(
      `There is no function named '${name}' in ${this.directory}. Manual functions: ${names.join(', ') || 'none'}.`,
      { field: 'name' },
    )
  }

  /**
   * Answers the requests that are under way and no others, starts no timer any more, and closes the
   * hub, as `hub.close` does.
   */
  close(options?: CloseOptions): Promise<void> {
    this.#isClosed = true
    return this.#host.close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Only manual functions are invoked.
 *
 * @throws NotRegistered
 */
export function requireManual(
  func: Omit<FunctionInfo, 'isDisabled'> & { isDisabled?: boolean },
): void {
  const { name, kind, isDisabled } = func
  if (isDisabled) {
    throw new NotRegistered(`Function '${name}' is disabled by ${func.file}.`, { field: 'name' })
  }
  if (kind === 'manual') return
  throw new NotRegistered(
    `'${name}' is of kind ${kind} and has no manualTrigger. ${howToRun[kind]}.`,
    {
      field: 'name',
    },
  )
}
