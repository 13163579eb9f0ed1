/**
 * Routes of http functions: templates such as `orders/{id:int}/{*rest}`.
 *
 * Owns: their grammar, what of a path they match, and which of two that match goes first.
 * Must never: look at a method or a key.
 * Proved by: `__test__/host-routes.spec.mjs`.
 */

import { firstLine, refused } from './binding.js'

/** A route that can be matched. */
export interface Route {
  /** As given, with the prefix. */
  readonly template: string
  /** Compared in order; the route with the lower one goes first. */
  readonly rank: readonly number[]
  /** The parameters of a path, decoded; null if it is not of this route. */
  match(path: string): Record<string, string> | null
}

type Check = (value: string) => boolean

interface Parameter {
  readonly name: string
  readonly isOptional: boolean
  readonly isRest: boolean
  readonly fallback: string | undefined
  readonly checks: readonly Check[]
}

interface Segment {
  /** The text before each parameter, and that after the last; compared without regard to case. */
  readonly texts: readonly string[]
  readonly parameters: readonly Parameter[]
  readonly rank: number
}

const INTEGER = /^[+-]?\d+$/
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i
const INT_MAX = 2_147_483_647

const plain: Record<string, Check> = {
  int: (value) => INTEGER.test(value) && Math.abs(Number(value)) <= INT_MAX,
  long: (value) => INTEGER.test(value),
  bool: (value) => /^(true|false)$/i.test(value),
  alpha: (value) => /^[a-z]*$/i.test(value),
  guid: (value) => /^\{?[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\}?$/i.test(value),
  decimal: (value) => NUMBER.test(value),
  double: (value) => NUMBER.test(value),
  float: (value) => NUMBER.test(value),
  datetime: (value) => !Number.isNaN(Date.parse(value)),
  required: (value) => value !== '',
}

const sized: Record<string, (...bounds: number[]) => Check> = {
  length:
    (min = 0, max = min) =>
    ({ length }) =>
      length >= min && length <= max,
  minlength:
    (min = 0) =>
    ({ length }) =>
      length >= min,
  maxlength:
    (max = 0) =>
    ({ length }) =>
      length <= max,
  min:
    (min = 0) =>
    (value) =>
      INTEGER.test(value) && Number(value) >= min,
  max:
    (max = 0) =>
    (value) =>
      INTEGER.test(value) && Number(value) <= max,
  range:
    (min = 0, max = 0) =>
    (value) =>
      INTEGER.test(value) && Number(value) >= min && Number(value) <= max,
}

/**
 * Reads a template.
 *
 * @param file named in the refusal of one that is none
 * @throws InvalidFunction
 */
export function parseRoute(prefix: string, template: string, file: string): Route {
  const whole = [prefix, template].map((part) => part.replace(/^\/+|\/+$/g, '')).filter(Boolean)
  const text = whole.join('/')
  const parts = splitOutsideBraces(text, '/')
  const segments = parts.map((part, index) =>
    parseSegment(part, index === parts.length - 1, template, file),
  )
  return {
    template: text,
    rank: segments.map(({ rank }) => rank),
    match: (path) => match(segments, path),
  }
}

/** Which of two routes goes first: literal text before parameters, and a rest last. */
export function compareRoutes(one: Route, other: Route): number {
  const length = Math.max(one.rank.length, other.rank.length)
  for (let i = 0; i < length; i++) {
    const difference = (one.rank[i] ?? 0) - (other.rank[i] ?? 0)
    if (difference !== 0) return difference
  }
  return one.template < other.template ? -1 : 1
}

function match(segments: readonly Segment[], path: string): Record<string, string> | null {
  const parts = path.split('/').filter((part) => part !== '')
  const params: Record<string, string> = {}
  for (const [index, segment] of segments.entries()) {
    const [first] = segment.parameters
    const given = first?.isRest ? parts.slice(index).join('/') : parts[index]
    if (given === undefined || given === '') {
      if (!takeFallback(segment, params)) return null
      continue
    }
    if (!takeSegment(segment, given, params)) return null
  }
  const takesAll = segments.at(-1)?.parameters[0]?.isRest === true
  return takesAll || parts.length <= segments.length ? params : null
}

/** What a parameter that the path leaves out becomes; false if it must be there. */
function takeFallback({ parameters }: Segment, params: Record<string, string>): boolean {
  const [parameter, second] = parameters
  if (parameter === undefined || second !== undefined) return false
  const { name, isOptional, isRest, fallback } = parameter
  if (!isOptional && !isRest && fallback === undefined) return false
  if (fallback !== undefined) params[name] = fallback
  return true
}

function takeSegment(segment: Segment, given: string, params: Record<string, string>): boolean {
  const found = split(segment, given)
  if (found === null) return false
  for (const [index, { name, checks }] of segment.parameters.entries()) {
    const value = decoded(found[index] ?? '')
    if (value === null || !checks.every((check) => check(value))) return false
    params[name] = value
  }
  return true
}

/**
 * What stands in the place of each parameter: of each but the last as little as can be, and something.
 * One pass: a shorter beginning never leaves less room for what follows, so nothing is tried twice.
 */
function split({ texts, parameters }: Segment, given: string): string[] | null {
  const folded = fold(given)
  const first = texts[0] ?? ''
  if (parameters.length === 0) return folded === first ? [] : null
  const suffix = texts.at(-1) ?? ''
  if (!folded.startsWith(first) || !folded.endsWith(suffix)) return null
  const found: string[] = []
  let from = first.length
  for (const text of texts.slice(1, -1)) {
    const to = folded.indexOf(text, from + 1)
    if (to < 0) return null
    found.push(given.slice(from, to))
    from = to + text.length
  }
  const end = given.length - suffix.length
  if (end <= from) return null
  found.push(given.slice(from, end))
  return found
}

/** Letters of ASCII without their case, as others are spelt by %XX in a path. */
function fold(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

// ------------------------------------------------------------------ the grammar

const LITERAL = 0
const CHECKED = 1
const PARAMETER = 2
const REST = 3

function parseSegment(text: string, isLast: boolean, template: string, file: string): Segment {
  const parameters: Parameter[] = []
  const texts = ['']
  for (const piece of text.split(/(\{(?:[^{}]|\{\{|\}\}|\{[^{}]*\})*\})/)) {
    if (piece === '') continue
    if (!piece.startsWith('{') || !piece.endsWith('}')) {
      if (/[{}?*]/.test(piece))
        throw badRoute(template, `'${text}' has a brace or a mark on its own`, file)
      // What a path may spell with %XX is compared as it is spelt by browsers.
      texts[texts.length - 1] = fold(encodeURI(piece))
      continue
    }
    const parameter = parseParameter(piece.slice(1, -1), template, file)
    if (parameter.isRest && (!isLast || text !== piece)) {
      throw badRoute(template, `{*${parameter.name}} is not its last segment`, file)
    }
    parameters.push(parameter)
    texts.push('')
  }
  return { texts, parameters, rank: rankOf(parameters, texts.join('') !== '') }
}

function rankOf(parameters: readonly Parameter[], hasText: boolean): number {
  if (parameters.length === 0) return LITERAL
  if (parameters[0]?.isRest) return REST
  return hasText || parameters.some(({ checks }) => checks.length > 0) ? CHECKED : PARAMETER
}

function parseParameter(text: string, template: string, file: string): Parameter {
  const isRest = text.startsWith('*')
  const [head = '', ...constraints] = splitOutsideParentheses(text.replace(/^\*+/, ''))
  const last = constraints.at(-1) ?? head
  const isOptional = last.endsWith('?')
  const words = [head, ...constraints].map((word) => word.replace(/\?$/, ''))
  const equals = (words[0] ?? '').indexOf('=')
  const name = equals < 0 ? (words[0] ?? '') : (words[0] ?? '').slice(0, equals)
  if (!/^[\w-]+$/.test(name)) throw badRoute(template, `'{${text}}' names no parameter`, file)
  return {
    name,
    isOptional,
    isRest,
    fallback: equals < 0 ? undefined : (words[0] ?? '').slice(equals + 1),
    checks: words.slice(1).map((word) => parseCheck(word, template, file)),
  }
}

function parseCheck(text: string, template: string, file: string): Check {
  const [, word = '', given] = /^(\w+)(?:\((.*)\))?$/s.exec(text) ?? []
  const name = word.toLowerCase()
  if (given === undefined && plain[name] !== undefined) return plain[name]
  if (name === 'regex' && given !== undefined) return regexCheck(given, template, file)
  const bounds = (given ?? '').split(',').map(Number)
  const make = sized[name]
  if (make !== undefined && bounds.every((bound) => !Number.isNaN(bound))) return make(...bounds)
  throw badRoute(template, `there is no constraint '${text}'`, file)
}

/** In a template, braces of an expression are doubled. */
function regexCheck(text: string, template: string, file: string): Check {
  try {
    const pattern = new RegExp(text.replaceAll('{{', '{').replaceAll('}}', '}'), 'i')
    return (value) => pattern.test(value)
  } catch (error) {
    throw badRoute(template, `its expression is wrong: ${firstLine(error)}`, file)
  }
}

function badRoute(template: string, why: string, file: string): Error {
  return refused(file, 'route', `is '${template}', which is no route, because ${why}`)
}

function splitOutsideBraces(text: string, separator: string): string[] {
  const parts = ['']
  let depth = 0
  for (const character of text) {
    if (character === '{') depth += 1
    if (character === '}') depth -= 1
    if (character === separator && depth <= 0) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts
}

function splitOutsideParentheses(text: string): string[] {
  const parts = ['']
  let depth = 0
  for (const character of text) {
    if (character === '(') depth += 1
    if (character === ')') depth -= 1
    if (character === ':' && depth <= 0) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts
}
