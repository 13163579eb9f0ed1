/** Sub-orchestrations: what a parent gets of them. `docs/semantics.md` §2. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import {
  complete,
  fail,
  openHub,
  PATIENCE_MS,
  run,
  startWaiting,
  tempStore,
  until,
  waiting,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS

describe('a sub-orchestration', () => {
  const child = (app) => {
    app.orchestration('child', (context) => ({ got: context.df.getInput() ?? 'nothing' }))
    app.orchestration('wait', function* (context) {
      return yield context.df.waitForExternalEvent('go')
    })
    app.orchestration('broken', () => {
      throw Object.assign(new RangeError('child broke'), { detail: [1], cause: new Error('why') })
    })
  }
  const parent = (t, handler) =>
    openHub(t, (app) => {
      child(app)
      app.orchestration('parent', handler)
    })

  test('gives its result to the parent', async (t) => {
    const { client } = await parent(t, function* (context) {
      const one = yield context.df.callSubOrchestrator('CHILD', 1)
      const none = yield context.df.callSubOrchestrator('child')
      return [one, none]
    })
    assert.deepEqual(await complete(client, 'parent'), [{ got: 1 }, { got: 'nothing' }])
    assert.equal(await client.count({ name: 'child', runtimeStatus: 'Completed' }), 2)
  })

  test('that fails gives the parent its error, with all details', async (t) => {
    const { client } = await parent(t, function* (context) {
      try {
        yield context.df.callSubOrchestrator('broken')
      } catch (error) {
        const { name, message, detail, cause } = error
        return [error instanceof RangeError, name, message, detail, cause.message]
      }
    })
    const output = await complete(client, 'parent')
    assert.deepEqual(output, [true, 'RangeError', 'child broke', [1], 'why'])
  })

  test('whose error the parent does not catch fails the parent with it', async (t) => {
    const { client } = await parent(t, async (context) => {
      await context.df.callSubOrchestrator('broken')
    })
    const status = await run(client, 'parent')
    assert.equal(status.output, "Orchestrator function 'parent' failed: child broke")
    assert.deepEqual(status.failure.detail, [1])
  })

  test('that is terminated fails with OrchestrationTerminated and the reason', async (t) => {
    const { client } = await parent(t, async (context) => {
      try {
        await context.df.callSubOrchestrator('wait', null, 'the-child')
      } catch (error) {
        return [error instanceof df.OrchestrationTerminated, error.code, error.cause, error.message]
      }
    })
    const id = await client.startNew('parent')
    await waiting(client, 'the-child')
    await client.terminate('the-child', { why: 'test' })
    const { output } = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(output.slice(0, 3), [true, 'OrchestrationTerminated', { why: 'test' }])
    assert.match(output[3], /the-child/)
  })

  test('with an id that is in use fails with InstanceAlreadyExists; the other goes on', async (t) => {
    const { client } = await parent(t, function* (context) {
      try {
        yield context.df.callSubOrchestrator('wait', null, 'taken')
      } catch (error) {
        return [error instanceof df.InstanceAlreadyExists, error.code]
      }
    })
    await startWaiting(client, 'wait', { instanceId: 'taken', input: 'mine' })
    assert.deepEqual(await complete(client, 'parent'), [true, 'InstanceAlreadyExists'])
    assert.equal((await client.getStatus('taken')).input, 'mine')
  })

  test('replaces an ended instance of its id', async (t) => {
    const { client } = await parent(t, function* (context) {
      return yield context.df.callSubOrchestrator('child', 2, 'again')
    })
    await run(client, 'child', 1, { instanceId: 'again' })
    assert.deepEqual(await complete(client, 'parent'), { got: 2 })
    assert.equal((await client.getStatus('again')).input, 2)
  })

  test('that no worker registers fails with NotRegistered', async (t) => {
    const { client } = await parent(t, async (context) => {
      await context.df.callSubOrchestrator('nobody')
    })
    const failure = await fail(client, 'parent')
    assert.equal(failure.code, 'NotRegistered')
    assert.match(failure.message, /nobody/)
  })

  test('that continues as new reports once, at its end', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('count', (context) => {
        const left = context.df.getInput()
        if (left > 0) context.df.continueAsNew(left - 1)
        return `left ${left}`
      })
      app.orchestration('parent', async (context) => {
        return await context.df.callSubOrchestrator('count', 5)
      })
    })
    assert.equal(await complete(client, 'parent'), 'left 0')
  })
})

test('Task.all with concurrency starts at most that many, over a restart too', async (t) => {
  const store = tempStore(t)
  const code = (app) => {
    app.orchestration('child', function* (context) {
      return yield context.df.waitForExternalEvent('go')
    })
    app.orchestration('parent', async (context) => {
      const ids = ['a', 'b', 'c', 'd']
      const tasks = ids.map((id) => context.df.callSubOrchestrator('child', null, id))
      return await context.df.Task.all(tasks, { concurrency: 2 })
    })
  }
  let { client, close } = await openHub(t, code, { store })
  const started = async () =>
    (await client.list({ name: 'child' })).instances.map((i) => i.instanceId)
  const id = await client.startNew('parent')
  for (const child of ['a', 'b', 'c', 'd']) {
    await waiting(client, child, ([wait]) => wait?.kind === 'event')
    const ahead = { a: 'ab', b: 'abc', c: 'abcd', d: 'abcd' }[child]
    await until(
      'as many are started as may be',
      async () => (await started()).length === ahead.length,
    )
    assert.equal((await started()).join(''), ahead)
    if (child === 'b') {
      await close()
      ;({ client, close } = await openHub(t, code, { store }))
    }
    await client.raiseEvent(child, 'go', child)
  }
  const { output } = await client.waitForCompletion(id, { timeoutMs })
  assert.deepEqual(output, ['a', 'b', 'c', 'd'])
})
