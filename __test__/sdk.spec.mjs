/**
 * Orchestrators of the original packages `durable-functions` 1, 2 and 3, as they are. Each test runs
 * for every version.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startChild } from './support/child.mjs'
import {
  complete,
  connect,
  fail,
  openHub,
  PATIENCE_MS,
  run,
  startWaiting,
  tempStore,
  until,
  waiting,
} from './support/hub.mjs'
import { sdks } from './support/sdk.mjs'
import { patterns, registerActivities, registerPatterns } from './support/sdk-orchestrators.mjs'
import { reply, serve } from './support/server.mjs'

const waitsForGo = ({ waitingFor }) => waitingFor?.some(({ name }) => name === 'go')

/** Raises 'go' whenever the instance waits for it, until it has ended; gives its status. */
async function go(client, id) {
  const isOpen = ({ runtimeStatus }) => ['Running', 'ContinuedAsNew'].includes(runtimeStatus)
  for (;;) {
    const status = await until(`instance ${id} waits or ends`, async () => {
      const now = await client.getStatus(id)
      return now !== null && (waitsForGo(now) || !isOpen(now)) && now
    })
    if (!waitsForGo(status)) return status
    await client.raiseEvent(id, 'go', 'went')
  }
}

/** A process that runs the patterns of a version. */
async function openWorker({ df, args: { store, version }, say }) {
  const { sdkOf } = await import('./__test__/support/sdk.mjs')
  const { registerPatterns } = await import('./__test__/support/sdk-orchestrators.mjs')
  const app = new df.App()
  registerPatterns(app, sdkOf(version))
  await df.open({ store, app })
  say('open')
}

function check(status, expected) {
  assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status, null, 1))
  if (typeof expected === 'function')
    assert.ok(expected(status.output), JSON.stringify(status.output))
  else assert.deepEqual(status.output, expected)
}

