/**
 * Keys of the HTTP interfaces.
 *
 * Owns: making them, the file that keeps them, and whether a request has one that will do.
 * Must never: write a key to a log, or compare one in a time that tells where it differs.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { StoreUnavailable } from '../errors.js'
import { messageOf } from '../failure.js'

/** What a key opens: the functions, or also the management API and `/admin`. */
export type KeyLevel = 'function' | 'admin'

const KEY_BYTES = 32
/** Keys that a user puts into the file may be shorter than those made here, but not guessable. */
const KEY_CHARS_MIN = 16

/** The keys of one hub. */
export class Keys {
  /** Opens all. */
  readonly master: string
  /** Opens http functions of `authLevel` 'function'. */
  readonly function: string

  constructor(master: string, forFunctions: string) {
    this.master = master
    this.function = forFunctions
  }

  /** New ones, for a hub that ends with the process. */
  static generate(): Keys {
    return new Keys(newKey(), newKey())
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
    const text = JSON.stringify({ master: keys.master, function: keys.function }, null, 2)
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
      // Another process may have made it meanwhile: then its keys count.
      writeFileSync(file, text, { mode: 0o600, flag: 'wx', flush: true })
      return keys
    } catch (error) {
      const others = (error as NodeJS.ErrnoException).code === 'EEXIST' ? read(file) : undefined
      if (others !== undefined) return others
      throw new StoreUnavailable(`The key file '${file}' cannot be made: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }

  /** Whether a request may do what needs this level: by `code=` or the header `x-functions-key`. */
  allows(request: Request, level: KeyLevel): boolean {
    const header = request.headers.get('x-functions-key')
    const query = new URL(request.url).searchParams
    // Names in a query match without regard to case.
    const codes = [...query]
      .filter(([name]) => name.toLowerCase() === 'code')
      .map(([, code]) => code)
    return [...codes, ...(header === null ? [] : [header])].some((key) => this.opens(key, level))
  }

  /** Whether a key opens this level. */
  opens(key: string, level: KeyLevel): boolean {
    const isMaster = isSame(key, this.master)
    return level === 'admin' ? isMaster : isSame(key, this.function) || isMaster
  }
}

function read(file: string): Keys | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unreadable(file, messageOf(error), error)
  }
  let keys: { master?: unknown; function?: unknown }
  try {
    keys = JSON.parse(text) as typeof keys
  } catch (error) {
    throw unreadable(file, 'it is no JSON; delete it to get new keys', error)
  }
  const { master, function: forFunctions } = keys ?? {}
  if (!isKey(master) || !isKey(forFunctions)) {
    const why = `'master' and 'function' must be texts of ${KEY_CHARS_MIN} characters or more`
    throw unreadable(file, why)
  }
  chmodSync(file, 0o600)
  return new Keys(master, forFunctions)
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && value.length >= KEY_CHARS_MIN
}

function unreadable(file: string, why: string, cause?: unknown): StoreUnavailable {
  return new StoreUnavailable(`The key file '${file}' cannot be used: ${why}.`, { cause })
}

function newKey(): string {
  return randomBytes(KEY_BYTES).toString('base64url')
}

/** Of the digests, so that lengths need not match and time tells nothing. */
function isSame(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
