/** What an activity gets, and what bounds it: `docs/semantics.md` §2. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import {
  complete,
  deferred,
  fail,
  openHub,
  PATIENCE_MS,
  run,
  tempStore,
  until,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS

/** A hub with these activities, and the orchestrator `call` that calls the one its input names. */
const open = (t, activities, options) =>
  openHub(
    t,
    (app) => {
      for (const [name, activity] of Object.entries(activities)) {
        app.activity(name, typeof activity === 'function' ? { handler: activity } : activity)
      }
      app.orchestration('call', function* (context) {
        const { name, input } = context.df.getInput()
        return yield context.df.callActivity(name, input)
      })
    },
    options,
  )

describe('an activity', () => {
  test('may be sync or async, or give any thenable', async (t) => {
    const { client } = await open(t, {
      sync: (n) => n + 1,
      async: async (n) => n + 1,
      thenable: (n) => ({
        // biome-ignore lint/suspicious/noThenProperty: that is what is tested
        then: (resolve) => resolve(n + 1),
      }),
    })
    for (const name of ['sync', 'async', 'thenable']) {
      assert.equal(await complete(client, 'call', { name, input: 1 }), 2, name)
    }
  })

  test('that is called without input gets undefined, and may give undefined', async (t) => {
    const seen = []
    const { client } = await openHub(t, (app) => {
      app.activity('none', { handler: (...args) => void seen.push(args[0], args.length) })
      app.orchestration('call', function* (context) {
        const result = yield context.df.callActivity('none')
        return [result === undefined, 'given']
      })
    })
    assert.deepEqual(await complete(client, 'call'), [true, 'given'])
    assert.deepEqual(seen, [undefined, 2])
  })

  test('is called by a name of any case', async (t) => {
    const { client } = await open(t, { Hello: () => 'hi' })
    assert.equal(await complete(client, 'call', { name: 'hELLO' }), 'hi')
  })

  test('may use the client of its hub', async (t) => {
    let client
    const hub = await open(t, {
      nested: async (depth) => {
        if (depth === 0) return 'bottom'
        const id = await client.startNew('call', { input: { name: 'nested', input: depth - 1 } })
        return (await client.waitForCompletion(id, { timeoutMs })).output
      },
    })
    client = hub.client
    assert.equal(await complete(client, 'call', { name: 'nested', input: 10 }), 'bottom')
  })

  test('that is not registered fails with NotRegistered', async (t) => {
    const { client } = await open(t, {})
    const failure = await fail(client, 'call', { name: 'nobody' })
    assert.equal(failure.code, 'NotRegistered')
    assert.match(failure.message, /nobody/)
  })

  test('that is not registered any more at a replay fails with NotRegistered', async (t) => {
    const store = tempStore(t)
    const started = deferred()
    const call = (app) =>
      app.orchestration('call', async (context) => await context.df.callActivity('gone'))
    const first = await openHub(
      t,
      (app) => {
        app.activity('gone', { handler: () => started.resolve() ?? new Promise(() => {}) })
        call(app)
      },
      { store },
    )
    const id = await first.client.startNew('call')
    await started.promise
    await first.close()
    const { client } = await openHub(t, call, { store })
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.equal(status.failure.code, 'NotRegistered')
  })

  test('has instanceId, attempt, signal, log and idempotencyKey in its context', async (t) => {
    let seen
    const { client } = await open(t, {
      look: (_, context) => {
        seen = context
      },
    })
    await run(client, 'call', { name: 'look' }, { instanceId: 'the-id' })
    assert.equal(seen.instanceId, 'the-id')
    assert.equal(seen.attempt, 1)
    assert.ok(seen.signal instanceof AbortSignal)
    assert.equal(typeof seen.log.warn, 'function')
    assert.equal(typeof seen.idempotencyKey, 'string')
    assert.equal(seen.functionName, 'look')
    assert.match(seen.invocationId, /^[0-9a-f-]{36}$/)
  })
})

