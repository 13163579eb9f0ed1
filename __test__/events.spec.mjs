/** External events: what becomes of each one, and who gets it. `docs/semantics.md` §1.4. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startChild } from './support/child.mjs'
import {
  complete,
  connect,
  openHub,
  PATIENCE_MS,
  startWaiting,
  tempStore,
  until,
  waiting,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS
const delivered = { outcome: 'delivered' }
const buffered = { outcome: 'buffered' }
const discarded = (reason) => ({ outcome: 'discarded', reason })

function register(app) {
  app.orchestration('one', function* (context) {
    const value = yield context.df.waitForExternalEvent('go')
    return value === undefined ? 'nothing' : value
  })
  app.orchestration('done', () => 1)
  /** Waits for as many events as its input says, one after the other. */
  app.orchestration('collect', function* (context) {
    const values = []
    while (values.length < context.df.getInput()) {
      values.push(yield context.df.waitForExternalEvent('go'))
    }
    return values
  })
  /** Opens its first wait only when it is let. */
  app.orchestration('late', function* (context) {
    yield context.df.waitForExternalEvent('begin')
    return yield context.df.waitForExternalEvent('go')
  })
}

const outputOf = async (client, id) => (await client.waitForCompletion(id, { timeoutMs })).output
const typesOf = async (client, id) => {
  const { history } = await client.getStatus(id, { showHistory: true })
  return history.map((event) => event.eventType)
}