for (const sdk of sdks) {
  const open = (t, register, options) => {
    return openHub(
      t,
      (app) => {
        registerActivities(app)
        register(app, (name, fn) => sdk.register(app, name, fn))
      },
      options,
    )
  }
  const openPatterns = (t, options) => openHub(t, (app) => registerPatterns(app, sdk), options)

  describe(`durable-functions ${sdk.version}`, () => {
    for (const [name, { input, expected }] of Object.entries(patterns(sdk))) {
      test(`the pattern ${name}`, async (t) => {
        const { client } = await openPatterns(t)
        const id = await client.startNew(name, { input })
        check(await go(client, id), expected)
        assert.deepEqual(sdk.misnumbered, [])
      })

      test(`the pattern ${name}, over a restart in its middle`, async (t) => {
        const store = tempStore(t)
        const first = await openPatterns(t, { store })
        const id = await first.client.startNew(name, { input })
        await until('it waits or ends', async () => {
          const status = await first.client.getStatus(id)
          return status?.runtimeStatus === 'Completed' || (status !== null && waitsForGo(status))
        })
        await first.close()
        const { client } = await openPatterns(t, { store })
        check(await go(client, id), expected)
        assert.deepEqual(sdk.misnumbered, [])
      })
    }

    test('all patterns, in a process that is killed in the middle of each', async (t) => {
      const store = tempStore(t)
      const client = await connect(t, store)
      const all = Object.entries(patterns(sdk))
      const worker = async () => {
        const child = startChild(t, openWorker, { store, version: sdk.version })
        assert.equal(await child.next(), 'open')
        return child
      }
      const first = await worker()
      const starts = all.map(([name, { input }]) => ({ name, input, instanceId: name }))
      for (const { name, ...options } of starts) await client.startNew(name, options)
      await until('all wait', async () => {
        const statuses = await Promise.all(all.map(([name]) => client.getStatus(name)))
        const isThere = (status) =>
          status?.runtimeStatus === 'Completed' || waitsForGo(status ?? {})
        return statuses.every(isThere)
      })
      await first.kill()
      const second = await worker()
      const ended = await Promise.all(all.map(([name]) => go(client, name)))
      for (const [n, [, { expected }]] of all.entries()) check(ended[n], expected)
      await second.kill()
    })

    test('callHttp gives the answer, and follows one of 202', async (t) => {
      let polls = 0
      const server = await serve(t, ({ method, url, body, headers }, response) => {
        if (url === '/slow' && method === 'POST') reply(response, 202, { location: '/poll' })
        else if (url === '/poll' && polls++ < 2) reply(response, 202, { location: '/poll' })
        else reply(response, 201, { 'x-a': 'b' }, `${method} ${url} ${headers['x-mine']} ${body}`)
      })
      const call = (context, method, path, body, polling) => {
        const url = `${server.url}${path}`
        const headers = { 'x-mine': 'm' }
        return sdk.version === 3
          ? context.df.callHttp({ method, url, body, headers, enablePolling: polling })
          : context.df.callHttp(method, url, body, headers, undefined, polling)
      }
      const { client } = await open(
        t,
        (_app, register) => {
          register('http', function* (context) {
            const plain = yield call(context, 'PUT', '/a', { n: 1 })
            const polled = yield call(context, 'POST', '/slow', 'text')
            const unpolled = sdk.version > 1 && (yield call(context, 'POST', '/slow', '', false))
            yield context.df.callActivity('echo', 1)
            const { statusCode, headers, content } = plain
            return [statusCode, headers['x-a'], content, polled.content, unpolled.statusCode ?? 202]
          })
          register('refused', function* (context) {
            yield call(context, 'GET', 'http')
          })
        },
        { http: { allowPrivateAddresses: ['127.0.0.0/8'], pollingIntervalMs: 5 } },
      )
      const output = await complete(client, 'http')
      assert.deepEqual(output, [201, 'b', 'PUT /a m {"n":1}', 'GET /poll m ', 202])
      assert.equal(polls, 3)
      assert.match((await run(client, 'refused')).output, /callHttp/)
      assert.deepEqual(sdk.misnumbered, [])
    })

    test('inputs come as they were given, and no input is null', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('input', function* (context) {
          const input = context.df.getInput()
          return yield context.df.callActivity('echo', { input, isNull: input === null })
        })
      })
      for (const input of [
        null,
        'text',
        '"quoted"',
        '',
        0,
        7.5,
        false,
        [1],
        { Timestamp: 'then' },
      ]) {
        const { output } = await run(client, 'input', input)
        const seen = sdk.version > 1 && input?.Timestamp ? { Timestamp: null } : input
        assert.deepEqual(output, { input: seen, isNull: input === null })
      }
      assert.deepEqual(await complete(client, 'input'), { input: null, isNull: true })
    })

    test('what code does to its input is not there in the next call', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('mutate', function* (context) {
          const input = context.df.getInput()
          input.calls += 1
          yield context.df.callActivity('echo', 1)
          yield context.df.callActivity('echo', 2)
          return input
        })
      })
      assert.deepEqual(await complete(client, 'mutate', { calls: 0 }), { calls: 1 })
    })

    test('two quick events of one name meet two waits, whatever the case of the name', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('two', function* (context) {
          const waits = [1, 2].map(() => context.df.waitForExternalEvent('Approved'))
          return (yield context.df.Task.all(waits)).sort()
        })
      })
      const id = await startWaiting(client, 'two')
      await Promise.all([
        client.raiseEvent(id, 'approved', 'a'),
        client.raiseEvent(id, 'APPROVED', 'b'),
      ])
      const { output } = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.deepEqual(output, ['a', 'b'])
    })

    test('events that are kept come one by one to waits that follow', async (t) => {
      const { client } = await open(
        t,
        (_app, register) => {
          register('kept', function* (context) {
            const seen = [yield context.df.waitForExternalEvent('begin')]
            for (let n = 0; n < 3; n += 1) seen.push(yield context.df.waitForExternalEvent('next'))
            return seen
          })
        },
        { unmatchedEvents: 'buffer' },
      )
      const id = await startWaiting(client, 'kept')
      for (const value of [1, 2, undefined]) await client.raiseEvent(id, 'next', value)
      await client.raiseEvent(id, 'begin', { deep: [null] })
      const { output } = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.deepEqual(output, [{ deep: [null] }, 1, 2, null])
    })

    test('the custom status is the one last set, and stays', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('status', function* (context) {
          context.df.setCustomStatus('first')
          yield context.df.waitForExternalEvent('go')
          context.df.setCustomStatus({ second: 2 })
          yield context.df.callActivity('echo', 1)
          return 'done'
        })
      })
      const id = await startWaiting(client, 'status')
      assert.equal((await client.getStatus(id)).customStatus, 'first')
      assert.deepEqual((await go(client, id)).customStatus, { second: 2 })
    })

    test('an error that nothing catches fails the instance, in the words of the original', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('throws', function* (context) {
          context.df.setCustomStatus('about to throw')
          yield context.df.callActivity('echo', 1)
          throw new TypeError('my own')
        })
        register('task', function* (context) {
          yield context.df.callActivity('fail', 'of the activity')
        })
        register('parent', function* (context) {
          yield context.df.callSubOrchestrator('task')
        })
      })
      const own = await run(client, 'throws')
      assert.equal(own.runtimeStatus, 'Failed')
      assert.equal(own.output, "Orchestrator function 'throws' failed: my own")
      assert.equal(own.customStatus, 'about to throw')
      if (sdk.version === 1) assert.match(own.failure.stack, /sdk\.spec\.mjs/)
      const task = await run(client, 'task')
      const said =
        "Orchestrator function 'task' failed: Activity function 'fail' failed: of the activity"
      assert.ok(task.output.startsWith(said), task.output)
      const parent = await run(client, 'parent')
      assert.ok(parent.output.startsWith(`Orchestrator function 'parent' failed: ${said}`))
    })

    test('code sees that it is replayed, also after a restart', async (t) => {
      const store = tempStore(t)
      const seen = []
      const register = (_app, add) => {
        add('replayed', function* (context) {
          if (!context.df.isReplaying) seen.push('begun')
          yield context.df.callActivity('echo', 1)
          if (!context.df.isReplaying) seen.push('echoed')
          yield context.df.waitForExternalEvent('go')
          if (!context.df.isReplaying) seen.push('went')
          return yield context.df.callActivity('echo', 2)
        })
      }
      const first = await open(t, register, { store })
      const id = await first.client.startNew('replayed')
      await waiting(first.client, id, (waits) => waits.some(({ name }) => name === 'go'))
      await first.close()
      const { client } = await open(t, register, { store })
      check(await go(client, id), 2)
      assert.deepEqual(seen, ['begun', 'echoed', 'went'])
    })

    test('code that was changed is held when it asks for something else than before', async (t) => {
      const store = tempStore(t)
      const register = (activity) => (_app, add) => {
        add('changed', function* (context) {
          yield context.df.callActivity('echo', 1)
          yield context.df.callActivity(activity, 2)
          yield context.df.waitForExternalEvent('go')
          return 'done'
        })
      }
      const first = await open(t, register('hello'), { store })
      const id = await first.client.startNew('changed')
      await waiting(first.client, id, (waits) => waits.some(({ name }) => name === 'go'))
      await first.close()
      const second = await open(t, register('count'), { store })
      await second.client.raiseEvent(id, 'go')
      const { problem } = await until('it is held', async () => {
        const status = await second.client.getStatus(id)
        return status.runtimeStatus === 'Suspended' && status
      })
      assert.equal(problem.code, 'Nondeterminism')
      assert.equal(problem.expected, "callActivity('hello')")
      assert.equal(problem.actual, "callActivity('count')")
      await second.close()
      const third = await open(t, register('hello'), { store })
      check(await third.client.waitForCompletion(id, { timeoutMs: PATIENCE_MS }), 'done')
    })

    test('code that differs from call to call is found out', async (t) => {
      let calls = 0
      const { client } = await open(t, (_app, register) => {
        register('random', function* (context) {
          calls += 1
          yield context.df.callActivity(calls % 2 === 0 ? 'echo' : 'hello', 1)
          yield context.df.callActivity('echo', 2)
          yield context.df.callActivity('echo', 3)
          return 'done'
        })
      })
      const id = await client.startNew('random')
      const status = await until('it is held or fails', async () => {
        const now = await client.getStatus(id)
        return now !== null && ['Suspended', 'Failed'].includes(now.runtimeStatus) && now
      })
      assert.equal(status.problem?.code ?? status.failure.code, 'Nondeterminism')
    })

    test('code that waits for nothing that can come fails', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('stuck', function* (context) {
          const timer = context.df.createTimer(
            new Date(context.df.currentUtcDateTime.getTime() + 1e6),
          )
          const race = [timer, context.df.callActivity('echo', 1)]
          yield context.df.Task.any(race)
          timer.cancel()
          yield timer
        })
      })
      assert.equal((await fail(client, 'stuck')).code, 'NonDurableAwait')
    })

    test('what cannot be asked for fails the instance and names it', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('badId', function* (context) {
          yield context.df.callSubOrchestrator('badId', null, 'a/b')
        })
        register('bigint', function* (context) {
          yield context.df.callActivity('echo', { big: 1n })
        })
        register('unknown', function* (context) {
          yield context.df.callActivity('nobody', 1)
        })
        register('bigResult', function* (context) {
          yield context.df.callActivity('echo', 1)
          return { big: 1n }
        })
      })
      assert.equal((await fail(client, 'badId')).code, 'InvalidInstanceId')
      assert.equal((await fail(client, 'bigint')).code, 'UnserializableValue')
      assert.match((await fail(client, 'unknown')).message, /No activity named 'nobody'/)
      assert.equal((await fail(client, 'bigResult')).code, 'UnserializableValue')
    })

    test('what yields no task is told so', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('yields', function* () {
          const got = yield 7
          return got
        })
      })
      const status = await run(client, 'yields')
      // Version 1 hands back what is no task.
      if (sdk.version === 1) assert.equal(status.output, 7)
      else assert.match(status.output, /Orchestration yielded data of type number/)
    })

    test('an instance is terminated, suspended, resumed, rewound and restarted as any', async (t) => {
      let mayPass = false
      const { client } = await open(t, (app, register) => {
        app.activity('gate', {
          handler: () => {
            if (!mayPass) throw new Error('not yet')
            return 'passed'
          },
        })
        register('gated', function* (context) {
          yield context.df.waitForExternalEvent('go')
          return yield context.df.callActivity('gate')
        })
      })
      const id = await startWaiting(client, 'gated')
      await client.suspend(id, 'a while')
      await client.raiseEvent(id, 'go')
      assert.equal((await client.getStatus(id)).runtimeStatus, 'Suspended')
      await client.resume(id, 'on')
      assert.equal((await client.waitForCompletion(id)).runtimeStatus, 'Failed')
      mayPass = true
      await client.rewind(id, 'again')
      check(await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS }), 'passed')
      const other = await startWaiting(client, 'gated')
      await client.terminate(other, 'enough')
      assert.equal((await client.getStatus(other)).output, 'enough')
    })
  })
}
