/** Workers whose event loop stands still: only what lives holds what it holds. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startPostgres } from '../scripts/postgres.mjs'
import { startChild } from './support/child.mjs'
import { openCluster } from './support/cluster.mjs'
import { connect, PATIENCE_MS, tempStore, until } from './support/hub.mjs'
import { signs } from './support/threads.mjs'

const timeoutMs = PATIENCE_MS

let server
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

const named = (count) => Array.from({ length: count }, (_, n) => `i-${n}`)

/** A number of instances of which each worker has some. */
async function startEverywhere(cluster, name, input) {
  const ids = named(60)
  await cluster.client.startMany(ids.map((instanceId) => ({ name, instanceId, input })))
  return ids
}

describe('workers on a server', () => {
  test('whose event loop stands still give what they have to the others, and say why', async (t) => {
    const cluster = await openCluster(t, server.url)
    const { dir, until: seen } = signs(t)
    const hung = await cluster.worker()
    const id = await cluster.client.startNew('hang', { input: { begun: join(dir, 'begun') } })
    await seen('begun')
    const other = await cluster.worker()
    const ids = await startEverywhere(cluster, 'steps', { steps: 2, ms: 1 })
    for (const each of ids) await cluster.client.waitForCompletion(each, { timeoutMs })
    const { problem } = await cluster.client.getStatus(id)
    assert.equal(problem.code, 'TurnOverdue')
    assert.match(
      problem.message,
      /^Activity 'hang', instance '.*', has held the process's one thread for/,
    )
    assert.match(
      hung.stderr,
      /durafn: The JavaScript of process \d+ has not answered for [\d.]+ s: it is in activity 'hang'/,
    )
    await until('it is told there', () =>
      other.said.some(([, text]) =>
        /under way in a worker that did not answer: Activity 'hang'/.test(text),
      ),
    )
    await cluster.audit()
  })

  test('come back when it goes on', async (t) => {
    const cluster = await openCluster(t, server.url)
    const { dir, set, until: seen } = signs(t)
    const hung = await cluster.worker()
    const input = { begun: join(dir, 'begun'), until: join(dir, 'go') }
    const id = await cluster.client.startNew('hang', { input })
    await seen('begun')
    const other = await cluster.worker()
    await until('the other has all', async () => (await cluster.parts(other)).length === 256)
    set('go')
    await cluster.balanced(2)
    await until('it says so', () =>
      hung.said.some(([, text]) =>
        /JavaScript answers again, after [\d.]+ s: it is in activity 'hang'/.test(text),
      ),
    )
    const { runtimeStatus, problem } = await cluster.client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual([runtimeStatus, problem ?? null], ['Completed', null])
    const ids = await startEverywhere(cluster, 'steps', { steps: 2, ms: 1 })
    for (const each of ids) await cluster.client.waitForCompletion(each, { timeoutMs })
    await cluster.audit()
  })

  test('leave what they have taken to the others', async (t) => {
    const cluster = await openCluster(t, server.url)
    const { dir, until: seen } = signs(t)
    await cluster.worker()
    const input = join(dir, 'begun')
    const id = await cluster.client.startNew('hangOnce', { input })
    await seen('begun')
    const other = await cluster.worker()
    const { output } = await cluster.client.waitForCompletion(id, { timeoutMs })
    assert.equal(output, other.pid)
  })

  test('are not held one after the other by what never returns', async (t) => {
    const cluster = await openCluster(t, server.url)
    const workers = await cluster.workers(2)
    await cluster.balanced(2)
    const id = await cluster.client.startNew('hang', { input: {} })
    const hangs = ({ stderr }) => /it is in activity 'hang'/.test(stderr)
    // Two are held. Where the machine is so busy that a lease runs out first, which blames nobody, one more.
    await until('it is parked', async () => {
      if (workers.every(hangs)) workers.push(await cluster.worker())
      return (await cluster.client.getStatus(id))?.problem?.code === 'Poison'
    })
    const { runtimeStatus, problem } = await cluster.client.getStatus(id)
    assert.equal(runtimeStatus, 'Suspended')
    assert.match(
      problem.message,
      /Workers did not answer again and again while this instance was under way/,
    )
    const ids = await startEverywhere(cluster, 'steps', { steps: 2, ms: 1 })
    for (const each of ids) await cluster.client.waitForCompletion(each, { timeoutMs })
  })

  test('that nobody can take over from go on where they were', async (t) => {
    const cluster = await openCluster(t, server.url)
    const { dir, set, until: seen } = signs(t)
    const hung = await cluster.worker()
    const input = { begun: join(dir, 'begun'), until: join(dir, 'go') }
    const id = await cluster.client.startNew('hang', { input })
    await seen('begun')
    const [{ epoch }] = await cluster.rows('SELECT epoch FROM hub.workers')
    await until('its lease has run out', async () => {
      const text = 'SELECT lease_until < clock_timestamp() AS over FROM hub.workers'
      return (await cluster.rows(text))[0].over
    })
    set('go')
    const { runtimeStatus } = await cluster.client.waitForCompletion(id, { timeoutMs })
    assert.equal(runtimeStatus, 'Completed')
    assert.deepEqual(await cluster.rows('SELECT epoch FROM hub.workers'), [{ epoch }])
    assert.equal(
      hung.said.some(([, text]) => /Joining again/.test(text)),
      false,
    )
  })
})

test('a hub in a file tells of a turn that does not return, and goes on after it', async (t) => {
  const store = tempStore(t)
  const { dir, set, until: seen } = signs(t)
  const child = startChild(
    t,
    async ({ df, args, say }) => {
      const { existsSync, writeFileSync } = await import('node:fs')
      const app = new df.App()
      app.activity('ok', { handler: () => 1 })
      app.orchestration('slow', function* (context) {
        yield context.df.callActivity('ok')
        writeFileSync(`${args.dir}/begun`, '')
        while (!existsSync(`${args.dir}/go`));
        return yield context.df.callActivity('ok')
      })
      await df.open({ store: args.store, app, limits: { turnMs: 200 } })
      say('open')
    },
    { store, dir },
  )
  await child.next()
  const client = await connect(t, store)
  const id = await client.startNew('slow')
  await seen('begun')
  await until('it is told of', async () => (await client.getStatus(id)).problem)
  const { problem, runtimeStatus } = await client.getStatus(id)
  assert.deepEqual([problem.code, runtimeStatus], ['TurnOverdue', 'Running'])
  assert.match(
    problem.message,
    new RegExp(`^A turn of orchestrator 'slow', instance '${id}', has held`),
  )
  assert.match(
    child.stderr,
    /has not answered for [\d.]+ s: it is in a turn of orchestrator 'slow'/,
  )
  assert.match(child.stderr, /Nothing else of the hub runs meanwhile/)
  set('go')
  const ended = await client.waitForCompletion(id, { timeoutMs })
  assert.deepEqual([ended.runtimeStatus, ended.problem ?? null], ['Completed', null])
})
