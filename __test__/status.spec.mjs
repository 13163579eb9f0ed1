/** What `getStatus`, `list` and `count` show: `docs/semantics.md` §1.2. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import {
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
  app.activity('echo', { handler: (input) => input })
  app.activity('fail', {
    handler: () => {
      throw Object.assign(new RangeError('too far'), { km: 12 })
    },
  })
  app.orchestration('echo', function* (context) {
    context.df.setCustomStatus({ step: 1 })
    return yield context.df.callActivity('echo', context.df.getInput())
  })
  app.orchestration('fail', function* (context) {
    yield context.df.callActivity('fail')
  })
  app.orchestration('wait', function* (context) {
    yield context.df.waitForExternalEvent('first')
    return yield context.df.waitForExternalEvent('second')
  })
}

describe('the status', () => {
  test('of a completed instance has all fields, with Dates', async (t) => {
    const { client } = await openHub(t, register)
    const before = Date.now()
    const { instanceId } = await run(client, 'echo', { a: [1] })
    const status = await client.getStatus(instanceId)
    const { createdTime, lastUpdatedTime, ...rest } = status
    assert.deepEqual(rest, {
      name: 'echo',
      instanceId,
      runtimeStatus: 'Completed',
      input: { a: [1] },
      output: { a: [1] },
      customStatus: { step: 1 },
    })
    assert.ok(createdTime instanceof Date && lastUpdatedTime instanceof Date)
    assert.ok(before <= createdTime && createdTime <= lastUpdatedTime)
    assert.match(JSON.stringify(status), /"createdTime":"\d{4}-\d\d-\d\dT[\d:.]+Z"/)
  })

  test('is the same from waitForCompletion, getStatus, list and another client', async (t) => {
    const store = tempStore(t)
    const { client } = await openHub(t, register, { store })
    const waited = await run(client, 'echo', 'x')
    const other = await connect(t, store)
    assert.deepEqual(await client.getStatus(waited.instanceId), waited)
    assert.deepEqual((await client.list()).instances, [waited])
    assert.deepEqual(await other.getStatus(waited.instanceId), waited)
    assert.deepEqual(await other.waitForCompletion(waited.instanceId, { timeoutMs }), waited)
  })

  test('of a failed one has a text as output and the details as failure', async (t) => {
    const { client } = await openHub(t, register)
    const status = await run(client, 'fail')
    assert.equal(status.runtimeStatus, 'Failed')
    assert.equal(status.output, "Orchestrator function 'fail' failed: too far")
    const { stack, ...failure } = status.failure
    assert.deepEqual(failure, { name: 'RangeError', message: 'too far', km: 12 })
    assert.match(stack, /too far[\s\S]*status\.spec\.mjs/)
  })

  test('of a terminated one has the reason as output', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    await client.terminate(id, { because: 'test' })
    const status = await client.getStatus(id)
    assert.equal(status.runtimeStatus, 'Terminated')
    assert.deepEqual(status.output, { because: 'test' })
  })

  test('is null for an instance that does not exist', async (t) => {
    const { client } = await openHub(t, register)
    assert.equal(await client.getStatus('nobody'), null)
    assert.equal(await client.getStatus('nobody', { pending: true, showHistory: true }), null)
  })

  test('is null for one that has not begun, unless pending ones are asked for', async (t) => {
    const client = await connect(t, tempStore(t))
    const id = await client.startNew('wait', { input: 3 })
    assert.equal(await client.getStatus(id), null)
    const status = await client.getStatus(id, { pending: true })
    assert.equal(status.runtimeStatus, 'Pending')
    assert.equal(status.input, 3)
    assert.ok(status.createdTime instanceof Date)
    assert.equal((await client.list()).instances[0].runtimeStatus, 'Pending')
  })

  test('of one terminated before it began is not null', async (t) => {
    const client = await connect(t, tempStore(t))
    const id = await client.startNew('wait')
    await client.terminate(id, 'never mind')
    const status = await client.getStatus(id)
    assert.equal(status.runtimeStatus, 'Terminated')
    assert.equal(status.output, 'never mind')
  })

  test('createdTime is when the function began, not when it was scheduled', async (t) => {
    const store = tempStore(t)
    const client = await connect(t, store)
    const id = await client.startNew('echo')
    const scheduled = (await client.getStatus(id, { pending: true })).createdTime
    await until('time passes', () => Date.now() > scheduled.getTime() + 5)
    await openHub(t, register, { store })
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.ok(status.createdTime.getTime() > scheduled.getTime() + 5)
  })

  test('createdTime stays that of the first generation', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('generations', function* (context) {
        const { began, left } = context.df.getInput()
        const now = context.df.currentUtcDateTime.getTime()
        yield context.df.createTimer(new Date(now + 5))
        if (left === 0) return began
        context.df.continueAsNew({ began: began ?? now, left: left - 1 })
      })
    })
    const status = await run(client, 'generations', { left: 3 })
    assert.equal(status.createdTime.getTime(), status.output)
    assert.ok(status.lastUpdatedTime - status.createdTime >= 15)
  })

  test('lastUpdatedTime is the last checkpoint', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    const first = await client.getStatus(id)
    await until('time passes', () => Date.now() > first.lastUpdatedTime.getTime() + 5)
    await client.raiseEvent(id, 'first')
    await waiting(client, id, ([wait]) => wait.name === 'second')
    const second = await client.getStatus(id)
    assert.ok(second.lastUpdatedTime.getTime() > first.lastUpdatedTime.getTime() + 5)
    assert.deepEqual(second.createdTime, first.createdTime)
  })

  test('is ContinuedAsNew between generations, when the old history is gone', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.activity('echo', { handler: (input) => input })
      app.orchestration('eternal', function* (context) {
        yield context.df.callActivity('echo')
        context.df.continueAsNew(context.df.getInput() + 1)
      })
    })
    const id = await client.startNew('eternal', { input: 0 })
    const seen = new Set()
    const between = await until('both statuses were seen', async () => {
      const status = await client.getStatus(id, { showHistory: true })
      if (status !== null) seen.add(status.runtimeStatus)
      return seen.size > 1 && status.runtimeStatus === 'ContinuedAsNew' && status
    })
    assert.deepEqual([...seen].sort(), ['ContinuedAsNew', 'Running'])
    assert.ok(between.input > 0)
    assert.ok(!between.history.some((event) => event.eventType === 'TaskCompleted'))
  })

  test('the constants of runtimeStatus are the strings themselves', () => {
    assert.deepEqual(
      Object.entries(df.OrchestrationRuntimeStatus).map(([name, value]) => name === value),
      Array(8).fill(true),
    )
  })
})

describe('waitingFor', () => {
  test('names the events, timers, activities and orchestrations that are open', async (t) => {
    const gate = deferred()
    t.after(() => gate.resolve())
    const fireAt = new Date(Date.now() + 3_600_000)
    const { client } = await openHub(t, (app) => {
      app.activity('slow', { handler: () => gate.promise })
      app.activity('fail', { handler: () => Promise.reject(new Error('no')) })
      app.orchestration('child', function* (context) {
        yield context.df.waitForExternalEvent('never')
      })
      app.orchestration('all', function* (context) {
        const retry = new df.RetryOptions(3_600_000, 3)
        const tasks = [
          context.df.callActivity('slow'),
          context.df.waitForExternalEvent('Approve'),
          context.df.createTimer(fireAt),
          context.df.callSubOrchestrator('child', null, 'the-child'),
          context.df.callActivityWithRetry('fail', retry),
        ]
        const cancelled = context.df.createTimer(fireAt)
        cancelled.cancel()
        yield context.df.Task.all(tasks)
      })
    })
    const before = Date.now()
    const id = await startWaiting(client, 'all')
    const { waitingFor } = await client.getStatus(id)
    const since = waitingFor[0].since
    assert.ok(since instanceof Date && since >= before)
    assert.deepEqual(waitingFor, [
      { kind: 'activity', name: 'slow', attempt: 1, since },
      { kind: 'event', name: 'Approve', since },
      { kind: 'timer', fireAt },
      { kind: 'orchestration', name: 'child', instanceId: 'the-child' },
      { kind: 'activity', name: 'fail', attempt: 1, since },
    ])
    assert.equal((await waiting(client, 'the-child')).parentInstanceId, id)
  })

  test('is absent when the instance has ended', async (t) => {
    const { client } = await openHub(t, register)
    const { instanceId } = await run(client, 'echo')
    assert.equal((await client.getStatus(instanceId)).waitingFor, undefined)
  })
})

describe('history', () => {
  const types = (status) => status.history.map((event) => event.eventType)

  test('comes only on request, oldest first, with Dates', async (t) => {
    const { client } = await openHub(t, register)
    const { instanceId } = await run(client, 'echo', 'in')
    assert.equal((await client.getStatus(instanceId)).history, undefined)
    const status = await client.getStatus(instanceId, { showHistory: true })
    assert.deepEqual(types(status), [
      'ExecutionStarted',
      'TaskScheduled',
      'TaskCompleted',
      'ExecutionCompleted',
    ])
    const [started, scheduled, completed] = status.history
    assert.equal(started.name, 'echo')
    assert.equal(started.input, 'in')
    assert.deepEqual([scheduled.taskId, scheduled.name, scheduled.input], [0, 'echo', 'in'])
    assert.deepEqual([completed.taskId, completed.name, completed.result], [0, 'echo', undefined])
    assert.ok(status.history.every((event) => event.timestamp instanceof Date))
  })

  test('has results only with showHistoryOutput, inputs unless showInput is false', async (t) => {
    const { client } = await openHub(t, register)
    const { instanceId } = await run(client, 'echo', 'in')
    const full = await client.getStatus(instanceId, { showHistory: true, showHistoryOutput: true })
    assert.equal(full.history[2].result, 'in')
    assert.equal(full.history[3].result, 'in')
    const bare = await client.getStatus(instanceId, { showHistory: true, showInput: false })
    assert.equal(bare.input, null)
    assert.ok(bare.history.every((event) => event.input === undefined))
  })

  test('tells of failures, retries, timers, events, children and what was done from outside', async (t) => {
    const { client } = await openHub(t, (app) => {
      register(app)
      app.orchestration('busy', function* (context) {
        const retry = new df.RetryOptions(1, 2)
        try {
          yield context.df.callActivityWithRetry('fail', retry)
        } catch {}
        const later = context.df.createTimer(new Date(Date.now() + 3_600_000))
        yield context.df.createTimer(new Date(0))
        later.cancel()
        yield context.df.callSubOrchestrator('echo')
        try {
          yield context.df.callSubOrchestrator('fail')
        } catch {}
        yield context.df.waitForExternalEvent('go')
        yield context.df.waitForExternalEvent('never')
      })
    })
    const id = await client.startNew('busy')
    await waiting(client, id, ([wait]) => wait?.name === 'go')
    await client.suspend(id, 'pause')
    await client.resume(id, 'play')
    await client.raiseEvent(id, 'GO', 7)
    await waiting(client, id, ([wait]) => wait?.name === 'never')
    await client.terminate(id, 'enough')
    const status = await client.getStatus(id, { showHistory: true, showHistoryOutput: true })
    assert.deepEqual(types(status), [
      'ExecutionStarted',
      'TaskScheduled',
      'TaskFailed',
      'TaskRetried',
      'TaskFailed',
      'TimerCreated',
      'TimerCreated',
      'TimerFired',
      'TimerCanceled',
      'SubOrchestrationInstanceCreated',
      'SubOrchestrationInstanceCompleted',
      'SubOrchestrationInstanceCreated',
      'SubOrchestrationInstanceFailed',
      'EventAwaited',
      'ExecutionSuspended',
      'ExecutionResumed',
      'EventRaised',
      'EventAwaited',
      'ExecutionTerminated',
    ])
    const find = (type) => status.history.find((event) => event.eventType === type)
    assert.equal(find('TaskFailed').failure.message, 'too far')
    assert.ok(find('TimerCreated').fireAt instanceof Date)
    assert.equal(find('SubOrchestrationInstanceFailed').failure.name, 'RangeError')
    assert.deepEqual([find('EventRaised').name, find('EventRaised').input], ['go', 7])
    assert.equal(find('ExecutionSuspended').reason, 'pause')
    assert.equal(find('ExecutionResumed').reason, 'play')
    assert.equal(find('ExecutionTerminated').reason, 'enough')
    assert.equal(await client.raiseEvent(id, 'go').then(({ reason }) => reason), 'Ended')
  })
})

describe('list and count', () => {
  /** 30 instances of two names in three statuses; `n-00` … `n-29`, in order of schedule. */
  async function populate(client) {
    const ids = Array.from({ length: 30 }, (_, n) => `n-${String(n).padStart(2, '0')}`)
    for (const [n, instanceId] of ids.entries()) {
      if (n % 3 === 0) await run(client, 'echo', n, { instanceId })
      else await startWaiting(client, 'wait', { instanceId })
      if (n % 3 === 1) await client.terminate(instanceId)
    }
    return ids
  }

  async function idsOf(client, filter, top) {
    const ids = []
    let cursor = null
    do {
      const page = await client.list({ ...filter, top, cursor })
      assert.ok(page.instances.length <= top)
      ids.push(...page.instances.map((status) => status.instanceId))
      cursor = page.cursor
    } while (cursor !== null)
    return ids
  }

  test('every filter alone and together, in pages of any size, by schedule', async (t) => {
    const { client } = await openHub(t, register)
    const ids = await populate(client)
    const every = (rest) => ids.filter((_, n) => n % 3 === rest)
    const cases = [
      [{}, ids],
      [{ name: 'ECHO' }, every(0)],
      [{ name: 'nobody' }, []],
      [{ idPrefix: 'n-1' }, ids.slice(10, 20)],
      [{ idPrefix: 'N-' }, []],
      [{ runtimeStatus: 'Terminated' }, every(1)],
      [{ runtimeStatus: ['Running', 'Completed'] }, ids.filter((_, n) => n % 3 !== 1)],
      [{ runtimeStatus: [] }, ids],
      [{ runtimeStatus: 'Failed' }, []],
      [{ name: 'wait', runtimeStatus: 'Running', idPrefix: 'n-0' }, ['n-02', 'n-05', 'n-08']],
    ]
    for (const [filter, expected] of cases) {
      for (const top of [1, 7, 1_000]) {
        assert.deepEqual(await idsOf(client, filter, top), expected, JSON.stringify([filter, top]))
      }
      assert.equal(await client.count(filter), expected.length, JSON.stringify(filter))
      const all = await client.getStatusBy(filter)
      assert.deepEqual(
        all.map((status) => status.instanceId),
        expected,
      )
    }
    assert.equal((await client.getStatusAll()).length, 30)
  })

  test('idPrefix is taken literally', async (t) => {
    const client = await connect(t, tempStore(t))
    const ids = [
      'a',
      'ab',
      'a%',
      'a%b',
      'a_',
      'a_b',
      'a*',
      'a[b]',
      'A',
      'b',
      'aé',
      'a\u{10ffff}',
      "a'",
    ]
    await client.startMany(ids.map((instanceId) => ({ name: 'any', instanceId })))
    for (const idPrefix of [...ids, 'x', 'a[']) {
      const expected = ids.filter((id) => id.startsWith(idPrefix)).sort()
      assert.deepEqual((await idsOf(client, { idPrefix }, 3)).sort(), expected, idPrefix)
      assert.equal(await client.count({ idPrefix }), expected.length)
    }
  })

  test('createdFrom and createdTo filter by the time of the schedule, inclusive', async (t) => {
    const client = await connect(t, tempStore(t))
    const times = []
    for (let n = 0; n < 5; n++) {
      await client.startNew('any', { instanceId: `i${n}` })
      const { createdTime } = await client.getStatus(`i${n}`, { pending: true })
      times.push(createdTime)
      await until('the clock moves', () => Date.now() > createdTime.getTime())
    }
    const [createdFrom, createdTo] = [times[1], times[3]]
    assert.deepEqual(await idsOf(client, { createdFrom, createdTo }, 2), ['i1', 'i2', 'i3'])
    assert.deepEqual(await idsOf(client, { createdTimeFrom: createdTo }, 9), ['i3', 'i4'])
    assert.deepEqual(await idsOf(client, { createdTimeTo: createdFrom, name: 'any' }, 1), [
      'i0',
      'i1',
    ])
    assert.equal(await client.count({ createdFrom, createdTo }), 3)
  })

  test('a cursor goes on where its page ended, whatever was started or ended since', async (t) => {
    const { client } = await openHub(t, register)
    for (let n = 0; n < 10; n++) await startWaiting(client, 'wait', { instanceId: `a${n}` })
    const first = await client.list({ top: 4 })
    await client.terminate('a5')
    await client.terminate('a0')
    await client.purgeInstanceHistory('a0')
    await startWaiting(client, 'wait', { instanceId: 'b0' })
    const rest = await client.list({ top: 100, cursor: first.cursor })
    assert.deepEqual(
      [...first.instances, ...rest.instances].map((status) => status.instanceId),
      ['a0', 'a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 'a8', 'a9', 'b0'],
    )
    assert.equal(rest.cursor, null)
  })

  test('take nothing but what they know', async (t) => {
    const { client } = await openHub(t, register)
    await refuses('InvalidOption', client.list({ top: 0 }), { field: 'options.top' })
    await refuses('InvalidOption', client.list({ top: 1_001 }), { field: 'options.top' })
    await refuses('InvalidOption', client.list({ status: 'Running' }), { field: 'options.status' })
    await refuses('InvalidOption', client.list({ runtimeStatus: 'running' }))
    await refuses('InvalidOption', client.list({ createdFrom: '2024-01-01' }))
    await refuses('InvalidOption', client.list({ cursor: 'no cursor' }))
    await refuses('InvalidOption', client.count({ top: 5 }), { field: 'filter.top' })
  })

  test('list 100 at a time unless told otherwise', async (t) => {
    const client = await connect(t, tempStore(t))
    await client.startMany(Array.from({ length: 120 }, () => ({ name: 'any' })))
    const page = await client.list()
    assert.equal(page.instances.length, 100)
    assert.equal((await client.list({ cursor: page.cursor })).instances.length, 20)
  })
})
