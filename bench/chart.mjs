/** The chart: a panel for each workload, a bar for each engine, on a logarithmic scale. SVG. */

import { digits, times } from './rows.mjs'

const COLUMNS = 2
const PANEL = { width: 430, gap: 30, title: 40, bar: 18, step: 24, axis: 26 }
const LABELS = 96
const VALUES = 92
const MARGIN = 24
const HEAD = 64

/** Fits light and dark pages: the colours follow the reader's setting. */
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .page { fill: #ffffff } .title { font-size: 16px; font-weight: 600 }
  .panel { font-size: 13px; font-weight: 600 } .faint { fill: #57606a; font-size: 11px }
  .grid { stroke: #d0d7de } .bar { fill: #8c959f } .own { fill: #0969da }
  .value { paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #0d1117 } .faint { fill: #8d96a0 }
    .grid { stroke: #30363d } .bar { fill: #6e7681 } .own { fill: #4493f8 }
    .value { stroke: #0d1117 }
  }`

function escaped(value) {
  return String(value).replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

function element(name, attributes, content = '') {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${value}"`)
  return `<${name}${written.join('')}>${content}</${name}>`
}

function label(x, y, content, attributes = {}) {
  return element('text', { x, y, ...attributes }, escaped(content))
}

/** The powers of ten that a panel's axis spans: one below the smallest figure's bar always shows. */
function scale(values, width) {
  const from = Math.floor(Math.log10(Math.min(...values)) - 0.1)
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))))
  const at = (value) => ((Math.log10(value) - from) / (to - from)) * width
  return { at, powers: Array.from({ length: to - from + 1 }, (_, n) => 10 ** (from + n)) }
}

function grid(powers, at, x, top, bottom) {
  const every = powers.length > 6 ? 2 : 1
  return powers.flatMap((power, n) => {
    const line = { x1: x + at(power), x2: x + at(power), y1: top, y2: bottom, class: 'grid' }
    const tick = power >= 1 ? power.toLocaleString('en-US') : String(Number(power.toPrecision(1)))
    const position = { class: 'faint', 'text-anchor': 'middle' }
    return [
      element('line', line),
      ...(n % every === 0 ? [label(x + at(power), bottom + 14, tick, position)] : []),
    ]
  })
}

function bar(found, { x, y, at, name, title }) {
  const middle = y + PANEL.bar / 2 + 4
  const parts = [label(x - 8, middle, title, { 'text-anchor': 'end' })]
  if (!found?.median) return [...parts, label(x + 6, middle, '–', { class: 'faint' })]
  const width = at(found.median).toFixed(1)
  const box = { x, y, width, height: PANEL.bar, rx: 2, class: name === 'durafn' ? 'own' : 'bar' }
  const faster = found.ratio ? ` · ${times(found.ratio)}` : ''
  return [
    ...parts,
    element('rect', box),
    label(x + Number(width) + 6, middle, `${digits(found.median)}${faster}`, { class: 'value' }),
  ]
}

function panel(row, summary, left, top) {
  const names = Object.keys(summary.engines).filter((name) => row.cells[name])
  const values = names.map((name) => row.cells[name].median).filter(Boolean)
  const { at, powers } = scale(values, PANEL.width - LABELS - VALUES)
  const x = left + LABELS
  const first = top + PANEL.title
  const bottom = first + names.length * PANEL.step
  const better = row.higher ? 'longer is better' : 'shorter is better'
  return [
    label(left, top + 14, `${row.name.split('-')[0]}  ${row.chart}`, { class: 'panel' }),
    label(left, top + 30, `${row.unit === '/s' ? 'a second' : row.unit}, ${better}`, {
      class: 'faint',
    }),
    ...grid(powers, at, x, first - 4, bottom),
    ...names.flatMap((name, n) => {
      const title = summary.engines[name].label
      return bar(row.cells[name], { x, y: first + n * PANEL.step, at, name, title })
    }),
  ]
}

export function chart(summary) {
  const shown = summary.rows.filter(
    (row) => row.chart && Object.values(row.cells).some(({ median }) => median),
  )
  const bars = Object.keys(summary.engines).length
  const height = PANEL.title + bars * PANEL.step + PANEL.axis + 16
  const width = 2 * MARGIN + COLUMNS * PANEL.width + PANEL.gap
  const total = HEAD + Math.ceil(shown.length / COLUMNS) * height + MARGIN
  const { environment, rounds } = summary
  const below = `${rounds === 1 ? 'one round' : `median of ${rounds}`}, logarithmic scale; N×: durafn is N times as fast; ${environment.cpu}`
  const parts = [
    element('style', {}, STYLE),
    element('rect', { width, height: total, class: 'page' }),
    label(MARGIN, 32, `durafn and other engines, each at its default durability`, {
      class: 'title',
    }),
    label(MARGIN, 50, `${environment.date.slice(0, 10)}, commit ${environment.commit}, ${below}`, {
      class: 'faint',
    }),
    ...shown.flatMap((row, n) => {
      const left = MARGIN + (n % COLUMNS) * (PANEL.width + PANEL.gap)
      return panel(row, summary, left, HEAD + 10 + Math.floor(n / COLUMNS) * height)
    }),
  ]
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${total}`,
    width,
    height: total,
    role: 'img',
    'aria-label': 'Bars: durafn and other engines, by workload',
  }
  return `${element('svg', attributes, `\n${parts.join('\n')}\n`)}\n`
}
