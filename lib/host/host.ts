/**
 * The host of a function app: what runs from its opening to its close.
 *
 * Owns: the order in which port, functions, hub and timers begin, and end.
 * Must never: handle a signal of the process, or end it; the command line does.
 * Proved by: `__test__/host.spec.mjs`, `__test__/host-server.spec.mjs`.
 */

import { join } from 'node:path'
import { App } from '../app.js'
import { Origin } from '../async-context.js'
import {
  invalid,
  type Options,
  optionalBoolean,
  optionalInteger,
  optionalMs,
  optionalOneOf,
  optionalString,
  optionsOf,
} from '../check.js'
import type { DurableClient } from '../client.js'
import { isClass } from '../entity-class.js'
import { InvalidOption } from '../errors.js'
import { messageOf } from '../failure.js'
import { createHttpApi, type HttpApi, type HttpApiOptions } from '../http/api.js'
import { hostsOf, isLoopback } from '../http/origins.js'
import { rememberOrigin, shareWebhooks } from '../http/responses.js'
import { HttpServer } from '../http/server.js'
import { type CloseOptions, type OpenOptions, open, type TaskHub } from '../hub.js'
import { checkLogger, Log } from '../log.js'
import { registerHosted } from '../sdk/hosted.js'
import { ClassicFunction, callEntity, callOrchestrator } from './classic.js'
import { ClientUrls } from './client-urls.js'
import { modelOf } from './core-module.js'
import type { Entry } from './entry.js'
import { HubEnvironment } from './environment.js'
import type { FunctionAppOptions } from './function-app.js'
import { appDirectory } from './function-json.js'
import { withHooks } from './hooks.js'
import {
  applyLocalSettings,
  type HostSettings,
  type LocalSettings,
  readHostSettings,
} from './host-json.js'
import type { Invocable } from './invocation.js'
import { isDisabledBySetting, type LoadedApp, loadFunctions } from './load.js'
import { hostDirectory } from './package-require.js'
import { Timers } from './timers.js'
import { hostRoutes } from './web.js'

/** A host that runs. */
export interface Host {
  readonly directory: string
  readonly hub: TaskHub
  readonly loaded: LoadedApp
  readonly api: HttpApi
  readonly server: HttpServer | undefined
  close(options?: CloseOptions): Promise<void>
}

const HOST_DEFAULT = '127.0.0.1'
const PORT_DEFAULT = 7071
const PORT_MAX = 65_535
const DRAIN_TIMEOUT_MS_DEFAULT = 10_000

/** The store of a function app that is told of none. */
export function defaultStore(directory: string): string {
  return process.env['DURAFN_STORE'] || `sqlite:${join(directory, '.durafn', 'hub.db')}`
}

/** Opens a host: see `openFunctionApp`. */
export async function openHost(directory: string, options: FunctionAppOptions): Promise<Host> {
  if (typeof directory !== 'string') throw invalid('directory', 'must be a path', directory ?? null)
  const path = appDirectory(directory)
  const own = ownOptions(options, applyLocalSettings(path))
  const settings = readHostSettings(path)
  // Before all else: a port that is in use must not cost a start, and clients need its number.
  const server = own.port === undefined ? undefined : await HttpServer.listen(own.port, own.host)
  try {
    return await openOn(path, settings, own, server)
  } catch (error) {
    await server?.close(0)
    throw error
  }
}

interface OwnOptions {
  readonly isLenient: boolean
  readonly port: number | undefined
  readonly host: string
  readonly log: Log
  readonly app: App
  /** Those of the management API, checked where it is made. */
  readonly api: Pick<HttpApiOptions, 'allowedHosts' | 'allowedOrigins' | 'publicUrl' | 'keys'>
  /** Those of `open`. */
  readonly rest: Omit<OpenOptions, 'app'>
}

function ownOptions(options: FunctionAppOptions, local: LocalSettings): OwnOptions {
  if ((options as OpenOptions).threads) {
    throw invalid('options.threads', 'is for apps of a module; a folder runs in the calling thread')
  }
  const { onInvalidFunction, port, host, auth, app, ...others } = options
  const { allowedHosts, allowedOrigins = local.allowedOrigins, publicUrl, ...rest } = others
  const own: Options = { onInvalidFunction, port, host, auth }
  const chosen = app ?? new App()
  if (!(chosen instanceof App)) throw invalid('options.app', 'must be an App', chosen)
  const how = optionalOneOf(own, 'onInvalidFunction', 'options', ['refuse', 'skip'])
  const hostname = optionalString(own, 'host', 'options') ?? HOST_DEFAULT
  // What is not said is true.
  const isOpen = auth !== undefined && !optionalBoolean(own, 'auth', 'options')
  if (isOpen) requireLoopback(hostname)
  return {
    isLenient: how === 'skip',
    port: optionalInteger(own, 'port', 'options', 0, PORT_MAX),
    host: hostname,
    log: new Log(checkLogger(options.logger, 'options.logger')),
    app: chosen,
    api: { allowedHosts, allowedOrigins, publicUrl, keys: isOpen ? false : undefined },
    rest,
  }
}

