/**
 * The query of a request, and what its values stand for.
 *
 * Owns: names that match without regard to case, and the reading of booleans, numbers and times.
 * Must never: throw; a value that cannot be read is one that was not given.
 * Proved by: `__test__/http-errors.spec.mjs`.
 */

/** The query of a URL. */
export class Query {
  readonly #values: Map<string, string[]> = new Map()

  constructor(url: string) {
    const start = url.indexOf('?')
    if (start < 0) return
    const end = url.indexOf('#', start)
    for (const part of url.slice(start + 1, end < 0 ? undefined : end).split('&')) {
      if (part !== '') this.#add(part)
    }
  }

  #add(part: string): void {
    const equals = part.indexOf('=')
    const spaced = part.replaceAll('+', ' ')
    const name = decoded(equals < 0 ? spaced : spaced.slice(0, equals)).toLowerCase()
    const value = equals < 0 ? '' : decoded(spaced.slice(equals + 1))
    const values = this.#values.get(name)
    if (values === undefined) this.#values.set(name, [value])
    else values.push(value)
  }

  /** All values of a name. */
  all(name: string): readonly string[] {
    return this.#values.get(name.toLowerCase()) ?? []
  }

  /** The first value of a name. */
  get(name: string): string | undefined {
    return this.all(name)[0]
  }

  /** The first value of a name that is not empty. */
  text(name: string): string | undefined {
    return this.all(name).find((value) => value !== '')
  }

  boolean(name: string): boolean | undefined {
    const value = this.get(name)?.trim().toLowerCase()
    return value === 'true' ? true : value === 'false' ? false : undefined
  }

  integer(name: string): number | undefined {
    const value = this.get(name)?.trim()
    return value !== undefined && /^[+-]?\d{1,10}$/.test(value) ? Number(value) : undefined
  }

  /** Any finite number. */
  number(name: string): number | undefined {
    const value = this.get(name)?.trim()
    if (value === undefined || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value))
      return undefined
    const number = Number(value)
    return Number.isFinite(number) ? number : undefined
  }

  /** A time; one without an offset is of UTC. */
  time(name: string): Date | undefined {
    const value = this.get(name)?.trim()
    if (value === undefined || value === '') return undefined
    // A '+' that was not encoded has become a space.
    const text = value.replace(/ (\d\d:?\d\d)$/, '+$1')
    const hasZone = /(Z|[+-]\d\d:?\d\d|GMT|UTC)$/i.test(text) || !text.includes(':')
    const time = new Date(hasZone ? text : `${text.replace(' ', 'T')}Z`)
    return Number.isNaN(time.getTime()) ? undefined : time
  }

  /** The values of a list: `name=A,B&name=C`. */
  list(name: string): readonly string[] {
    const parts = this.all(name).flatMap((value) => value.split(','))
    return parts.map((part) => part.trim()).filter((part) => part !== '')
  }
}

/** A text as it is in a path; what is no encoding stands for itself. */
export function decoded(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
