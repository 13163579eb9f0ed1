/** What operators read of a store. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startPostgres } from '../scripts/postgres.mjs'
import { json, succeed } from './support/cli.mjs'
import { complete, connect, openHub, postgresStore, tempStore, until } from './support/hub.mjs'

let server
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

function register(app) {
  app.activity('one', { handler: () => 1 })
  app.orchestration('step', function* (context) {
    return yield context.df.callActivity('one')
  })
}

test('of a file there are its size and what of it is free', async (t) => {
  const store = tempStore(t)
  const { hub, client } = await openHub(t, register, { store })
  await complete(client, 'step')
  const { bytes, freeBytes, tables } = await hub.storeStats()
  assert.ok(bytes > 10_000 && freeBytes >= 0 && freeBytes < bytes, `${bytes}, ${freeBytes}`)
  assert.deepEqual(tables, [])
  assert.deepEqual(await (await connect(t, store)).storeStats(), { bytes, freeBytes, tables })
  assert.match(await succeed(['stats', '--store', store]), /^\d+ bytes, \d+ of them free\n$/)
})

test('of a hub on a server there are the rows and dead rows of each table', async (t) => {
  const place = postgresStore(server.url)
  const { hub, client } = await openHub(t, register, place)
  for (let n = 0; n < 20; n += 1) await complete(client, 'step')
  // The server counts some time after a commit.
  const rowsOf = (stats, name) => stats.tables.find((table) => table.name === name)
  const stats = await until('the server has counted', async () => {
    const counted = await hub.storeStats()
    return rowsOf(counted, 'instances').rows === 20 && counted
  })
  assert.ok(rowsOf(stats, 'workers').deadRows > 0, 'each commit leaves a dead row of the worker')
  assert.ok(stats.bytes > 0 && stats.freeBytes === undefined)
  for (const { vacuumed, bytes } of stats.tables) {
    assert.ok(bytes > 0 && (vacuumed === undefined || vacuumed instanceof Date))
  }
  const args = ['stats', '--store', place.store, '--hub', place.hubName]
  assert.match(await succeed(args), /TABLE +ROWS +DEAD ROWS[\s\S]*instances +20 /)
  assert.equal(rowsOf(await json([...args, '--json']), 'instances').rows, 20)
})
