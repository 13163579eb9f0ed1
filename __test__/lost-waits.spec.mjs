/** Waits that lose their race: who gets the events that come to them. `docs/semantics.md` §1.4. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OrchestrationInvocation } from '../dist/context.js'
import { Execution } from '../dist/execution.js'
import { CrossingBounds } from '../dist/outgoing.js'
import { complete, openHub, startWaiting, tempStore, until, waiting } from './support/hub.mjs'

const delivered = { outcome: 'delivered' }
const HOUR_MS = 3_600_000

const timer = ({ df }, ms) => df.createTimer(new Date(df.currentUtcDateTime.getTime() + ms))

/** The usual loop: an event, or a heartbeat. The first three come soon, the others never. */
const loops = {
  *'a generator with Task.any'(context) {
    const got = []
    for (let round = 0; got.length < 4; round++) {
      const beat = timer(context, round < 3 ? 1 : HOUR_MS)
      const event = context.df.waitForExternalEvent(round % 2 === 0 ? 'msg' : 'MSG')
      context.df.setCustomStatus(round)
      if ((yield context.df.Task.any([beat, event])) === event) got.push(event.result)
      else yield context.df.callActivity('beat')
    }
    return got
  },
  'an async function with Task.any': async (context) => {
    const got = []
    for (let round = 0; got.length < 4; round++) {
      const beat = timer(context, round < 3 ? 1 : HOUR_MS)
      context.df.setCustomStatus(round)
      const tasks = [beat, context.df.waitForExternalEvent('msg')]
      const { index, result } = await context.df.Task.any(tasks)
      if (index === 1) got.push(result)
    }
    return got
  },
  'an async function with Promise.race': async (context) => {
    const got = []
    for (let round = 0; got.length < 4; round++) {
      const beat = timer(context, round < 3 ? 1 : HOUR_MS).then(() => 'beat')
      context.df.setCustomStatus(round)
      const event = await Promise.race([beat, context.df.waitForExternalEvent('msg')])
      if (event !== 'beat') got.push(event)
    }
    return got
  },
  'an async function with Promise.any': async (context) => {
    const got = []
    for (let round = 0; got.length < 4; round++) {
      const beat = timer(context, round < 3 ? 1 : HOUR_MS)
      context.df.setCustomStatus(round)
      const event = await Promise.any([beat, context.df.waitForExternalEvent('msg')])
      if (event !== undefined) got.push(event)
    }
    return got
  },
}

