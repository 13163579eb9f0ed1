/**
 * Function apps: folders of functions, as the original runs them.
 *
 * Owns: loading a folder into a registry, opening its hub, and the calls of manual functions.
 * Must never: handle a signal of the process, or end it; the command line does.
 * Proved by: `__test__/host.spec.mjs`.
 */

import { join } from 'node:path'
import { App } from '../app.js'
import { invalid, optionalOneOf } from '../check.js'
import type { DurableClient, HubClient } from '../client.js'
import { type DurableError, HubClosed, NotRegistered } from '../errors.js'
import { type CloseOptions, type OpenOptions, open, type TaskHub } from '../hub.js'
import { checkLogger, Log } from '../log.js'
import { registerHosted } from '../sdk/hosted.js'
import type { AsyncHandler, GeneratorHandler } from '../types.js'
import { refused } from './binding.js'
import { ClassicFunction, callOrchestrator } from './classic.js'
import { adopt } from './entry.js'
import { HubEnvironment } from './environment.js'
import { appDirectory } from './function-json.js'
import { type HostSettings, readHostSettings } from './host-json.js'
import type { Invocable } from './invocation.js'
import { type FunctionInfo, type LoadedApp, loadFunctions } from './load.js'
import { hostDirectory } from './package-require.js'
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
   * What to do with a function that cannot be loaded: 'refuse' the app, or 'skip' the function, with an
   * error in the log, as long as others are left. Default 'refuse'; `durafn start` skips.
   */
  onInvalidFunction?: 'refuse' | 'skip' | undefined
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
  handler: GeneratorHandler<TInput, TResult>,
): GeneratorHandler<TInput, TResult>
export function orchestrator<TInput = unknown, TResult = unknown>(
  handler: AsyncHandler<TInput, TResult>,
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
  if (typeof directory !== 'string') throw invalid('directory', 'must be a path', directory ?? null)
  if ((options as OpenOptions | undefined)?.threads) {
    throw invalid('options.threads', 'is for apps of a module; a folder runs in the calling thread')
  }
  const { onInvalidFunction, ...rest } = options ?? {}
  const how = optionalOneOf({ onInvalidFunction }, 'onInvalidFunction', 'options', [
    'refuse',
    'skip',
  ])
  const path = appDirectory(directory)
  const settings = readHostSettings(path)
  hostDirectory(path)
  const app = options?.app ?? new App()
  if (!(app instanceof App)) throw invalid('options.app', 'must be an App', app)
  const log = new Log(checkLogger(options?.logger, 'options.logger'))
  // An activity may run before `open` has told its caller that the hub is open.
  const client = async (): Promise<DurableClient> => (await opening).client
  const environment = new HubEnvironment(log, client, () => undefined)
  const loaded = await loadFunctions(path, environment, how === 'skip')
  for (const { message } of loaded.problems) log.engine('error', message)
  if (loaded.entry !== undefined) adopt(app, loaded.entry)
  for (const func of loaded.invocables) register(app, func)
  const opening = open({
    ...rest,
    app,
    store: options?.store ?? defaultStore(path),
    http: options?.http ?? settings.http,
    unmatchedEvents: options?.unmatchedEvents ?? unmatchedEventsOf(settings, loaded),
  })
  return new FunctionApp(path, await opening, loaded)
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
  readonly #invocables: readonly Invocable[]
  #isClosed = false

  /** @internal */
  constructor(directory: string, hub: TaskHub, loaded: LoadedApp) {
    this.directory = directory
    this.hub = hub
    this.client = hub.client
    this.functions = loaded.functions
    this.problems = loaded.problems
    this.#invocables = loaded.invocables
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

  /** Closes the hub, as `hub.close` does. */
  close(options?: CloseOptions): Promise<void> {
    this.#isClosed = true
    return this.hub.close(options)
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
export function requireManual<TFunction extends FunctionInfo>(func: TFunction): TFunction {
  const { name, kind, isDisabled } = func
  if (isDisabled) {
    throw new NotRegistered(`Function '${name}' is disabled by ${func.file}.`, { field: 'name' })
  }
  if (kind === 'manual') return func
  const remedy =
    kind === 'orchestration'
      ? 'Start it with client.startNew, or on the command line: durafn instances start'
      : 'Only orchestrators call it'
  throw new NotRegistered(`'${name}' is an ${kind} and has no manualTrigger. ${remedy}.`, {
    field: 'name',
  })
}

/** The store of a function app that is told of none. */
export function defaultStore(directory: string): string {
  return process.env['DURAFN_STORE'] || `sqlite:${join(directory, '.durafn', 'hub.db')}`
}

function register(app: App, func: Invocable): void {
  const { name, kind } = func
  if (func.isHosted) registerHosted(app, func)
  else if (kind === 'orchestration' && func instanceof ClassicFunction) {
    const { loaded } = func
    app.orchestration(name, (context) => callOrchestrator(loaded, context))
  } else if (kind === 'entity') {
    throw refused(func.file, 'bindings', 'has an entityTrigger, which this version cannot run yet')
  } else if (kind === 'activity') {
    app.activity(name, {
      handler: async (input, context) => {
        const data = { instanceId: context.instanceId }
        return (await func.invoke({ trigger: { value: input }, data, context })).returnValue
      },
    })
  }
}

/** What the app's generation documents, unless `host.json` says otherwise. */
function unmatchedEventsOf(
  { unmatchedEvents }: HostSettings,
  { invocables, entry }: LoadedApp,
): 'discard' | 'buffer' {
  if (unmatchedEvents !== undefined) return unmatchedEvents
  const isModern = invocables.some(
    ({ isHosted, bindings }) => isHosted || bindings.some(({ type }) => type === 'durableClient'),
  )
  return isModern || entry !== undefined ? 'buffer' : 'discard'
}