/** Without keys whoever reaches the app may do anything with it. */
function requireLoopback(hostname: string): void {
  if (isLoopback(hostname)) return
  throw new InvalidOption(
    `options.host '${hostname}' is reached from other machines, which needs keys: leave out auth: false (--no-auth), or listen to 127.0.0.1.`,
    { field: 'options.host' },
  )
}

async function openOn(
  directory: string,
  settings: HostSettings,
  own: OwnOptions,
  server: HttpServer | undefined,
): Promise<Host> {
  const { log, app } = own
  hostDirectory(directory)
  if (server !== undefined) process.env['WEBSITE_HOSTNAME'] ??= `localhost:${server.port}`
  const { functionTimeoutMs } = settings
  // An activity may run before `open` has told its caller that the hub is open.
  const environment = new HubEnvironment({
    log,
    client: async () => (await opening).client,
    payload: async () => (await opening).urls.binding(),
    functionTimeoutMs,
  })
  const loaded = await loadFunctions(directory, {
    environment,
    routePrefix: settings.routePrefix,
    isLenient: own.isLenient,
    register: (func) => register(app, func, functionTimeoutMs),
  })
  for (const { message } of loaded.problems) log.engine('error', message)
  if (loaded.entry !== undefined) adopt(app, loaded.entry, functionTimeoutMs)
  const streamTo = await startApp(directory, loaded)
  const opening = openHub(directory, settings, own, loaded, server)
  const { hub, api, urls } = await opening
  api.router.add(...hostRoutes({ ...loaded, streamTo, log }))
  const { filePrefix } = hub.client
  const timersFile = filePrefix === null ? undefined : `${filePrefix}-timers.json`
  const timers = new Timers(loaded.timers, timersFile, log)
  server?.answerBy(api.listener)
  timers.start()
  const close = closing({ hub, api, server, urls, timers, loaded, log })
  return { directory, hub, loaded, api, server, close }
}

interface OpenHub {
  readonly hub: TaskHub
  /** What functions get. */
  readonly client: DurableClient
  readonly api: HttpApi
  readonly urls: ClientUrls
}

async function openHub(
  directory: string,
  settings: HostSettings,
  { rest, app, host, api: apiOptions }: OwnOptions,
  loaded: LoadedApp,
  server: HttpServer | undefined,
): Promise<OpenHub> {
  const clientSemantics = rest.clientSemantics ?? settings.clientSemantics
  const hub = await open({
    ...rest,
    clientSemantics,
    app,
    store: rest.store ?? defaultStore(directory),
    hubName: rest.hubName ?? settings.hubName,
    maxConcurrentActivities: rest.maxConcurrentActivities ?? settings.maxConcurrentActivities,
    http: rest.http ?? settings.http,
    defaultVersion: rest.defaultVersion ?? settings.defaultVersion,
    versionMatchStrategy: rest.versionMatchStrategy ?? settings.versionMatchStrategy,
    versionFailureStrategy: rest.versionFailureStrategy ?? settings.versionFailureStrategy,
    unmatchedEvents: rest.unmatchedEvents ?? unmatchedEventsOf(settings, loaded),
  })
  try {
    const allowedHosts = hostsOf(host, apiOptions.allowedHosts)
    const { bodyBytesMax } = settings
    const api = createHttpApi(hub, { ...apiOptions, bodyBytesMax, allowedHosts })
    const origin = apiOptions.publicUrl?.replace(/\/+$/, '') ?? originOf(server)
    // The functions of such an app were written for the original; whoever opens the app was not.
    const isLent = clientSemantics === undefined && isModern(loaded)
    const client = isLent ? hub.lend('azure') : hub.client
    rememberOrigin(hub.client, origin)
    shareWebhooks(hub.client, client)
    const urls = new ClientUrls(hub, api, origin)
    return { hub, client, api, urls }
  } catch (error) {
    await hub.close({ drainTimeoutMs: 0 })
    throw error
  }
}

