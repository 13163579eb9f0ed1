/**
 * `durafn start` and `durafn invoke`: function folders from the command line.
 *
 * Owns: the signals of the host's process, and when it ends.
 * Must never: run a worker for `invoke`.
 * Proved by: `__test__/cli.spec.mjs`.
 */

import { type Command, InvalidArgumentError, Option } from 'commander'
import { DurableError, HubClosed } from '../errors.js'
import { ClientUrls } from '../host/client-urls.js'
import { HubEnvironment } from '../host/environment.js'
import { type FunctionApp, openFunctionApp, requireManual } from '../host/function-app.js'
import { appDirectory } from '../host/function-json.js'
import { loadOne } from '../host/load.js'
import { hostDirectory } from '../host/package-require.js'
import { createHttpApi } from '../http/api.js'
import { connect } from '../hub.js'
import { Log } from '../log.js'
import { jsonOption } from './arguments.js'
import { followParent, isSupervised, tellRunning } from './host-process.js'
import { keep } from './keep.js'
import { hostLogger, print, printError, printJson, printTable, stderrLogger } from './output.js'
import { type StoreOptions, shownStore, storeOf, withStore } from './store.js'
import { watch } from './watch.js'

export function addHost(program: Command): void {
  program
    .command('start [dir]')
    .description('host a folder of functions: load it, open its hub and run its workers')
    .option('--store <store>', 'sqlite:PATH; default: DURAFN_STORE, else .durafn/hub.db in DIR')
    .addOption(
      new Option('--port <number>', 'serve HTTP on this port; 0: any that is free')
        .default(PORT_DEFAULT)
        .argParser(parsePort),
    )
    .option('--host <address>', 'where to listen; default: this machine alone', '127.0.0.1')
    .option('--allowed-hosts <names...>', 'other names that requests may have it by; *: any')
    .option(
      '--no-auth',
      'ask for no keys, for development; only while this machine alone is listened to',
    )
    .option('--public-url <url>', 'where callers reach it, for the URLs that they are given')
    .option('--watch', 'start anew when a file of the folder changes')
    .option('--restart', 'start again what ended by itself; default, unless a supervisor does that')
    .option('--no-restart', 'run in this process, and end with it')
    .addHelpText(
      'after',
      `
A function is a folder with function.json and index.js, or is registered with app of @azure/functions
4 by the main of package.json. On SIGTERM or SIGINT (Ctrl-C) the host answers the requests under way,
lets running activities end and exits; instances go on at the next start. A host that ends by itself is
started again, unless a supervisor does that (systemd, pm2, a container's).

Examples:
  $ durafn start
  $ durafn start functions --port 8080
  $ durafn start functions --watch --no-auth
  $ durafn start functions --store sqlite:/var/lib/orders/hub.db`,
    )
    .action((dir: string | undefined, options: StartOptions) =>
      start({ ...options, dir: dir ?? '.' }),
    )
  withStore(program.command('invoke <name>'))
    .description('run a manual function in this process, as a client of the hub; prints its result')
    .addOption(jsonOption('--input <json>', 'its input'))
    .addHelpText(
      'after',
      `
The host may run or not: what the function starts is kept until one does.

Examples:
  $ durafn invoke StartBackup --input '{"folder":"photos"}'
  $ durafn invoke StartBackup --dir functions --store sqlite:/var/lib/orders/hub.db`,
    )
    .action(invoke)
}

// ------------------------------------------------------------------ start

const PORT_DEFAULT = 7071

interface StartOptions extends StoreOptions {
  port: number
  host: string
  allowedHosts?: string[]
  auth: boolean
  publicUrl?: string
  watch?: boolean
  /** Undefined: unless a supervisor does. */
  restart?: boolean
}

function parsePort(given: string): number {
  if (/^\d+$/.test(given) && Number(given) <= 65_535) return Number(given)
  throw new InvalidArgumentError('It must be a whole number from 0 to 65535.')
}

