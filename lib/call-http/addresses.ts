/**
 * Which addresses `callHttp` connects to.
 *
 * Owns: what counts as a private address, and the look-up that gives only allowed ones to a socket, so
 * that the address that was checked is the one that is connected to, whatever the name says a moment
 * later.
 * Must never: connect, or trust a name.
 * Proved by: `__test__/call-http-addresses.spec.mjs`.
 */

import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { AddressRefused } from '../errors.js'
import { addRange } from './settings.js'

/** Not of the public Internet, or not of one host; each with what it is. */
const PRIVATE_RANGES = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carriers' own, with the metadata service of one cloud
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // the platform service of Azure, though the address is a public one
  '169.254.0.0/16', // link-local, with the metadata services of most clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // relays of 6to4
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
  '::/96', // unspecified, loopback, and IPv4 in the oldest manner
  '64:ff9b:1::/48', // translation inside a network
  '100::/64', // discarded
  '2001::/23', // protocol assignments, with Teredo, which wraps IPv4
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which wraps IPv4
  '3fff::/20', // documentation
  '5f00::/16', // segment routing
  'fc00::/7', // unique local
  'fe80::/10', // link-local
  'fec0::/10', // site-local, of old
  'ff00::/8', // multicast
]

/** IPv6 that stands for an IPv4 address in its last 32 bits. */
const WRAPPING_RANGES = [
  '::ffff:0:0/96', // mapped
  '::ffff:0:0:0/96', // translated
  '64:ff9b::/96', // translated on the way out
]

/** The third quarter of an address of ISATAP, in whatever network it is: its last 32 bits are IPv4. */
const ISATAP = /^(0|200):5efe$/

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) addRange(list, range)
  return list
}

const privateV4 = listOf(PRIVATE_RANGES.filter((range) => !range.includes(':')))
const privateV6 = listOf(PRIVATE_RANGES.filter((range) => range.includes(':')))
const wrapping = listOf(WRAPPING_RANGES)

/** Whether an address is one that the public Internet does not lead to. What is no address is one. */
export function isPrivate(address: string): boolean {
  const plain = unwrap(address)
  if (isIP(plain) === 4) return privateV4.check(plain, 'ipv4')
  if (isIP(plain) !== 6) return true
  if (privateV6.check(plain, 'ipv6')) return true
  const groups = groupsOf(plain)
  return ISATAP.test(groups.slice(4, 6).join(':')) && privateV4.check(lastAsV4(groups), 'ipv4')
}

/** The IPv4 address that an IPv6 address stands for, if it does; without a zone. */
function unwrap(address: string): string {
  const [plain = ''] = address.split('%')
  if (isIP(plain) !== 6 || !wrapping.check(plain, 'ipv6')) return plain
  return lastAsV4(groupsOf(plain))
}

/** The eight groups of an address of IPv6. */
function groupsOf(address: string): string[] {
  // The URL parser writes every one in hexadecimal groups.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const split = (text: string): string[] => (text === '' ? [] : text.split(':'))
  if (tail === undefined) return split(head)
  const [before, after] = [split(head), split(tail)]
  return [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after]
}

function lastAsV4(groups: readonly string[]): string {
  const [high = 0, low = 0] = groups.slice(-2).map((group) => Number.parseInt(group, 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** Finds the addresses of a name; the system's own way unless a test has another. */
export type Resolve = (
  name: string,
  family: number,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

const systemResolve: Resolve = (name, family, callback) =>
  systemLookup(name, { all: true, family }, callback)

/** What one hub allows. */
export class AddressRules {
  private readonly allowsAll: boolean
  private readonly names: Set<string> = new Set()
  private readonly ranges = new BlockList()
  private readonly resolve: Resolve

  /** @param allowed as `HttpSettings.allowPrivateAddresses` */
  constructor(allowed: boolean | readonly string[], resolve: Resolve = systemResolve) {
    this.allowsAll = allowed === true
    this.resolve = resolve
    if (typeof allowed === 'boolean') return
    for (const entry of allowed) {
      const family = isIP(entry)
      if (family !== 0) this.ranges.addAddress(entry, family === 4 ? 'ipv4' : 'ipv6')
      else if (!addRange(this.ranges, entry)) this.names.add(entry.toLowerCase())
    }
  }

  /**
   * Refuses an address that a host of a URL is, or was found to have.
   *
   * @param host without the brackets of an IPv6 address
   * @throws AddressRefused
   */
  check(host: string, address: string): void {
    if (this.allowsAll || !isPrivate(address)) return
    const plain = unwrap(address)
    const family = isIP(plain)
    if (family !== 0 && this.ranges.check(plain, family === 4 ? 'ipv4' : 'ipv6')) return
    if (this.names.has(host.toLowerCase())) return
    const found = host === address ? '' : ` has the address ${address}, which`
    throw new AddressRefused(
      `callHttp does not call '${host}': it${found} is private, loopback, link-local or reserved. If it is meant to be called, allow it: http: { allowPrivateAddresses: ['${host}'] } of df.open, or in host.json extensions.durableTask.httpSettings.allowPrivateAddresses: ["${host}"].`,
      { field: 'url' },
    )
  }

  /**
   * For `lookup` of a socket: the addresses of a name, all of them checked. One that is refused refuses
   * the name, as whoever answers for it cannot be trusted with the others either.
   */
  readonly lookup: LookupFunction = (name, options, callback) => {
    const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : options.family
    this.resolve(name, family ?? 0, (error, addresses) => {
      const first = addresses?.[0]
      if (error !== null || first === undefined) {
        callback(error ?? notFound(name), '')
        return
      }
      try {
        for (const { address } of addresses) this.check(name, address)
      } catch (refusal) {
        callback(refusal as Error, '')
        return
      }
      if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

function notFound(name: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`The host '${name}' has no address.`), { code: 'ENOTFOUND' })
}