for (const unmatchedEvents of ['discard', 'buffer']) {
  describe(`with unmatchedEvents '${unmatchedEvents}'`, () => {
    const open = (t, register, options) => openHub(t, register, { unmatchedEvents, ...options })

    for (const [kind, loop] of Object.entries(loops)) {
      test(`four events after three heartbeats are seen in order by ${kind}`, async (t) => {
        const store = tempStore(t)
        const register = (app) => {
          app.activity('beat', { handler: () => {} })
          app.orchestration('inbox', loop)
        }
        const first = await open(t, register, { store })
        const id = await startWaiting(first.client, 'inbox')
        await until('three have passed', async () => {
          const { customStatus } = await first.client.getStatus(id)
          return customStatus === 3
        })
        const events = ['a', 'b', 'c', 'd']
        const raise =
          ({ client }) =>
          (event) =>
            client.raiseEvent(id, 'msg', event)
        assert.deepEqual(await raise(first)(events[0]), delivered)
        // Over a replay, too.
        await first.close()
        const again = await open(t, register, { store })
        const outcomes = await Promise.all(events.slice(1).map(raise(again)))
        assert.deepEqual(outcomes, [delivered, delivered, delivered])
        const { output } = await again.client.waitForCompletion(id, { timeoutMs: 20_000 })
        assert.deepEqual(output, events)
      })
    }

    /** Races a wait for `msg` against `go`, waits for `next`, and then does what is given. */
    const opened = async (t, then) => {
      const hub = await open(t, (app) => {
        app.orchestration('lost', function* (context) {
          const { df } = context
          const event = df.waitForExternalEvent('msg')
          yield df.Task.any([df.waitForExternalEvent('go'), event])
          yield df.waitForExternalEvent('next')
          return yield* then(context, event)
        })
      })
      const id = await startWaiting(hub.client, 'lost')
      await hub.client.raiseEvent(id, 'go')
      await waiting(hub.client, id, (waits) => waits.some(({ name }) => name === 'next'))
      const raise = (name, data) => hub.client.raiseEvent(id, name, data)
      const output = async () => (await hub.client.waitForCompletion(id)).output
      return { ...hub, id, raise, output }
    }

    test('an event that comes while the code is elsewhere goes to the next wait', async (t) => {
      const { raise, output } = await opened(t, function* ({ df }) {
        return yield df.waitForExternalEvent('msg')
      })
      assert.deepEqual(await raise('msg', 1), delivered)
      await raise('next')
      assert.equal(await output(), 1)
    })

    test('it is there when the code waits for its own wait again', async (t) => {
      const { raise, output } = await opened(t, function* (context, event) {
        yield context.df.Task.any([event, timer(context, HOUR_MS)])
        const later = context.df.waitForExternalEvent('msg')
        return [event.result, later.isCompleted]
      })
      assert.deepEqual(await raise('msg', 1), delivered)
      await raise('next')
      assert.deepEqual(await output(), [1, false])
    })

    test('a wait whose event has gone to another one takes another event', async (t) => {
      const { raise, output, client, id } = await opened(t, function* ({ df }, event) {
        const got = [yield df.waitForExternalEvent('msg')]
        got.push(yield event)
        return got
      })
      assert.deepEqual(await raise('msg', 1), delivered)
      await raise('next')
      await waiting(client, id, (waits) => waits.every(({ name }) => name !== 'next'))
      assert.deepEqual(await raise('msg', 2), delivered)
      assert.deepEqual(await output(), [1, 2])
    })

    test('one that comes with what decides the race is not lost', async (t) => {
      const { client } = await open(t, (app) => {
        app.orchestration('both', function* ({ df }) {
          const tasks = ['go', 'msg'].map((name) => df.waitForExternalEvent(name))
          const first = yield df.Task.any(tasks)
          return [first === tasks[0], yield df.waitForExternalEvent('msg')]
        })
      })
      const id = await startWaiting(client, 'both')
      await client.suspend(id)
      await client.raiseEvent(id, 'go')
      assert.deepEqual(await client.raiseEvent(id, 'msg', 7), delivered)
      await client.resume(id)
      assert.deepEqual((await client.waitForCompletion(id)).output, [true, 7])
    })

    test('a wait that is made early keeps its event, and one that is awaited too', async (t) => {
      const { client, logger } = await open(t, (app) => {
        app.orchestration('early', async ({ df }) => {
          const early = df.waitForExternalEvent('msg')
          await df.waitForExternalEvent('go')
          const got = []
          const helper = (async () => {
            got.push(await df.waitForExternalEvent('msg'))
          })()
          await helper
          return [...got, await early]
        })
      })
      const id = await startWaiting(client, 'early')
      await client.raiseEvent(id, 'msg', 'early')
      await client.raiseEvent(id, 'go')
      await waiting(client, id, ([wait, ...more]) => wait?.name === 'msg' && more.length === 0)
      assert.deepEqual(await client.raiseEvent(id, 'msg', 'later'), delivered)
      assert.deepEqual((await client.waitForCompletion(id)).output, ['later', 'early'])
      assert.deepEqual(logger.find('warn', /without a look/), [])
    })

    test('a wait that is cancelled gets no event', async (t) => {
      const { raise, output, client, id } = await opened(t, function* ({ df }, event) {
        event.cancel()
        event.cancel()
        yield df.waitForExternalEvent('last')
        return [event.isCanceled, event.isCompleted]
      })
      await raise('next')
      await waiting(client, id, (waits) => waits.every(({ name }) => name !== 'msg'))
      const outcome = unmatchedEvents === 'buffer' ? 'buffered' : 'discarded'
      assert.equal((await raise('msg', 1)).outcome, outcome)
      await raise('last')
      assert.deepEqual(await output(), [true, false])
      const { history } = await client.getStatus(id, { showHistory: true })
      const shown = history.filter(({ eventType }) => eventType === 'EventWaitCanceled')
      assert.deepEqual(
        shown.map(({ name }) => name),
        ['msg'],
      )
    })

    test('outcomes agree with what code gets that cancels its wait while events come', async (t) => {
      const { client } = await open(t, (app) => {
        app.orchestration('race', function* (context) {
          const { df } = context
          const event = df.waitForExternalEvent('msg')
          yield df.Task.any([event, timer(context, (df.getInput() % 10) * 20 + 1)])
          if (event.isCompleted) return event.result
          event.cancel()
          yield timer(context, 1)
          return null
        })
      })
      let seen = 0
      const round = async (n) => {
        const id = await client.startNew('race', { input: n })
        await until('it waits or has ended', () => client.getStatus(id), { pauseMs: 1 })
        const { outcome } = await client.raiseEvent(id, 'msg', n)
        const { output } = await client.waitForCompletion(id)
        if (outcome !== 'delivered') assert.equal(output, null)
        else assert.equal(output, n)
        seen += output === null ? 0 : 1
      }
      for (let n = 0; n < 100; n += 20) {
        await Promise.all(Array.from({ length: 20 }, (_, k) => round(n + k)))
      }
      assert.ok(seen > 0)
    })

    test('what no code has looked at is there after continueAsNew', async (t) => {
      const { client } = await open(t, (app) => {
        app.orchestration('eternal', function* ({ df }) {
          if (df.getInput() === 'again') {
            return [yield df.waitForExternalEvent('msg'), yield df.waitForExternalEvent('msg')]
          }
          const tasks = ['go', 'msg', 'msg'].map((name) => df.waitForExternalEvent(name))
          yield df.Task.any(tasks)
          yield df.waitForExternalEvent('next')
          df.continueAsNew('again')
        })
      })
      const id = await startWaiting(client, 'eternal')
      await client.raiseEvent(id, 'go')
      await waiting(client, id, (waits) => waits.some(({ name }) => name === 'next'))
      for (const value of [{ a: 1 }, null]) {
        assert.deepEqual(await client.raiseEvent(id, 'msg', value), delivered)
      }
      await client.raiseEvent(id, 'next')
      assert.deepEqual((await client.waitForCompletion(id)).output, [{ a: 1 }, null])
    })

    test('one that is never looked at is told in the log when the code ends', async (t) => {
      const { raise, output, logger, id } = await opened(t, function* (context) {
        yield timer(context, 1)
        return 'done'
      })
      assert.deepEqual(await raise('msg', 1), delivered)
      await raise('next')
      assert.equal(await output(), 'done')
      const [line, ...more] = logger.find('warn', /without a look at 1 external events.*'msg'/)
      assert.ok(line.includes(id))
      assert.deepEqual(more, [])
    })
  })
}