/** Where this machine reaches what is served; where it would be served by default, if it is not. */
function originOf(server: HttpServer | undefined): string {
  const port = server?.port ?? PORT_DEFAULT
  const isAny = server === undefined || /\/\/(0\.0\.0\.0|\[::\]):/.test(server.url)
  return isAny ? `http://127.0.0.1:${port}` : server.url
}

/** Runs what an app wants to run when all of it is loaded; gives where it wants requests streamed to. */
async function startApp(directory: string, { entry }: LoadedApp): Promise<string | undefined> {
  if (entry === undefined) return undefined
  const { core } = entry
  const capabilities = (await modelOf(core)?.getCapabilities?.({})) as
    | Record<string, string>
    | undefined
  await core.runHooks('appStart', {
    hookData: core.hookData,
    appHookData: core.hookData,
    functionAppDirectory: directory,
  })
  return capabilities?.['HttpUri']
}

/** Runs what an app wants to run before it ends; it ends whatever that comes to. */
async function endApp({ entry }: LoadedApp, log: Log): Promise<void> {
  const core = entry?.core
  try {
    await core?.runHooks('appTerminate', { hookData: core.hookData, appHookData: core.hookData })
  } catch (error) {
    log.engine('error', `A hook for appTerminate failed: ${messageOf(error)}`)
  }
}

function closing(parts: {
  hub: TaskHub
  api: HttpApi
  server: HttpServer | undefined
  urls: ClientUrls
  timers: Timers
  loaded: LoadedApp
  log: Log
}): Host['close'] {
  const { hub, api, server, urls, timers, loaded, log } = parts
  const origin = new Origin()
  let closed: Promise<void> | undefined
  const end = async (options?: CloseOptions): Promise<void> => {
    const known = optionsOf(options, 'options', ['drainTimeoutMs'])
    const isEndless = known['drainTimeoutMs'] === Number.POSITIVE_INFINITY
    const given = optionalMs(known, 'drainTimeoutMs', 'options')
    const ms = given ?? (isEndless ? Number.POSITIVE_INFINITY : DRAIN_TIMEOUT_MS_DEFAULT)
    api.close()
    await Promise.all([server?.close(ms), timers.stop(ms)])
    try {
      // Activities that it waits for may still use their clients.
      await hub.close(options)
    } finally {
      await urls.close(0)
      await origin.run(() => endApp(loaded, log))
    }
  }
  return (options) => {
    closed ??= end(options)
    return closed
  }
}

// ------------------------------------------------------------------ functions

function register(app: App, func: Invocable, timeoutMs: number | undefined): void {
  const { name, kind } = func
  if (func.isHosted) registerHosted(app, func)
  else if (kind === 'orchestration' && func instanceof ClassicFunction) {
    const { loaded } = func
    app.orchestration(name, (context) => callOrchestrator(loaded, context))
  } else if (kind === 'entity' && func instanceof ClassicFunction) {
    const { loaded } = func
    const { run } = loaded
    app.entity(name, isClass(run) ? run : (context) => callEntity(loaded, context))
  } else if (kind === 'activity') {
    app.activity(name, {
      timeoutMs,
      handler: async (input, context) => {
        const data = { instanceId: context.instanceId }
        return (await func.invoke({ trigger: { value: input }, data, context })).returnValue
      },
    })
  }
}

/** Takes over what a v4 app has registered on `df.app`. */
function adopt(app: App, entry: Entry, functionTimeoutMs: number | undefined): void {
  app.adopt(entry.app, {
    isWanted: (name) => !isDisabledBySetting(name),
    prepare: (activity) => ({
      ...activity,
      handler: withHooks(entry.core, activity.handler),
      timeoutMs: activity.timeoutMs ?? functionTimeoutMs,
    }),
  })
}

/** What the app's generation documents, unless `host.json` says otherwise. */
function unmatchedEventsOf(
  { unmatchedEvents }: HostSettings,
  loaded: LoadedApp,
): 'discard' | 'buffer' {
  return unmatchedEvents ?? (isModern(loaded) ? 'buffer' : 'discard')
}

/** Whether an app is of a generation that documents Azure's newer ways. */
function isModern({ invocables, entry }: LoadedApp): boolean {
  if (entry !== undefined) return true
  return invocables.some(
    ({ isHosted, bindings }) => isHosted || bindings.some(({ type }) => type === 'durableClient'),
  )
}
