/**
 * Text of others as a terminal or a log may have it.
 *
 * Owns: which characters are shown in place of being obeyed: controls, which move the cursor, rename the
 * window or begin a new line, and marks of direction, which make a text read as another.
 * Must never: be applied to what a program reads; JSON has escapes of its own.
 * Proved by: `__test__/printable.spec.mjs`.
 */

/** C0, DEL, C1, the separators of lines and paragraphs, and marks of direction. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
/** A colour, which user code may give its own lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const COLOUR = /(\u001b\[[0-9;]*m)/
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function shown(char: string): string {
  return SHORT[char] ?? unicodeEscape(char)
}

function unicodeEscape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** One line, whatever it held. */
export function oneLine(text: string): string {
  return text.replace(UNSEEN, shown)
}

/** Lines, of which the later ones are indented: none can be taken for another message. */
export function indented(text: string): string {
  const [first = '', ...more] = text
    .split(/\r?\n/)
    .map((line) => oneLine(line.replace(/\t/g, '  ')))
  const later = more.map((line) => `\n${line.startsWith(' ') ? '' : '    '}${line}`)
  return [first, ...later].join('').trimEnd()
}

/** What user code itself has laid out: lines, tabs and colours stay. */
export function laidOut(text: string): string {
  const parts = text.split(COLOUR)
  // Every other part is a colour.
  return parts.map((part, n) => (n % 2 === 1 ? part : plain(part))).join('')
}

function plain(text: string): string {
  return text.replace(UNSEEN, (char) => (char === '\n' || char === '\t' ? char : shown(char)))
}

/** JSON text that says the same, and that a terminal shows. */
export function shownJson(json: string): string {
  return json.replace(UNSEEN, (char) => (char === '\n' ? char : unicodeEscape(char)))
}
