/** Terminate, suspend, rewind, restart, purge and waiting: `docs/semantics.md` §1.3, §2 and §3.7. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  complete,
  connect,
  deferred,
  openHub,
  PATIENCE_MS,
  refuses,
  run,
  startWaiting,
  tempStore,
  until,
  waiting,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS

function register(app) {
  app.orchestration('done', () => 'result')
  app.orchestration('fail', () => {
    throw new Error('failed')
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

/** One instance in each status that it can have ended in, by id. */
async function endedInstances(client) {
  await run(client, 'done', 1, { instanceId: 'completed' })
  await run(client, 'fail', 1, { instanceId: 'failed' })
  await startWaiting(client, 'wait', { instanceId: 'terminated' })
  await client.terminate('terminated', 'reason')
  return ['completed', 'failed', 'terminated']
}

describe('terminate', () => {
  test('ends an instance at its await point at once, with the reason as output', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    await client.terminate(id, 'no longer needed')
    const status = await client.getStatus(id)
    assert.equal(status.runtimeStatus, 'Terminated')
    assert.equal(status.output, 'no longer needed')
    assert.equal((await client.waitForCompletion(id)).output, 'no longer needed')
  })

  test('logs the reason', async (t) => {
    const { client, logger } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    await client.terminate(id, 'no longer needed')
    const lines = logger.lines.filter((line) => line.message.includes('no longer needed'))
    assert.equal(lines.length, 1)
    assert.ok(lines[0].message.includes(id))
  })

  test('takes any JSON value as reason, or none', async (t) => {
    const { client } = await openHub(t, register)
    for (const reason of [{ by: 'Ada', at: [1] }, 0, false, '', null, undefined]) {
      const id = await startWaiting(client, 'wait')
      await client.terminate(id, reason)
      assert.deepEqual((await client.getStatus(id)).output, reason ?? null)
    }
  })

  test('ends a pending instance, which then never runs', async (t) => {
    const store = tempStore(t)
    const outside = await connect(t, store)
    const id = await outside.startNew('wait')
    await outside.terminate(id, 'too late')
    assert.equal((await outside.getStatus(id)).runtimeStatus, 'Terminated')
    const { client } = await openHub(t, register, { store })
    await complete(client, 'done')
    const status = await client.getStatus(id, { showHistory: true })
    assert.equal(status.output, 'too late')
    assert.deepEqual(
      status.history.map((event) => event.eventType),
      ['ExecutionTerminated'],
    )
  })

  test('leaves what runs alone, aborts its signal and discards its result', async (t) => {
    const started = deferred()
    const finish = deferred()
    const { client } = await openHub(t, (app) => {
      app.activity('slow', {
        handler: async (_, context) => {
          started.resolve(context)
          await finish.promise
          return 'too late'
        },
      })
      app.orchestration('slow', async (context) => await context.df.callActivity('slow'))
      app.orchestration('done', () => 1)
    })
    const id = await client.startNew('slow')
    const { signal } = await started.promise
    assert.equal(signal.aborted, false)
    const aborted = new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true })
    })
    await client.terminate(id, 'stop')
    await aborted
    finish.resolve()
    await complete(client, 'done')
    const status = await client.getStatus(id, { showHistory: true })
    assert.equal(status.output, 'stop')
    assert.ok(!status.history.some((event) => event.eventType === 'TaskCompleted'))
  })

  test('drops activities that have not started', async (t) => {
    const gate = deferred()
    let ran = 0
    const { client } = await openHub(t, (app) => {
      app.activity('slow', {
        maxConcurrency: 1,
        handler: () => {
          ran += 1
          return gate.promise
        },
      })
      app.orchestration('fan', async (context) => {
        await context.df.Task.all([1, 2, 3].map(() => context.df.callActivity('slow')))
      })
    })
    const id = await client.startNew('fan')
    await until('one runs', () => ran === 1)
    await client.terminate(id)
    gate.resolve()
    assert.equal((await run(client, 'fan')).runtimeStatus, 'Completed')
    assert.equal(ran, 4)
  })

  test('takes effect at the next await point of code that runs: what follows is not done', async (t) => {
    let client
    let ran = 0
    const hub = await openHub(t, (app) => {
      app.activity('after', { handler: () => (ran += 1) })
      app.orchestration('self', function* (context) {
        client.terminate(context.df.instanceId, 'by itself').catch(() => {})
        yield context.df.callActivity('after')
      })
    })
    client = hub.client
    const status = await run(client, 'self')
    assert.equal(status.runtimeStatus, 'Terminated')
    assert.equal(status.output, 'by itself')
    assert.equal(ran, 0)
  })

  test('that follows its start at once, neither awaited, comes after it', async (t) => {
    const { client } = await openHub(t, register)
    const ids = Array.from({ length: 20 }, (_, n) => `quick-${n}`)
    const calls = ids.flatMap((instanceId) => [
      client.startNew('wait', { instanceId }),
      client.terminate(instanceId, 'at once'),
    ])
    await Promise.all(calls)
    for (const id of ids) assert.equal((await client.getStatus(id)).output, 'at once')
  })

  test('a completion that was committed first wins', async (t) => {
    const { client } = await openHub(t, register)
    const id = await client.startNew('done')
    await client.waitForCompletion(id)
    await refuses('InstanceEnded', client.terminate(id, 'late'))
    assert.equal((await client.getStatus(id)).output, 'result')
  })

  test('of an ended or unknown instance changes nothing and says so', async (t) => {
    const { client } = await openHub(t, register)
    for (const id of await endedInstances(client)) {
      const before = await client.getStatus(id, { showHistory: true })
      const error = await refuses('InstanceEnded', client.terminate(id, 'again'))
      assert.match(error.message, new RegExp(id))
      assert.deepEqual(await client.getStatus(id, { showHistory: true }), before)
    }
    await refuses('InstanceNotFound', client.terminate('nobody'))
  })

  const family = (app) => {
    app.orchestration('leaf', function* (context) {
      yield context.df.waitForExternalEvent('never')
    })
    app.orchestration('middle', function* (context) {
      yield context.df.callSubOrchestrator('leaf', null, 'leaf')
    })
    app.orchestration('root', function* (context) {
      yield context.df.callSubOrchestrator('middle', null, 'middle')
    })
  }

  test('reaches the sub-orchestrations with recursive', async (t) => {
    const { client } = await openHub(t, family)
    await client.startNew('root', { instanceId: 'root' })
    await waiting(client, 'leaf')
    await client.terminate('root', 'all', { recursive: true })
    for (const id of ['root', 'middle', 'leaf']) {
      const status = await client.getStatus(id)
      assert.deepEqual([status.runtimeStatus, status.output], ['Terminated', 'all'], id)
    }
  })

  test('lets the sub-orchestrations run on without', async (t) => {
    const { client } = await openHub(t, family)
    await client.startNew('root', { instanceId: 'root' })
    await waiting(client, 'leaf')
    await client.terminate('root', 'all')
    assert.equal((await client.getStatus('middle')).runtimeStatus, 'Running')
    await client.terminate('leaf', 'now this one')
    const middle = await client.waitForCompletion('middle', { timeoutMs })
    assert.equal(middle.failure.name, 'OrchestrationTerminated')
  })
})

