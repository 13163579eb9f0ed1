/**
 * What processes of a hub on a PostgreSQL server tell each other, so that nobody has to look all the time.
 *
 * A process that is told looks once or twice a second all the same. So twenty rounds that each wait for another
 * process take ten seconds and more where nothing is told.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import * as df from 'durafn'
import pg from 'pg'
import { noPgbouncer, startPgbouncer } from '../scripts/pgbouncer.mjs'
import { startPostgres } from '../scripts/postgres.mjs'
import { startChild } from './support/child.mjs'
import {
  memoryLogger,
  openHub,
  PATIENCE_MS,
  postgresStore,
  until,
  waiting,
} from './support/hub.mjs'
import { startWiretap } from './support/wiretap.mjs'

const ROUNDS = 20
const UNTOLD_MS = 8_000

describe('processes of a hub tell each other', () => {
  let server
  let sql
  before(async () => {
    server = await startPostgres({ own: true })
    sql = new pg.Client(server.url)
    await sql.connect()
  })
  after(async () => {
    await sql.end()
    await server.stop()
  })

  test('of events and of ends, also after their connections were cut', async (t) => {
    const place = postgresStore(server.url)
    await openHub(t, register, place)
    const client = await connectTo(t, place)
    await rounds(client, 1)
    await heardBy(2)
    await quickly(() => rounds(client, ROUNDS))
    assert.equal(await cut(), 2)
    await rounds(client, 5)
    await heardBy(2)
    await quickly(() => rounds(client, ROUNDS))
  })

  test('of sub-orchestrations that another worker runs', async (t) => {
    const place = postgresStore(server.url)
    const { client } = await openHub(t, register, place)
    const other = startChild(t, worker, { place })
    assert.equal(await other.next(), 'open')
    await until('the other one has its share', async () => {
      const children = await complete(client, 'parents', 40)
      return children.some((pid) => pid !== process.pid)
    })
    await quickly(async () => {
      const pids = await complete(client, 'chain', 2 * ROUNDS)
      assert.equal(new Set(pids).size, 2)
    })
  })

  test('an event while the worker has enough to do of its own', async (t) => {
    const place = postgresStore(server.url)
    const own = await openHub(t, register, place)
    const client = await connectTo(t, place)
    let busy = true
    const work = Promise.all(
      Array.from({ length: 20 }, async () => {
        while (busy) await complete(own.client, 'busy')
      }),
    )
    await quickly(() => rounds(client, 10))
    busy = false
    await work
  })

  test('so that those who have nothing to do hardly ask', async (t) => {
    const wiretap = await startWiretap(server.url)
    const place = postgresStore(wiretap.url)
    await openHub(t, register, place)
    await openHub(t, register, place)
    const client = await connectTo(t, place)
    t.after(wiretap.stop)
    const id = await client.startNew('wait')
    const end = client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
    await waiting(client, id)
    await heardBy(3)
    const before = wiretap.asked()
    const seconds = 2
    await delay(seconds * 1_000)
    const asked = (wiretap.asked() - before) / seconds
    // Two workers look twice a second who is there and what has come, and a client once for its instance.
    assert.ok(asked < 20, `${asked} questions a second`)
    await client.raiseEvent(id, 'go', 1)
    await end
  })

  test('by a connection of their own where the others go through a pooler', {
    skip: noPgbouncer,
  }, async (t) => {
    const pooler = await startPgbouncer(server.url)
    t.after(() => pooler.stop())
    const place = { ...postgresStore(pooler.url), listenUrl: server.url }
    await openHub(t, register, place)
    const client = await connectTo(t, place)
    await rounds(client, 1)
    await heardBy(2)
    await quickly(() => rounds(client, ROUNDS))
  })

  test('through a pooler without such a connection nobody hears, and all looks for itself', {
    skip: noPgbouncer,
  }, async (t) => {
    const pooler = await startPgbouncer(server.url)
    t.after(() => pooler.stop())
    const place = postgresStore(pooler.url)
    await openHub(t, register, place)
    const client = await connectTo(t, place)
    await quickly(() => rounds(client, ROUNDS))
    assert.equal((await listening()).length, 0)
  })

  test('and a listenUrl that is none is refused', async () => {
    for (const open of [df.open, df.connect]) {
      await assert.rejects(open({ store: server.url, listenUrl: 'localhost' }), {
        code: 'InvalidOption',
        field: 'options.listenUrl',
      })
    }
  })

  async function listening() {
    const text = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SET % LISTEN%'"
    return (await sql.query(text)).rows.map(({ pid }) => pid)
  }

  /** The connections for what is told. */
  async function ears() {
    const text = "SELECT pid FROM pg_stat_activity WHERE application_name = 'durafn hints'"
    return (await sql.query(text)).rows.map(({ pid }) => pid)
  }

  function heardBy(count) {
    return until(`${count} listen`, async () => (await ears()).length === count)
  }

  async function cut() {
    const pids = await ears()
    for (const pid of pids) await sql.query('SELECT pg_terminate_backend($1)', [pid])
    return pids.length
  }
})

async function connectTo(t, place) {
  const client = await df.connect({ ...place, logger: memoryLogger() })
  t.after(() => client.close())
  return client
}

/** Each waits twice for what another process does: the event to be taken, the instance to end. */
async function rounds(client, count) {
  for (let round = 0; round < count; round += 1) {
    const id = await client.startNew('wait')
    await waiting(client, id)
    const end = client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
    await client.raiseEvent(id, 'go', round)
    assert.equal((await end).output, round)
  }
}

async function complete(client, name, input) {
  const id = await client.startNew(name, { input })
  return (await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })).output
}

async function quickly(action) {
  const begun = performance.now()
  await action()
  const took = performance.now() - begun
  assert.ok(took < UNTOLD_MS, `it took ${took} ms`)
}

function register(app) {
  app.activity('pid', { handler: () => process.pid })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
  app.orchestration('busy', function* (context) {
    for (let step = 0; step < 20; step += 1) yield context.df.callActivity('pid')
  })
  app.orchestration('child', function* (context) {
    return yield context.df.callActivity('pid')
  })
  app.orchestration('parents', function* (context) {
    const children = Array.from({ length: context.df.getInput() }, () =>
      context.df.callSubOrchestrator('child'),
    )
    return yield context.df.Task.all(children)
  })
  app.orchestration('chain', function* (context) {
    const pids = []
    for (let step = 0; step < context.df.getInput(); step += 1) {
      pids.push(yield context.df.callSubOrchestrator('child'))
    }
    return pids
  })
}

async function worker({ df, args, say, hear }) {
  const app = new df.App()
  app.activity('pid', { handler: () => process.pid })
  app.orchestration('child', function* (context) {
    return yield context.df.callActivity('pid')
  })
  for (const name of ['wait', 'busy', 'parents', 'chain']) app.orchestration(name, function* () {})
  await df.open({ ...args.place, app, logger: false })
  say('open')
  await hear()
}
