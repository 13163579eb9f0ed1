/** Code that no longer does what its history says: held or failed, told, and let go on. `docs/semantics.md` §3.5. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  complete,
  openHub,
  PATIENCE_MS,
  startWaiting,
  tempStore,
  until,
  waiting,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS
const hour = 3_600_000

/** A hub with activities `a` and `b`, an orchestrator `child`, and this code as orchestrator `o`. */
async function openWith(t, store, code, options = {}) {
  const ran = []
  const hub = await openHub(
    t,
    (app) => {
      app.activity('a', { handler: (input) => ran.push(['a', input]) })
      app.activity('b', { handler: (input) => ran.push(['b', input]) })
      app.orchestration('child', function* (context) {
        yield context.df.waitForExternalEvent('never')
      })
      app.orchestration('other', async (context) => await context.df.callActivity('a', 'other'))
      app.orchestration('o', code)
    },
    { store, ...options },
  )
  return { ...hub, ran }
}

/** The code that runs first in all of these tests: two turns, and a third that ends at 'go'. */
function* original({ df }) {
  yield df.callActivity('a', 1)
  df.createTimer(new Date(Date.now() + hour)).cancel()
  df.callActivity('b', 2)
  df.callSubOrchestrator('child', 1, 'kid')
  df.createTimer(new Date(Date.now() + hour))
  const data = yield df.waitForExternalEvent('go')
  return ['original', data]
}

/** Runs the original up to its wait and closes; gives the id. */
async function prepare(t, store, code = original) {
  const hub = await openWith(t, store, code)
  const id = await hub.client.startNew('o', { instanceId: 'the-one' })
  await waiting(hub.client, id, (waits) => waits.some((wait) => wait.name === 'go'))
  await until('b has run', async () => {
    const status = await hub.client.getStatus(id)
    return !status.waitingFor.some((wait) => wait.kind === 'activity')
  })
  await hub.close()
  return id
}

function held(client, id) {
  return until('it is held', async () => {
    const status = await client.getStatus(id)
    return status.runtimeStatus === 'Suspended' && status.problem && status
  })
}

/** Raises 'go', which makes a worker that does not have the instance in memory replay it. */
async function wake(client, id, data) {
  const { outcome } = await client.raiseEvent(id, 'go', data)
  assert.equal(outcome, 'delivered')
}

// ------------------------------------------------------------------ what is a difference

const differences = {
  'another activity': {
    code: function* ({ df }) {
      yield df.callActivity('b', 1)
    },
    expected: "callActivity('a')",
    actual: "callActivity('b')",
  },
  'another kind of action': {
    code: function* ({ df }) {
      yield df.callSubOrchestrator('a', 1)
    },
    expected: "callActivity('a')",
    actual: "callSubOrchestrator('a')",
  },
  'an event in place of a timer': {
    code: function* ({ df }) {
      yield df.callActivity('a', 1)
      df.waitForExternalEvent('x')
    },
    expected: 'createTimer()',
    actual: "waitForExternalEvent('x')",
  },
  'another order': {
    code: function* ({ df }) {
      yield df.callActivity('a', 1)
      df.createTimer(new Date()).cancel()
      df.callSubOrchestrator('child', 1, 'kid')
      df.callActivity('b', 2)
    },
    expected: "callActivity('b')",
    actual: "callSubOrchestrator('child', instanceId 'kid')",
  },
  'another instance id': {
    code: function* ({ df }) {
      yield df.callActivity('a', 1)
      df.createTimer(new Date()).cancel()
      df.callActivity('b', 2)
      df.callSubOrchestrator('child', 1, 'other')
    },
    expected: "callSubOrchestrator('child', instanceId 'kid')",
    actual: "callSubOrchestrator('child', instanceId 'other')",
  },
  'a timer that is not cancelled': {
    code: function* ({ df }) {
      yield df.callActivity('a', 1)
      df.createTimer(new Date())
      df.callActivity('b', 2)
    },
    expected: 'cancel() of timer 1',
    actual: "callActivity('b')",
  },
  'another event': {
    code: function* ({ df }) {
      yield df.callActivity('a', 1)
      df.createTimer(new Date()).cancel()
      df.callActivity('b', 2)
      df.callSubOrchestrator('child', 1, 'kid')
      df.createTimer(new Date(Date.now() + hour))
      yield df.waitForExternalEvent('stop')
    },
    expected: "waitForExternalEvent('go')",
    actual: "waitForExternalEvent('stop')",
  },
  'an action more': {
    code: function* (context) {
      context.df.callActivity('a', 1)
      yield context.df.callActivity('b', 1)
    },
    expected: 'nothing more in this turn',
    actual: "callActivity('b')",
  },
  'an action less': {
    code: function* ({ df }) {
      yield df.callActivity('a', 1)
      yield df.waitForExternalEvent('go')
    },
    expected: 'createTimer()',
    actual: "waitForExternalEvent('go')",
  },
  'an end where there was none': {
    code: ({ df }) => {
      df.callActivity('a', 1)
      return 'early'
    },
    expected: 'nothing more in this turn',
    actual: 'the end of the orchestration',
  },
  'an error where there was none': {
    code: () => {
      throw new Error('early')
    },
    expected: "callActivity('a')",
    actual: 'the end',
  },
  'a continue-as-new where there was none': {
    code: ({ df }) => {
      df.callActivity('a', 1)
      df.continueAsNew()
    },
    expected: 'nothing more in this turn',
    actual: 'the end of the orchestration',
  },
}

