/**
 * What a PostgreSQL server keeps when it crashes: all that was acknowledged, whatever it, the database or
 * the role say of `synchronous_commit`.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as df from 'durafn'
import pg from 'pg'
import { noPgbouncer, startPgbouncer } from '../scripts/pgbouncer.mjs'
import { startPostgres } from '../scripts/postgres.mjs'
import { memoryLogger, openHub, postgresStore, surely } from './support/hub.mjs'

const STARTS = 30

describe('a crash of the server', () => {
  let server
  before(async () => {
    server = await startPostgres({ own: true })
    // What nobody waits for stays in the server's memory for long.
    await run(
      "ALTER SYSTEM SET wal_writer_delay = '10s'",
      "ALTER SYSTEM SET wal_writer_flush_after = '1GB'",
    )
    await server.restart(0)
  })
  after(() => server?.stop())

  async function run(...statements) {
    const client = new pg.Client(server.url)
    await client.connect()
    for (const statement of statements) await client.query(statement)
    await client.end()
  }

  /** Starts instances in a worker and in a client, and gives those that a crash took. */
  async function lostInCrash(t, place) {
    const { hub, client, logger } = await openHub(t, register, place)
    const outside = await df.connect({ ...place, logger: false })
    t.after(() => outside.close())
    const ids = Array.from({ length: STARTS }, (_, n) => `order-${n}`)
    const starter = (n) => (n % 2 === 0 ? client : outside)
    await Promise.all(ids.map((instanceId, n) => starter(n).startNew('wait', { instanceId })))
    await server.crash()
    const found = await Promise.all(ids.map((id) => surely(() => outside.getStatus(id))))
    const lost = ids.filter((_, n) => found[n] === null)
    return { lost, hub, warnings: logger.find('warn', /synchronous_commit/) }
  }

  for (const [where, off, back, options] of [
    [
      'the database',
      'ALTER DATABASE postgres SET synchronous_commit = off',
      'ALTER DATABASE postgres RESET synchronous_commit',
    ],
    [
      'the role, and connections keep nothing',
      'ALTER ROLE postgres SET synchronous_commit = off',
      'ALTER ROLE postgres RESET synchronous_commit',
      { distributed: true },
    ],
  ]) {
    test(`takes nothing that was acknowledged where ${where} has synchronous_commit off`, async (t) => {
      await run(off)
      const place = { ...postgresStore(server.url), ...options }
      const { lost, hub, warnings } = await lostInCrash(t, place)
      await run(back)
      assert.deepEqual(lost, [])
      assert.equal(warnings.length, 1, 'it is said once')
      assert.match(warnings[0], /synchronous_commit is 'off'.*set it to 'on'/)
      assert.match(hub.synchronous, /^synchronous_commit=on, /)
    })
  }

  test('takes nothing where the server is set so while the hub is open', async (t) => {
    const place = postgresStore(server.url)
    const { client } = await openHub(t, register, place)
    await client.startNew('wait', { instanceId: 'early' })
    await run('ALTER SYSTEM SET synchronous_commit = off', 'SELECT pg_reload_conf()')
    const { lost } = await lostInCrash(t, place)
    await run('ALTER SYSTEM RESET synchronous_commit', 'SELECT pg_reload_conf()')
    assert.deepEqual(lost, [])
  })

  test('takes nothing behind pgbouncer in transaction mode', { skip: noPgbouncer }, async (t) => {
    await run('ALTER DATABASE postgres SET synchronous_commit = off')
    const pooler = await startPgbouncer(server.url, { settings: 'server_login_retry = 0.05' })
    t.after(() => pooler.stop())
    const { lost, warnings } = await lostInCrash(t, postgresStore(pooler.url))
    await run('ALTER DATABASE postgres RESET synchronous_commit')
    assert.deepEqual(lost, [])
    assert.equal(warnings.length, 1)
  })

  test('is told of what only the server can turn on, and a stronger setting stays', async (t) => {
    await run(
      'ALTER DATABASE postgres SET synchronous_commit = remote_apply',
      'ALTER SYSTEM SET full_page_writes = off',
      'SELECT pg_reload_conf()',
    )
    const logger = memoryLogger()
    const client = await df.connect({ ...postgresStore(server.url), logger })
    t.after(() => client.close())
    const { hub } = await openHub(t, register, postgresStore(server.url))
    await run(
      'ALTER DATABASE postgres RESET synchronous_commit',
      'ALTER SYSTEM RESET full_page_writes',
      'SELECT pg_reload_conf()',
    )
    assert.equal(
      hub.synchronous,
      'synchronous_commit=remote_apply, fsync=off, full_page_writes=off',
    )
    const told = logger.find('warn', /./).map((line) => /The server's (\w+) is off/.exec(line)?.[1])
    assert.deepEqual(told, ['fsync', 'full_page_writes'])
  })
})

function register(app) {
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}