describe('suspend and resume', () => {
  test('nothing is processed until resume: events, timers, results are kept', async (t) => {
    const gate = deferred()
    const started = deferred()
    const { client } = await openHub(t, (app) => {
      app.activity('slow', {
        handler: () => {
          started.resolve()
          return gate.promise
        },
      })
      app.orchestration('three', async (context) => {
        const timer = context.df.createTimer(new Date(Date.now() + 20))
        const event = context.df.waitForExternalEvent('go')
        const activity = context.df.callActivity('slow')
        await context.df.Task.any([timer, event, activity])
        return await context.df.Task.all([activity, event, timer])
      })
      app.orchestration('done', () => 1)
    })
    const id = await client.startNew('three')
    await started.promise
    await client.suspend(id, 'hold on')
    gate.resolve('activity')
    assert.deepEqual(await client.raiseEvent(id, 'go', 'event'), { outcome: 'delivered' })
    await complete(client, 'done')
    const due = (await client.getStatus(id)).waitingFor.find(({ kind }) => kind === 'timer').fireAt
    await until('the timer is due', () => Date.now() > due.getTime() + 20)
    const suspended = await client.getStatus(id)
    assert.equal(suspended.runtimeStatus, 'Suspended')
    assert.equal(suspended.waitingFor.length, 3)
    await client.resume(id, 'go on')
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(status.output.slice(0, 2), ['activity', 'event'])
  })

  test('outlive the process, with what was kept', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    const id = await startWaiting(first.client, 'wait')
    await first.client.suspend(id)
    await first.client.raiseEvent(id, 'go', 'kept')
    await first.close()
    const { client } = await openHub(t, register, { store })
    assert.equal((await client.getStatus(id)).runtimeStatus, 'Suspended')
    await client.resume(id)
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'kept')
  })

  test('hold back an instance that has not begun', async (t) => {
    const store = tempStore(t)
    const outside = await connect(t, store)
    const id = await outside.startNew('done')
    await outside.suspend(id)
    const { client } = await openHub(t, register, { store })
    await complete(client, 'done')
    assert.equal((await client.getStatus(id)).runtimeStatus, 'Suspended')
    await client.resume(id)
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'result')
  })

  test('twice are once, and resume of a running instance changes nothing', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    await client.resume(id)
    await client.suspend(id, 'a')
    await client.suspend(id, 'b')
    await client.resume(id)
    await client.resume(id)
    const { history } = await client.getStatus(id, { showHistory: true })
    const types = history.map((event) => event.eventType)
    assert.deepEqual(types.slice(2), ['ExecutionSuspended', 'ExecutionResumed'])
    await client.raiseEvent(id, 'go', 1)
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 1)
  })

  test('a suspended instance can be terminated', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    await client.suspend(id)
    await client.terminate(id, 'stop')
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'stop')
  })

  test('reject for an ended and for an unknown instance', async (t) => {
    const { client } = await openHub(t, register)
    for (const id of await endedInstances(client)) {
      await refuses('InstanceEnded', client.suspend(id))
      await refuses('InstanceEnded', client.resume(id))
    }
    await refuses('InstanceNotFound', client.suspend('nobody'))
    await refuses('InstanceNotFound', client.resume('nobody'))
  })

  test('reach the sub-orchestrations with recursive', async (t) => {
    const { client } = await openHub(t, (app) => {
      register(app)
      app.orchestration('parent', function* (context) {
        return yield context.df.callSubOrchestrator('wait', null, 'child')
      })
    })
    await client.startNew('parent', { instanceId: 'parent' })
    await waiting(client, 'child')
    await client.suspend('parent', 'all', { recursive: true })
    assert.equal((await client.getStatus('child')).runtimeStatus, 'Suspended')
    await client.raiseEvent('child', 'go', 5)
    await client.resume('parent', 'all', { recursive: true })
    assert.equal((await client.waitForCompletion('parent', { timeoutMs })).output, 5)
  })
})

