/** What crosses between JavaScript and the core is bounded, in pieces; what no piece can hold is one call's fault. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { longestBatches, withExchangesOf } from './support/exchange.mjs'
import {
  complete,
  connect,
  openHub,
  PATIENCE_MS,
  refuses,
  startWaiting,
  tempStore,
  until,
} from './support/hub.mjs'
import { moduleOf, openThreads } from './support/threads.mjs'

const timeoutMs = PATIENCE_MS
/** Characters of one value. */
const VALUE = 3_000
/** Bytes of an exchange: two values. */
const EXCHANGE = 8_000
/** An exchange, one value more, and what stands around them. */
const MOST = EXCHANGE + VALUE + 3_000
const COUNT = 60

const value = (n) => `${n}`.padEnd(VALUE, 'x')

function register(app) {
  app.activity('big', { handler: (n) => value(n) })
  app.activity('length', { handler: (text) => text.length })
  app.orchestration('fan', function* (context) {
    const tasks = Array.from({ length: COUNT }, (_, n) => context.df.callActivity('big', n))
    const results = yield context.df.Task.all(tasks)
    return results.map((text) => text.length)
  })
  app.orchestration('grow', function* (context) {
    let sum = 0
    for (let n = 0; n < COUNT; n++) sum += (yield context.df.callActivity('big', n)).length
    return sum + (yield context.df.waitForExternalEvent('go'))
  })
  app.orchestration('hand out', function* (context) {
    const tasks = Array.from({ length: 10 }, (_, n) => context.df.callActivity('length', value(n)))
    return (yield context.df.Task.all(tasks)).length
  })
  app.orchestration('echo', function* (context) {
    return yield context.df.callActivity('length', context.df.getInput())
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
  app.entity('list', (context) => {
    const { df } = context
    if (df.operationName === 'many') df.return(value(0))
    else df.setState(df.getState(() => 0) + df.getInput().length)
  })
  app.orchestration('ask', function* (context) {
    const entity = new df.EntityId('list', 'x')
    const calls = Array.from({ length: COUNT }, () => context.df.callEntity(entity, 'many'))
    return (yield context.df.Task.all(calls)).length
  })
}

const small = (work) => withExchangesOf(EXCHANGE, work)
const openSmall = (t, options, functions = register) =>
  small(() => openHub(t, functions, { store: tempStore(t), ...options }))

function isBounded(longest) {
  assert.ok(longest.toCore <= MOST, `to the core: ${longest.toCore}`)
  assert.ok(longest.toJavaScript <= MOST, `to JavaScript: ${longest.toJavaScript}`)
}

describe('more than one exchange takes goes in pieces', () => {
  test('results of one tick, and the turns that they cause', async (t) => {
    const longest = longestBatches(t)
    const { client } = await openSmall(t)
    assert.deepEqual(await complete(client, 'fan'), Array(COUNT).fill(VALUE))
    isBounded(longest)
  })

  test('instances that wait when the hub is opened', async (t) => {
    const store = tempStore(t)
    const starter = await connect(t, store)
    const ids = await Promise.all(
      Array.from({ length: COUNT }, (_, n) => starter.startNew('echo', { input: value(n) })),
    )
    const longest = longestBatches(t)
    const { client } = await openSmall(t, { store })
    for (const id of ids) {
      const { output } = await client.waitForCompletion(id, { timeoutMs })
      assert.equal(output, VALUE)
    }
    isBounded(longest)
  })

  test('a long history that is replayed, and again after the next open', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    await first.client.startNew('grow', { instanceId: 'x' })
    await until('it waits', async () => {
      const status = await first.client.getStatus('x')
      return status?.waitingFor?.some(({ kind }) => kind === 'event')
    })
    await first.close()
    const longest = longestBatches(t)
    for (const go of [null, 7]) {
      const { client, close } = await openSmall(t, { store })
      if (go !== null) {
        await client.raiseEvent('x', 'go', go)
        const { output } = await client.waitForCompletion('x', { timeoutMs })
        assert.equal(output, COUNT * VALUE + 7)
      }
      await close()
    }
    isBounded(longest)
  })

  test('activities with their inputs, and operations of an entity', async (t) => {
    const longest = longestBatches(t)
    const { client } = await openSmall(t)
    assert.equal(await complete(client, 'hand out'), 10)
    assert.equal(await complete(client, 'ask'), COUNT)
    const entity = new df.EntityId('list', 'signalled')
    for (let n = 0; n < COUNT; n++) client.signalEntity(entity, 'add', value(n))
    const isDone = async () => (await client.readEntityState(entity)).entityState === COUNT * VALUE
    await until('all signals were carried out', isDone)
    // A turn asks for what it asks for: ten values at once.
    assert.ok(longest.toJavaScript <= MOST, `to JavaScript: ${longest.toJavaScript}`)
  })

  test('answers, in their order', async (t) => {
    const { client } = await openSmall(t)
    const ids = await Promise.all(
      Array.from({ length: COUNT }, (_, n) => client.startNew('echo', { input: value(n) })),
    )
    for (const id of ids) await client.waitForCompletion(id, { timeoutMs })
    const longest = longestBatches(t)
    const order = []
    await Promise.all(ids.map((id, n) => client.getStatus(id).then(() => order.push(n))))
    assert.deepEqual(
      order,
      ids.map((_, n) => n),
    )
    // Two statuses with their input and more.
    assert.ok(longest.toJavaScript <= MOST, `to JavaScript: ${longest.toJavaScript}`)
  })

  test('with threads too', async (t) => {
    const longest = longestBatches(t)
    const { client } = await small(() => openThreads(t, { app: moduleOf('large.mjs') }))
    assert.equal(await complete(client, 'fan', { count: COUNT, length: VALUE }), COUNT * VALUE)
    isBounded(longest)
  })
})

describe('what no exchange can hold', () => {
  test('an answer is an error of its call, with what to ask for instead', async (t) => {
    const { client } = await openSmall(t)
    const id = await startWaiting(client, 'wait', { input: 'x'.repeat(100) })
    const grown = await client.startNew('grow')
    await until('it waits', async () => {
      const status = await client.getStatus(grown)
      return status?.waitingFor?.some(({ kind }) => kind === 'event')
    })
    const all = { showHistory: true, showHistoryOutput: true }
    const error = await refuses('PayloadTooLarge', client.getStatus(grown, all))
    assert.match(error.message, /showHistoryOutput/)
    const { history } = await client.getStatus(grown, { showHistory: true })
    assert.equal(history.filter(({ eventType }) => eventType === 'TaskCompleted').length, COUNT)
    assert.equal((await client.getStatus(id)).runtimeStatus, 'Running')
  })

  test('an instance whose turn asks for too much is held, and goes on when its code is mended', async (t) => {
    let length = 100
    const { client } = await openSmall(t, {}, (app) => {
      register(app)
      app.orchestration('greedy', function* (context) {
        const inputs = Array.from({ length }, (_, n) => value(n))
        const tasks = inputs.map((input) => context.df.callActivity('length', input))
        return (yield context.df.Task.all(tasks)).length
      })
    })
    const id = await client.startNew('greedy')
    const held = await until('it is held', async () => {
      const status = await client.getStatus(id, { pending: true })
      return status.problem !== undefined && status
    })
    assert.equal(held.runtimeStatus, 'Suspended')
    assert.equal(held.problem.code, 'PayloadTooLarge')
    assert.match(held.problem.message, /orchestrator 'greedy'.*smaller pieces.*resume/)
    assert.equal(await complete(client, 'hand out'), 10, 'another goes on')
    length = 5
    await client.resume(id)
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 5)
  })

  test('an instance with a recorded turn that is too large is held, and goes on where it can be handed over', async (t) => {
    const store = tempStore(t)
    const functions = (app) => {
      register(app)
      app.orchestration('fan and wait', function* (context) {
        const tasks = Array.from({ length: COUNT }, (_, n) => context.df.callActivity('big', n))
        const results = yield context.df.Task.all(tasks)
        return results.length + (yield context.df.waitForExternalEvent('go'))
      })
    }
    // All its results come in one turn, as one exchange takes them.
    const recording = await openHub(t, functions, { store })
    await recording.client.startNew('fan and wait', { instanceId: 'x' })
    await until('it waits', async () => {
      const status = await recording.client.getStatus('x')
      return status?.waitingFor?.some(({ kind }) => kind === 'event')
    })
    await recording.close()
    await withExchangesOf(VALUE, async () => {
      const { client, close } = await openHub(t, functions, { store })
      await client.raiseEvent('x', 'go', 7)
      const { problem } = await until('it is held', async () => {
        const status = await client.getStatus('x')
        return status.problem !== undefined && status
      })
      assert.equal(problem.code, 'PayloadTooLarge')
      assert.equal(await complete(client, 'hand out'), 10, 'another goes on')
      await close()
    })
    const { client } = await openHub(t, functions, { store })
    assert.equal((await client.waitForCompletion('x', { timeoutMs })).output, COUNT + 7)
  })
})
