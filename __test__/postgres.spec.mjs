/**
 * Hubs on a PostgreSQL server. What every hub does is tested there too, by other suites: see
 * `scripts/test.mjs`.
 */

import assert from 'node:assert/strict'
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as df from 'durafn'
import pg from 'pg'
import { startPostgres } from '../scripts/postgres.mjs'
import { startChild } from './support/child.mjs'
import { json, startHost, stop, succeed } from './support/cli.mjs'
import {
  openHub,
  PATIENCE_MS,
  postgresStore,
  refuses,
  surely,
  tempDir,
  until,
} from './support/hub.mjs'

let server
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

/** A client to such a hub, closed after the test. */
async function connectTo(t, place) {
  const client = await df.connect({ ...place, logger: false })
  t.after(() => client.close())
  return client
}

describe('a hub on a PostgreSQL server', () => {
  test('says what its server syncs', async (t) => {
    const { hub } = await openHub(t, () => {}, postgresStore(server.url))
    assert.equal(hub.synchronous, 'synchronous_commit=on, fsync=off, full_page_writes=on')
  })

  test('takes calls of any process, with a worker and without one', async (t) => {
    const place = postgresStore(server.url)
    const client = await connectTo(t, place)
    await client.startNew('wait', { instanceId: 'early' })
    assert.equal((await client.getStatus('early', { pending: true })).runtimeStatus, 'Pending')
    await openHub(t, register, place)
    await until('the early one waits', () => client.getStatus('early'))
    assert.equal((await client.raiseEvent('early', 'go', 1)).outcome, 'delivered')
    const timeoutMs = PATIENCE_MS
    assert.equal((await client.waitForCompletion('early', { timeoutMs })).output, 2)
    const late = await client.startNew('wait')
    await until('the late one waits', () => client.getStatus(late))
    await client.terminate(late, 'enough')
    assert.equal((await client.waitForCompletion(late, { timeoutMs })).output, 'enough')
    const ids = (await client.list({})).instances.map(({ instanceId }) => instanceId)
    assert.deepEqual(ids.sort(), ['early', late].sort())
    assert.deepEqual(await client.purgeInstanceHistory(late), { instancesDeleted: 1 })
  })

  test('is shared by workers, and what one of them had goes on in another when it closes', async (t) => {
    const place = postgresStore(server.url)
    const first = await openHub(t, register, place)
    const second = await openHub(t, register, place)
    const ids = Array.from({ length: 40 }, (_, n) => `shared-${n}`)
    for (const instanceId of ids) await first.client.startNew('wait', { instanceId })
    const waiting = (id) => until(`${id} waits`, () => second.client.getStatus(id))
    await Promise.all(ids.map(waiting))
    const half = await Promise.all(ids.map((id) => second.client.raiseEvent(id, 'go', 1)))
    assert.deepEqual(new Set(half.map(({ outcome }) => outcome)), new Set(['delivered']))
    for (const id of ids) {
      const { output } = await first.client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.equal(output, 2)
    }
    for (const id of ids) await second.client.startNew('wait', { instanceId: `more-${id}` })
    await first.close()
    for (const id of ids) {
      await waiting(`more-${id}`)
      await second.client.raiseEvent(`more-${id}`, 'go', 2)
      const wait = second.client.waitForCompletion(`more-${id}`, { timeoutMs: PATIENCE_MS })
      assert.equal((await wait).output, 3)
    }
  })

  test('is upgraded worker by worker: what an older one leaves runs when that has closed', async (t) => {
    const place = postgresStore(server.url)
    const versions = (app) => {
      app.orchestration('seen', (context) => context.df.version)
    }
    const older = await openHub(t, versions, { ...place, defaultVersion: '1.0' })
    const newer = await openHub(t, versions, { ...place, defaultVersion: '2.0' })
    // Their partitions are of both workers, or of the older one alone if the newer has none yet.
    const ids = Array.from({ length: 16 }, (_, n) => `version-${n}`)
    await newer.client.startMany(ids.map((instanceId) => ({ name: 'seen', instanceId })))
    const left = ({ problem }) => problem?.code === 'VersionMismatch'
    await until('the older one leaves some', async () => {
      return (await newer.client.list({})).instances.some(left)
    })
    await older.close()
    for (const id of ids) {
      const status = await newer.client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.deepEqual([status.output, status.problem], ['2.0', undefined])
    }
  })

  test('loses nothing and doubles no result when its worker is killed again and again', async (t) => {
    const place = postgresStore(server.url)
    const ledger = join(tempDir(t), 'ledger')
    const client = await connectTo(t, place)
    const ids = await Promise.all(
      Array.from({ length: 60 }, (_, n) => client.startNew('steps', { instanceId: `steps-${n}` })),
    )
    for (let round = 0; round < 3; round += 1) {
      const child = startChild(t, worker, { place, ledger })
      assert.equal(await child.next(), 'open')
      await until('it works', () => linesOf(ledger).length > round * 60 + 20)
      await child.kill()
    }
    startChild(t, worker, { place, ledger })
    const observed = new Set()
    for (const id of ids) {
      const { runtimeStatus, output } = await client.waitForCompletion(id, { timeoutMs: 60_000 })
      assert.equal(runtimeStatus, 'Completed')
      for (const nonce of output) observed.add(nonce)
    }
    assert.equal(observed.size, 60 * 5, 'every result is observed once')
    const ran = new Set(linesOf(ledger))
    for (const nonce of observed) assert.ok(ran.has(nonce), 'and was one that an activity gave')
  })
})

