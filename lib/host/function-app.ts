/**
 * Function apps: folders of functions, as the original runs them.
 *
 * Owns: loading a folder into a registry, opening its hub, and the calls of manual functions.
 * Must never: handle a signal of the process, or end it; the command line does.
 * Proved by: `__test__/host.spec.mjs`.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { App } from '../app.js'
import { invalid } from '../check.js'
import type { DurableClient } from '../client.js'
import { HubClosed, NotRegistered } from '../errors.js'
import { type CloseOptions, type OpenOptions, open, type TaskHub } from '../hub.js'
import { checkLogger, Log } from '../log.js'
import type { AsyncHandler, GeneratorHandler } from '../types.js'
import { callActivity, callManual, callOrchestrator } from './context.js'
import {
  appDirectory,
  type FunctionKind,
  isObject,
  readFunctions,
  readObject,
  refused,
} from './function-json.js'
import { hostDirectory } from './package-require.js'
import { type LoadedFunction, loadFunction } from './script.js'

/** As `OpenOptions`, with defaults of the folder. */
export interface FunctionAppOptions extends Omit<OpenOptions, 'threads'> {
  /** `sqlite:PATH`. Default: the environment's `DURAFN_STORE`, else `.durafn/hub.db` in the folder. */
  store?: string | undefined
  /** A registry to add the functions to. Default: a new one. */
  app?: App | undefined
  /** Default: 'discard'; in an app with a `durableClient` binding 'buffer', unless `host.json` says. */
  unmatchedEvents?: 'discard' | 'buffer' | undefined
}

/** A function of an app. */
export interface FunctionInfo {
  readonly name: string
  readonly kind: FunctionKind
  /** Its `function.json`. */
  readonly file: string
  /** Whether `function.json` says so; it is not loaded then. */
  readonly isDisabled: boolean
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
  if (typeof handler === 'function') return handler
  throw invalid(
    'handler',
    'must be a function: df.orchestrator(function* (context) { … })',
    handler,
  )
}

/**
 * Opens a function app: a folder with a folder for each function, which holds `function.json` and
 * the script. Loads all of it, opens the hub and runs its workers.
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
  const path = appDirectory(directory)
  const functions = readFunctions(path)
  hostDirectory(path)
  const loaded: LoadedFunction[] = []
  for (const func of functions) if (!func.isDisabled) loaded.push(await loadFunction(func))
  const app = options?.app ?? new App()
  if (!(app instanceof App)) throw invalid('options.app', 'must be an App', app)
  // An activity may run before `open` has told its caller that the hub is open.
  const client = async (): Promise<DurableClient> => (await opening).client
  for (const func of loaded) register(app, func, client)
  const opening = open({
    ...options,
    app,
    store: options?.store ?? defaultStore(path),
    unmatchedEvents: options?.unmatchedEvents ?? unmatchedEventsOf(path, loaded),
  })
  const hub = await opening
  const log = new Log(checkLogger(options?.logger, 'options.logger'))
  return new FunctionApp(path, hub, functions, loaded, log)
}

/** A function app whose hub is open. */
export class FunctionApp implements AsyncDisposable {
  /** Its folder. */
  readonly directory: string
  readonly hub: TaskHub
  /** The client of the hub. */
  readonly client: DurableClient
  /** All functions of the folder, by name. */
  readonly functions: readonly FunctionInfo[]
  readonly #loaded: readonly LoadedFunction[]
  readonly #log: Log
  #isClosed = false

  /** @internal */
  constructor(
    directory: string,
    hub: TaskHub,
    functions: readonly FunctionInfo[],
    loaded: readonly LoadedFunction[],
    log: Log,
  ) {
    this.directory = directory
    this.hub = hub
    this.client = hub.client
    this.functions = functions.map(({ name, kind, file, isDisabled }) => {
      return { name, kind, file, isDisabled }
    })
    this.#loaded = loaded
    this.#log = log
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
    const info = this.functions.find((each) => each.name.toLowerCase() === name.toLowerCase())
    const func = this.#loaded.find((each) => each.name === info?.name)
    if (info !== undefined) requireManual(info)
    if (func !== undefined) return callManual(func, input, this.client, this.#log)
    const names = this.#loaded.filter(({ kind }) => kind === 'manual').map((each) => each.name)
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

function register(app: App, func: LoadedFunction, client: () => Promise<DurableClient>): void {
  const { name } = func
  if (func.kind === 'orchestration') {
    app.orchestration(name, (context) => callOrchestrator(func, context))
  } else if (func.kind === 'activity') {
    app.activity(name, {
      handler: async (input, context) => callActivity(func, input, context, await client()),
    })
  }
}

/** What the app's generation documents, unless `host.json` says otherwise. */
function unmatchedEventsOf(directory: string, functions: LoadedFunction[]): 'discard' | 'buffer' {
  const file = join(directory, 'host.json')
  const said = existsSync(file) ? hostSetting(readObject(file)) : undefined
  if (said === 'discard' || said === 'buffer') return said
  if (said !== undefined) {
    throw refused(file, 'durableTask.unmatchedEvents', "must be 'discard' or 'buffer'")
  }
  const isModern = functions.some(({ clients }) =>
    clients.some(({ type }) => type === 'durableClient'),
  )
  return isModern ? 'buffer' : 'discard'
}

/** `extensions.durableTask.unmatchedEvents`, and before version 2 `durableTask.unmatchedEvents`. */
function hostSetting(host: Record<string, unknown>): unknown {
  const { extensions } = host
  const nested = isObject(extensions) ? extensions['durableTask'] : undefined
  const settings = nested ?? host['durableTask']
  return isObject(settings) ? settings['unmatchedEvents'] : undefined
}
