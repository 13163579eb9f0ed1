/**
 * Expressions in the settings of outputs: `{name}`, `{rand-guid}`, `{DateTime}`, `%SETTING%`.
 *
 * Owns: what they stand for, as in Azure, and that none reaches a handler as it is.
 * Must never: look into a setting that is no text.
 * Proved by: `__test__/host-expressions.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import type { BindingData } from '../azure/binding-data.js'
import { wallMs } from '../clock.js'
import { InvalidOption } from '../errors.js'
import { SETTING, settingOf } from './app-settings.js'
import { type Binding, isObject, refused } from './binding.js'

type Settings = Readonly<Record<string, unknown>>

/** `%NAME%`, `{name}`, `{name:format}`. */
const EXPRESSION = new RegExp(`${SETTING}|\\{([^{}:]*)(?::([^{}]*))?\\}`, 'g')

/**
 * The settings of an output, with what its expressions stand for in this call.
 *
 * @param data what is known of the call's trigger; asked for only if an expression needs it
 * @throws InvalidOption for a name that stands for nothing
 */
export function resolved(
  { name, type, settings }: Binding,
  functionName: string,
  data: () => BindingData,
): Settings {
  const texts = Object.entries(settings).filter(([, value]) => hasExpression(value))
  if (texts.length === 0) return settings
  const now = new Date(wallMs())
  const known = data()
  const found: Record<string, unknown> = { ...settings }
  for (const [field, text] of texts) {
    found[field] = String(text).replace(EXPRESSION, (whole, setting, path, format) => {
      const value =
        setting === undefined
          ? valueOfPath(String(path).trim(), format, { now, known, functionName })
          : settingOf(setting)
      if (value !== undefined) return value
      const names = Object.keys(known).join(', ')
      const where = `${field} '${text}' of output '${name}' (${type})`
      throw new InvalidOption(
        setting === undefined
          ? `Function '${functionName}': ${whole} in ${where} stands for nothing: the trigger has no such field. There are: ${names}.`
          : `Function '${functionName}': ${where} names the setting '${setting}', which is not set.`,
        { field },
      )
    })
  }
  return found
}

/**
 * Refuses an output whose expressions can never be resolved: a setting that is not set, a brace without its
 * other.
 *
 * @throws InvalidFunction
 */
export function checkExpressions({ name, settings }: Binding, where: string, file: string): void {
  for (const [field, text] of Object.entries(settings)) {
    if (typeof text !== 'string') continue
    const place = `${where}.${field}`
    const missing = [...text.matchAll(EXPRESSION)].find(([, setting]) => {
      return setting !== undefined && settingOf(setting) === undefined
    })?.[1]
    if (missing !== undefined) {
      const must = `of '${name}' names the setting '${missing}', which is not set: put it into Values of local.settings.json, or into the environment`
      throw refused(file, place, must)
    }
    if (/[{}]/.test(text.replace(EXPRESSION, ''))) {
      throw refused(file, place, `of '${name}' is '${text}', which has a brace without its other`)
    }
  }
}

function hasExpression(value: unknown): boolean {
  return typeof value === 'string' && value.search(EXPRESSION) >= 0
}

interface Known {
  readonly now: Date
  readonly known: BindingData
  readonly functionName: string
}

/** What a name, or a path of names, stands for; undefined: nothing. */
function valueOfPath(
  path: string,
  format: string | undefined,
  { now, known, functionName }: Known,
): string | undefined {
  switch (path.toLowerCase()) {
    case 'rand-guid':
    case 'sys.randguid':
      return guid(format)
    case 'datetime':
    case 'sys.utcnow':
      return dateText(now, format || DATE_DEFAULT)
    case 'sys.methodname':
      return functionName
  }
  let value: unknown = known
  for (const name of path.split('.')) {
    if (!isObject(value)) return undefined
    const key = Object.keys(value).find((each) => each.toLowerCase() === name.toLowerCase())
    if (key === undefined) return undefined
    value = value[key]
  }
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** By .NET's letters: N without hyphens, B in braces, P in parentheses. */
function guid(format: string | undefined): string {
  const text = randomUUID()
  const letter = (format ?? '').toUpperCase()
  if (letter === 'N') return text.replaceAll('-', '')
  if (letter === 'B') return `{${text}}`
  return letter === 'P' ? `(${text})` : text
}

/** Fit for names of files. */
const DATE_DEFAULT = 'yyyy-MM-ddTHH-mm-ssK'
const DATE_PARTS = /'[^']*'|\\.|yyyy|yy|M{1,4}|d{1,4}|HH?|hh?|mm?|ss?|f{1,7}|tt|K|z{1,3}/g

/** What each part stands for, by its first letter. */
const dateParts: Record<string, (time: Date, part: string) => string> = {
  "'": (_, part) => part.slice(1, -1),
  '\\': (_, part) => part.slice(1),
  y: (time, { length }) => padded(time.getUTCFullYear(), 4).slice(-length),
  M: (time, { length }) => {
    if (length < 3) return padded(time.getUTCMonth() + 1, length)
    return english(time, { month: length === 3 ? 'short' : 'long' })
  },
  d: (time, { length }) => {
    if (length < 3) return padded(time.getUTCDate(), length)
    return english(time, { weekday: length === 3 ? 'short' : 'long' })
  },
  H: (time, { length }) => padded(time.getUTCHours(), length),
  h: (time, { length }) => padded(time.getUTCHours() % 12 || 12, length),
  m: (time, { length }) => padded(time.getUTCMinutes(), length),
  s: (time, { length }) => padded(time.getUTCSeconds(), length),
  f: (time, { length }) => `${padded(time.getUTCMilliseconds(), 3)}0000`.slice(0, length),
  t: (time) => (time.getUTCHours() < 12 ? 'AM' : 'PM'),
  K: () => 'Z',
  z: (_, { length }) => (length === 3 ? '+00:00' : '+00'.slice(0, length + 1)),
}

/** A time of UTC by one of .NET's custom formats. */
function dateText(time: Date, format: string): string {
  return format.replace(DATE_PARTS, (part) => dateParts[part.charAt(0)]?.(time, part) ?? part)
}

function english(time: Date, options: Intl.DateTimeFormatOptions): string {
  return time.toLocaleString('en-US', { timeZone: 'UTC', ...options })
}

function padded(value: number, length: number): string {
  return String(value).padStart(length, '0')
}
