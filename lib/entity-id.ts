/**
 * Ids of entities.
 *
 * Owns: the class, and the one text that stands for an id.
 * Must never: let an id through that the core refuses.
 * Proved by: `__test__/entities.spec.mjs`, `__test__/bad-input.spec.mjs`.
 */

import { isWellFormed } from './codec.js'
import { InvalidEntityId } from './errors.js'
import type { RawJson } from './protocol.js'

const NAME_CHARS_MAX = 256
const KEY_CHARS_MAX = 256
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const forbidden = /[/\\#?\u0000-\u001f\u007f-\u009f]/

/**
 * Names an entity: the name it is registered by, which matches without regard to case, and a key.
 *
 * @example
 * ```ts
 * const id = new df.EntityId('counter', 'visits')
 * await client.signalEntity(id, 'add', 1)
 * ```
 */
export class EntityId {
  /** The name of the entity function. */
  readonly name: string
  /** Which of the entities of that name: up to 256 characters, none of `/ \ # ?`. */
  readonly key: string
  /** Its JSON text, made on first use. */
  #quoted: RawJson = ''

  /** @throws InvalidEntityId */
  constructor(name: string, key: string) {
    check(name, key)
    this.name = name
    this.key = key
  }

  /** `@name@key`, the name in lower case. */
  toString(): string {
    return `@${this.name.toLowerCase()}@${this.key}`
  }

  /** @internal */
  get quoted(): RawJson {
    if (this.#quoted === '') this.#quoted = JSON.stringify(this.toString())
    return this.#quoted
  }
}

/**
 * The id that a caller names an entity by: an `EntityId`, of this package or of another copy of it.
 *
 * @throws InvalidEntityId
 */
export function entityIdOf(value: unknown): EntityId {
  if (value instanceof EntityId) return value
  if (typeof value === 'object' && value !== null) {
    const { name, key } = value as Partial<EntityId>
    return new EntityId(name as string, key as string)
  }
  throw new InvalidEntityId(`The entityId must be an EntityId, not ${typeof value}.`, {
    field: 'entityId',
  })
}

/** The id that `@name@key` stands for, as the core gives it. */
export function entityIdFromText(text: string): EntityId {
  const at = text.indexOf('@', 1)
  return new EntityId(text.slice(1, at), text.slice(at + 1))
}

function check(name: unknown, key: unknown): void {
  const why =
    whyNot(name, 'name', NAME_CHARS_MAX) ??
    (name === '' ? 'name must not be empty' : undefined) ??
    ((name as string).includes('@') ? "name must hold no '@'" : undefined) ??
    whyNot(key, 'key', KEY_CHARS_MAX)
  if (why === undefined) return
  throw new InvalidEntityId(`The entityId's ${why}.`, { field: 'entityId' })
}

function whyNot(text: unknown, what: string, most: number): string | undefined {
  if (typeof text !== 'string') return `${what} must be a string, not ${typeof text}`
  if (text.length > most && [...text].length > most)
    return `${what} must have at most ${most} characters`
  if (forbidden.test(text)) return `${what} must hold no control characters and none of / \\ # ?`
  return isWellFormed(text) ? undefined : `${what} holds half of a surrogate pair`
}
