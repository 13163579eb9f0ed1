/**
 * Arguments and options as they come from the command line.
 *
 * Owns: their parsing, and what is said of a bad one.
 * Must never: guess; what is not JSON is refused.
 * Proved by: `__test__/cli.spec.mjs`.
 */

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ListOptions } from '../requests.js'
import { type OrchestrationRuntimeStatus, runtimeStatuses } from '../status.js'

export interface FilterOptions {
  name?: string
  prefix?: string
  status?: OrchestrationRuntimeStatus[]
  from?: Date
  to?: Date
}

/** An option whose value is JSON. */
export function jsonOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((given) => {
    try {
      return JSON.parse(given) as unknown
    } catch {
      throw new InvalidArgumentError(`It must be JSON; a text needs its quotes: '"text"'.`)
    }
  })
}

/** Adds the options that say which instances. */
export function withFilter(command: Command): Command {
  return command
    .option('--name <name>', 'only instances of this orchestrator function')
    .option('--prefix <text>', 'only ids that begin like this')
    .option('--status <status...>', `only these: ${runtimeStatuses.join(', ')}`, parseStatus)
    .option('--from <time>', 'only scheduled then or later, such as 2026-11-24T12:00', parseTime)
    .option('--to <time>', 'only scheduled then or earlier', parseTime)
}

export function filterOf({ name, prefix, status, from, to }: FilterOptions): ListOptions {
  const filter: ListOptions = {}
  if (name !== undefined) filter.name = name
  if (prefix !== undefined) filter.idPrefix = prefix
  if (status !== undefined) filter.runtimeStatus = status
  if (from !== undefined) filter.createdFrom = from
  if (to !== undefined) filter.createdTo = to
  return filter
}

export function parseCount(given: string): number {
  if (/^\d+$/.test(given)) return Number(given)
  throw new InvalidArgumentError('It must be a whole number.')
}

function parseStatus(
  given: string,
  before: OrchestrationRuntimeStatus[] | undefined,
): OrchestrationRuntimeStatus[] {
  const statuses = given.split(',').map((word) => {
    const status = runtimeStatuses.find((each) => each.toLowerCase() === word.trim().toLowerCase())
    if (status !== undefined) return status
    throw new InvalidArgumentError(`There are: ${runtimeStatuses.join(', ')}.`)
  })
  return [...(before ?? []), ...statuses]
}

function parseTime(given: string): Date {
  const time = new Date(given)
  if (!Number.isNaN(time.getTime())) return time
  throw new InvalidArgumentError('It must be a time, such as 2026-11-24 or 2026-11-24T12:00:00Z.')
}
