/**
 * UUIDs that are derived from names.
 *
 * Owns: their form, that of durable-functions. Must never: draw a random number: a replay derives the same.
 * Proved by: `__test__/orchestrators.spec.mjs`.
 */

import { createHash } from 'node:crypto'

/** That of durable-functions. */
const NAMESPACE: Buffer = Buffer.from('9e9529585e334daf827f2fa12937b875', 'hex')

/** The UUID of version 5 of a name. */
export function guidOf(name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(name).digest()
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex', 0, 16)
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)]
  return `${parts.join('-')}-${hex.slice(20)}`
}
