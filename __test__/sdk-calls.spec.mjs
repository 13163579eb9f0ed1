/** The seam between a host of functions and the engine: what a call is handed, and what it may give. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { registerHosted } from '../dist/sdk/hosted.js'
import { startChild } from './support/child.mjs'
import { complete, fail, openHub, run } from './support/hub.mjs'
import { sdkOf } from './support/sdk.mjs'
import { registerActivities } from './support/sdk-orchestrators.mjs'

describe('a call of an SDK', () => {
  /** A hub whose orchestrator `name` is called by `invoke`. */
  const openHosted = (t, invoke, options) => {
    const func = { name: 'hosted', kind: 'orchestration', model: 'v4', file: 'here', invoke }
    return openHub(t, (app) => registerHosted(app, func), options)
  }

  test('that gives no state fails the instance', async (t) => {
    const { client } = await openHosted(t, async () => ({ returnValue: { no: 'state' } }))
    assert.match(
      (await fail(client, 'hosted')).message,
      /did not give the state of an orchestration/,
    )
  })

  test('that throws something else fails the instance with it', async (t) => {
    const { client } = await openHosted(t, async () => {
      throw Object.assign(new Error('cannot be called'), { why: 42 })
    })
    const failure = await fail(client, 'hosted')
    assert.equal(failure.message, 'cannot be called')
    assert.equal(failure.why, 42)
  })

  for (const version of [1, 2]) {
    // In a process of its own, as the test runner listens to rejections too.
    test(`that throws before version ${version} listens fails the instance alone`, async (t) => {
      const program = async ({ df, args, say }) => {
        const { sdkOf } = await import('./__test__/support/sdk.mjs')
        const app = new df.App()
        app.activity('echo', { handler: (value) => value })
        sdkOf(args).register(app, 'throws', () => {
          throw new RangeError('at the call')
        })
        sdkOf(args).register(app, 'fine', function* (context) {
          return yield context.df.callActivity('echo', 1)
        })
        const hub = await df.open({ store: 'sqlite::memory:', app })
        const one = async (name) => {
          const status = await hub.client.waitForCompletion(await hub.client.startNew(name))
          return status.failure?.message ?? status.runtimeStatus
        }
        say(await Promise.all(['fine', 'throws', 'throws', 'fine'].map(one)))
        await hub.close()
      }
      const child = startChild(t, program, version)
      const expected = ['Completed', 'at the call', 'at the call', 'Completed']
      assert.deepEqual(await child.next(), expected)
      await child.finish()
    })
  }

  test('does not hear the rejections of others', async (t) => {
    const child = startChild(t, async ({ df, say }) => {
      const { sdkOf } = await import('./__test__/support/sdk.mjs')
      const app = new df.App()
      app.activity('stray', {
        handler: () => {
          void Promise.reject(new Error('of nobody'))
        },
      })
      sdkOf(2).register(app, 'calls', function* (context) {
        yield context.df.callActivity('stray')
        yield context.df.waitForExternalEvent('never')
      })
      const { client } = await df.open({ store: 'sqlite::memory:', app })
      await client.startNew('calls')
      say('started')
    })
    await child.next()
    assert.deepEqual(await child.ended, { code: 1, signal: null })
    assert.match(child.stderr, /of nobody/)
  })

  test('that never ends holds up nobody else', async (t) => {
    const { hub, client } = await openHosted(t, ({ trigger: { value } }) =>
      value.input === 'never'
        ? new Promise(() => {})
        : { returnValue: { isDone: true, actions: [[]], output: value.input, schemaVersion: 3 } },
    )
    await client.startNew('hosted', { instanceId: 'never', input: 'never' })
    assert.equal(await complete(client, 'hosted', 'now'), 'now')
    await hub.close({ drainTimeoutMs: 0 })
  })

  test('is one for each turn, however many run at once and however long each takes', async (t) => {
    let calls = 0
    const sdk = sdkOf(3)
    const { client } = await openHub(t, (app) => {
      registerActivities(app)
      sdk.register(app, 'counted', function* (context) {
        calls += 1
        for (const end = performance.now() + 2; performance.now() < end; );
        yield context.df.callActivity('echo', 1)
        return yield context.df.callActivity('echo', 2)
      })
    })
    const count = 40
    await Promise.all(Array.from({ length: count }, () => complete(client, 'counted')))
    assert.equal(calls, 3 * count)
  })

  test('may give its state as JSON', async (t) => {
    const state = { isDone: true, actions: [[]], output: [1], schemaVersion: 3 }
    const { client } = await openHosted(t, async () => ({ returnValue: JSON.stringify(state) }))
    assert.deepEqual(await complete(client, 'hosted'), [1])
  })

  test('is handed what the protocol says', async (t) => {
    let value
    const { client } = await openHosted(t, async ({ trigger }) => {
      value = structuredClone(trigger.value)
      return { returnValue: { isDone: true, actions: [[]], schemaVersion: 3 } }
    })
    const { instanceId } = await run(client, 'hosted', { a: 1 })
    const { history, ...rest } = value
    assert.deepEqual(rest, {
      input: { a: 1 },
      instanceId,
      isReplaying: false,
      parentInstanceId: null,
      upperSchemaVersion: 1,
      upperSchemaVersionNew: 3,
      longRunningTimerIntervalDuration: '200000000.00:00:00',
      maximumShortTimerDuration: '200000000.00:00:00',
      defaultHttpAsyncRequestSleepTimeMillseconds: 30_000,
    })
    assert.deepEqual(
      history.map(({ EventType, EventId, IsPlayed }) => [EventType, EventId, IsPlayed]),
      [
        [12, -1, false],
        [0, -1, false],
      ],
    )
    assert.equal(history[1].Name, 'hosted')
    assert.equal(history[1].Input, '{"a":1}')
    assert.ok(!Number.isNaN(Date.parse(history[0].Timestamp)))
  })
})
