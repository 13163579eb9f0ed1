/**
 * Keys of the HTTP interfaces.
 *
 * Owns: making them, the file that keeps them, and whether a request has one that will do.
 * Must never: write a key to a log, or compare one in a time that tells where it differs.
 * Proved by: `__test__/http-keys.spec.mjs`.
 */

import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { invalid, optionsOf } from '../check.js'
import { StoreUnavailable } from '../errors.js'
import { messageOf } from '../failure.js'
import { Query } from './query.js'

/**
 * What a key opens: http functions; the management API; all, `/admin` included. The master key opens
 * every level.
 */
export type KeyLevel = 'function' | 'system' | 'admin'

/** Keys of one's own; one that is left out is made. */
export interface KeyTexts {
  /** Opens all. */
  master?: string | undefined
  /** Opens http functions of `authLevel` 'function'. */
  function?: string | undefined
  /** Opens the management API; check-status URLs carry it. */
  system?: string | undefined
}

const kinds = ['master', 'function', 'system'] as const
const KEY_BYTES = 32
/** Keys of a user's own may be shorter than those made here, but not guessable. */
const KEY_CHARS_MIN = 16

/** The keys of one hub. */
export class Keys {
  readonly master: string
  readonly function: string
  readonly system: string
  readonly #digests: Record<KeyLevel, readonly Buffer[]>

  private constructor(texts: Required<KeyTexts>) {
    this.master = texts.master as string
    this.function = texts.function as string
    this.system = texts.system as string
    const master = digest(this.master)
    this.#digests = {
      function: [digest(this.function), master],
      system: [digest(this.system), master],
      admin: [master],
    }
  }

  /**
   * Those given; the others are made, for as long as this process lives.
   *
   * @throws InvalidOption
   */
  static generate(given: KeyTexts = {}, where = 'keys'): Keys {
    const known = optionsOf(given, where, kinds)
    const all: Record<string, string> = {}
    for (const kind of kinds) {
      const key = known[kind] ?? newKey()
      if (!isKey(key)) {
        throw invalid(`${where}.${kind}`, `must be a string of ${KEY_CHARS_MIN} characters or more`)
      }
      all[kind] = key
    }
    return new Keys(all as Required<KeyTexts>)
  }

  /**
   * Those of a file, which only its owner may read; it is made if there is none.
   *
   * @throws StoreUnavailable
   */
  static load(file: string): Keys {
    const found = read(file)
    if (found !== undefined) return found
    const keys = Keys.generate()
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      makeWhole(file, textOf(keys))
      return keys
    } catch (error) {
      // Another process may have made it meanwhile: then its keys count.
      const others = (error as NodeJS.ErrnoException).code === 'EEXIST' ? read(file) : undefined
      if (others !== undefined) return others
      throw new StoreUnavailable(`The key file '${file}' cannot be made: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }

  /** Whether a request may do what needs this level: by `code=` or the header `x-functions-key`. */
  allows(
    request: { readonly url: string; readonly headers: Headers },
    level: KeyLevel,
    query: Query = new Query(request.url),
  ): boolean {
    const header = request.headers.get('x-functions-key')
    if (header !== null && this.opens(header, level)) return true
    return query.all('code').some((key) => this.opens(key, level))
  }

  /** Whether a key opens this level. */
  opens(key: string, level: KeyLevel): boolean {
    const given = digest(key)
    // Of the digests, so that lengths need not match and time tells nothing; and of all of them.
    return this.#digests[level].filter((each) => timingSafeEqual(given, each)).length > 0
  }
}

/** Makes a file that has all its text from the first moment on, or fails if there is one. */
function makeWhole(file: string, text: string): void {
  const draft = `${file}.${randomUUID()}.new`
  try {
    writeFileSync(draft, text, { mode: 0o600, flag: 'wx', flush: true })
    linkSync(draft, file)
  } finally {
    rmSync(draft, { force: true })
  }
}

function textOf(keys: Keys): string {
  const texts = Object.fromEntries(kinds.map((kind) => [kind, keys[kind]]))
  return `${JSON.stringify(texts, null, 2)}\n`
}

function read(file: string): Keys | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unusable(file, messageOf(error), error)
  }
  let found: Record<string, unknown> | null
  try {
    found = JSON.parse(text) as Record<string, unknown> | null
  } catch (error) {
    throw unusable(file, 'it is no JSON; delete it to get new keys', error)
  }
  const texts: KeyTexts = {}
  for (const kind of kinds) {
    const key = found?.[kind]
    if (!isKey(key)) {
      throw unusable(file, `'${kind}' must be a text of ${KEY_CHARS_MIN} characters or more`)
    }
    texts[kind] = key
  }
  onlyForOwner(file)
  return Keys.generate(texts)
}

function onlyForOwner(file: string): void {
  try {
    chmodSync(file, 0o600)
  } catch (error) {
    throw unusable(file, `its rights cannot be set to 0600: ${messageOf(error)}`, error)
  }
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && value.length >= KEY_CHARS_MIN
}

function unusable(file: string, why: string, cause?: unknown): StoreUnavailable {
  return new StoreUnavailable(`The key file '${file}' cannot be used: ${why}.`, { cause })
}

function newKey(): string {
  return randomBytes(KEY_BYTES).toString('base64url')
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
