/** What an orchestrator can do and rely on, whichever kind it is: `docs/semantics.md` §2 and §3. */

import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { describe, test } from 'node:test'
import {
  complete,
  deferred,
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
const hour = 3_600_000

describe('an orchestrator', () => {
  test('is a generator function, an async function or a plain one', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.activity('double', { handler: (n) => n * 2 })
      app.orchestration('generator', function* (context) {
        return yield context.df.callActivity('double', context.df.getInput())
      })
      app.orchestration('async', async (context) => {
        return await context.df.callActivity('double', context.df.getInput())
      })
      app.orchestration('plain', (context) => context.df.getInput() * 2)
    })
    for (const name of ['generator', 'async', 'plain']) {
      assert.equal(await complete(client, name, 21), 42, name)
    }
  })

  test('knows its input, ids, name and parent', async (t) => {
    const about = (context) => ({
      input: context.df.getInput(),
      instanceId: context.df.instanceId,
      parent: context.df.parentInstanceId ?? 'none',
      name: context.functionName,
    })
    const { client } = await openHub(t, (app) => {
      app.orchestration('child', about)
      app.orchestration('Parent', function* (context) {
        return [about(context), yield context.df.callSubOrchestrator('child', 'in', 'kid')]
      })
    })
    assert.deepEqual(await complete(client, 'parent', 1, { instanceId: 'p' }), [
      { input: 1, instanceId: 'p', parent: 'none', name: 'Parent' },
      { input: 'in', instanceId: 'kid', parent: 'p', name: 'child' },
    ])
  })

  test('fails with what it throws, in its first turn or later', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.activity('ok', { handler: () => 1 })
      app.orchestration('early', () => {
        throw new TypeError('early')
      })
      app.orchestration('late', function* (context) {
        yield context.df.callActivity('ok')
        throw new TypeError('late')
      })
    })
    for (const name of ['early', 'late']) {
      const { name: type, message } = await fail(client, name)
      assert.deepEqual([type, message], ['TypeError', name])
    }
  })

  test('sets a custom status as of the end of its turn, the last one set', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('status', async (context) => {
        context.df.setCustomStatus('lost')
        context.df.setCustomStatus({ step: 1 })
        await context.df.waitForExternalEvent('go')
        const before = context.df.customStatus
        context.df.setCustomStatus(null)
        await context.df.waitForExternalEvent('go')
        return before
      })
    })
    const id = await startWaiting(client, 'status')
    assert.deepEqual((await client.getStatus(id)).customStatus, { step: 1 })
    await client.raiseEvent(id, 'go')
    await until('it is null', async () => (await client.getStatus(id)).customStatus === null)
    await waiting(client, id)
    await client.raiseEvent(id, 'go')
    assert.deepEqual((await client.waitForCompletion(id, { timeoutMs })).output, { step: 1 })
  })

  test('has ended when its function returns: leftover timers and waits are cancelled', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('leftover', async (context) => {
        context.df.createTimer(new Date(Date.now() + hour))
        context.df.waitForExternalEvent('never')
        context.df.callActivity('nobody')
        return 'over'
      })
    })
    const { instanceId, output } = await run(client, 'leftover')
    assert.equal(output, 'over')
    assert.equal((await client.raiseEvent(instanceId, 'never')).reason, 'Ended')
  })

  test('when it ends drops what has not started, tells what runs, and lets children go on', async (t) => {
    const started = deferred()
    let ran = 0
    const { client } = await openHub(t, (app) => {
      app.activity('slow', {
        maxConcurrency: 1,
        handler: (_, context) => {
          ran += 1
          started.resolve(context.signal)
          return new Promise(() => {})
        },
      })
      app.orchestration('child', function* (context) {
        return yield context.df.waitForExternalEvent('go')
      })
      app.orchestration('parent', async (context) => {
        context.df.callActivity('slow')
        context.df.callActivity('slow')
        context.df.callSubOrchestrator('child', null, 'child')
        await context.df.waitForExternalEvent('end')
      })
    })
    const id = await startWaiting(client, 'parent')
    const signal = await started.promise
    await waiting(client, 'child')
    await client.raiseEvent(id, 'end')
    await client.waitForCompletion(id, { timeoutMs })
    await until('the signal aborts', () => signal.aborted)
    assert.equal(ran, 1)
    await client.raiseEvent('child', 'go', 5)
    assert.equal((await client.waitForCompletion('child', { timeoutMs })).output, 5)
  })
})

