/** durafn on PostgreSQL as the benchmark's engine: its hub on a server that this process starts. */

import * as df from 'durafn'
import { register } from './app.mjs'
import { engineOf } from './durafn.mjs'
import { startPostgres } from './postgres.mjs'

export async function open(directory) {
  const { stop, version, durability, url } = await startPostgres(directory)
  const app = new df.App()
  register(app)
  const hub = await df.open({ store: url, app, logger: false })
  const engine = engineOf(hub)
  return {
    ...engine,
    store: `PostgreSQL ${version}, a server on the same machine`,
    durability: `${durability}: every commit is synced before it is acknowledged`,
    async close() {
      await hub.close()
      await stop()
    },
  }
}
