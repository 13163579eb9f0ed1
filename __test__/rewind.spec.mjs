/** Running again: rewind of what failed, restart of anything. `docs/semantics.md` §2. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import {
  deferred,
  openHub,
  PATIENCE_MS,
  refuses,
  run,
  startWaiting,
  until,
  waiting,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS

function register(app) {
  app.orchestration('done', () => 'result')
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

describe('rewind', () => {
  test('runs a failed instance again: what succeeded is kept, what failed is tried anew', async (t) => {
    const ran = []
    let broken = true
    const { client } = await openHub(t, (app) => {
      app.activity('step', {
        handler: (n) => {
          ran.push(n)
          if (n === 'b' && broken) throw new Error('broken')
          return n
        },
      })
      app.orchestration('steps', function* (context) {
        const a = yield context.df.callActivity('step', 'a')
        const [b, c] = yield context.df.Task.all([
          context.df.callActivity('step', 'b'),
          context.df.callActivity('step', 'c'),
        ])
        return [a, b, c]
      })
    })
    const failed = await run(client, 'steps')
    assert.equal(failed.runtimeStatus, 'Failed')
    broken = false
    await client.rewind(failed.instanceId, 'mended')
    const status = await client.waitForCompletion(failed.instanceId, { timeoutMs })
    assert.deepEqual(status.output, ['a', 'b', 'c'])
    assert.equal(status.failure, undefined)
    assert.equal(ran.filter((n) => n === 'a').length, 1)
    assert.equal(ran.filter((n) => n === 'b').length, 2)
    const { history } = await client.getStatus(failed.instanceId, { showHistory: true })
    const rewound = history.find((event) => event.eventType === 'ExecutionRewound')
    assert.equal(rewound.reason, 'mended')
  })

  test('reaches the sub-orchestration that failed', async (t) => {
    let broken = true
    const { client } = await openHub(t, (app) => {
      app.activity('step', {
        handler: () => {
          if (broken) throw new Error('broken')
          return 'mended'
        },
      })
      app.orchestration('child', async (context) => await context.df.callActivity('step'))
      app.orchestration('parent', async (context) => {
        return await context.df.callSubOrchestrator('child', null, 'child')
      })
    })
    const { instanceId, runtimeStatus } = await run(client, 'parent')
    assert.equal(runtimeStatus, 'Failed')
    broken = false
    await client.rewind(instanceId)
    assert.equal((await client.waitForCompletion(instanceId, { timeoutMs })).output, 'mended')
    assert.equal((await client.getStatus('child')).runtimeStatus, 'Completed')
  })

  test('may be done again, whatever the orchestrator failed of', async (t) => {
    let broken = true
    let ran = 0
    const { client } = await openHub(t, (app) => {
      const mend = (value) => {
        if (broken) throw new Error('broken')
        return value
      }
      app.activity('flaky', {
        handler: () => {
          ran += 1
          return mend('flaky')
        },
      })
      app.orchestration('first turn', () => mend('first turn'))
      app.orchestration('after an event', function* (context) {
        return mend(yield context.df.waitForExternalEvent('go'))
      })
      app.orchestration('several activities', async (context) => {
        const tasks = [1, 2, 3].map(() => context.df.callActivity('flaky'))
        return (await context.df.Task.all(tasks)).join()
      })
      app.orchestration('retries', async (context) => {
        return await context.df.callActivityWithRetry('flaky', new df.RetryOptions(1, 3))
      })
      app.orchestration('caught before', async (context) => {
        await context.df.callActivity('flaky').catch(() => {})
        return mend('caught before')
      })
    })
    const outputs = {
      'first turn': 'first turn',
      'after an event': 'data',
      'several activities': 'flaky,flaky,flaky',
      retries: 'flaky',
      'caught before': 'caught before',
    }
    for (const [name, output] of Object.entries(outputs)) {
      broken = true
      const id = await client.startNew(name)
      if (name === 'after an event') {
        await waiting(client, id)
        assert.equal((await client.raiseEvent(id, 'go', 'data')).outcome, 'delivered')
      }
      await client.waitForCompletion(id, { timeoutMs })
      await client.rewind(id, 'still broken')
      assert.equal((await client.waitForCompletion(id, { timeoutMs })).runtimeStatus, 'Failed')
      broken = false
      await client.rewind(id, 'mended')
      assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, output, name)
    }
    assert.ok(ran > 10)
  })

  for (const when of ['while it has failed', 'after the rewind']) {
    test(`leaves a call of an entity under way, whose answer comes ${when}`, async (t) => {
      const ran = { flaky: 0, steady: 0, add: 0 }
      const answers = deferred()
      const called = deferred()
      const { client } = await openHub(t, (app) => {
        app.activity('flaky', {
          handler: async () => {
            await called.promise
            ran.flaky += 1
            if (ran.flaky === 1) throw new Error('broken')
            return 'mended'
          },
        })
        app.activity('steady', { handler: () => ++ran.steady })
        app.entity('tally', async (context) => {
          called.resolve()
          await answers.promise
          context.df.setState(++ran.add)
          context.df.return(ran.add)
        })
        app.orchestration('both', function* (context) {
          const steady = yield context.df.callActivity('steady')
          const answer = context.df.callEntity(new df.EntityId('tally', 'k'), 'add')
          const flaky = context.df.callActivity('flaky')
          return [steady, ...(yield context.df.Task.all([flaky, answer]))]
        })
      })
      const { instanceId, runtimeStatus } = await run(client, 'both')
      assert.equal(runtimeStatus, 'Failed')
      if (when === 'while it has failed') {
        answers.resolve()
        const tally = new df.EntityId('tally', 'k')
        await until('the answer', async () => (await client.readEntityState(tally)).entityExists)
        await client.rewind(instanceId)
      } else {
        await client.rewind(instanceId)
        answers.resolve()
      }
      const { output } = await client.waitForCompletion(instanceId, { timeoutMs })
      assert.deepEqual(output, [1, 'mended', 1])
      assert.deepEqual([ran.steady, ran.flaky], [1, 2])
    })
  }

  test('is refused where nothing that failed can be tried anew, at any depth', async (t) => {
    const { client } = await openHub(t, (app) => {
      register(app)
      app.orchestration('child', async (context) => {
        return await context.df.callSubOrchestrator('wait', null, 'grandchild')
      })
      app.orchestration('parent', async (context) => {
        return await context.df.callSubOrchestrator('child', null, 'child')
      })
    })
    const id = await client.startNew('parent')
    await waiting(client, 'grandchild')
    await client.terminate('grandchild', 'gone')
    const failed = await client.waitForCompletion(id, { timeoutMs })
    await refuses('NotRewindable', client.rewind(id), { message: /'grandchild' was terminated/ })
    assert.deepEqual(await client.getStatus(id), failed)
  })

  test('is for failed instances only', async (t) => {
    const { client } = await openHub(t, register)
    await run(client, 'done', 1, { instanceId: 'completed' })
    await startWaiting(client, 'wait', { instanceId: 'terminated' })
    await client.terminate('terminated')
    await startWaiting(client, 'wait', { instanceId: 'open' })
    for (const id of ['completed', 'terminated', 'open']) {
      await refuses('NotRewindable', client.rewind(id))
    }
    await refuses('InstanceNotFound', client.rewind('nobody'))
  })
})

describe('restart', () => {
  test('starts a new instance with the name and input of the old one', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('echo', (context) => context.df.getInput())
    })
    const old = await run(client, 'echo', { a: 1 })
    const id = await client.restart(old.instanceId)
    assert.notEqual(id, old.instanceId)
    assert.match(id, /^[0-9a-f]{32}$/)
    assert.deepEqual((await client.waitForCompletion(id, { timeoutMs })).output, { a: 1 })
    assert.deepEqual(await client.getStatus(old.instanceId), old)
  })

  test('keeps the id if asked to, once the old one has ended', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait', { instanceId: 'same', input: 1 })
    await refuses('InstanceAlreadyExists', client.restart(id, { withNewInstanceId: false }))
    await client.terminate(id)
    assert.equal(await client.restart(id, false), id)
    assert.equal((await waiting(client, id)).input, 1)
    await refuses('InstanceNotFound', client.restart('nobody'))
  })
})
