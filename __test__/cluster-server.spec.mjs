/** Workers of one hub whose server goes down again and again, and answers to whose commits are lost. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { startPostgres } from '../scripts/postgres.mjs'
import { openCluster } from './support/cluster.mjs'
import { surely } from './support/hub.mjs'
import { losingAnswers } from './support/proxy.mjs'

const WORKFLOWS = 5_000
const STARTS = 500
const STEPS = 2

test('a server that goes down and answers that are lost lose nothing and double nothing', async (t) => {
  const server = await startPostgres({ own: true })
  t.after(() => server.stop())
  const cluster = await openCluster(t, server.url)
  const proxy = await losingAnswers(t, server.url, 25)
  const place = { ...cluster.place, store: proxy.url }
  const options = { leaseMs: 10_000, maxConcurrentActivities: 512 }
  const workers = [
    await cluster.worker(options, { place }),
    await cluster.worker(options, { place }),
  ]
  await cluster.balanced(2)
  const ids = Array.from({ length: WORKFLOWS }, (_, n) => `steps-${n}`)
  const started = (async () => {
    for (let from = 0; from < WORKFLOWS; from += STARTS) {
      const input = { steps: STEPS, ms: 1_000 }
      const some = ids.slice(from, from + STARTS).map((instanceId) => {
        return { name: 'steps', instanceId, input, onConflict: 'return' }
      })
      await surely(() => cluster.client.startMany(some))
    }
  })()
  for (const pauseMs of [0, 500, 1_000, 1_500, 2_000]) {
    await delay(1_000)
    await server.restart(pauseMs)
  }
  await started
  await cluster.completed(WORKFLOWS)
  const runs = await cluster.checkSteps(ids, STEPS)
  await cluster.audit()
  const said = workers.flatMap(({ said }) => said.map(([, message]) => message))
  t.diagnostic(`${proxy.cuts()} answers lost; ${runs} runs; said: ${new Set(said).size} things`)
  assert.ok(proxy.cuts() > 20, 'answers were lost')
  assert.equal(runs, WORKFLOWS * STEPS, 'no activity ran twice')
})
