/** Floods: more calls, and more instances, than are worked on at a time. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect, openHub, PATIENCE_MS, refuses, tempStore } from './support/hub.mjs'

const timeoutMs = PATIENCE_MS
const FLOOD = 25_000

function register(app) {
  app.activity('count', { handler: (n) => n + 1 })
  app.orchestration('short', function* (context) {
    return yield context.df.callActivity('count', context.df.getInput())
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

describe('calls beyond those that the engine takes at a time', () => {
  test('wait in line in their order, and all are answered', async (t) => {
    const { client } = await openHub(t, register)
    const order = []
    const starts = Array.from({ length: FLOOD }, (_, n) =>
      client.startNew('short', { instanceId: `flood-${n}`, input: n }).then(() => order.push(n)),
    )
    // Behind all of them in line: it finds the last one.
    const last = client.waitForCompletion(`flood-${FLOOD - 1}`, { timeoutMs })
    const [status] = await Promise.all([last, ...starts])
    assert.equal(status.output, FLOOD)
    assert.equal(order.length, FLOOD)
    while ((await client.count({ runtimeStatus: 'Completed' })) < FLOOD) {
      const open = (await client.list({ runtimeStatus: ['Pending', 'Running'] })).instances[0]
      if (open !== undefined) await client.waitForCompletion(open.instanceId, { timeoutMs })
    }
  })

  test('events to one instance keep the order of the calls', async (t) => {
    const { client } = await openHub(
      t,
      (app) =>
        app.orchestration('collect', function* (context) {
          const seen = []
          while (seen.length < 100) seen.push(yield context.df.waitForExternalEvent('n'))
          return seen
        }),
      { unmatchedEvents: 'buffer' },
    )
    await client.startNew('collect', { instanceId: 'collector' })
    const flood = Array.from({ length: 10_000 }, () => client.raiseEvent('nobody', 'x'))
    const sent = Array.from({ length: 100 }, (_, n) => client.raiseEvent('collector', 'n', n))
    await Promise.all([...flood, ...sent])
    const { output } = await client.waitForCompletion('collector', { timeoutMs })
    assert.deepEqual(
      output,
      Array.from({ length: 100 }, (_, n) => n),
    )
  })

  test('are not held up by any number of waits for instances', async (t) => {
    const { client } = await openHub(t, register)
    await client.startNew('wait', { instanceId: 'waited' })
    const waits = Array.from({ length: 12_000 }, () =>
      client.waitForCompletion('waited', { timeoutMs }),
    )
    await client.raiseEvent('waited', 'go', 7)
    for (const { output } of await Promise.all(waits)) assert.equal(output, 7)
  })

  test('are written when the hub is closed', async (t) => {
    const store = tempStore(t)
    const { hub, client } = await openHub(t, register, { store })
    const starts = Array.from({ length: 12_000 }, () => client.startNew('wait'))
    await hub.close()
    await Promise.all(starts)
    const other = await connect(t, store)
    assert.equal(await other.count(), 12_000)
  })
})

describe('calls beyond limits.pendingCalls', () => {
  test('are refused with the remedy, and answers make room for more', async (t) => {
    const { client } = await openHub(t, register, { limits: { pendingCalls: 10 } })
    const first = Array.from({ length: 10 }, (_, n) => client.startNew('short', { input: n }))
    const wait = client.waitForCompletion(await first[0], { timeoutMs })
    const more = Array.from({ length: 11 }, () => client.startNew('short', { input: 1 }))
    await refuses('TooManyCalls', more.at(-1), { message: /Await earlier/ })
    await Promise.all([...first, ...more.slice(0, 10), wait])
    await client.startNew('short', { input: 1 })
    assert.equal(await client.count(), 21)
  })

  test('are 100,000 by default', async (t) => {
    const { client } = await openHub(t, register)
    const reads = Array.from({ length: 100_001 }, () => client.getStatus('nobody'))
    await refuses('TooManyCalls', reads.pop(), { message: /100000 calls/ })
    for (const status of await Promise.all(reads)) assert.equal(status, null)
  })
})

describe('instances beyond limits.activeInstances', () => {
  const options = {
    limits: { activeInstances: 20, cachedInstances: 10 },
    maxConcurrentActivities: 4,
  }

  test('wait in the store until there is a place, and all run', async (t) => {
    let running = 0
    let most = 0
    const ids = new Set()
    const { client } = await openHub(
      t,
      (app) => {
        app.activity('count', {
          handler: async (n, { instanceId }) => {
            ids.add(instanceId)
            running += 1
            most = Math.max(most, running)
            await new Promise(setImmediate)
            running -= 1
            return n
          },
        })
        app.orchestration('short', async (context) => context.df.callActivity('count', 1))
      },
      options,
    )
    const started = await client.startMany(Array.from({ length: 500 }, () => ({ name: 'short' })))
    await Promise.all(started.map((id) => client.waitForCompletion(id, { timeoutMs })))
    assert.equal(ids.size, 500)
    assert.ok(most <= 4, `${most} activities ran at a time`)
  })

  test('run after the hub is opened again', async (t) => {
    const store = tempStore(t)
    const other = await connect(t, store)
    await other.startMany(Array.from({ length: 500 }, () => ({ name: 'short', input: 1 })))
    const { client } = await openHub(t, register, { store, ...options })
    const { instances } = await client.list({ top: 1_000 })
    for (const { instanceId } of instances) {
      assert.equal((await client.waitForCompletion(instanceId, { timeoutMs })).output, 2)
    }
    assert.equal(instances.length, 500)
  })
})

test('startMany takes as many starts as one transaction should', async (t) => {
  const { client } = await openHub(t, register)
  const starts = Array.from({ length: 10_001 }, () => ({ name: 'wait' }))
  await refuses('InvalidOption', client.startMany(starts), { message: /at most 10000/ })
  assert.equal((await client.startMany(starts.slice(1))).length, 10_000)
})

test('fan-outs of thousands of sub-orchestrations and timers complete', async (t) => {
  const { client } = await openHub(t, (app) => {
    register(app)
    app.orchestration('wide', function* (context) {
      const due = new Date(context.df.currentUtcDateTime.getTime() + 10)
      const tasks = []
      for (let n = 0; n < 2_500; n += 1) tasks.push(context.df.callSubOrchestrator('short', n))
      for (let n = 0; n < 2_500; n += 1) tasks.push(context.df.createTimer(due))
      const results = yield context.df.Task.all(tasks)
      return results.slice(0, 2_500)
    })
  })
  const id = await client.startNew('wide')
  const { output } = await client.waitForCompletion(id, { timeoutMs })
  assert.deepEqual(
    output,
    Array.from({ length: 2_500 }, (_, n) => n + 1),
  )
  const { history } = await client.getStatus(id, { showHistory: true })
  assert.ok(
    history.every(({ eventType }) => !/^Starts/.test(eventType)),
    'no trace of it is shown',
  )
})
