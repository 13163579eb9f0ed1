/**
 * What a hub's `http` option says about `callHttp`.
 *
 * Owns: the option, its checks and its defaults.
 * Must never: hold anything but plain data, as it crosses to the threads of an app.
 * Proved by: `__test__/call-http.spec.mjs`.
 */

import { BlockList, isIP } from 'node:net'
import { invalid, optionalInteger, optionsOf } from '../check.js'

/** How orchestrators call HTTP services by `context.df.callHttp`. */
export interface HttpOptions {
  /**
   * Whether hosts may be called whose address is private, loopback, link-local or reserved, such as
   * `127.0.0.1` or a metadata service: `true` for all, or a list of host names, addresses and ranges
   * (`['orders.internal', '10.1.0.0/16', '::1']`). Checked on the address that is connected to, anew
   * for each redirect and each poll. Default: none.
   */
  allowPrivateAddresses?: boolean | readonly string[] | undefined
  /**
   * Milliseconds between two polls of a call that was answered by 202, where the answer has no
   * `Retry-After`; 1 or more. Default 30,000.
   */
  pollingIntervalMs?: number | undefined
  /**
   * Milliseconds that one request may take, with its redirects and its answer's body, unless the call
   * says; 1 or more. Default 100,000.
   */
  timeoutMs?: number | undefined
}

/** The same, checked and complete. */
export interface HttpSettings {
  readonly allowPrivateAddresses: boolean | readonly string[]
  readonly pollingIntervalMs: number
  readonly timeoutMs: number
}

export const HTTP_DEFAULTS: HttpSettings = {
  allowPrivateAddresses: false,
  pollingIntervalMs: 30_000,
  timeoutMs: 100_000,
}

const KEYS = ['allowPrivateAddresses', 'pollingIntervalMs', 'timeoutMs']
/** The longest timeout that a timer of Node takes. */
export const TIMEOUT_MS_MAX = 2_147_483_647

/** @throws InvalidOption */
export function httpSettings(given: unknown, where: string): HttpSettings {
  const options = optionsOf(given, where, KEYS)
  const whole = (key: keyof HttpOptions): number | undefined =>
    optionalInteger(options, key, where, 1, TIMEOUT_MS_MAX)
  return {
    allowPrivateAddresses: allowed(
      options['allowPrivateAddresses'] ?? HTTP_DEFAULTS.allowPrivateAddresses,
      `${where}.allowPrivateAddresses`,
    ),
    pollingIntervalMs: whole('pollingIntervalMs') ?? HTTP_DEFAULTS.pollingIntervalMs,
    timeoutMs: whole('timeoutMs') ?? HTTP_DEFAULTS.timeoutMs,
  }
}

function allowed(value: unknown, field: string): boolean | readonly string[] {
  if (typeof value === 'boolean') return value
  if (!Array.isArray(value)) {
    throw invalid(field, 'must be true, false or a list of hosts, addresses and ranges', value)
  }
  const probe = new BlockList()
  for (const entry of value as unknown[]) {
    if (typeof entry !== 'string' || !isEntry(entry, probe)) {
      throw invalid(
        field,
        "must hold host names ('orders.internal'), addresses ('10.1.2.3') and ranges ('10.1.0.0/16')",
        entry ?? String(entry),
      )
    }
  }
  return [...(value as string[])]
}

function isEntry(entry: string, probe: BlockList): boolean {
  if (isIP(entry) !== 0) return true
  if (entry.includes('/')) return addRange(probe, entry)
  return /^[a-z0-9_.-]{1,253}$/i.test(entry)
}

/** Adds `10.1.0.0/16` and its like to a list; false if it is none. */
export function addRange(list: BlockList, range: string): boolean {
  const [address = '', bits = '', ...rest] = range.split('/')
  const family = isIP(address)
  const prefix = /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
  if (family === 0 || rest.length > 0 || !(prefix <= (family === 4 ? 32 : 128))) return false
  list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6')
  return true
}
