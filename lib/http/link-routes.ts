/**
 * `POST instances/{id}/links`: links to one instance, to be given to whoever is to have no key.
 *
 * Owns: which URLs there are for what a link lets do.
 * Must never: be reached by a link itself.
 * Proved by: `__test__/http-beyond.spec.mjs`.
 */

import { invalid, optionalInteger, optionalListOf, optionsOf } from '../check.js'
import { wallMs } from '../clock.js'
import { type Answer, failed, json, problem } from './answers.js'
import { type LinkScope, type LinkSigner, linkScopes } from './links.js'
import { parsed } from './operations.js'
import type { ApiParts } from './parts.js'
import type { RouteContext } from './router.js'

/** What links let do, and for how long. */
export interface LinkOptions {
  /** Default: `['read']`. */
  scopes?: readonly LinkScope[] | undefined
  /** Seconds until they are void, up to 31,536,000 (a year). Default 3,600. */
  expiresInSeconds?: number | undefined
}

/** Links to one instance; of each only what it lets do. */
export interface SignedLinks {
  readonly id: string
  /** When they are void: `yyyy-MM-ddTHH:mm:ssZ`. */
  readonly expires: string
  /** GET: the status. With `read`. */
  readonly statusQueryGetUri?: string
  /** GET: the status, once it has ended; takes `timeout` (seconds). With `read`. */
  readonly waitGetUri?: string
  /** GET: server-sent events of its changes. With `read`. */
  readonly changesGetUri?: string
  /** POST: an event. With `raise`. */
  readonly sendEventPostUri?: string
  readonly terminatePostUri?: string
  readonly suspendPostUri?: string
  readonly resumePostUri?: string
}

const EXPIRES_S_DEFAULT = 3_600
const EXPIRES_S_MAX = 31_536_000
/** What each scope opens: the names of the URLs, and the paths below the instance. */
const urls: Record<LinkScope, readonly [name: keyof SignedLinks, path: string][]> = {
  read: [
    ['statusQueryGetUri', ''],
    ['waitGetUri', '/wait'],
    ['changesGetUri', '/changes'],
  ],
  raise: [['sendEventPostUri', '/raiseEvent/{eventName}']],
  terminate: [['terminatePostUri', '/terminate']],
  suspend: [['suspendPostUri', '/suspend']],
  resume: [['resumePostUri', '/resume']],
}

/**
 * Makes links to an instance.
 *
 * @throws InvalidOption
 */
export function signedLinks(
  signer: LinkSigner,
  baseUrl: string,
  instanceId: string,
  given: unknown,
): SignedLinks {
  const options = optionsOf(given, 'options', ['scopes', 'expiresInSeconds'])
  const scopes = optionalListOf(options, 'scopes', 'options', linkScopes) ?? ['read']
  if (scopes.length === 0) throw invalid('options.scopes', 'must not be empty')
  const seconds =
    optionalInteger(options, 'expiresInSeconds', 'options', 1, EXPIRES_S_MAX) ?? EXPIRES_S_DEFAULT
  const expires = new Date(Math.ceil(wallMs() / 1_000 + seconds) * 1_000)
  const instance = `${baseUrl}/instances/${encodeURIComponent(instanceId)}`
  const found = scopes.flatMap((scope) => {
    const query = signer.query(instanceId, scope, expires)
    return urls[scope].map(([name, path]) => [name, `${instance}${path}?${query}`])
  })
  return {
    id: instanceId,
    expires: `${expires.toISOString().slice(0, -5)}Z`,
    ...(Object.fromEntries(found) as Partial<SignedLinks>),
  }
}

/** `POST instances/{id}/links` */
export async function makeLinks(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const { links } = parts
  if (links === null) return problem(400, 'Links are signed by the system key, and there is none.')
  const options = parsed(await context.text())
  if ('error' in options) return failed(400, 'Invalid JSON content', options.error)
  const instanceId = context.params['instanceId'] ?? ''
  return json(200, signedLinks(links, parts.baseUrlOf(context), instanceId, options.value))
}
