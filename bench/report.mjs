/** What the measurements come to: a table for the console, one for README.md, and results.json. */

import { readFileSync, writeFileSync } from 'node:fs'
import { chart } from './chart.mjs'
import { engines } from './engines.mjs'
import { digits, jobs, rows, times } from './rows.mjs'
import { percentile } from './workloads.mjs'

const JOB_OF_ROW = { CPU: 'MEM' }

function jobOf(row) {
  if (row.name in jobs) return row.name
  return JOB_OF_ROW[row.name] ?? row.name.split('-')[0]
}

function median(values) {
  const middle = percentile(values, 0.5)
  return values.length % 2 ? middle : (middle + percentile(values, 0.5 - 1 / values.length)) / 2
}

/** One engine's figures of one row; undefined if it was not measured at all. */
function cell(row, engine, measurements) {
  const own = measurements.filter((one) => one.engine === engine && one.job === jobOf(row))
  if (own.length === 0) return undefined
  const values = own.map(({ figures }) => figures[row.name]).filter((value) => value !== undefined)
  const failed = own.find(({ figures, failed }) => failed && !(row.name in figures))?.failed
  if (values.length === 0) return { failed: failed ?? 'no figure' }
  const [min, max] = [Math.min(...values), Math.max(...values)]
  const missing = own.length - values.length
  const note = missing > 0 ? `${missing} of ${own.length} rounds failed: ${failed}` : undefined
  return { median: median(values), min, max, values, note }
}

/** How many times as fast the first engine is as another. */
function ratio(row, first, other) {
  if (!first?.median || !other?.median) return undefined
  return row.higher ? first.median / other.median : other.median / first.median
}

/** A row with each engine's figures, notes and ratio to durafn. */
function filled(row, names, measurements, facts) {
  const cells = {}
  for (const name of row.alone ? ['durafn'] : names) {
    const found = cell(row, name, measurements)
    if (!found) continue
    const own = found.failed ? undefined : facts[name]?.notes?.[jobOf(row)]
    cells[name] = { ...found, note: [found.note, own].filter(Boolean).join(' ') || undefined }
    if (name !== 'durafn') cells[name].ratio = ratio(row, cells.durafn, found)
  }
  return { ...row, cells }
}

/** A row that only durafn has and that has no figure is shown once, not for each of its parts. */
function worthShowing({ name, alone, cells }) {
  if (Object.keys(cells).length === 0) return false
  return !alone || 'median' in (cells.durafn ?? {}) || !name.includes('-')
}

export function summarize(environment, names, measurements, how) {
  const facts = {}
  for (const { engine, facts: found } of measurements) facts[engine] ??= found
  const known = Object.fromEntries(
    names.map((name) => [name, { label: engines[name].label, ...facts[name] }]),
  )
  const all = rows.map((row) => filled(row, names, measurements, facts))
  return { environment, ...how, engines: known, rows: all.filter(worthShowing) }
}

/** Numbers notes in the order of their first use; the same note keeps its number. */
function numbered() {
  const notes = []
  const number = (note) => {
    if (!notes.includes(note)) notes.push(note)
    return notes.indexOf(note) + 1
  }
  return { notes, number }
}

function range({ min, max, values }) {
  return values.length > 1 ? `${digits(min)}–${digits(max)}` : ''
}

/** The engines that could be opened; W6, MEM and LIST open hubs of their own and say nothing of it. */
function opened(summary) {
  return Object.values(summary.engines).filter(({ durability }) => durability)
}

function titles(summary) {
  return Object.values(summary.engines).map(({ label, version }) => `${label} ${version ?? ''}`)
}

function heading({ environment: at, rounds, quick }) {
  const how = rounds === 1 ? 'One round' : `Median of ${rounds} rounds`
  return (
    `${how}${quick ? ', --quick' : ''}, ${at.date}, commit ${at.commit}, Node ${at.node}, ` +
    `${at.cpu}, ${at.memory}, ${at.fileSystem}, a synced 4 KiB write takes ${digits(at.syncMs)} ms`
  )
}