for (const unmatchedEvents of ['discard', 'buffer']) {
  describe(`with unmatchedEvents '${unmatchedEvents}'`, () => {
    const open = (t) => openHub(t, register, { unmatchedEvents })

    test('one that is waited for is delivered, whatever the case of its name', async (t) => {
      const { client } = await open(t)
      const id = await startWaiting(client, 'one')
      assert.deepEqual(await client.raiseEvent(id, 'GO', { a: [1] }), delivered)
      assert.deepEqual(await outputOf(client, id), { a: [1] })
    })

    test('data may be anything JSON, or nothing', async (t) => {
      const { client } = await open(t)
      for (const value of [null, 0, '', false, [], undefined]) {
        const id = await startWaiting(client, 'one')
        assert.deepEqual(await client.raiseEvent(id, 'go', value), delivered)
        assert.deepEqual(await outputOf(client, id), value === undefined ? 'nothing' : value)
      }
    })

    test('one for an unknown or an ended instance is discarded, with the reason', async (t) => {
      const { client, logger } = await open(t)
      assert.deepEqual(await client.raiseEvent('nobody', 'go'), discarded('NotFound'))
      const id = await client.startNew('done')
      await client.waitForCompletion(id)
      assert.deepEqual(await client.raiseEvent(id, 'go'), discarded('Ended'))
      assert.equal(logger.find('warn', /'go'.*'nobody'.*discarded/).length, 1)
      assert.equal(logger.find('warn', new RegExp(`'go'.*'${id}'.*discarded`)).length, 1)
    })

    test('events of one client arrive in the order of the calls, awaited or not', async (t) => {
      const { client } = await open(t)
      const values = Array.from({ length: 200 }, (_, n) => n)
      const id = await startWaiting(client, 'collect', { input: values.length })
      if (unmatchedEvents === 'buffer') {
        const raises = values.map((n) => client.raiseEvent(id, 'go', n))
        const outcomes = await Promise.all(raises)
        assert.deepEqual(outcomes[0], delivered)
        assert.deepEqual(outcomes.at(-1), buffered)
      } else {
        for (const n of values) {
          await until('it waits again', async () => {
            return (await client.raiseEvent(id, 'go', n)).outcome === 'delivered'
          })
        }
      }
      assert.deepEqual(await outputOf(client, id), values)
    })

    test('one that follows its start at once, neither awaited, is decided after it', async (t) => {
      const { client } = await open(t)
      const counts = {}
      const round = async (n) => {
        const instanceId = `quick-${n}`
        const starting = client.startNew('one', { instanceId })
        const { outcome, reason } = await client.raiseEvent(instanceId, 'go', n)
        assert.equal(await starting, instanceId)
        counts[outcome] = (counts[outcome] ?? 0) + 1
        if (outcome === 'discarded') {
          assert.equal(reason, 'NotWaiting')
          await waiting(client, instanceId)
          assert.deepEqual(await client.raiseEvent(instanceId, 'go', n), delivered)
        }
        assert.equal(await outputOf(client, instanceId), n)
      }
      await Promise.all(Array.from({ length: 50 }, (_, n) => round(n)))
      if (unmatchedEvents === 'buffer') assert.equal(counts.discarded, undefined)
    })

    test('two quick events need two waits', async (t) => {
      const { client } = await open(t)
      const id = await startWaiting(client, 'collect', { input: 2 })
      const both = [client.raiseEvent(id, 'go', 'a'), client.raiseEvent(id, 'go', 'b')]
      const second = unmatchedEvents === 'buffer' ? buffered : discarded('NotWaiting')
      assert.deepEqual(await Promise.all(both), [delivered, second])
      if (unmatchedEvents === 'discard') {
        await waiting(client, id)
        await client.raiseEvent(id, 'go', 'b')
      }
      assert.deepEqual(await outputOf(client, id), ['a', 'b'])
    })

    test('an event that waits of two names share goes to its own', async (t) => {
      const { client } = await openHub(
        t,
        (app) =>
          app.orchestration('two', async (context) => {
            const [a, b] = ['a', 'b'].map((name) => context.df.waitForExternalEvent(name))
            return await context.df.Task.all([a, b])
          }),
        { unmatchedEvents },
      )
      const id = await startWaiting(client, 'two')
      await client.raiseEvent(id, 'b', 2)
      await client.raiseEvent(id, 'a', 1)
      assert.deepEqual(await outputOf(client, id), [1, 2])
    })

    test('of several open waits of one name the newest is served first', async (t) => {
      const { client } = await openHub(
        t,
        (app) =>
          app.orchestration('three', async (context) => {
            const waits = [1, 2, 3].map(() => context.df.waitForExternalEvent('go'))
            return await context.df.Task.all(waits)
          }),
        { unmatchedEvents },
      )
      const id = await startWaiting(client, 'three')
      for (const value of ['first', 'second', 'third']) {
        assert.deepEqual(await client.raiseEvent(id, 'go', value), delivered)
      }
      assert.deepEqual(await outputOf(client, id), ['third', 'second', 'first'])
    })

    test('a wait that lost a Task.any stays open', async (t) => {
      const { client } = await openHub(
        t,
        (app) =>
          app.orchestration('loser', function* (context) {
            const loser = context.df.waitForExternalEvent('go')
            const winner = context.df.waitForExternalEvent('first')
            const first = yield context.df.Task.any([loser, winner])
            const rest = context.df.waitForExternalEvent('last')
            yield rest
            return [first === winner, loser.isCompleted, loser.result]
          }),
        { unmatchedEvents },
      )
      const id = await startWaiting(client, 'loser')
      await client.raiseEvent(id, 'first')
      await waiting(client, id, (waits) => waits.some((wait) => wait.name === 'last'))
      assert.deepEqual(await client.raiseEvent(id, 'go', 'kept'), delivered)
      await client.raiseEvent(id, 'last')
      assert.deepEqual(await outputOf(client, id), [true, true, 'kept'])
    })

    for (const kind of ['generator', 'async']) {
      test(`events delivered to one turn of ${kind} code are all seen by it`, async (t) => {
        const { client } = await openHub(
          t,
          (app) => {
            const waits = ({ df }) => ['a', 'b'].map((name) => df.waitForExternalEvent(name))
            const state = (tasks) => tasks.map((task) => task.isCompleted)
            app.orchestration('generator', function* (context) {
              const tasks = waits(context)
              yield context.df.Task.any(tasks)
              return state(tasks)
            })
            app.orchestration('async', async (context) => {
              const tasks = waits(context)
              await context.df.Task.any(tasks)
              return state(tasks)
            })
          },
          { unmatchedEvents },
        )
        const id = await startWaiting(client, kind)
        const raises = ['a', 'b'].map((name) => client.raiseEvent(id, name))
        const outcomes = await Promise.all(raises)
        const seen = outcomes.map((outcome) => outcome.outcome === 'delivered')
        assert.deepEqual(await outputOf(client, id), seen)
      })
    }

    test('outcomes agree with what code gets that ends while events come', async (t) => {
      const { client } = await openHub(
        t,
        (app) =>
          app.orchestration('race', function* (context) {
            const event = context.df.waitForExternalEvent('go')
            const now = context.df.currentUtcDateTime.getTime()
            const after = (context.df.getInput() % 10) * 4
            yield context.df.Task.any([event, context.df.createTimer(new Date(now + after))])
            return event.isCompleted
          }),
        { unmatchedEvents },
      )
      const counts = { delivered: 0, discarded: 0 }
      const race = async (n) => {
        const id = await client.startNew('race', { input: n })
        await until('it waits or has ended', () => client.getStatus(id), { pauseMs: 1 })
        await new Promise((resolve) => setTimeout(resolve, n % 6))
        const { outcome } = await client.raiseEvent(id, 'go')
        assert.equal(await outputOf(client, id), outcome === 'delivered', `round ${n}`)
        counts[outcome] += 1
      }
      for (let n = 0; n < 200; n += 20) {
        await Promise.all(Array.from({ length: 20 }, (_, k) => race(n + k)))
      }
      assert.ok(counts.delivered > 0 && counts.discarded > 0, JSON.stringify(counts))
    })

    test('outcomes agree with what code gets that continues as new while events come', async (t) => {
      const { client } = await openHub(
        t,
        (app) => {
          app.activity('pause', { handler: () => new Promise((resolve) => setImmediate(resolve)) })
          /** Continues as new after each event or pause, until it is told to stop. */
          app.orchestration('eternal', function* (context) {
            const seen = context.df.getInput() ?? []
            const stop = context.df.waitForExternalEvent('stop')
            const event = context.df.waitForExternalEvent('go')
            const pause = context.df.callActivity('pause')
            yield context.df.Task.any([event, stop, pause])
            if (event.isCompleted) seen.push(event.result)
            if (stop.isCompleted) return seen
            context.df.continueAsNew(seen)
          })
        },
        { unmatchedEvents },
      )
      const id = await startWaiting(client, 'eternal')
      const sent = []
      for (let n = 0; n < 300; n++) {
        const { outcome } = await client.raiseEvent(id, 'go', n)
        if (outcome !== 'discarded') sent.push(n)
      }
      await until('it stops', async () => {
        return (await client.raiseEvent(id, 'stop')).outcome !== 'discarded'
      })
      const seen = await outputOf(client, id)
      // With 'buffer' the last ones may still be in the inbox when it stops.
      const rest = unmatchedEvents === 'buffer' ? sent.slice(0, seen.length) : sent
      assert.deepEqual(seen, rest)
      assert.ok(seen.length > 10, `${seen.length}`)
    })
  })
}

