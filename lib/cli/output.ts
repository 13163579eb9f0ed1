/**
 * Everything that the command line prints.
 *
 * Owns: the two streams, tables, and how an error becomes one line.
 * Must never: decide what happened; it is told. Nor let a control character of what it is told through.
 * Proved by: `__test__/cli.spec.mjs`, `__test__/printable.spec.mjs`.
 */

import { DurableError } from '../errors.js'
import { messageOf } from '../failure.js'
import type { Logger } from '../log.js'
import { indented, laidOut, oneLine, shownJson } from '../printable.js'

const GAP = '  '
/** How much of the last column is shown; on a terminal what fits, but not less than this. */
const LAST_CHARS = 100
const LAST_CHARS_MIN = 20
const DIM = '\u001b[2m'
const RESET = '\u001b[0m'

/** What the user asked for: a line on stdout. */
export function print(line = ''): void {
  printRaw(oneLine(line))
}

/** What is beside it: a line on stderr. */
export function note(line: string): void {
  noteRaw(oneLine(line))
}

function printRaw(text: string): void {
  process.stdout.write(`${text}\n`)
}

function noteRaw(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** A value as JSON, for programs. */
export function printJson(value: unknown): void {
  printRaw(shownJson(JSON.stringify(value ?? null, null, 2)))
}

/** Rows under headings, each column as wide as its widest cell; only the last may be cut. */
export function printTable(
  headings: readonly string[],
  cells: readonly (readonly string[])[],
): void {
  const rows = cells.map((row) => row.map(oneLine))
  const last = headings.length - 1
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + GAP.length, 0)
  const { isTTY, columns } = process.stdout
  const room = isTTY ? Math.max((columns || 80) - before, LAST_CHARS_MIN) : LAST_CHARS
  const lineOf = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === last ? cut(cell, room) : cell.padEnd(widths[column] ?? 0)))
      .join(GAP)
      .trimEnd()
  printRaw(dim(lineOf(headings)))
  for (const row of rows) printRaw(lineOf(row))
}

/** Names and values, one pair a line. */
export function printPairs(pairs: readonly (readonly [string, string])[]): void {
  const width = Math.max(...pairs.map(([name]) => name.length))
  for (const [name, value] of pairs) {
    const [first = '', ...more] = value.split('\n')
    printRaw(`${dim(name.padEnd(width))}${GAP}${oneLine(first)}`)
    for (const line of more) print(`${' '.repeat(width)}${GAP}${line}`)
  }
}

function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`
}

function dim(text: string): string {
  return process.stdout.isTTY && !process.env['NO_COLOR'] ? `${DIM}${text}${RESET}` : text
}

// ------------------------------------------------------------------ errors

/** What to do about an error whose message does not say it, by code. */
const remedies: Record<string, string> = {
  HubInUse: 'Stop the other process, or use another store (--store).',
  InstanceAlreadyExists: 'Choose another --id, or say --on-conflict return or terminate.',
  InstanceEnded: '`durafn instances get ID` shows how it ended.',
  InstanceNotEnded: 'Terminate it first: `durafn instances terminate ID --reason TEXT`.',
  InstanceNotFound: '`durafn instances list` shows the ids that there are.',
  NotAHub: 'Name the file of a hub by --store sqlite:PATH or DURAFN_STORE.',
  NotRewindable: '`durafn instances get ID` shows its status.',
}

/**
 * One line that says what went wrong, by code, and what to do. Of an error that code of the user's
 * threw, the stack follows.
 */
export function printError(error: unknown): void {
  if (error instanceof DurableError) {
    const { code } = error
    const remedy = remedies[code] ?? ''
    const stop = /[.!?`\n]$/.test(error.message) ? '' : '.'
    noteRaw(indented(`durafn: ${code}: ${error.message}${stop} ${remedy}`))
    if (error.code === 'InvalidFunction') printStack(error.cause)
    return
  }
  noteRaw(indented(`durafn: ${nameOf(error)}: ${messageOf(error)}`))
  printStack(error)
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'Error'
}

/** The stack without the line that repeats the message. */
function printStack(error: unknown): void {
  if (!(error instanceof Error) || typeof error.stack !== 'string') return
  const frames = error.stack.split('\n').filter((line) => /^\s+at /.test(line))
  for (const frame of frames) note(frame)
}

// ------------------------------------------------------------------ logs

const say = (line: string): void => printRaw(laidOut(line))
const warn = (line: string): void => noteRaw(laidOut(line))

/** For a host. */
export const hostLogger: Logger = { debug: () => {}, info: say, warn, error: warn }

/** For `invoke`: stdout is for the result alone. */
export const stderrLogger: Logger = { debug: () => {}, info: warn, warn, error: warn }
