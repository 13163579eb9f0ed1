/**
 * A server that is away, whatever it says meanwhile: nothing that was acknowledged is lost or done twice, nothing
 * is parked for it, and all goes on by itself.
 */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import * as df from 'durafn'
import pg from 'pg'
import { startPostgres } from '../scripts/postgres.mjs'
import { openHub, PATIENCE_MS, postgresStore, refuses, until } from './support/hub.mjs'
import { pooler } from './support/outage.mjs'

/** How long the server is away: more than a few tries to connect again. */
const AWAY_MS = 400
const ENTITIES = 20
const CHAINS = 5
const CROWD = 40
/** What a caller may be told meanwhile. */
const PASSES = ['StoreUnavailable', 'StoreReadOnly']

let server
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

function register(app) {
  app.activity('step', { handler: async (n) => (await delay(20)) ?? n })
  app.activity('rare', { handler: async (n) => (await delay(10)) ?? n, maxConcurrency: 4 })
  app.orchestration('chain', function* (context) {
    let sum = 0
    for (let n = 0; n < 30; n++) sum += yield context.df.callActivity('step', n)
    return sum
  })
  app.orchestration('crowd', function* (context) {
    const all = []
    for (let n = 0; n < CROWD; n++) all.push(context.df.callActivity('rare', n))
    return (yield context.df.Task.all(all)).length
  })
  app.orchestration('nap', function* (context) {
    yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + AWAY_MS / 2))
    return 'awake'
  })
  app.entity('log', (context) => {
    const seen = context.df.getState(() => [])
    context.df.setState([...seen, context.df.getInput()])
  })
}

/** Sends signals until it is told to stop: what was acknowledged, by entity. */
function signals(client) {
  const acknowledged = Array.from({ length: ENTITIES }, () => [])
  let stopped = false
  let next = 0
  const sent = Array.from({ length: 6 }, async () => {
    while (!stopped) {
      const n = next++
      const entity = n % ENTITIES
      try {
        await client.signalEntity(new df.EntityId('log', `${entity}`), 'add', n)
        acknowledged[entity].push(n)
      } catch (error) {
        assert.ok(PASSES.includes(error.code), error.stack)
        await delay(5)
      }
    }
  })
  return async () => {
    stopped = true
    await Promise.all(sent)
    return acknowledged
  }
}

async function completes(client, id) {
  const status = await until(`instance ${id} ends`, async () => {
    try {
      return await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
    } catch (error) {
      // Who waits hears that the store is away, and asks again.
      assert.ok(PASSES.includes(error.code), error.stack)
    }
  })
  assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
}

/** Each acknowledged signal was carried out once. One that was refused may have been, as it says. */
async function checkSignals(client, acknowledged) {
  for (const [entity, numbers] of acknowledged.entries()) {
    const id = new df.EntityId('log', `${entity}`)
    const missing = await until(`entity ${entity} has seen all`, async () => {
      const { entityState: seen = [] } = await client.readEntityState(id)
      assert.equal(new Set(seen).size, seen.length, 'none was carried out twice')
      return numbers.every((n) => seen.includes(n)) && [...seen]
    }).catch(() => null)
    assert.ok(missing, `entity ${entity} has seen all that was acknowledged`)
  }
}

/** Runs all kinds of work, lets the server be away in the midst of it, and checks what became of it. */
async function survives(t, { client, logger }, outage) {
  const stop = signals(client)
  const ids = []
  for (let n = 0; n < CHAINS; n++) ids.push(await client.startNew('chain'))
  ids.push(await client.startNew('crowd'), await client.startNew('nap'))
  await delay(100)
  await outage()
  await delay(100)
  const acknowledged = await stop()
  for (const id of ids) await completes(client, id)
  await completes(client, await client.startNew('crowd'))
  await checkSignals(client, acknowledged)
  assert.deepEqual(logger.find('error', /failed: /), [], 'no operation has failed')
  t.diagnostic(`${acknowledged.flat().length} signals were acknowledged`)
}

describe('a pooler whose server is away loses nothing by whatever it says', {
  concurrency: true,
}, () => {
  for (const code of ['XX000', '3D000', '28P01', '28000', '57P01', '57P03', '08P01', '53300']) {
    test(code, async (t) => {
      const proxy = await pooler(t, server.url)
      const hub = await openHub(t, register, postgresStore(proxy.url))
      await survives(t, hub, async () => {
        proxy.down(code)
        await delay(AWAY_MS)
        proxy.up()
      })
      assert.ok(proxy.refused() > 0)
    })
  }
})

describe('a server that refuses for a while loses nothing', { concurrency: true }, () => {
  const outages = {
    'whose transactions take too long (25P04)': {
      begins: 'ALTER DATABASE $db SET transaction_timeout = 1',
      ends: 'ALTER DATABASE $db RESET transaction_timeout',
    },
    'that only reads (25006)': {
      begins: 'ALTER DATABASE $db SET default_transaction_read_only = on',
      ends: 'ALTER DATABASE $db RESET default_transaction_read_only',
    },
    'that takes no connections to the database (55000)': {
      begins: 'ALTER DATABASE $db ALLOW_CONNECTIONS false',
      ends: 'ALTER DATABASE $db ALLOW_CONNECTIONS true',
    },
    'whose role may not log in (28000)': {
      begins: 'ALTER ROLE $db NOLOGIN',
      ends: 'ALTER ROLE $db LOGIN',
    },
    'whose role may do nothing (42501)': {
      begins: 'REVOKE CONNECT ON DATABASE $db FROM PUBLIC, $db',
      ends: 'GRANT CONNECT ON DATABASE $db TO PUBLIC',
    },
  }
  for (const [what, { begins, ends }] of Object.entries(outages)) {
    test(`one ${what}`, async (t) => {
      const db = `outage_${randomUUID().replaceAll('-', '')}`
      const admin = new pg.Client(server.url)
      await admin.connect()
      const run = (text) => admin.query(text.replaceAll('$db', db))
      const cut = () =>
        run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$db'")
      await run("CREATE ROLE $db LOGIN PASSWORD '$db'")
      await run('CREATE DATABASE $db OWNER $db')
      const place = new URL(server.url)
      Object.assign(place, { username: db, password: db, pathname: `/${db}` })
      const hub = await openHub(t, register, { store: place.href })
      t.after(async () => {
        await run('DROP DATABASE $db WITH (FORCE)')
        await run('DROP ROLE $db')
        await admin.end()
      })
      await survives(t, hub, async () => {
        await run(begins)
        await cut()
        await delay(AWAY_MS)
        await run(ends)
        await cut()
      })
    })
  }
})

for (const code of ['3D000', '28P01', '28000']) {
  test(`but a hub is not opened that is refused with ${code}`, async (t) => {
    const proxy = await pooler(t, server.url)
    proxy.down(code)
    const app = new df.App()
    await refuses('InvalidOption', df.open({ ...postgresStore(proxy.url), app, logger: false }), {
      message: /no server is there/,
    })
  })
}
