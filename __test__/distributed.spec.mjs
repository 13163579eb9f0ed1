/**
 * `distributed: true`: only what PostgreSQL has in common with servers that speak its protocol, at their level of
 * isolation, where any statement may be refused because it met another one.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as df from 'durafn'
import { startPostgres } from '../scripts/postgres.mjs'
import { startChild } from './support/child.mjs'
import { memoryLogger, PATIENCE_MS, postgresStore, until } from './support/hub.mjs'
import { startWiretap } from './support/wiretap.mjs'

const INSTANCES = 100
const ONLY_POSTGRES =
  /SKIP LOCKED|advisory|LISTEN|NOTIFY|pg_notify|pg_xact_status|pg_current_xact_id|tcp_user_timeout/gi

describe('a distributed hub', () => {
  let server
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.stop())

  test('does all its work with nothing that only PostgreSQL has, under serializable isolation', async (t) => {
    const wiretap = await startWiretap(server.url)
    const { store, hubName } = postgresStore(wiretap.url)
    const isolation = encodeURIComponent('-c default_transaction_isolation=serializable')
    const place = { store: `${store}?distributed=true&options=${isolation}`, hubName }
    const workers = [1, 2].map(() => startChild(t, worker, { place }))
    for (const child of workers) assert.equal(await child.next(), 'open')
    const client = await df.connect({ ...place, logger: memoryLogger() })
    t.after(() => client.close())
    t.after(wiretap.stop)
    const ids = Array.from({ length: INSTANCES }, (_, n) => `order-${n}`)
    await client.startMany(ids.map((instanceId) => ({ name: 'order', instanceId, input: 1 })))
    const outputs = await Promise.all(
      ids.map(async (id, n) => {
        await until(`${id} waits`, () => waits(client, id), { pauseMs: 50 })
        if (n === INSTANCES / 2) await workers[0].kill()
        const raise = () => client.raiseEvent(id, 'approval', 10)
        assert.equal((await surely(raise)).outcome, 'delivered')
        const wait = () => client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
        return (await surely(wait)).output
      }),
    )
    assert.deepEqual(new Set(outputs), new Set([13]))
    assert.deepEqual(wiretap.sent().match(ONLY_POSTGRES), null)
  })
})

async function waits(client, id) {
  const status = await surely(() => client.getStatus(id))
  return status?.waitingFor?.some(({ name }) => name === 'approval')
}

/** As a caller does: what was refused because others were in the way is asked for again. */
function surely(call) {
  let answer
  const asked = async () => {
    try {
      answer = await call()
      return true
    } catch (error) {
      if (error.code === 'StoreUnavailable' && /Nothing was written/.test(error.message))
        return false
      throw error
    }
  }
  return until('the store takes it', asked).then(() => answer)
}

async function worker({ df, args, say, hear }) {
  const app = new df.App()
  app.activity('next', { handler: (n) => n + 1, maxConcurrency: 4 })
  app.orchestration('order', function* (context) {
    const first = yield context.df.callActivity('next', context.df.getInput())
    const more = yield context.df.waitForExternalEvent('approval')
    return yield context.df.callActivity('next', first + more)
  })
  await df.open({ ...args.place, app, logger: false, leaseMs: 1_000 })
  say('open')
  await hear()
}