describe('purge', () => {
  test('deletes an ended instance with its history, and its id is free', async (t) => {
    const { client } = await openHub(t, register)
    for (const id of await endedInstances(client)) {
      assert.deepEqual(await client.purgeInstanceHistory(id), { instancesDeleted: 1 })
      assert.equal(await client.getStatus(id, { pending: true, showHistory: true }), null)
      assert.deepEqual(await client.purgeInstanceHistory(id), { instancesDeleted: 0 })
      assert.equal(await complete(client, 'done', 2, { instanceId: id }), 'result')
    }
    assert.equal(await client.count(), 3)
  })

  test('refuses an open instance', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    await refuses('InstanceNotEnded', client.purgeInstanceHistory(id))
    await client.suspend(id)
    await refuses('InstanceNotEnded', client.purgeInstanceHistory(id))
    assert.equal((await client.getStatus(id)).runtimeStatus, 'Suspended')
  })

  test('by filter deletes what has ended and passes, and nothing else', async (t) => {
    const { client } = await openHub(t, register)
    await endedInstances(client)
    await startWaiting(client, 'wait', { instanceId: 'open' })
    const purge = (filter) => client.purgeInstanceHistoryBy(filter)
    assert.deepEqual(await purge({ runtimeStatus: ['Failed', 'Running'] }), {
      instancesDeleted: 1,
    })
    assert.deepEqual(await purge({ name: 'done', createdTo: new Date(0) }), {
      instancesDeleted: 0,
    })
    assert.deepEqual(await purge({ idPrefix: 'c' }), { instancesDeleted: 1 })
    assert.deepEqual(await purge({}), { instancesDeleted: 1 })
    const { instances } = await client.list()
    assert.deepEqual(
      instances.map((status) => status.instanceId),
      ['open'],
    )
  })

  test('by filter deletes any number', async (t) => {
    const { client } = await openHub(t, register)
    const starts = Array.from({ length: 700 }, (_, n) => ({ name: 'done', instanceId: `d${n}` }))
    const ids = await client.startMany(starts)
    await Promise.all(ids.map((id) => client.waitForCompletion(id, { timeoutMs })))
    const { instancesDeleted } = await client.purgeInstanceHistoryBy({ runtimeStatus: 'Completed' })
    assert.equal(instancesDeleted, 700)
    assert.equal(await client.count(), 0)
  })
})

