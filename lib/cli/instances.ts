/**
 * `durafn instances …`: everything that can be done to instances from another terminal.
 *
 * Owns: the commands, each one call of the client.
 * Must never: run a worker.
 * Proved by: `__test__/cli.spec.mjs`.
 */

import type { Command } from 'commander'
import type { ConnectedClient } from '../connected-client.js'
import { DurableError, InstanceNotFound, InvalidOption } from '../errors.js'
import type { RaiseEventOutcome } from '../raised.js'
import type { OnConflict } from '../requests.js'
import type { OrchestrationStatus } from '../status.js'
import { type FilterOptions, filterOf, jsonOption, parseCount, withFilter } from './arguments.js'
import { printInstance, printInstances } from './format.js'
import { note, print, printJson } from './output.js'
import { type StoreOptions, withClient, withExisting, withStore } from './store.js'

interface Options extends StoreOptions {
  json?: boolean
}

interface ReasonOptions extends Options {
  reason?: string
  recursive?: boolean
}

const TOP_DEFAULT = 100
const TOP_MAX = 1_000

export function addInstances(program: Command): void {
  const instances = program
    .command('instances')
    .description('start, query, terminate and send events to instances, while they run')
    .addHelpText(
      'after',
      `
Examples:
  $ durafn instances list --status Running Failed
  $ durafn instances get order-1 --history
  $ durafn instances start Order --id order-1 --input '{"total":12}'
  $ durafn instances raise-event order-1 Approve --data '{"by":"Ada"}'
  $ durafn instances terminate order-1 --reason 'not needed any more'`,
    )
  addQueries(instances)
  addStart(instances)
  addRaiseEvent(instances)
  addVerbs(instances)
  addPurge(instances)
}

/** A command with the options that all have. */
function add(instances: Command, nameAndArguments: string, description: string): Command {
  const command = instances.command(nameAndArguments).description(description)
  return withStore(command).option('--json', 'print JSON, with the names of getStatus')
}

// ------------------------------------------------------------------ list, get

function addQueries(instances: Command): void {
  withFilter(add(instances, 'list', 'list instances, in the order in which they were scheduled'))
    .option('--top <count>', `how many at most, up to ${TOP_MAX}`, parseCount, TOP_DEFAULT)
    .option('--cursor <cursor>', 'go on where the page before ended')
    .action((options: Options & FilterOptions & { top: number; cursor?: string }) =>
      withExisting(options, async (client) => {
        const { top, cursor = null } = options
        const page = await client.list({ ...filterOf(options), top, cursor })
        if (options.json) printJson(page.instances)
        else if (page.instances.length > 0) printInstances(page.instances)
        else note('No instances.')
        if (page.cursor !== null) note(`There are more: add --cursor '${page.cursor}'`)
      }),
    )
  add(instances, 'get <id>', 'show one instance, pending or not')
    .option('--history', 'with its history')
    .action((id: string, options: Options & { history?: boolean }) =>
      withExisting(options, async (client) => {
        const showHistory = options.history === true
        const parts = { pending: true, showHistory, showHistoryOutput: showHistory }
        const status = await client.getStatus(id, parts)
        if (status === null) throw notFound(id)
        if (options.json) printJson(status)
        else printInstance(status)
      }),
    )
}

// ------------------------------------------------------------------ start, raise-event

function addStart(instances: Command): void {
  add(instances, 'start <name>', 'start an orchestrator function; prints the id')
    .addOption(jsonOption('--input <json>', 'its input'))
    .option('--id <id>', 'the id of the instance; default: a random one')
    .option('--orchestration-version <version>', "its version; default: the hub's")
    .option('--on-conflict <what>', "if the id is in use: 'error', 'return' or 'terminate'")
    .action(
      (
        name: string,
        options: Options & {
          input?: unknown
          id?: string
          orchestrationVersion?: string
          onConflict?: OnConflict
        },
      ) =>
        withClient(options, async (client) => {
          const { input, id: instanceId, orchestrationVersion: version, onConflict } = options
          const started = await client.startNew(name, { input, instanceId, version, onConflict })
          if (options.json) await printStatus(client, started)
          else print(started)
        }),
    )
}

