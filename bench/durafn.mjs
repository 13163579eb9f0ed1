/** durafn as the benchmark's engine: a hub on a new SQLite file, its client in the same process. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as df from 'durafn'
import { register } from './app.mjs'
import { delay } from './workloads.mjs'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

export async function open(directory) {
  const app = new df.App()
  register(app)
  const store = `sqlite:${join(directory, 'hub.db')}`
  const hub = await df.open({ store, app, logger: false })
  return {
    ...engineOf(hub),
    store: 'SQLite, in the process',
    durability: `WAL, synchronous=${hub.synchronous}: every commit is synced before it is acknowledged`,
  }
}

/** What is the same on every store. */
export function engineOf(hub) {
  const { client } = hub

  async function ended(name, id) {
    const status = await client.waitForCompletion(id, { timeoutMs: 600_000 })
    if (status.runtimeStatus !== 'Completed') throw new Error(`${name}: ${JSON.stringify(status)}`)
    return status.output
  }

  return {
    version,
    async run(name, input) {
      return ended(name, await client.startNew(name, { input }))
    },
    wait: (instanceId) => client.startNew('wait', { instanceId }),
    async settled(ids) {
      while ((await client.getStatus(ids.at(-1))) === null) await delay(5)
    },
    async event(id) {
      const { outcome } = await client.raiseEvent(id, 'go', 1)
      if (outcome !== 'delivered') throw new Error(`${id}: ${outcome}`)
      await ended('wait', id)
    },
    signal: (number) => client.signalEntity(new df.EntityId('counter', String(number)), 'add', 1),
    async signalled(count) {
      const keys = Array.from({ length: count }, (_, number) => String(number))
      const states = keys.map((key) => client.readEntityState(new df.EntityId('counter', key)))
      return (await Promise.all(states)).reduce((sum, { entityState = 0 }) => sum + entityState, 0)
    },
    close: () => hub.close(),
  }
}