describe('the command line on a PostgreSQL server', () => {
  test('serves and lists, and shows no password', async (t) => {
    const own = await startPostgres({ own: true })
    t.after(() => own.stop())
    // A copy, as the keys of such a hub are kept in the app's folder.
    const desk = tempDir(t)
    cpSync(new URL('./apps/desk', import.meta.url), desk, { recursive: true })
    const host = await startHost(t, [desk, '--store', own.url])
    const { password, host: place } = new URL(own.url)
    assert.ok(host.stdout.includes(place), host.stdout)
    assert.ok(!host.stdout.includes(`:${password}@`), host.stdout)
    await succeed(['instances', 'start', 'Order', '--id', 'o', '--store', own.url])
    const instances = await json(['instances', 'list', '--store', own.url])
    assert.deepEqual(
      instances.map(({ instanceId }) => instanceId),
      ['o'],
    )
    assert.equal(await stop(host), 0)
  })
})

describe('a PostgreSQL server that goes down again and again', () => {
  test('loses nothing, and work goes on by itself', async (t) => {
    const own = await startPostgres({ own: true })
    t.after(() => own.stop())
    const place = postgresStore(own.url)
    const { client } = await openHub(t, registerSteps, place)
    const ids = Array.from({ length: 200 }, (_, n) => `steps-${n}`)
    const all = Promise.all(
      ids.map(async (instanceId) => {
        await surely(() => client.startNew('steps', { instanceId, onConflict: 'return' }))
        return surely(() => client.waitForCompletion(instanceId, { timeoutMs: 60_000 }))
      }),
    )
    for (let round = 0; round < 4; round += 1) await own.restart(round * 200)
    for (const { runtimeStatus, output } of await all) {
      assert.equal(runtimeStatus, 'Completed')
      assert.equal(output, 20)
    }
  })

  function registerSteps(app) {
    app.activity('next', {
      handler: async (n) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return n + 1
      },
    })
    app.orchestration('steps', function* (context) {
      let n = 0
      for (let step = 0; step < 20; step += 1) n = yield context.df.callActivity('next', n)
      return n
    })
  }
})