describe('waitForCompletion', () => {
  test('ends with the reason of its signal, and the instance goes on', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    const controller = new AbortController()
    const waits = client.waitForCompletion(id, { signal: controller.signal })
    const reason = new Error('no longer wanted')
    controller.abort(reason)
    await assert.rejects(waits, reason)
    await assert.rejects(client.waitForCompletion(id, { signal: controller.signal }), reason)
    await refuses('InvalidOption', client.waitForCompletion(id, { signal: true }))
    assert.equal((await client.getStatus(id)).runtimeStatus, 'Running')
  })

  test('resolves to the status of the ended instance, before and after it ended', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    const waiters = [1, 2, 3].map(() => client.waitForCompletion(id, { timeoutMs }))
    await client.raiseEvent(id, 'go', 'over')
    const statuses = await Promise.all(waiters)
    statuses.push(await client.waitForCompletion(id))
    for (const status of statuses) {
      assert.deepEqual([status.instanceId, status.output], [id, 'over'])
    }
  })

  test('resolves, not rejects, for one that failed or was terminated', async (t) => {
    const { client } = await openHub(t, register)
    for (const id of await endedInstances(client)) {
      assert.equal((await client.waitForCompletion(id)).runtimeStatus.toLowerCase(), id)
    }
  })

  test('rejects with TimeoutError when the time has passed; the instance goes on', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    const error = await refuses('Timeout', client.waitForCompletion(id, { timeoutMs: 10 }))
    assert.equal(error.instanceId, id)
    assert.match(error.message, /10 ms/)
    await refuses('Timeout', client.waitForCompletion(id, { timeoutMs: 0 }))
    assert.equal((await client.getStatus(id)).runtimeStatus, 'Running')
  })

  test('takes a timeout of any length', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    const waiters = [2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY, undefined].map((ms) =>
      client.waitForCompletion(id, { timeoutMs: ms }),
    )
    await client.raiseEvent(id, 'go', 1)
    for (const status of await Promise.all(waiters)) assert.equal(status.output, 1)
  })

  test('rejects with InstanceNotFound for an unknown id', async (t) => {
    const { client } = await openHub(t, register)
    await refuses('InstanceNotFound', client.waitForCompletion('nobody', { timeoutMs }))
    await refuses('InstanceNotFound', client.waitForCompletion('nobody'))
  })

  test('waits for the last generation of one that continues as new', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('count', (context) => {
        const left = context.df.getInput()
        if (left > 0) context.df.continueAsNew(left - 1)
        return 'the end'
      })
    })
    assert.equal(await complete(client, 'count', 5), 'the end')
  })
})