describe('in a replay', () => {
  /**
   * Runs an orchestrator in one hub up to its wait for 'go', and on in another; gives what `note`
   * was told in the first and in the second.
   */
  async function acrossRestart(t, orchestrator) {
    const store = tempStore(t)
    const notes = [[], []]
    const open = (n) =>
      openHub(
        t,
        (app) => {
          app.activity('ok', { handler: (input) => input })
          app.orchestration('o', (context) => orchestrator(context, (note) => notes[n].push(note)))
        },
        { store },
      )
    const first = await open(0)
    const id = await startAndRun(first.client)
    await first.close()
    const second = await open(1)
    await second.client.raiseEvent(id, 'go')
    const status = await second.client.waitForCompletion(id, { timeoutMs })
    assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
    return { first: notes[0], second: notes[1], hub: second, status }
  }

  async function startAndRun(client) {
    const id = await client.startNew('o')
    await waiting(client, id, (waits) => waits.some((wait) => wait.name === 'go'))
    return id
  }

  test('newGuid gives the same again, and another one at every call', async (t) => {
    const { first, second } = await acrossRestart(t, function* (context, note) {
      note(context.df.newGuid())
      note(context.df.newGuid())
      note(context.df.newGuid('seed'))
      note(context.invocationId)
      yield context.df.callActivity('ok')
      note(context.df.newGuid())
      yield context.df.waitForExternalEvent('go')
    })
    assert.deepEqual(second, first)
    assert.equal(new Set(first).size, 5)
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    for (const guid of first) assert.match(guid, uuid)
  })

  test('newGuid differs between instances and between generations', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('guids', (context) => {
        const guids = [...(context.df.getInput() ?? []), context.df.newGuid()]
        if (guids.length < 3) context.df.continueAsNew(guids)
        return guids
      })
    })
    const [one, two] = [await complete(client, 'guids'), await complete(client, 'guids')]
    assert.equal(new Set([...one, ...two]).size, 6)
  })

  test('newGuid and invocationId differ from start to start of one id', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('guids', (context) => [context.df.newGuid('x'), context.invocationId])
    })
    const nightly = () => complete(client, 'guids', null, { instanceId: 'nightly' })
    const guids = [...(await nightly()), ...(await nightly())]
    await client.restart('nightly', false)
    guids.push(...(await client.waitForCompletion('nightly')).output)
    await client.purgeInstanceHistory('nightly')
    guids.push(...(await nightly()))
    assert.equal(new Set(guids).size, 8)
  })

  test('currentUtcDateTime is the same again, one for each turn, and never runs back', async (t) => {
    const before = Date.now()
    const { first, second } = await acrossRestart(t, async (context, note) => {
      for (let n = 0; n < 5; n++) {
        context.df.currentUtcDateTime.setTime(0) // a copy: this changes nothing
        note(context.df.currentUtcDateTime.getTime())
        if (n < 4) await context.df.createTimer(new Date(Date.now() + 2))
      }
      await context.df.waitForExternalEvent('go')
    })
    assert.deepEqual(second, first)
    assert.deepEqual(
      first,
      [...first].sort((a, b) => a - b),
    )
    assert.ok(first[0] >= before && first[4] - first[0] >= 8)
  })

  test('isReplaying is true, and before and after it is false', async (t) => {
    const { first, second } = await acrossRestart(t, function* (context, note) {
      note(context.df.isReplaying)
      yield context.df.callActivity('ok')
      note(context.df.isReplaying)
      yield context.df.waitForExternalEvent('go')
      note(context.df.isReplaying)
    })
    assert.deepEqual(first, [false, false])
    assert.deepEqual(second, [true, true, false])
  })

  test('context.log is silent', async (t) => {
    const { hub } = await acrossRestart(t, async (context) => {
      context.log('once')
      await context.df.waitForExternalEvent('go')
      context.log('twice')
    })
    assert.deepEqual(hub.logger.find('info', /^(once|twice)$/), ['twice'])
  })

  for (const kind of ['generator', 'async']) {
    test(`messages come in the recorded order and turns, to ${kind} code`, async (t) => {
      const branch = async (context, note, name) => {
        await context.df.callActivity('ok', name)
        note(`${name} 1`)
        await context.df.callActivity('ok', name)
        note(`${name} 2`)
      }
      const code = {
        async: async (context, note) => {
          const branches = ['a', 'b', 'c'].map((name) => branch(context, note, name))
          await Promise.all(branches)
          note(await Promise.race(['x', 'y'].map((n) => context.df.callActivity('ok', n))))
          await context.df.waitForExternalEvent('go')
        },
        generator: function* (context, note) {
          let open = ['a', 'b', 'c'].map((name) => context.df.callActivity('ok', name))
          while (open.length > 0) {
            const first = yield context.df.Task.any(open)
            note(open.filter((task) => task.isCompleted).map((task) => task.result))
            open = open.filter((task) => task !== first)
          }
          yield context.df.waitForExternalEvent('go')
        },
      }
      const { first, second } = await acrossRestart(t, code[kind])
      assert.deepEqual(second, first)
      assert.ok(first.length > 2)
    })
  }
})