describe('idempotencyKey', () => {
  test('is the same for every attempt, and another one for every task', async (t) => {
    const keys = []
    const { client } = await openHub(t, (app) => {
      app.activity('flaky', {
        handler: (_, context) => {
          keys.push(context.idempotencyKey)
          if (context.attempt < 3) throw new Error('again')
        },
      })
      app.orchestration('two', function* (context) {
        const retry = new df.RetryOptions(1, 3)
        yield context.df.callActivityWithRetry('flaky', retry)
        yield context.df.callActivityWithRetry('flaky', retry)
        if (context.df.getInput() === 'first') context.df.continueAsNew('second')
      })
    })
    await Promise.all([complete(client, 'two', 'first'), complete(client, 'two', 'first')])
    assert.equal(keys.length, 24)
    const counts = new Map()
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
    assert.deepEqual([...counts.values()], Array(8).fill(3))
  })

  test('is the same when the activity runs again after a crash', async (t) => {
    const store = tempStore(t)
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const app = new df.App()
        app.activity('key', {
          handler: (_, context) => {
            say([context.idempotencyKey, context.attempt])
            return new Promise(() => {})
          },
        })
        app.orchestration('call', async (context) => await context.df.callActivity('key'))
        const hub = await df.open({ store: args, app, logger: false })
        await hub.client.startNew('call', { instanceId: 'one' })
      },
      store,
    )
    const first = await child.next()
    await child.kill()
    const again = deferred()
    const { client } = await openHub(
      t,
      (app) => {
        app.activity('key', {
          handler: (_, context) => again.resolve([context.idempotencyKey, context.attempt]),
        })
        app.orchestration('call', async (context) => await context.df.callActivity('key'))
      },
      { store },
    )
    assert.deepEqual(await again.promise, first)
    const status = await client.waitForCompletion('one', { timeoutMs })
    assert.equal(status.runtimeStatus, 'Completed')
  })
})

describe('timeoutMs', () => {
  test('fails an attempt with a TimeoutError and aborts its signal; what comes later is ignored', async (t) => {
    const late = deferred()
    let signal
    const { client } = await open(t, {
      slow: {
        timeoutMs: 10,
        handler: async (_, context) => {
          signal = context.signal
          await late.promise
          return 'too late'
        },
      },
    })
    const failure = await fail(client, 'call', { name: 'slow' })
    assert.equal(failure.name, 'TimeoutError')
    assert.equal(failure.code, 'Timeout')
    assert.match(failure.message, /'slow'.*10 ms/)
    assert.ok(signal.aborted)
    assert.ok(signal.reason instanceof df.TimeoutError)
    late.resolve()
  })

  test('counts for each attempt, and is an error to retry', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.activity('slow', {
        timeoutMs: 10,
        handler: (_, context) => (context.attempt < 3 ? new Promise(() => {}) : context.attempt),
      })
      app.orchestration('retry', function* (context) {
        const retry = new df.RetryOptions(1, 5)
        retry.retryIf = (error) => error instanceof df.TimeoutError
        return yield context.df.callActivityWithRetry('slow', retry)
      })
    })
    assert.equal(await complete(client, 'retry'), 3)
  })

  test('does not touch one that ends in time', async (t) => {
    let signal
    const { client } = await open(t, {
      quick: {
        timeoutMs: 60_000,
        handler: async (_, context) => {
          signal = context.signal
          await null
          return 'in time'
        },
      },
    })
    assert.equal(await complete(client, 'call', { name: 'quick' }), 'in time')
    assert.equal(signal.aborted, false)
  })
})

describe('maxConcurrency', () => {
  test('bounds an activity over all instances, and no other activity', async (t) => {
    const gate = deferred()
    const running = { slow: 0, free: 0 }
    const { client } = await open(t, {
      slow: {
        maxConcurrency: 2,
        handler: () => {
          running.slow += 1
          return gate.promise
        },
      },
      free: () => {
        running.free += 1
      },
    })
    const slow = Array.from({ length: 6 }, () => complete(client, 'call', { name: 'SLOW' }))
    await until('two run', () => running.slow === 2)
    await complete(client, 'call', { name: 'free' })
    assert.deepEqual(running, { slow: 2, free: 1 })
    gate.resolve('all')
    assert.deepEqual(await Promise.all(slow), Array(6).fill('all'))
    assert.equal(running.slow, 6)
  })
})

test('options of an activity are checked', () => {
  const app = new df.App()
  const register = (options) => () => app.activity('x', options)
  const handler = () => 1
  for (const options of [
    handler,
    undefined,
    {},
    { handler: 1 },
    { handler, timeoutMs: -1 },
    { handler, timeoutMs: '1' },
    { handler, maxConcurrency: 0 },
    { handler, retries: 3 },
  ]) {
    assert.throws(register(options), df.InvalidOption)
  }
  app.activity('x', { handler, timeoutMs: 2 ** 40 })
})