describe('a PostgreSQL server that cannot be used', () => {
  const refusal = async (place, code, message) => {
    const options = typeof place === 'string' ? { store: place } : place
    await refuses(code, df.open({ ...options, app: new df.App(), logger: false }), { message })
    await refuses(code, df.connect({ ...options, logger: false }), { message })
  }

  test('because nothing listens there is StoreUnavailable', async () => {
    await refusal('postgres://nobody@127.0.0.1:1/nothing', 'StoreUnavailable', /connect/)
  })

  test('because the password is wrong is InvalidOption, which does not tell it', async () => {
    const url = new URL(server.url)
    url.password = 'not-that-word'
    await refusal(url.href, 'InvalidOption', /^(?!.*not-that-word).*password/s)
  })

  test('because the URL is none is InvalidOption', async () => {
    await refusal('postgres://host:port/base', 'InvalidOption', /URL/)
    await refusal('mysql://host/base', 'InvalidOption', /options\.store/)
  })

  /** Runs statements beside the hub; `hub.` stands for its schema. */
  const run = async ({ hubName }, text) => {
    const db = new pg.Client({ connectionString: server.url })
    await db.connect()
    await db.query(text.replaceAll('hub.', `"durafn_${hubName}".`)).finally(() => db.end())
  }

  test('because the role has no rights is StoreReadOnly, and says which', async (t) => {
    const place = postgresStore(server.url)
    const role = `poor_${place.hubName}`
    await run(place, `CREATE ROLE "${role}" LOGIN PASSWORD 'poor'`)
    t.after(() => run(place, `DROP ROLE "${role}"`))
    const url = Object.assign(new URL(server.url), { username: role, password: 'poor' })
    const poor = { ...place, store: url.href }
    await refusal(poor, 'StoreReadOnly', /permission denied for database/)
    const { close } = await openHub(t, register, place)
    await close()
    await refusal(poor, 'StoreReadOnly', /permission denied for schema .*docs\/scaling/)
  })

  test('because the hub is of a newer version, or of other partitions, is HubTooNew', async (t) => {
    const place = postgresStore(server.url)
    const { close } = await openHub(t, register, place)
    await close()
    await run(place, 'UPDATE hub.hub SET part_count = 64')
    await refusal(place, 'HubTooNew', /64 partitions/)
    await run(place, 'UPDATE hub.hub SET part_count = 256, version = 99')
    await refusal(place, 'HubTooNew', /version 99/)
  })

  test('because the schema is of another program is NotAHub', async () => {
    const place = postgresStore(server.url)
    await run(place, `CREATE SCHEMA "durafn_${place.hubName}"; CREATE TABLE hub.hub (theirs int)`)
    await refusal(place, 'NotAHub', /choose another hubName/)
  })

  test('cannot be copied to a file by backup', async (t) => {
    const { hub } = await openHub(t, () => {}, postgresStore(server.url))
    await refuses('InvalidOption', hub.backup(join(tempDir(t), 'copy')), { message: /pg_dump/ })
  })
})

function register(app) {
  app.activity('next', { handler: (n) => n + 1 })
  app.orchestration('wait', function* (context) {
    return yield context.df.callActivity('next', yield context.df.waitForExternalEvent('go'))
  })
}

/** Each activity writes a word of its own into the ledger before it returns it. */
async function worker({ df, args, say, hear }) {
  const { appendFileSync } = await import('node:fs')
  const { randomUUID } = await import('node:crypto')
  const app = new df.App()
  app.activity('note', {
    handler: async () => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      const nonce = randomUUID()
      appendFileSync(args.ledger, `${nonce}\n`)
      return nonce
    },
  })
  app.orchestration('steps', function* (context) {
    const nonces = []
    for (let step = 0; step < 5; step += 1) nonces.push(yield context.df.callActivity('note', step))
    return nonces
  })
  await df.open({ ...args.place, app, maxConcurrentActivities: 8, leaseMs: 1_000 })
  say('open')
  await hear()
}

function linesOf(ledger) {
  try {
    return readFileSync(ledger, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}
