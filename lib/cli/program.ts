/**
 * The command line: its commands and what they have in common.
 *
 * Owns: the program, `backup` and `stats`, and the exit code.
 * Must never: hold what a command does; that is in the files beside.
 * Proved by: `__test__/cli.spec.mjs`.
 */

import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { oneLine } from '../printable.js'
import { addHost, exit } from './host.js'
import { addInstances } from './instances.js'
import { print, printError, printJson, printTable } from './output.js'
import { type StoreOptions, withExisting, withStore } from './store.js'

/** Runs the command that the arguments ask for. Errors are printed, and the exit code is 1. */
export async function run(argv: readonly string[]): Promise<void> {
  process.stdout.on('error', ignoreClosedPipe)
  try {
    await makeProgram().parseAsync(argv)
  } catch (error) {
    printError(error)
    exit(1)
  }
}

function makeProgram(): Command {
  const program = new Command('durafn')
    .description('Durable functions: host a folder of functions, and work with its instances.')
    .version(version())
    .configureOutput({ outputError: (message, write) => write(wording(message)) })
    .addHelpText(
      'after',
      `
Every command works on the store given by --store, else by DURAFN_STORE, else on .durafn/hub.db in
the app's folder, which is the current one unless given.

Examples:
  $ durafn start functions
  $ durafn invoke StartBackup --dir functions --input '{"folder":"photos"}'
  $ durafn instances list --dir functions`,
    )
  addHost(program)
  addInstances(program)
  addBackup(program)
  addStats(program)
  return program
}

function addBackup(program: Command): void {
  withStore(program.command('backup <file>'))
    .description('copy the hub, while it runs, to a new file')
    .addHelpText(
      'after',
      `
The file must not exist yet.

Example:
  $ durafn backup hub-$(date +%F).db`,
    )
    .action((file: string, options: StoreOptions) =>
      withExisting(options, async (client) => {
        await client.backup(file)
        print(`Copied to ${resolve(file)}`)
      }),
    )
}

function addStats(program: Command): void {
  withStore(program.command('stats'))
    .description('what the store holds and how it fares: sizes, and dead rows on a server')
    .option('--json', 'the same as JSON')
    .addHelpText(
      'after',
      `
Example:
  $ durafn stats --store postgres://app@db/flows --json`,
    )
    .action((options: StoreOptions & { json?: boolean }) =>
      withExisting(options, async (client) => {
        const stats = await client.storeStats()
        if (options.json) return printJson(stats)
        const free = stats.freeBytes === undefined ? '' : `, ${stats.freeBytes} of them free`
        print(`${stats.bytes} bytes${free}`)
        if (stats.tables.length === 0) return
        printTable(
          ['TABLE', 'ROWS', 'DEAD ROWS', 'BYTES', 'VACUUMED'],
          stats.tables.map(({ name, rows, deadRows, bytes, vacuumed }) => [
            name,
            String(rows),
            String(deadRows),
            String(bytes),
            vacuumed?.toISOString() ?? 'never',
          ]),
        )
      }),
    )
}

/** Errors of the arguments read like all others. */
function wording(message: string): string {
  const line = message
    .trim()
    .replace(/^error: /, '')
    .split('\n')
    .join(' ')
  return `${oneLine(`durafn: InvalidOption: ${line.replace(/[^.!?]$/, '$&.')} See --help.`)}\n`
}

function version(): string {
  const file = join(__dirname, '..', '..', 'package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** `durafn instances list | head` is no error. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
}
