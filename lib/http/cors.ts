/**
 * What pages of other origins are told, so that their browsers let them read answers.
 *
 * Owns: the answer to what a browser asks before a request, and the headers of all others.
 * Must never: let anybody in; the rules of `origins.ts` and the keys do.
 * Proved by: `__test__/http-security.spec.mjs`.
 */

import { type Answer, empty } from './answers.js'
import { allowsOrigin, type OriginRules } from './origins.js'

/** Headers that pages may read beside those that all may. */
const EXPOSED = 'Location, Retry-After, Idempotent-Replayed, x-ms-continuation-token'
const MAX_AGE_S = '600'

/** The headers for a page that is allowed; undefined for whoever is none. */
export function corsHeaders(
  { headers }: Request,
  { origins }: OriginRules,
): Record<string, string> | undefined {
  if (origins.size === 0) return undefined
  const origin = headers.get('origin')
  if (origin === null || !allowsOrigin(origins, origin)) return undefined
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Expose-Headers': EXPOSED,
    Vary: 'Origin',
  }
}

/** The answer to what a browser asks before a request of a page that is allowed; else undefined. */
export function preflight(request: Request, rules: OriginRules): Answer | undefined {
  if (request.method !== 'OPTIONS') return undefined
  const method = request.headers.get('access-control-request-method')
  const allowed = method === null ? undefined : corsHeaders(request, rules)
  if (method === null || allowed === undefined) return undefined
  return empty(204, {
    ...allowed,
    'Access-Control-Allow-Methods': method,
    'Access-Control-Allow-Headers': request.headers.get('access-control-request-headers') ?? '',
    'Access-Control-Max-Age': MAX_AGE_S,
  })
}
