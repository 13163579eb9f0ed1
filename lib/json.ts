/**
 * JSON that came from outside, as a request's body does.
 *
 * Owns: how deep it may be nested. Reading 16 MB of brackets takes seconds in which nothing else runs, and
 * what comes of it cannot be written again.
 * Must never: read before it has counted.
 * Proved by: `__test__/http-payloads.spec.mjs`.
 */

import { UnserializableValue } from './errors.js'

/** Arrays and objects within each other. */
export const DEPTH_MAX = 1_000

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPENING = [0x5b, 0x7b]
const CLOSING = [0x5d, 0x7d]

/**
 * The value of a JSON text.
 *
 * @param what is named in the refusal: 'body'
 * @throws UnserializableValue if it is nested too deeply; SyntaxError if it is no JSON
 */
export function parseJson(text: string, what: string): unknown {
  if (text.length > DEPTH_MAX && isTooDeep(text)) {
    throw new UnserializableValue(
      `The ${what} is nested more than ${DEPTH_MAX} arrays and objects deep. Send flatter data, or a reference to where it is stored.`,
      { field: what },
    )
  }
  return JSON.parse(text)
}

/** One pass; text that is no JSON gives either answer, and the parser says the rest. */
function isTooDeep(text: string): boolean {
  let depth = 0
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at)
    else if (OPENING.includes(code)) {
      depth += 1
      if (depth > DEPTH_MAX) return true
    } else if (CLOSING.includes(code)) depth -= 1
  }
  return false
}

/** Where a string that begins at `from` ends. */
function endOfString(text: string, from: number): number {
  let at = from + 1
  while (at < text.length && text.charCodeAt(at) !== QUOTE) {
    at += text.charCodeAt(at) === BACKSLASH ? 2 : 1
  }
  return at
}