describe("one that is not waited for, with 'discard'", () => {
  test('is discarded as NotWaiting, and the discard is never silent', async (t) => {
    const { client, logger } = await openHub(t, register)
    const id = await startWaiting(client, 'one')
    assert.deepEqual(await client.raiseEvent(id, 'other', 1), discarded('NotWaiting'))
    const [warning, ...more] = logger.find('warn', /discarded/)
    assert.equal(more.length, 0)
    for (const part of [id, 'other', 'unmatchedEvents', 'buffer']) {
      assert.ok(warning.includes(part), `${warning} lacks ${part}`)
    }
    const { history } = await client.getStatus(id, { showHistory: true })
    const shown = history.find((event) => event.eventType === 'EventDiscarded')
    assert.equal(shown.name, 'other')
    assert.ok(shown.timestamp instanceof Date)
    assert.deepEqual(await client.raiseEvent(id, 'go', 1), delivered)
    assert.equal(await outputOf(client, id), 1)
  })

  test('does not disturb a replay', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    const id = await startWaiting(first.client, 'collect', { input: 2 })
    await first.client.raiseEvent(id, 'nobody')
    await first.client.raiseEvent(id, 'go', 1)
    await waiting(first.client, id)
    await first.client.raiseEvent(id, 'nobody')
    await first.close()
    const { client } = await openHub(t, register, { store })
    assert.deepEqual(await client.raiseEvent(id, 'go', 2), delivered)
    assert.deepEqual(await outputOf(client, id), [1, 2])
  })

  test('for a pending instance is discarded too', async (t) => {
    const client = await connect(t, tempStore(t))
    const id = await client.startNew('one')
    assert.deepEqual(await client.raiseEvent(id, 'go', 1), discarded('NotWaiting'))
  })

  test('after its wait was served is discarded', async (t) => {
    const { client } = await openHub(t, register)
    const id = await startWaiting(client, 'late')
    await client.raiseEvent(id, 'begin')
    await waiting(client, id, ([wait]) => wait.name === 'go')
    assert.deepEqual(await client.raiseEvent(id, 'begin'), discarded('NotWaiting'))
  })
})

