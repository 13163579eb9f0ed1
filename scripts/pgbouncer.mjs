/**
 * A pgbouncer for the tests: the one of the system, in transaction mode, in front of a PostgreSQL server.
 */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './postgres.mjs'

/** Why there can be none, or false. */
export const noPgbouncer = spawnSync('pgbouncer', ['--version']).error
  ? 'pgbouncer is not installed (apt-get install pgbouncer)'
  : false

/** Resolves to `{ url, stop }`: the server's URL with this one's place in it. */
export async function startPgbouncer(serverUrl, { poolSize = 4, settings = '' } = {}) {
  const server = new URL(serverUrl)
  const port = await freePort()
  const directory = mkdtempSync(join(tmpdir(), 'durafn-pgbouncer-'))
  chmodSync(directory, 0o755)
  const file = join(directory, 'pgbouncer.ini')
  const { hostname, port: serverPort, username, password } = server
  writeFileSync(
    file,
    `[databases]
* = host=${hostname} port=${serverPort} user=${username} password=${decodeURIComponent(password)}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 500
${settings}
`,
  )
  // It refuses to run as root.
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child = spawn('pgbouncer', ['-q', ...user, file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      log += text
    })
  }
  const ended = once(child, 'exit')
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`pgbouncer does not start:\n${log}`)
    await delay(20)
  }
  server.host = `127.0.0.1:${port}`
  return {
    url: server.href,
    async stop() {
      child.kill('SIGKILL')
      await ended
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
