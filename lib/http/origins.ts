/**
 * Where a request comes from, as far as a browser says.
 *
 * Owns: the names a server answers to, against DNS rebinding, and the refusal of requests that pages
 * of other sites make.
 * Must never: take the place of a key.
 * Proved by: `__test__/http-security.spec.mjs`.
 */

/** Which names and which pages are let in. */
export interface OriginRules {
  /** Names of hosts in lower case, without ports; null: any. */
  readonly hosts: ReadonlySet<string> | null
  /** Origins beside the server's own, such as `https://shop.example`; '*': any. */
  readonly origins: ReadonlySet<string>
}

/** The names that this machine has for itself. */
export const loopbackNames: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

/** Whether a name or an address is one of this machine that no other reaches. */
export function isLoopback(hostname: string): boolean {
  return (
    /^(localhost|::1|\[::1\]|0*:0*:0*:0*:0*:0*:0*:0*1)$/i.test(hostname) ||
    /^(::ffff:)?127(\.\d{1,3}){3}$/i.test(hostname)
  )
}

/**
 * The names that a server at this address answers to, beside those of this machine. Whoever reaches an
 * address of the network may know it by any name; there the key is the guard.
 */
export function hostsOf(hostname: string, given: readonly string[] | undefined): readonly string[] {
  if (given === undefined && !isLoopback(hostname)) return ['*']
  return [...(given ?? []), hostname.includes(':') ? `[${hostname}]` : hostname]
}

/**
 * Why a request is refused for where it comes from; undefined if it is not.
 *
 * @param checksPages whether requests of foreign pages are refused too
 */
export function refusalOfOrigin(
  request: Request,
  rules: OriginRules,
  checksPages: boolean,
): string | undefined {
  const authority = authorityOf(request.url)
  if (rules.hosts !== null && !rules.hosts.has(nameOf(authority))) {
    return 'The Host header names a host that this server is not known by; see allowedHosts.'
  }
  return checksPages && isOfForeignPage(request, authority, rules.origins)
    ? 'Requests of pages of another origin are refused; see allowedOrigins.'
    : undefined
}

/** Whether pages of an origin may call. */
export function allowsOrigin(origins: ReadonlySet<string>, origin: string): boolean {
  return origins.has(origin) || origins.has('*')
}

function isOfForeignPage(
  { headers, method }: Request,
  authority: string,
  origins: ReadonlySet<string>,
): boolean {
  const origin = headers.get('origin')
  if (origin !== null) return authorityOf(origin) !== authority && !allowsOrigin(origins, origin)
  const site = headers.get('sec-fetch-site')
  if (site === null || site === 'none' || site === 'same-origin') return false
  // Somebody followed a link: that page does not see the answer, and nothing is changed by it.
  const isLink = method === 'GET' && headers.get('sec-fetch-mode') === 'navigate'
  return !isLink
}

/** `host:port` of an absolute URL, in lower case; '' if there is none. */
function authorityOf(url: string): string {
  const start = url.indexOf('//')
  if (start < 0) return ''
  const end = url.indexOf('/', start + 2)
  return url.slice(start + 2, end < 0 ? undefined : end).toLowerCase()
}

/** The name of an authority, without user and port. */
function nameOf(authority: string): string {
  return authority.replace(/^.*@/, '').replace(/:\d*$/, '')
}
