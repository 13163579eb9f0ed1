/** A PostgreSQL server that speaks TLS, with a certificate that only its own authority has signed. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as df from 'durafn'
import pg from 'pg'
import { startPostgres } from '../scripts/postgres.mjs'
import { postgresStore, refuses, tempDir } from './support/hub.mjs'

const skip = spawnSync('openssl', ['version']).error ? 'openssl is not installed' : false

describe('TLS to a PostgreSQL server', { skip }, () => {
  let server
  before(async () => {
    server = await startPostgres({ own: true, tls: true })
  })
  after(() => server?.stop())

  const place = (query) => postgresStore(`${server.url}?${query}`)

  for (const mode of ['', 'sslmode=prefer&', 'sslmode=require&', 'sslmode=verify-full&']) {
    test(`checks the certificate against sslrootcert: ${mode || 'by default'}`, async () => {
      const { store, hubName } = place(`${mode}sslrootcert=${server.authority}`)
      const client = await df.connect({ store, hubName, logger: false })
      const id = await client.startNew('f')
      const sql = new pg.Client(server.url)
      await sql.connect()
      const { rows } = await sql.query(
        "SELECT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name LIKE 'durafn%'",
      )
      await sql.end()
      assert.ok(rows.length > 1 && rows.every(({ ssl }) => ssl))
      assert.equal((await client.list({})).instances[0].instanceId, id)
      await client.close()
    })
  }

  test('refuses one that nobody trusts, and says what to do', async () => {
    for (const mode of ['', 'sslmode=prefer', 'sslmode=require', 'sslmode=verify-full']) {
      const opening = df.connect({ ...place(mode), logger: false })
      await refuses('InvalidOption', opening, { message: /certificate.*sslrootcert/s })
    }
  })

  test('refuses one for another name', async () => {
    const { store, hubName } = place(`sslmode=verify-full&sslrootcert=${server.authority}`)
    const other = store.replace('127.0.0.1', 'localhost')
    const opening = df.connect({ store: other, hubName, logger: false })
    await refuses('InvalidOption', opening, { message: /certificate/ })
  })

  test('does without where the URL says so', async () => {
    const client = await df.connect({ ...place('sslmode=disable'), logger: false })
    await client.close()
  })

  test('refuses a file without certificates, by its name', async (t) => {
    const empty = join(tempDir(t), 'empty.crt')
    writeFileSync(empty, '')
    for (const file of [empty, `${empty}-not-there`]) {
      const opening = df.connect({ ...place(`sslrootcert=${file}`), logger: false })
      await refuses('InvalidOption', opening, { message: /sslrootcert.*empty\.crt/ })
    }
  })
})
