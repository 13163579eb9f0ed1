/** Several worker processes on one hub, which are killed, stopped and replaced. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { startPostgres } from '../scripts/postgres.mjs'
import { openCluster } from './support/cluster.mjs'
import { PATIENCE_MS, until } from './support/hub.mjs'
import { seeded } from './support/random.mjs'

const LEASE_MS = 1_000

let server
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

const named = (count) => Array.from({ length: count }, (_, n) => `steps-${n}`)
const startSteps = (client, ids, input) =>
  client.startMany(ids.map((instanceId) => ({ name: 'steps', instanceId, input })))

describe('workers that share a hub', () => {
  test('lose nothing and double no result when one is killed again and again', async (t) => {
    const cluster = await openCluster(t, server.url)
    // So few at a time that there is work for all of the test.
    const options = { maxConcurrentActivities: 200 }
    const workers = await cluster.workers(4, options)
    await cluster.balanced(4)
    const ids = named(2_000)
    await startSteps(cluster.client, ids, { steps: 5, ms: 900 })
    const took = []
    for (let round = 0; round < 4; round += 1) {
      await delay(800)
      const victim = workers.shift()
      const parts = await cluster.parts(victim)
      const killed = Date.now()
      await victim.kill()
      workers.push(await cluster.worker(options))
      const first = await until('others go on', () => cluster.firstCommit(parts, killed))
      took.push(Math.round(first - killed))
    }
    await cluster.completed(ids.length)
    const runs = await cluster.checkSteps(ids, 5)
    const commits = await cluster.audit()
    t.diagnostic(`taken over after ${took.join(', ')} ms; ${runs} runs, ${commits} turns`)
    for (const ms of took) assert.ok(ms <= LEASE_MS + 1_000, `taken over after ${ms} ms`)
  })

  test('a zombie commits nothing after its lease, and works again', async (t) => {
    const cluster = await openCluster(t, server.url)
    const ids = []
    await cluster.worker()
    const zombies = await cluster.workers(10)
    for (let round = 0; round < 5; round += 1) {
      await cluster.balanced(11)
      const more = named(440).map((id) => `${round}-${id}`)
      ids.push(...more)
      await startSteps(cluster.client, more, { steps: 3, ms: 300 })
      await until('all are at work', () => {
        const lines = cluster.lines().filter(({ id }) => id.startsWith(`${round}-`))
        return new Set(lines.map(({ pid }) => pid)).size === 11
      })
      for (const zombie of zombies) zombie.signal('SIGSTOP')
      await until('they have lost all', async () => (await cluster.members()) === 1)
      for (const zombie of zombies) zombie.signal('SIGCONT')
    }
    await cluster.completed(ids.length)
    const runs = await cluster.checkSteps(ids, 3)
    const commits = await cluster.audit()
    const refused = zombies.map(({ said }) => said.filter(isOuster).length)
    t.diagnostic(`${refused} times ousted; ${runs} runs, ${commits} turns`)
    assert.ok(refused.every((times) => times >= 5))
  })

  const isOuster = ([, message]) => /Joining again/.test(message)

  // DURAFN_TEST_ROUNDS=200 runs more of them.
  const rounds = Number(process.env.DURAFN_TEST_ROUNDS ?? 3)
  test(`run no instance twice when they are stopped at any moment, ${rounds} times`, async (t) => {
    const random = seeded(t)
    const cluster = await openCluster(t, server.url)
    const workers = await cluster.workers(6)
    const ids = []
    for (let round = 0; round < rounds; round += 1) {
      const more = named(200).map((id) => `${round}-${id}`)
      ids.push(...more)
      await startSteps(cluster.client, more, { steps: 3, ms: random.integer(0, 200) })
      const pauses = workers.map(async (worker) => {
        // Shorter than a lease, as if starved, or longer. One at least goes on.
        if (worker === workers[round % workers.length]) return
        for (let times = random.integer(0, 2); times >= 0; times -= 1) {
          await delay(random.integer(0, 400))
          worker.signal('SIGSTOP')
          await delay(random.integer(0, 2.5 * LEASE_MS))
          worker.signal('SIGCONT')
        }
      })
      await Promise.all(pauses)
    }
    await cluster.completed(ids.length)
    await cluster.checkSteps(ids, 3)
    const turns = await cluster.audit()
    const [{ departed, died }] = await cluster.rows(
      'SELECT count(*)::int AS departed, count(*) FILTER (WHERE died)::int AS died FROM hub.departed',
    )
    t.diagnostic(`${turns} turns; ${departed} times ousted, ${died} taken for dead`)
  })

  test('hand over at once when they are replaced one by one, and no call fails', async (t) => {
    const cluster = await openCluster(t, server.url)
    const options = { leaseMs: 10_000 }
    const workers = await cluster.workers(3, options)
    await cluster.balanced(3)
    const load = callers(cluster.client, 40, { steps: 3, ms: 100 })
    const took = []
    for (let round = 0; round < 3; round += 1) {
      await delay(500)
      const leaver = workers.shift()
      leaver.signal('SIGTERM')
      const said = [await leaver.next(), await leaver.next()]
      assert.deepEqual(
        said.map(([word]) => word),
        ['draining', 'closed'],
      )
      await leaver.finish()
      await until('all is taken', () => cluster.isOwned())
      took.push(await cluster.lastTake(said[1][1]))
      workers.push(await cluster.worker(options))
    }
    const { ids, slowest } = await load.stop()
    const runs = await cluster.checkSteps(ids, 3)
    await cluster.audit()
    t.diagnostic(
      `taken ${took.join(', ')} ms after the close; ${ids.length} calls, slowest ${slowest} ms`,
    )
    assert.equal(runs, ids.length * 3, 'no activity ran twice')
    // The lease is 10 s: nobody waited for its end.
    for (const ms of took) assert.ok(ms < 3_000, `taken after ${ms} ms`)
  })

  test('one that joins has its share within two seconds, and steals nothing', async (t) => {
    const cluster = await openCluster(t, server.url)
    await cluster.worker()
    await until('it has all', () => cluster.isOwned())
    const load = callers(cluster.client, 20, { steps: 3, ms: 20 })
    const took = []
    for (const count of [2, 3]) {
      await delay(300)
      const { openedAt } = await cluster.worker()
      await cluster.balanced(count)
      took.push(Date.now() - openedAt)
    }
    const { ids } = await load.stop()
    assert.equal(await cluster.checkSteps(ids, 3), ids.length * 3, 'no activity ran twice')
    await cluster.audit()
    t.diagnostic(`shares after ${took.join(' and ')} ms, under load`)
    for (const ms of took) assert.ok(ms < 2_000, `its share after ${ms} ms`)
  })
})

/** So many callers that start an instance and wait for it, again and again, until they are stopped. */
function callers(client, count, input) {
  const ids = []
  let stopped = false
  let slowest = 0
  const call = async () => {
    while (!stopped) {
      const instanceId = `call-${ids.length}`
      ids.push(instanceId)
      const begun = performance.now()
      await client.startNew('steps', { instanceId, input })
      await client.waitForCompletion(instanceId, { timeoutMs: PATIENCE_MS })
      slowest = Math.max(slowest, Math.round(performance.now() - begun))
    }
  }
  const all = Promise.all(Array.from({ length: count }, call))
  all.catch(() => {}) // it is for `stop` to tell
  return {
    async stop() {
      stopped = true
      await all
      return { ids, slowest }
    },
  }
}
