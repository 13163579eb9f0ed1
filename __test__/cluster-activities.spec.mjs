/**
 * Activities of a hub that several workers share: where they run, and how many at a time.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as df from 'durafn'
import { startPostgres } from '../scripts/postgres.mjs'
import { startChild } from './support/child.mjs'
import { deferred, openHub, PATIENCE_MS, postgresStore, refuses, until } from './support/hub.mjs'

let server
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

const timeoutMs = PATIENCE_MS

/** Starts so many instances of an orchestrator and gives their statuses when all have ended. */
async function runMany(client, name, count, input) {
  const starts = Array.from({ length: count }, () => ({ name, input }))
  const ids = await client.startMany(starts)
  return await Promise.all(ids.map((id) => client.waitForCompletion(id, { timeoutMs })))
}

function calls(app, name) {
  app.orchestration(`call-${name}`, function* (context) {
    return yield context.df.callActivity(name, context.df.getInput())
  })
}

describe('an activity of a hub with several workers', () => {
  test('runs at most maxConcurrency times at once, on all of them together', async (t) => {
    const place = postgresStore(server.url)
    let running = 0
    let most = 0
    const register = (app) => {
      app.activity('bounded', {
        maxConcurrency: 4,
        handler: async () => {
          running += 1
          most = Math.max(most, running)
          await until('it is crowded', () => running === 4 || most === 4)
          await new Promise((resolve) => setImmediate(resolve))
          running -= 1
          return 'done'
        },
      })
      calls(app, 'bounded')
    }
    const { client } = await openHub(t, register, place)
    await openHub(t, register, place)
    await openHub(t, register, place)
    const ended = await runMany(client, 'call-bounded', 60)
    assert.deepEqual(new Set(ended.map(({ output }) => output)), new Set(['done']))
    assert.equal(most, 4)
  })

  test('runs only on workers that serve its queue, and waits while there is none', async (t) => {
    const place = postgresStore(server.url)
    const ran = { cpu: 0, gpu: 0 }
    const register = (worker) => (app) => {
      app.activity('paint', {
        queue: 'gpu',
        handler: (n) => {
          ran[worker] += 1
          return n * 2
        },
      })
      calls(app, 'paint')
    }
    const first = await openHub(t, register('cpu'), { ...place, queues: ['default'] })
    const { client } = first
    const early = await client.startNew('call-paint', { input: 21 })
    await until('it is told that nobody serves the queue', () =>
      first.logger.find('warn', /'paint' waits: no worker/).at(0),
    )
    await openHub(t, register('gpu'), { ...place, queues: ['gpu'] })
    const { output } = await client.waitForCompletion(early, { timeoutMs })
    assert.equal(output, 42)
    for (const status of await runMany(client, 'call-paint', 30, 4)) assert.equal(status.output, 8)
    assert.deepEqual(ran, { cpu: 0, gpu: 31 })
  })

  test('runs where there is room when its own worker has none', async (t) => {
    const place = postgresStore(server.url)
    const all = 40
    const running = { first: 0, second: 0 }
    const gate = deferred()
    const register = (worker) => (app) => {
      app.activity('wide', {
        handler: async () => {
          running[worker] += 1
          if (running.first + running.second === all) gate.resolve()
          await gate.promise
        },
      })
      app.orchestration('fan-out', function* (context) {
        const tasks = Array.from({ length: all }, () => context.df.callActivity('wide'))
        yield context.df.Task.all(tasks)
        return 'all'
      })
    }
    const small = { ...place, maxConcurrentActivities: 4 }
    const { client } = await openHub(t, register('first'), small)
    const id = await client.startNew('fan-out')
    await until('the first is full', () => running.first === 4)
    await openHub(t, register('second'), { ...place, maxConcurrentActivities: 100 })
    const { output } = await client.waitForCompletion(id, { timeoutMs })
    assert.equal(output, 'all')
    assert.deepEqual(running, { first: 4, second: 36 })
  })

  test('goes on where it runs when its instance goes to a worker that joins', async (t) => {
    const place = postgresStore(server.url)
    let runs = 0
    const gate = deferred()
    t.after(gate.resolve)
    const register = (worker) => (app) => {
      app.activity('who', { handler: () => worker })
      calls(app, 'who')
      app.activity('block', {
        handler: async () => {
          runs += 1
          await gate.promise
          return 'done'
        },
      })
      app.activity('next', { handler: (n) => n + 1 })
      app.orchestration('both', function* (context) {
        const { df } = context
        const both = [df.callActivity('block'), df.waitForExternalEvent('go')]
        const results = yield df.Task.all(both)
        return [...results, yield df.callActivity('next', 1)]
      })
    }
    const many = { ...place, maxConcurrentActivities: 2_000 }
    const first = await openHub(t, register('first'), many)
    const ids = Array.from({ length: 600 }, (_, n) => `both-${n}`)
    await first.client.startMany(ids.map((instanceId) => ({ name: 'both', instanceId })))
    await until('all of them run', () => runs === ids.length)
    const second = await openHub(t, register('second'), many)
    // It gets about half of the partitions, though an activity runs in nearly each of them.
    const joined = performance.now()
    await until('the second has its share', async () => {
      const whose = (await runMany(first.client, 'call-who', 40)).map(({ output }) => output)
      return whose.filter((worker) => worker === 'second').length >= 10
    })
    const tookMs = performance.now() - joined
    t.diagnostic(`it had its share ${Math.round(tookMs)} ms after it was open`)
    for (const id of ids) await second.client.raiseEvent(id, 'go', id)
    gate.resolve()
    for (const id of ids) {
      const { output } = await first.client.waitForCompletion(id, { timeoutMs })
      assert.deepEqual(output, ['done', id, 2])
    }
    assert.equal(runs, ids.length, 'none ran twice')
  })

  test('is aborted in another worker when its instance is terminated', async (t) => {
    const place = postgresStore(server.url)
    const begun = deferred()
    const aborted = deferred()
    const register = (app) => {
      app.activity('long', {
        queue: 'far',
        handler: (_, context) => {
          context.signal.addEventListener('abort', aborted.resolve)
          begun.resolve(context.instanceId)
          return aborted.promise
        },
      })
      calls(app, 'long')
    }
    const { client } = await openHub(t, register, { ...place, queues: ['default'] })
    await openHub(t, register, { ...place, queues: ['far'] })
    const id = await client.startNew('call-long')
    assert.equal(await begun.promise, id)
    await client.terminate(id, 'enough')
    await aborted.promise
    assert.equal((await client.getStatus(id)).output, 'enough')
  })

  test('that takes its workers down fails after five of them, as Poison', async (t) => {
    const place = postgresStore(server.url)
    const register = (app) => {
      app.activity('bomb', { queue: 'far', handler: () => 'never here' })
      calls(app, 'bomb')
    }
    const { client } = await openHub(t, register, { ...place, queues: ['default'] })
    const id = await client.startNew('call-bomb')
    let deaths = 0
    await until('it has failed', async () => {
      if ((await client.getStatus(id))?.runtimeStatus === 'Failed') return true
      const child = startChild(t, bomber, { place })
      const said = await child.next()
      if (said === 'boom') deaths += 1
      await child.ended
      return false
    })
    const { failure } = await client.waitForCompletion(id, { timeoutMs })
    assert.equal(failure.name, 'Poison')
    assert.equal(deaths, 5)
  })
})

describe('queues', () => {
  test('are refused where they mean nothing', async () => {
    const app = new df.App()
    const field = 'options.queues'
    const open = (options) => df.open({ app, logger: false, ...options })
    await refuses('InvalidOption', open({ store: 'sqlite::memory:', queues: ['a'] }), { field })
    const place = postgresStore(server.url)
    for (const queues of [[], 'a', null]) {
      await refuses('InvalidOption', open({ ...place, queues }), { field })
    }
    await refuses('InvalidOption', open({ ...place, queues: ['a', ''] }), { field: `${field}[1]` })
    for (const queue of ['', 7, null, 'q'.repeat(101)]) {
      assert.throws(() => app.activity('a', { queue, handler: () => 1 }), {
        field: 'options.queue',
      })
    }
  })
})

/** A worker that dies of the activity, or ends when there is none for it. */
async function bomber({ df, args, say }) {
  const app = new df.App()
  app.activity('bomb', {
    queue: 'far',
    handler: () => {
      say('boom')
      process.kill(process.pid, 'SIGKILL')
    },
  })
  const hub = await df.open({ ...args.place, app, queues: ['far'], leaseMs: 1_000 })
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  say('quiet')
  await hub.close()
}
