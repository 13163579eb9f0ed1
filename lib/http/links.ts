/**
 * Links that open one instance for one purpose until a time.
 *
 * Owns: what they look like, their signatures, and whether one that comes back will do.
 * Must never: carry a key, or be kept anywhere: a link is its own proof.
 * Proved by: `__test__/http-beyond.spec.mjs`.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { wallMs } from '../clock.js'
import type { Query } from './query.js'

/** What a link lets its holder do. */
export type LinkScope = 'read' | 'raise' | 'terminate' | 'suspend' | 'resume'

export const linkScopes: readonly LinkScope[] = ['read', 'raise', 'terminate', 'suspend', 'resume']

/** Makes and checks links, by a key. A new key makes all links void. */
export class LinkSigner {
  readonly #key: string

  constructor(key: string) {
    this.#key = key
  }

  /** The query of a link. */
  query(instanceId: string, scope: LinkScope, expires: Date): string {
    const seconds = Math.floor(expires.getTime() / 1_000)
    const signature = this.#sign(instanceId, scope, seconds).toString('base64url')
    return `scope=${scope}&expires=${seconds}&sig=${signature}`
  }

  /** Whether a query is that of a link to this instance, for this purpose, that has not expired. */
  admits(query: Query, instanceId: string, scope: LinkScope): boolean {
    const given = Buffer.from(query.get('sig') ?? '', 'base64url')
    const seconds = query.integer('expires')
    if (seconds === undefined || query.get('scope') !== scope) return false
    const signature = this.#sign(instanceId, scope, seconds)
    const isRight = given.length === signature.length && timingSafeEqual(given, signature)
    return isRight && wallMs() < seconds * 1_000
  }

  #sign(instanceId: string, scope: LinkScope, seconds: number): Buffer {
    // As JSON, so that no two different triples have one text.
    const text = JSON.stringify(['durafn-link', instanceId, scope, seconds])
    return createHmac('sha256', this.#key).update(text).digest()
  }
}