function addRaiseEvent(instances: Command): void {
  add(instances, 'raise-event <id> <name>', 'send an event; fails if it is discarded')
    .addOption(jsonOption('--data <json>', 'what the orchestrator gets'))
    .action((id: string, name: string, options: Options & { data?: unknown }) =>
      withExisting(options, async (client) => {
        const outcome = await client.raiseEvent(id, name, options.data)
        if (options.json) printJson(outcome)
        if (outcome.outcome === 'discarded') throw discarded(id, name, outcome)
        if (options.json) return
        print(outcome.outcome === 'delivered' ? 'Delivered.' : 'Buffered until it is waited for.')
      }),
    )
}

function discarded(
  instanceId: string,
  name: string,
  { reason }: RaiseEventOutcome & { outcome: 'discarded' },
): DurableError {
  if (reason === 'NotFound') return notFound(instanceId, `event '${name}' was discarded`)
  const why =
    reason === 'Ended'
      ? 'has ended'
      : "does not wait for it; wait until `durafn instances get ID` shows that it does, or open the hub with unmatchedEvents: 'buffer'"
  return new DurableError(
    `Event '${name}' was discarded, as instance '${instanceId}' ${why}. Nothing was changed.`,
    { code: reason === 'Ended' ? 'InstanceEnded' : 'NotWaiting', instanceId },
  )
}

// ------------------------------------------------------------------ terminate and its like

function addVerbs(instances: Command): void {
  addVerb(instances, 'terminate', 'end an instance; the reason becomes its output', true)
  addVerb(instances, 'suspend', 'hold an instance; messages and results are kept', true)
  addVerb(instances, 'resume', 'let a suspended or held instance go on', true)
  addVerb(instances, 'rewind', 'let a failed instance go on from where it failed', false)
}

function addVerb(
  instances: Command,
  verb: 'terminate' | 'suspend' | 'resume' | 'rewind',
  description: string,
  canRecurse: boolean,
): void {
  const command = add(instances, `${verb} <id>`, description)
  command.option('--reason <text>', 'why; shown and logged')
  if (canRecurse) command.option('--recursive', 'reach its sub-orchestrations too')
  command.action((id: string, options: ReasonOptions) =>
    withExisting(options, async (client) => {
      const { reason, recursive = false } = options
      if (verb === 'rewind') await client.rewind(id, reason)
      else await client[verb](id, reason, { recursive })
      if (options.json) await printStatus(client, id)
      else print(`Asked for: ${verb} of ${id}.`)
    }),
  )
}

// ------------------------------------------------------------------ purge

function addPurge(instances: Command): void {
  withFilter(
    add(instances, 'purge [id]', 'delete ended instances: one, or all that a filter lets pass'),
  )
    .option('--all', 'all that have ended')
    .action((id: string | undefined, options: Options & FilterOptions & { all?: boolean }) =>
      withExisting(options, async (client) => {
        const result = await purge(client, id, options)
        if (options.json) printJson(result)
        else print(`Purged: ${result.instancesDeleted}.`)
      }),
    )
}

async function purge(
  client: ConnectedClient,
  id: string | undefined,
  options: FilterOptions & { all?: boolean },
): Promise<{ instancesDeleted: number }> {
  const filter = filterOf(options)
  const isFiltered = Object.keys(filter).length > 0
  if ([id !== undefined, isFiltered, options.all === true].filter(Boolean).length !== 1) {
    throw new InvalidOption('purge takes one of: an id, a filter (such as --status), or --all.')
  }
  if (id === undefined) return client.purgeInstanceHistoryBy(filter)
  const result = await client.purgeInstanceHistory(id)
  if (result.instancesDeleted === 0) throw notFound(id)
  return result
}

// ------------------------------------------------------------------

async function printStatus(client: ConnectedClient, id: string): Promise<void> {
  const status: OrchestrationStatus | null = await client.getStatus(id, { pending: true })
  printJson(status)
}

function notFound(instanceId: string, also = ''): InstanceNotFound {
  const what = also === '' ? '' : `, and ${also}`
  return new InstanceNotFound(`There is no instance '${instanceId}'${what}.`, { instanceId })
}