describe("one that is not waited for, with 'buffer'", () => {
  const open = (t, options) => openHub(t, register, { unmatchedEvents: 'buffer', ...options })

  test('is kept until it is, first in first out', async (t) => {
    const { client, logger } = await open(t)
    const id = await startWaiting(client, 'late')
    assert.deepEqual(await client.raiseEvent(id, 'go', 'first'), buffered)
    assert.deepEqual(await client.raiseEvent(id, 'go', 'second'), buffered)
    assert.deepEqual(await client.raiseEvent(id, 'begin'), delivered)
    assert.equal(await outputOf(client, id), 'first')
    assert.deepEqual(logger.find('warn', /discarded/), [])
    assert.ok(!(await typesOf(client, id)).includes('EventDiscarded'))
  })

  test('of a name that is never waited for holds nothing up', async (t) => {
    const { client } = await open(t)
    const id = await startWaiting(client, 'one')
    for (let n = 0; n < 10; n++) await client.raiseEvent(id, 'noise', n)
    assert.deepEqual(await client.raiseEvent(id, 'go', 1), delivered)
    assert.equal(await outputOf(client, id), 1)
  })

  test('for a pending instance is kept for its first turn', async (t) => {
    const store = tempStore(t)
    const hub = await open(t, { store })
    await hub.close()
    const outside = await connect(t, store)
    const id = await outside.startNew('collect', { input: 2 })
    assert.deepEqual(await outside.raiseEvent(id, 'go', 'a'), buffered)
    assert.deepEqual(await outside.raiseEvent(id, 'go', 'b'), buffered)
    const { client } = await open(t, { store })
    assert.deepEqual(await outputOf(client, id), ['a', 'b'])
  })

  test('outlives the process', async (t) => {
    const store = tempStore(t)
    const first = await open(t, { store })
    const id = await startWaiting(first.client, 'late')
    await first.client.raiseEvent(id, 'go', 'kept')
    await first.close()
    const { client } = await open(t, { store })
    await client.raiseEvent(id, 'begin')
    assert.equal(await outputOf(client, id), 'kept')
  })

  test('carries over a continue-as-new, and a consumed one never returns', async (t) => {
    const { client } = await openHub(
      t,
      (app) =>
        app.orchestration('generations', function* (context) {
          const seen = context.df.getInput() ?? []
          const value = yield context.df.waitForExternalEvent('go')
          if (value === 'stop') return seen
          context.df.continueAsNew([...seen, value])
        }),
      { unmatchedEvents: 'buffer' },
    )
    const id = await startWaiting(client, 'generations')
    const values = Array.from({ length: 100 }, (_, n) => n)
    await Promise.all([...values, 'stop'].map((value) => client.raiseEvent(id, 'go', value)))
    assert.deepEqual(await outputOf(client, id), values)
  })

  test('raised between two waits of one turn goes to the wait that opens', async (t) => {
    const { client } = await open(t)
    const rounds = Array.from({ length: 20 }, async (_, n) => {
      const id = await startWaiting(client, 'collect', { input: 50, instanceId: `c${n}` })
      for (let k = 0; k < 50; k++) await client.raiseEvent(id, 'go', k)
      return await outputOf(client, id)
    })
    const expected = Array.from({ length: 50 }, (_, k) => k)
    for (const seen of await Promise.all(rounds)) assert.deepEqual(seen, expected)
  })
})

describe('the setting stands in the hub', () => {
  test('so a client of another connection decides as the worker would', async (t) => {
    const store = tempStore(t)
    const buffering = await openHub(t, register, { store, unmatchedEvents: 'buffer' })
    const outside = await connect(t, store)
    const id = await startWaiting(buffering.client, 'one')
    assert.deepEqual(await outside.raiseEvent(id, 'other'), buffered)
    await buffering.close()
    assert.deepEqual(await outside.raiseEvent(id, 'other'), buffered, 'with no worker')
    await openHub(t, register, { store })
    assert.deepEqual(await outside.raiseEvent(id, 'other'), discarded('NotWaiting'))
  })
})

test('a second process raises, learns the outcome, and logs a discard itself', async (t) => {
  const store = tempStore(t)
  const { client } = await openHub(t, register, { store })
  const id = await startWaiting(client, 'one')
  const child = startChild(
    t,
    async ({ df, args, say }) => {
      const logger = { debug() {}, info() {}, warn: (message) => say(message), error() {} }
      const other = await df.connect({ store: args.store, logger })
      say(await other.raiseEvent(args.id, 'nobody'))
      say(await other.raiseEvent(args.id, 'go', 'from outside'))
    },
    { store, id },
  )
  assert.match(await child.next(), /'nobody'.*discarded.*unmatchedEvents/)
  assert.deepEqual(await child.next(), discarded('NotWaiting'))
  assert.deepEqual(await child.next(), delivered)
  await child.finish()
  assert.equal(await outputOf(client, id), 'from outside')
  assert.equal(await complete(client, 'done'), 1)
})
