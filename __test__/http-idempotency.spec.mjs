/** `Idempotency-Key` with two processes that serve one hub: a key starts exactly one instance. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startPostgres } from '../scripts/postgres.mjs'
import { startChild } from './support/child.mjs'
import { BASE, expectStatus, readResponse } from './support/http.mjs'
import { connect, PATIENCE_MS, postgresStore, tempStore } from './support/hub.mjs'

const KEYS = 300
const AT_A_TIME = 30

let postgres
before(async () => {
  postgres = await startPostgres()
})
after(() => postgres.stop())

/** Serves the hub until it is told to stop; then says the keys whose instances it ran. */
async function serving({ df, args, say, hear }) {
  const { serve } = await import('durafn/http')
  const runs = []
  const app = new df.App()
  app.activity('note', { handler: (key) => void runs.push(key) })
  app.orchestration('short', function* (context) {
    yield context.df.callActivity('note', context.df.getInput())
  })
  const options = { ...args.place, logger: false }
  const hub = args.isWorker ? await df.open({ ...options, app }) : await df.connect(options)
  const server = await serve(hub, { port: 0, keys: false })
  say(server.url)
  await hear()
  await server.close()
  await hub.close()
  say(runs)
}

/** Sends each key twice to each of the processes at once, and once more when its instance has ended. */
async function race(t, place, roles) {
  const children = []
  const urls = []
  for (const isWorker of roles) {
    const child = startChild(t, serving, { place, isWorker })
    urls.push(await child.next()) // a worker says what it registers before clients ask
    children.push(child)
  }
  const client = await connect(t, place.store, place)
  const send = async (url, key) => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': key }
    const init = { method: 'POST', headers, body: JSON.stringify(key) }
    return await readResponse(await fetch(`${url}${BASE}/orchestrators/short`, init))
  }
  const isReplayed = ({ headers }) => headers.get('idempotent-replayed') === 'true'
  const keys = Array.from({ length: KEYS }, (_, n) => `key-${n}`)
  const startOften = async (key) => {
    const answers = await Promise.all([...urls, ...urls].map((url) => send(url, key)))
    const ids = new Set(answers.map((answer) => expectStatus(answer, 202).id))
    assert.equal(ids.size, 1, key)
    assert.equal(answers.filter((answer) => !isReplayed(answer)).length, 1, key)
    await client.waitForCompletion([...ids][0], { timeoutMs: PATIENCE_MS })
    const late = await Promise.all(urls.map((url) => send(url, key)))
    assert.ok(late.every(isReplayed), key)
  }
  for (let n = 0; n < KEYS; n += AT_A_TIME) {
    await Promise.all(keys.slice(n, n + AT_A_TIME).map(startOften))
  }
  assert.equal(await client.count({ name: 'short' }), KEYS)
  for (const child of children) child.tell('stop')
  const runs = (await Promise.all(children.map((child) => child.next()))).flat()
  assert.deepEqual(runs.sort(), keys.sort())
}

describe(`of ${KEYS} keys that two processes get at the same time each starts one instance`, () => {
  test('on SQLite: a worker and a client', async (t) => {
    await race(t, { store: tempStore(t) }, [true, false])
  })

  test('on PostgreSQL: two workers', async (t) => {
    await race(t, postgresStore(postgres.url), [true, true])
  })
})
