/** Retry policies: attempts, pauses, and what is recorded. `docs/semantics.md` §2 and §3.8. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import {
  complete,
  fail,
  openHub,
  PATIENCE_MS,
  run,
  tempStore,
  throwsCode,
  until,
  waiting,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS

/** A policy of so many attempts with a pause of a millisecond. */
function policy(attempts, rest = {}) {
  return Object.assign(new df.RetryOptions(1, attempts), rest)
}

/** A hub whose activity `flaky` fails as often as its input says; `attempts` lists those it saw. */
async function openFlaky(t, retry, options = {}) {
  const attempts = []
  const hub = await openHub(
    t,
    (app) => {
      app.activity('flaky', {
        handler: (failures, context) => {
          attempts.push(context.attempt)
          if (context.attempt <= failures) {
            throw Object.assign(new Error(`attempt ${context.attempt}`), { n: context.attempt })
          }
          return `after ${context.attempt}`
        },
      })
      app.orchestration('retry', function* (context) {
        return yield context.df.callActivityWithRetry('flaky', retry, context.df.getInput())
      })
    },
    options,
  )
  return { ...hub, attempts }
}

/** The pauses that history shows between each failure and the next attempt's time. */
async function pauses(client, instanceId) {
  const { history } = await client.getStatus(instanceId, { showHistory: true })
  return history
    .filter((event) => event.eventType === 'TaskFailed' && event.fireAt !== undefined)
    .map((event) => event.fireAt - event.timestamp)
}

describe('attempts', () => {
  test('are made until one succeeds', async (t) => {
    const { client, attempts } = await openFlaky(t, policy(5))
    assert.equal(await complete(client, 'retry', 2), 'after 3')
    assert.deepEqual(attempts, [1, 2, 3])
  })

  test('are as many as the policy has, the first included; the last error is the one', async (t) => {
    const { client, attempts } = await openFlaky(t, policy(3))
    const failure = await fail(client, 'retry', 99)
    assert.deepEqual([failure.message, failure.n], ['attempt 3', 3])
    assert.deepEqual(attempts, [1, 2, 3])
  })

  test('are one without a policy, and one with a policy of one', async (t) => {
    const { client, attempts } = await openFlaky(t, policy(1))
    await fail(client, 'retry', 1)
    assert.deepEqual(attempts, [1])
  })

  test('end without a timer after the last failure', async (t) => {
    const retry = new df.RetryOptions(3_600_000, 1)
    const { client } = await openFlaky(t, retry)
    const { instanceId } = await run(client, 'retry', 9)
    assert.deepEqual(await pauses(client, instanceId), [])
  })

  test('of a sub-orchestration are new instances', async (t) => {
    const seen = []
    const { client } = await openHub(t, (app) => {
      app.orchestration('child', (context) => {
        seen.push(context.df.instanceId)
        if (seen.length < 3) throw new Error('again')
        return 'done'
      })
      app.orchestration('parent', async (context) => {
        return await context.df.callSubOrchestratorWithRetry('child', policy(5), 1)
      })
    })
    assert.equal(await complete(client, 'parent'), 'done')
    assert.equal(new Set(seen).size, 3)
  })

  test('of a sub-orchestration with an id of its own keep it', async (t) => {
    let times = 0
    const { client } = await openHub(t, (app) => {
      app.orchestration('child', (context) => {
        times += 1
        if (times < 3) throw new Error('again')
        return context.df.instanceId
      })
      app.orchestration('parent', async (context) => {
        return await context.df.callSubOrchestratorWithRetry('child', policy(3), 1, 'mine')
      })
    })
    assert.equal(await complete(client, 'parent'), 'mine')
  })
})