describe('a timer', () => {
  test('fires when its time has come, never early', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('timers', async (context) => {
        const due = context.df.currentUtcDateTime.getTime() + context.df.getInput()
        await context.df.createTimer(new Date(due))
        return [Date.now() - due, context.df.currentUtcDateTime.getTime() - due]
      })
    })
    const spans = Array.from({ length: 40 }, (_, n) => n)
    const outputs = await Promise.all(spans.map((ms) => complete(client, 'timers', ms)))
    for (const late of outputs.flat()) assert.ok(late >= 0 && late < 5_000, `${late} ms late`)
  })

  test('in the past fires at once', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('past', function* (context) {
        yield context.df.createTimer(new Date(0))
        yield context.df.createTimer(new Date(-1))
        return 'fired'
      })
    })
    assert.equal(await complete(client, 'past'), 'fired')
  })

  test('of any length is kept, and fires after a restart of the process', async (t) => {
    const store = tempStore(t)
    const register = (app) =>
      app.orchestration('long', async (context) => {
        const { Task } = context.df
        const [soon, ...later] = context.df.getInput()
        later.map((ms) => context.df.createTimer(new Date(ms)))
        return await Task.any([context.df.createTimer(new Date(soon))])
      })
    const first = await openHub(t, register, { store })
    const later = [2 ** 31, 2 ** 32, 8.6e15 - Date.now()].map((ms) => Date.now() + ms)
    const far = await startWaiting(first.client, 'long', { input: later })
    const soon = Date.now() + 500
    const id = await startWaiting(first.client, 'long', { input: [soon, ...later] })
    await first.close()
    const { client } = await openHub(t, register, { store })
    const { waitingFor } = await client.getStatus(far)
    assert.deepEqual(
      waitingFor.map((wait) => wait.fireAt.getTime()),
      [...later.slice(1), later[0]],
    )
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.equal(status.output.index, 0)
    assert.ok(Date.now() >= soon)
  })

  test('that is cancelled never fires, and is not waited for', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('cancel', function* (context) {
        const early = context.df.createTimer(new Date(Date.now() + hour))
        early.cancel()
        const late = context.df.createTimer(new Date(Date.now() + hour))
        yield context.df.createTimer(new Date(0))
        late.cancel()
        late.cancel()
        yield context.df.createTimer(new Date(Date.now() + 5))
        const fired = context.df.createTimer(new Date(0))
        yield fired
        fired.cancel()
        yield context.df.waitForExternalEvent('go')
        return [early, late, fired].map((task) => [task.isCanceled, task.isCompleted])
      })
    })
    const id = await client.startNew('cancel')
    const { waitingFor } = await waiting(client, id, ([wait]) => wait?.kind === 'event')
    assert.equal(waitingFor.length, 1)
    await client.raiseEvent(id, 'go')
    const { output } = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(output, [
      [true, false],
      [true, false],
      [false, true],
    ])
  })
})