async function start(options: StartOptions & { dir: string }): Promise<void> {
  if (options.watch) return watch(options.dir)
  if (options.restart ?? !isSupervised()) return keep()
  // Before anything else, so that no signal finds the process without its handler.
  const stopping = stopSignal()
  followParent()
  const store = storeOf(options)
  enter(appDirectory(options.dir))
  const app = await openFunctionApp('.', {
    store,
    port: options.port,
    host: options.host,
    allowedHosts: options.allowedHosts,
    auth: options.auth,
    publicUrl: options.publicUrl,
    logger: hostLogger,
    onInvalidFunction: 'skip',
  })
  printLoaded(app, store)
  tellRunning(app.url)
  const isIdle = (): void => {
    printError(new HubClosed('The hub has stopped by itself; the lines above say why.'))
    process.exitCode = 1
  }
  process.once('beforeExit', isIdle)
  const signal = await stopping
  process.off('beforeExit', isIdle)
  print(`${signal}: letting running activities end ...`)
  await app.close()
  print('Stopped.')
  exit(0) // whatever timers or sockets the functions left open
}

/** As the original does, so that files beside the functions are found, and the code knows where it is. */
function enter(directory: string): void {
  process.chdir(directory)
  process.env['AZURE_FUNCTIONS_ENVIRONMENT'] ??= 'Development'
}

/** The second signal of a kind ends the process at once, as if there were no handler. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolveSignal) => {
    process.once('SIGINT', resolveSignal)
    process.once('SIGTERM', resolveSignal)
  })
}

function printLoaded(app: FunctionApp, store: string): void {
  print(`Function app  ${app.directory}`)
  print(`Store         ${shownStore(store)}`)
  print(`Keys          ${app.keyFile ?? 'none are asked for (--no-auth)'}`)
  print(`Address       ${app.url}`)
  print()
  printTable(
    ['FUNCTION', 'KIND', 'FILE'],
    app.functions.map(({ name, kind, file, isDisabled }) => {
      return [name, isDisabled ? `${kind}, disabled` : kind, file]
    }),
  )
  print()
  printRoutes(app)
  print('Running. Stop with Ctrl-C.')
}

function printRoutes({ url, functions }: FunctionApp): void {
  const rows = functions.flatMap(({ name, http }) => {
    if (http === undefined) return []
    const { methods, authLevel, route } = http
    return [[name, methods.join(', ') || 'all', authLevel, `${url}/${route}`]]
  })
  if (rows.length === 0) return
  printTable(['HTTP', 'METHODS', 'KEY', 'URL'], rows)
  print()
}

// ------------------------------------------------------------------ invoke

async function invoke(name: string, options: StoreOptions & { input?: unknown }): Promise<void> {
  const directory = appDirectory(options.dir ?? '.')
  hostDirectory(directory)
  const environment = new HubEnvironment({
    log: new Log(stderrLogger),
    client: () => connecting,
    payload: () => urls.binding(),
  })
  const func = await loadOne(directory, name, environment)
  requireManual(func)
  const connecting = connect({
    store: storeOf({ ...options, dir: directory }),
    hubName: options.hub,
    logger: false,
  })
  const client = await connecting
  // As a host at the default port would give them.
  const urls = new ClientUrls(client, createHttpApi(client), `http://127.0.0.1:${PORT_DEFAULT}`)
  const isIdle = (): void => {
    printError(
      new DurableError(
        `Function '${func.name}' has nothing left to wait for, and neither returned a promise nor called context.done.`,
        { code: 'InvalidFunction' },
      ),
    )
    process.exitCode = 1
  }
  process.once('beforeExit', isIdle)
  try {
    const { returnValue } = await func.invoke({ trigger: { value: options.input } })
    if (returnValue !== undefined) printJson(returnValue)
  } finally {
    process.off('beforeExit', isIdle)
    await urls.close(0)
    await client.close()
  }
  exit(0)
}

/** Ends the process when what was printed is out. */
export function exit(code: number): void {
  process.stdout.write('', () => process.exit(code))
}