describe('a difference that is caught before any new side effect', () => {
  for (const [what, { code, expected, actual }] of Object.entries(differences)) {
    test(`is ${what}`, async (t) => {
      const store = tempStore(t)
      const id = await prepare(t, store)
      const { client, ran } = await openWith(t, store, code)
      await wake(client, id)
      const { problem } = await held(client, id)
      assert.equal(problem.code, 'Nondeterminism')
      assert.equal(problem.expected, expected)
      assert.equal(problem.actual, actual)
      assert.match(problem.historyEvent, /^event \d+, /)
      for (const part of [expected, actual, problem.historyEvent]) {
        assert.ok(problem.message.includes(part), problem.message)
      }
      await complete(client, 'other')
      assert.deepEqual(ran, [['a', 'other']], 'nothing of it ran')
      assert.equal(await client.getStatus('other'), null)
    })
  }
})

describe('no difference is', () => {
  const same = {
    'another input, another time': function* ({ df }) {
      yield df.callActivity('a', 'changed')
      df.createTimer(new Date(0)).cancel()
      df.callActivity('b', { also: 'changed' })
      df.callSubOrchestrator('child', 'changed', 'kid')
      df.createTimer(new Date(0))
      return ['changed', yield df.waitForExternalEvent('go')]
    },
    'another case of a name': function* ({ df }) {
      yield df.callActivity('A', 1)
      df.createTimer(new Date()).cancel()
      df.callActivity('B', 2)
      df.callSubOrchestrator('CHILD', 1, 'kid')
      df.createTimer(new Date())
      return ['changed', yield df.waitForExternalEvent('GO')]
    },
    'another kind of function': async ({ df }) => {
      await df.callActivity('a', 1)
      df.createTimer(new Date()).cancel()
      df.callActivity('b', 2)
      df.callSubOrchestrator('child', 1, 'kid')
      df.createTimer(new Date())
      return ['changed', await df.waitForExternalEvent('go')]
    },
    'another custom status or log line': function* (context) {
      context.df.setCustomStatus('new')
      const result = yield* original(context)
      context.log('done')
      return ['changed', result[1]]
    },
  }
  for (const [what, code] of Object.entries(same)) {
    test(what, async (t) => {
      const store = tempStore(t)
      const id = await prepare(t, store)
      const { client, ran } = await openWith(t, store, code)
      await wake(client, id, 'data')
      const status = await client.waitForCompletion(id, { timeoutMs })
      assert.deepEqual(status.output, ['changed', 'data'])
      assert.deepEqual(ran, [], 'what history holds is not run again')
    })
  }
})

