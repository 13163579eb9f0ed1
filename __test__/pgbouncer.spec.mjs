/** Hubs on a PostgreSQL server that is reached through pgbouncer in transaction mode. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import * as df from 'durafn'
import { noPgbouncer, startPgbouncer } from '../scripts/pgbouncer.mjs'
import { startPostgres } from '../scripts/postgres.mjs'
import { startChild } from './support/child.mjs'
import { memoryLogger, openHub, PATIENCE_MS, postgresStore, surely, until } from './support/hub.mjs'

const INSTANCES = 300

describe('a hub behind pgbouncer in transaction mode', { skip: noPgbouncer }, () => {
  let server
  before(async () => {
    server = await startPostgres()
  })
  after(() => server?.stop())

  for (const [what, settings] of [
    ['that refuses settings of a connection', ''],
    ['that drops settings of a connection', 'ignore_startup_parameters = options'],
  ]) {
    test(`${what} is run by two workers and called by a client, on four connections`, async (t) => {
      const pooler = await startPgbouncer(server.url, { settings })
      t.after(() => pooler.stop())
      const place = postgresStore(pooler.url)
      const workers = [1, 2].map(() => startChild(t, worker, { place }))
      for (const child of workers) assert.equal(await child.next(), 'open')
      const logger = memoryLogger()
      const client = await df.connect({ ...place, logger })
      t.after(() => client.close())
      await until('each has its share', async () => {
        await client.startMany(Array.from({ length: 20 }, () => ({ name: 'ping' })))
        const counts = await Promise.all(workers.map((child) => asked(child, 'count')))
        return counts.every(({ pings }) => pings > 0)
      })
      const ids = Array.from({ length: INSTANCES }, (_, n) => `order-${n}`)
      await client.startMany(ids.map((instanceId) => ({ name: 'order', instanceId, input: 1 })))
      const outputs = await Promise.all(
        ids.map(async (id) => {
          await until(`${id} waits`, () => waitsOf(client, id), { pauseMs: 50 })
          const { outcome } = await client.raiseEvent(id, 'approval', 10)
          assert.equal(outcome, 'delivered')
          return (await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })).output
        }),
      )
      assert.deepEqual(new Set(outputs), new Set([13]))
      const counts = await Promise.all(workers.map((child) => asked(child, 'close')))
      assert.equal(counts[0].ran + counts[1].ran, 2 * INSTANCES)
      const lines = logger.lines.map(({ message }) => message)
      // The server of the tests does not sync.
      const other = (line) => !line.includes('fsync is off')
      assert.deepEqual([...lines, ...counts.flatMap(({ lines }) => lines)].filter(other), [])
    })
  }

  test('loses nothing when the server behind it goes down again and again', async (t) => {
    const own = await startPostgres({ own: true })
    t.after(() => own.stop())
    const pooler = await startPgbouncer(own.url, { settings: 'server_login_retry = 0.05' })
    t.after(() => pooler.stop())
    const runs = []
    const register = (app) => {
      app.activity('next', { handler: (n) => delay(10, n + 1) })
      app.orchestration('steps', function* (context) {
        let n = 0
        for (let step = 0; step < 20; step += 1) n = yield context.df.callActivity('next', n)
        return n
      })
    }
    const { client } = await openHub(t, register, postgresStore(pooler.url))
    for (let n = 0; n < 100; n += 1) {
      const instanceId = `steps-${n}`
      const start = () => client.startNew('steps', { instanceId, onConflict: 'return' })
      const wait = () => client.waitForCompletion(instanceId, { timeoutMs: 60_000 })
      runs.push(surely(start).then(() => surely(wait)))
    }
    for (let round = 0; round < 3; round += 1) await own.restart(round * 200)
    for (const { runtimeStatus, output } of await Promise.all(runs)) {
      assert.equal(runtimeStatus, 'Completed')
      assert.equal(output, 20)
    }
  })
})

async function waitsOf(client, id) {
  const status = await client.getStatus(id)
  return status?.waitingFor?.some(({ name }) => name === 'approval')
}

function asked(child, question) {
  child.tell(question)
  return child.next()
}

async function worker({ df, args, say, hear }) {
  const app = new df.App()
  let ran = 0
  let pings = 0
  app.activity('next', {
    handler: (n) => {
      ran += 1
      return n + 1
    },
  })
  app.activity('pong', {
    handler: () => {
      pings += 1
    },
  })
  app.orchestration('ping', function* (context) {
    yield context.df.callActivity('pong')
  })
  app.orchestration('order', function* (context) {
    const first = yield context.df.callActivity('next', context.df.getInput())
    const more = yield context.df.waitForExternalEvent('approval')
    yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 20))
    return yield context.df.callActivity('next', first + more)
  })
  const lines = []
  const keep = (message) => lines.push(message)
  const logger = { debug() {}, info() {}, warn: keep, error: keep }
  const hub = await df.open({ ...args.place, app, logger })
  say('open')
  while ((await hear()) === 'count') say({ pings })
  await hub.close()
  say({ ran, lines })
}