test('Promise.race is that of the platform outside of turns, and gives the same inside', async (t) => {
  const { race, any } = Promise
  const { client } = await openHub(t, (app) => {
    app.activity('ok', { handler: (input) => input })
    app.activity('no', {
      handler: () => {
        throw new RangeError('no')
      },
    })
    app.orchestration('races', async ({ df }) => {
      const never = df.waitForExternalEvent('never')
      const one = (name) => df.callActivity(name, name)
      return [
        await Promise.race([never, one('ok')]),
        await Promise.race([never, one('no')]).catch(({ message }) => message),
        await Promise.any([one('no'), one('ok'), never]),
        await Promise.any([one('no')]).catch(({ errors }) => errors[0].message),
        await Promise.race([never, (async () => await one('ok'))()]),
        await Promise.race([1, never]),
        await Promise.race(new Set([2])),
      ]
    })
  })
  assert.deepEqual(await complete(client, 'races'), ['ok', 'no', 'ok', 'no', 'ok', 1, 2])
  assert.equal(Promise.race, race)
  assert.equal(Promise.any, any)
})

test('an execution that an older version began keeps events where they came', () => {
  const outcomes = [0, 1].map((rules) => {
    const start = { instanceId: 'i', name: 'o', exec: 0, rules, ...(rules > 0 && { salt: 's' }) }
    let lost
    let next
    const handler = function* ({ df }) {
      lost = df.waitForExternalEvent('msg')
      yield df.Task.any([df.waitForExternalEvent('go'), lost])
      next = df.waitForExternalEvent('msg')
      yield next
    }
    const execution = new Execution(
      start,
      { name: 'o', handler },
      { payloadBytes: 1_000, crossing: new CrossingBounds() },
    )
    const settle = (id, value) => {
      const task = execution.open.get(id)
      execution.open.delete(id)
      task.settle(1, value)
    }
    execution.openTurn(1, false)
    execution.start(new OrchestrationInvocation(execution))
    execution.closeTurn()
    execution.openTurn(2, false)
    settle(1)
    settle(0, 'event')
    execution.step()
    return [next.state, lost.state, execution.closeTurn()]
  })
  const action = '"actions":[{"waitForEvent":{"name":"msg"}}]'
  assert.deepEqual(outcomes[0], [0, 1, `{${action}}`])
  assert.deepEqual(outcomes[1], [1, 0, `{${action},"end":{"complete":{}}}`])
})