describe('pauses', () => {
  test('grow by the coefficient, up to the longest', async (t) => {
    const retry = policy(6, {
      firstRetryIntervalInMilliseconds: 2,
      backoffCoefficient: 2,
      maxRetryIntervalInMilliseconds: 10,
    })
    const { client } = await openFlaky(t, retry)
    const { instanceId } = await run(client, 'retry', 99)
    assert.deepEqual(await pauses(client, instanceId), [2, 4, 8, 10, 10])
  })

  test('are the first one without a coefficient', async (t) => {
    const { client } = await openFlaky(t, new df.RetryOptions(3, 4))
    const { instanceId } = await run(client, 'retry', 99)
    assert.deepEqual(await pauses(client, instanceId), [3, 3, 3])
  })

  test('end when the retry timeout would be passed', async (t) => {
    const retry = policy(1_000, {
      firstRetryIntervalInMilliseconds: 10,
      retryTimeoutInMilliseconds: 50,
    })
    const { client, attempts } = await openFlaky(t, retry)
    await fail(client, 'retry', 10_000)
    assert.ok(attempts.length >= 2 && attempts.length <= 6, `${attempts.length} attempts`)
  })

  test('with jitter are drawn from their share, and differ', async (t) => {
    const retry = policy(20, { firstRetryIntervalInMilliseconds: 20, jitter: 0.5 })
    const { client } = await openFlaky(t, retry)
    const { instanceId } = await run(client, 'retry', 99)
    const drawn = await pauses(client, instanceId)
    assert.equal(drawn.length, 19)
    for (const ms of drawn) assert.ok(ms >= 10 && ms <= 20, `${ms} ms`)
    assert.ok(new Set(drawn).size > 1, `${drawn}`)
  })

  test('are durable timers: they go on in the next process, as they were drawn', async (t) => {
    const store = tempStore(t)
    // Never so short that the next attempt comes before the close.
    const retry = policy(3, { firstRetryIntervalInMilliseconds: 2_000, jitter: 0.5 })
    const first = await openFlaky(t, retry, { store })
    const id = await first.client.startNew('retry', { input: 1 })
    await until('it has failed once', async () => {
      return (await first.client.getStatus(id))?.waitingFor && first.attempts.length === 1
    })
    const before = await until('the pause is recorded', async () => {
      const drawn = await pauses(first.client, id)
      return drawn.length === 1 && drawn
    })
    await first.close()
    const second = await openFlaky(t, retry, { store })
    const status = await second.client.waitForCompletion(id, { timeoutMs })
    assert.equal(status.output, 'after 2')
    assert.deepEqual(second.attempts, [2])
    assert.deepEqual(await pauses(second.client, id), before)
  })

  test('show in waitingFor as the attempt that failed', async (t) => {
    const { client } = await openFlaky(t, new df.RetryOptions(3_600_000, 2))
    const id = await client.startNew('retry', { input: 1 })
    await until('the pause is recorded', async () => (await pauses(client, id)).length === 1)
    const { waitingFor } = await client.getStatus(id)
    assert.deepEqual(
      waitingFor.map(({ kind, name, attempt }) => [kind, name, attempt]),
      [['activity', 'flaky', 1]],
    )
  })
})

describe('retryIf', () => {
  test('is asked before each retry with what was thrown, and false ends it', async (t) => {
    const asked = []
    const retry = policy(9, {
      retryIf: (error) => {
        asked.push([error instanceof Error, error.message, error.n])
        return error.n < 3
      },
    })
    const { client, attempts } = await openFlaky(t, retry)
    const failure = await fail(client, 'retry', 99)
    assert.equal(failure.message, 'attempt 3')
    assert.deepEqual(attempts, [1, 2, 3])
    assert.deepEqual(asked, [
      [true, 'attempt 1', 1],
      [true, 'attempt 2', 2],
      [true, 'attempt 3', 3],
    ])
  })

  test('is not asked after the last attempt', async (t) => {
    let asked = 0
    const retry = policy(2, { retryIf: () => (asked += 1) })
    const { client } = await openFlaky(t, retry)
    await fail(client, 'retry', 99)
    assert.equal(asked, 1)
  })

  test('is asked of a sub-orchestration with its error', async (t) => {
    const asked = []
    const { client } = await openHub(t, (app) => {
      app.orchestration('child', () => {
        throw new RangeError('child')
      })
      app.orchestration('parent', async (context) => {
        const retryIf = (error) => {
          asked.push(error instanceof RangeError)
          return asked.length < 2
        }
        await context.df.callSubOrchestratorWithRetry('child', policy(9, { retryIf }))
      })
    })
    assert.equal((await fail(client, 'parent')).message, 'child')
    assert.deepEqual(asked, [true, true])
  })

  test('is answered once: a replay takes the recorded answer', async (t) => {
    const store = tempStore(t)
    const open = async (answer) => {
      const asked = []
      const hub = await openHub(
        t,
        (app) => {
          app.activity('flaky', {
            handler: (_, context) => {
              if (context.attempt === 1) throw new Error('once')
              return 'done'
            },
          })
          app.orchestration('retry', async (context) => {
            const retryIf = (error) => {
              asked.push(error.message)
              return answer
            }
            const result = await context.df.callActivityWithRetry('flaky', policy(2, { retryIf }))
            await context.df.waitForExternalEvent('go')
            return result
          })
        },
        { store },
      )
      return { ...hub, asked }
    }
    const first = await open(true)
    const id = await first.client.startNew('retry')
    await waiting(first.client, id, ([wait]) => wait?.kind === 'event')
    assert.deepEqual(first.asked, ['once'])
    await first.close()
    const { client, asked } = await open(false)
    await client.raiseEvent(id, 'go')
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'done')
    assert.deepEqual(asked, [])
  })

  for (const [what, retryIf] of Object.entries({
    throws: () => {
      throw new Error('no answer')
    },
    'gives a promise': async () => true,
  })) {
    test(`that ${what} counts as no, with a line in the log`, async (t) => {
      const { client, attempts, logger } = await openFlaky(t, policy(5, { retryIf }))
      assert.equal((await fail(client, 'retry', 99)).message, 'attempt 1')
      assert.deepEqual(attempts, [1])
      assert.equal(logger.find('error', /retryIf/).length, 1)
    })
  }
})