describe("with 'hold', the default", () => {
  const wrong = differences['another activity'].code

  test('the instance is Suspended with the problem, and an error is logged', async (t) => {
    const store = tempStore(t)
    const id = await prepare(t, store)
    const { client, logger } = await openWith(t, store, wrong)
    await wake(client, id)
    await held(client, id)
    const lines = logger.find('error', /does not do what its history says/)
    assert.equal(lines.length, 1)
    assert.ok(lines[0].includes(id))
    const { instances } = await client.list({ runtimeStatus: 'Suspended' })
    assert.deepEqual(
      instances.map(({ instanceId, problem }) => [instanceId, problem.code]),
      [[id, 'Nondeterminism']],
    )
  })

  test('it is tried by itself at the next open, and goes on with all that was kept', async (t) => {
    const store = tempStore(t)
    const id = await prepare(t, store)
    const second = await openWith(t, store, wrong)
    await wake(second.client, id, 'kept')
    await held(second.client, id)
    await second.close()
    const third = await openWith(t, store, wrong)
    await until('it was tried', () => third.logger.find('error', /history says/).length === 1)
    await held(third.client, id)
    await third.close()
    const { client } = await openWith(t, store, original)
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(status.output, ['original', 'kept'])
    assert.equal(status.problem, undefined)
  })

  test('it is tried again by resume, as often as asked', async (t) => {
    let code = original
    const store = tempStore(t)
    const id = await prepare(t, store)
    const { client, logger } = await openWith(t, store, (context) => code(context))
    code = wrong
    await wake(client, id, 'kept')
    await held(client, id)
    const tries = () => logger.find('error', /history says/).length
    assert.equal(tries(), 1)
    await client.resume(id)
    await until('it was tried again', () => tries() === 2)
    await held(client, id)
    code = original
    await client.resume(id)
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(status.output, ['original', 'kept'])
  })

  test('messages, timers and results are kept meanwhile', async (t) => {
    function* waits({ df }) {
      yield df.callActivity('a', 1)
      const tasks = [
        df.waitForExternalEvent('go'),
        df.waitForExternalEvent('later'),
        df.createTimer(new Date(Date.now() + 150)),
        df.callSubOrchestrator('child', 1, 'kid'),
      ]
      return yield df.Task.all(tasks.slice(0, 3))
    }
    const store = tempStore(t)
    const id = await prepare(t, store, waits)
    const second = await openWith(t, store, wrong)
    await wake(second.client, id, 'first')
    const { waitingFor } = await held(second.client, id)
    assert.deepEqual(await second.client.raiseEvent(id, 'later', 'second'), {
      outcome: 'delivered',
    })
    const { fireAt } = waitingFor.find((wait) => wait.kind === 'timer')
    await until('the timer is due', () => Date.now() > fireAt.getTime())
    await second.close()
    const { client } = await openWith(t, store, waits)
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(status.output, ['first', 'second', null])
  })

  test('a held instance can be terminated', async (t) => {
    const store = tempStore(t)
    const id = await prepare(t, store)
    const { client } = await openWith(t, store, wrong)
    await wake(client, id)
    await held(client, id)
    await client.terminate(id, 'give up')
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual([status.runtimeStatus, status.output], ['Terminated', 'give up'])
    assert.equal(status.problem, undefined)
  })

  test('an instance that left memory is checked when it comes back, too', async (t) => {
    let code = original
    const options = { limits: { cachedInstances: 1 } }
    const { client } = await openWith(t, tempStore(t), (context) => code(context), options)
    const id = await client.startNew('o')
    await waiting(client, id, (waits) => waits.some((wait) => wait.name === 'go'))
    for (let n = 0; n < 3; n++) await startWaiting(client, 'child')
    code = wrong
    await wake(client, id)
    const { problem } = await held(client, id)
    assert.equal(problem.actual, "callActivity('b')")
  })
})

test("with 'fail' the instance fails with the same details", async (t) => {
  const store = tempStore(t)
  const id = await prepare(t, store)
  const { code, expected, actual } = differences['another order']
  const { client } = await openWith(t, store, code, { onNondeterminism: 'fail' })
  await wake(client, id)
  const status = await client.waitForCompletion(id, { timeoutMs })
  assert.equal(status.runtimeStatus, 'Failed')
  assert.equal(status.failure.name, 'Nondeterminism')
  assert.equal(status.failure.code, 'Nondeterminism')
  for (const part of [expected, actual, 'does not do what its history says']) {
    assert.ok(status.output.includes(part), status.output)
  }
})