export function text(summary) {
  const { notes, number } = numbered()
  const table = [['', 'what', 'goal', ...titles(summary)]]
  for (const row of summary.rows) {
    const cells = Object.keys(summary.engines).map((name) => {
      const found = row.cells[name]
      if (!found) return ''
      const mark = (found.failed ?? found.note) ? ` [${number(found.failed ?? found.note)}]` : ''
      if (found.failed) return `–${mark}`
      const faster = found.ratio ? ` ${times(found.ratio)}` : ''
      return `${digits(found.median)} (${range(found)})${faster}${mark}`.replace(' ()', '')
    })
    table.push([row.name, `${row.what}, ${row.unit}`, row.goal, ...cells])
  }
  const widths = table[0].map((_, column) => Math.max(...table.map((line) => line[column].length)))
  const lines = table.map((line) => line.map((cell, n) => cell.padEnd(widths[n])).join('  '))
  const durabilities = opened(summary).map(
    ({ label, version, node, store, durability }) =>
      `${label} ${version}: ${store}. ${durability}. Node ${node}.`,
  )
  return [
    ...lines.map((line) => line.trimEnd()),
    '',
    ...notes.map((note, n) => `[${n + 1}] ${note}`),
    ...general(summary),
    'N×: how many times as fast as that engine durafn is.',
    '',
    ...durabilities,
    heading(summary),
  ].join('\n')
}

function general(summary) {
  return Object.values(summary.engines).flatMap(({ notes }) => notes?.all ?? [])
}

function markdownRow(cells) {
  return `| ${cells.join(' | ')} |`
}

function markdownCell(found, number) {
  if (!found) return ''
  const note = found.failed ?? found.note
  const mark = note ? ` <sup>${number(note)}</sup>` : ''
  if (found.failed) return `–${mark}`
  const faster = found.ratio ? ` · ${times(found.ratio)}` : ''
  const spread = range(found) && `<br><sub>${range(found)}</sub>`
  return `${digits(found.median)}${faster}${mark}${spread}`
}

function results(summary, chosen) {
  const { notes, number } = numbered()
  const names = Object.keys(summary.engines).filter((name) => chosen.some((row) => row.cells[name]))
  const shown = names.map((name) => summary.engines[name])
  const lines = [
    markdownRow(['', 'what', 'unit', 'goal', ...shown.map(({ label }) => label)]),
    markdownRow(['---', '---', '---', '---:', ...shown.map(() => '---:')]),
    ...chosen.map((row) => {
      const cells = names.map((name) => markdownCell(row.cells[name], number))
      return markdownRow([row.name, row.what, row.unit, row.goal, ...cells])
    }),
  ]
  return [...lines, '', ...notes.map((note, n) => `<sup>${n + 1}</sup> ${note}  `)]
}

export function markdown(summary) {
  const shared = summary.rows.filter((row) => !row.alone)
  const alone = summary.rows.filter((row) => row.alone)
  const facts = opened(summary).map(({ label, version, store, durability, node }) =>
    markdownRow([`${label} ${version}`, store, durability, node]),
  )
  return [
    `${heading(summary)}.`,
    '',
    ...(shared.length > 0 ? results(summary, shared) : []),
    ...general(summary).map((note) => `${note}  `),
    'N×: how many times as fast as that engine durafn is.',
    ...(summary.rounds > 1 ? ['In small print: the lowest and the highest round.'] : []),
    '',
    '![The same figures as bars](chart.svg)',
    '',
    '| engine | store | durability | Node |',
    '|---|---|---|---|',
    ...facts,
    ...(alone.length > 0 ? ['', 'durafn alone:', '', ...results(summary, alone)] : []),
  ].join('\n')
}

/** Writes results.json, chart.svg, and the part of README.md between its two marks. */
export function write(summary) {
  const at = (name) => new URL(name, import.meta.url)
  writeFileSync(at('./results.json'), `${JSON.stringify(summary, null, 2)}\n`)
  writeFileSync(at('./chart.svg'), chart(summary))
  const readme = readFileSync(at('./README.md'), 'utf8')
  const [before, rest] = readme.split('<!-- results -->')
  const after = rest.split('<!-- end of results -->')[1]
  const marked = `<!-- results -->\n\n${markdown(summary)}\n\n<!-- end of results -->`
  writeFileSync(at('./README.md'), `${before}${marked}${after}`)
}