describe('continueAsNew', () => {
  test('starts again with the new input and an empty history, at the return', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.activity('ok', { handler: (input) => input })
      app.orchestration('loop', async (context) => {
        const n = context.df.getInput()
        await context.df.callActivity('ok', n)
        if (n < 3) context.df.continueAsNew(n + 1)
        return n
      })
    })
    const { instanceId, output, input } = await run(client, 'loop', 0)
    assert.deepEqual([input, output], [3, 3])
    const { history } = await client.getStatus(instanceId, { showHistory: true })
    assert.equal(history.filter((event) => event.eventType === 'TaskScheduled').length, 1)
  })

  for (const kind of ['generator', 'async']) {
    test(`takes effect at the next wait of ${kind} code at the latest, the last input wins`, async (t) => {
      let after = 0
      const { client } = await openHub(t, (app) => {
        app.orchestration('generator', function* (context) {
          if (context.df.getInput() > 1) return context.df.getInput()
          context.df.continueAsNew(2)
          context.df.continueAsNew(3)
          yield context.df.waitForExternalEvent('never')
          after += 1
        })
        app.orchestration('async', async (context) => {
          if (context.df.getInput() > 1) return context.df.getInput()
          context.df.continueAsNew(2)
          context.df.continueAsNew(3)
          await context.df.waitForExternalEvent('never')
          after += 1
        })
      })
      assert.equal(await complete(client, kind, 1), 3)
      assert.equal(after, 0)
    })
  }

  test('with no input has none', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('none', (context) => {
        if (context.df.getInput() === undefined) return 'none'
        context.df.continueAsNew()
      })
    })
    assert.equal(await complete(client, 'none', 1), 'none')
  })

  test('drops what the old generation had under way: no result of it reaches the new one', async (t) => {
    const old = deferred()
    const signals = []
    const { client } = await openHub(t, (app) => {
      app.activity('slow', {
        handler: (generation, context) => {
          signals.push(context.signal)
          return generation === 'new' ? old.promise.then(() => 'new') : old.promise
        },
      })
      app.orchestration('twice', async (context) => {
        const generation = context.df.getInput()
        const task = context.df.callActivity('slow', generation)
        if (generation === 'new') return await task
        await context.df.waitForExternalEvent('go')
        context.df.continueAsNew('new')
      })
    })
    const id = await startWaiting(client, 'twice', { input: 'old' })
    await until('it runs', () => signals.length === 1)
    await client.raiseEvent(id, 'go')
    await until('the new one runs', () => signals.length === 2)
    assert.deepEqual(
      signals.map((signal) => signal.aborted),
      [true, false],
    )
    old.resolve('old')
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'new')
  })

  test('10,000 generations leave memory and file flat', async (t) => {
    const store = tempStore(t)
    const { client } = await openHub(
      t,
      (app) => {
        app.activity('ok', { handler: (input) => input })
        app.orchestration('eternal', function* (context) {
          const { left, padding } = context.df.getInput()
          yield context.df.callActivity('ok', padding)
          if (left > 0) context.df.continueAsNew({ left: left - 1, padding })
        })
      },
      { store, durability: 'relaxed' },
    )
    const padding = 'x'.repeat(1_000)
    const sizes = async (left) => {
      await complete(client, 'eternal', { left, padding })
      const path = store.slice('sqlite:'.length)
      return {
        file: statSync(path).size + statSync(`${path}-wal`).size,
        rss: process.memoryUsage.rss(),
      }
    }
    await sizes(2_000)
    const before = await sizes(2_000)
    const after = await sizes(10_000)
    const mib = 2 ** 20
    // 10,000 generations write some 30 MiB; the log is copied every 4,000 pages, which is 16 MiB.
    assert.ok(after.file - before.file < 20 * mib, JSON.stringify({ before, after }))
    assert.ok(after.rss - before.rss < 50 * mib, JSON.stringify({ before, after }))
  })
})