describe('a policy', () => {
  test('may be a plain object, in every call that takes one', async (t) => {
    const plain = { firstRetryIntervalInMilliseconds: 1, maxNumberOfAttempts: 3 }
    let times = 0
    const { client } = await openHub(t, (app) => {
      const flaky = app.activity('flaky', {
        handler: () => {
          times += 1
          if (times % 3 !== 0) throw new Error('again')
          return times
        },
      })
      app.orchestration('all', function* (context) {
        const named = yield context.df.callActivityWithRetry('flaky', plain)
        const called = yield* context.df.call(flaky, undefined, { retry: plain })
        const direct = yield flaky().withRetry(plain)
        return [named, called, direct]
      })
    })
    assert.deepEqual(await complete(client, 'all'), [3, 6, 9])
  })

  test('is refused with the field when it makes no sense', () => {
    const bad = [
      [[0, 3], 'firstRetryIntervalInMilliseconds'],
      [[-1, 3], 'firstRetryIntervalInMilliseconds'],
      [['1', 3], 'firstRetryIntervalInMilliseconds'],
      [[1, 0], 'maxNumberOfAttempts'],
      [[1, 1.5], 'maxNumberOfAttempts'],
    ]
    for (const [args, field] of bad) {
      throwsCode('InvalidOption', () => new df.RetryOptions(...args), {
        field: `retryOptions.${field}`,
      })
    }
  })

  test('is refused where it is used, before the task exists', async (t) => {
    const policies = [
      undefined,
      null,
      5,
      {},
      policy(2, { jitter: 2 }),
      policy(2, { retryIf: 'yes' }),
      policy(2, { backoffCoefficient: -1 }),
      policy(2, { retryTimeoutInMilliseconds: 0 }),
    ]
    const { client } = await openHub(t, (app) => {
      app.orchestration('refused', function* (context) {
        for (const retry of policies) {
          throwsCode('InvalidOption', () => context.df.callActivityWithRetry('x', retry))
          throwsCode('InvalidOption', () => context.df.callSubOrchestratorWithRetry('x', retry))
        }
        yield context.df.createTimer(new Date(0))
        return 'none was scheduled'
      })
    })
    const { instanceId, output } = await run(client, 'refused')
    assert.equal(output, 'none was scheduled')
    const { history } = await client.getStatus(instanceId, { showHistory: true })
    assert.ok(!history.some((event) => event.eventType === 'TaskScheduled'))
  })

  test('comes too late after the turn that made the task', async (t) => {
    const { client } = await openHub(t, (app) => {
      const ok = app.activity('ok', { handler: () => 1 })
      app.orchestration('late', function* () {
        const task = ok()
        yield ok()
        task.withRetry(policy(2))
      })
    })
    assert.equal((await fail(client, 'late')).code, 'InvalidOption')
  })
})
