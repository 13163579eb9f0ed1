/** Tasks and their combinations: when they exist, how they settle, what they give. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import fc from 'fast-check'
import {
  complete,
  fail,
  openHub,
  PATIENCE_MS,
  startWaiting,
  tempStore,
  until,
  waiting,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS

/** Activities `ok` (gives its input) and `bad` (throws it), and one orchestrator of either kind. */
function open(t, generator, async = generator) {
  return openHub(t, (app) => {
    app.activity('ok', { handler: (input) => input })
    app.activity('bad', {
      handler: (message) => {
        throw new Error(message)
      },
    })
    app.orchestration('generator', generator)
    app.orchestration('async', async)
  })
}

const ok = (context, value) => context.df.callActivity('ok', value)
const bad = (context, message) => context.df.callActivity('bad', message)

describe('Task.all', () => {
  const order = (context) => [
    ok(context, 1),
    context.df.createTimer(new Date(Date.now() + 5)),
    ok(context, 3),
  ]

  test('gives the results in the order of the list', async (t) => {
    const { client } = await open(
      t,
      function* (context) {
        return yield context.df.Task.all(order(context))
      },
      async (context) => await df.Task.all(order(context)),
    )
    assert.deepEqual(await complete(client, 'generator'), [1, null, 3])
    assert.deepEqual(await complete(client, 'async'), [1, null, 3])
  })

  test('of an empty list completes at once', async (t) => {
    const { client } = await open(
      t,
      function* (context) {
        return yield context.df.Task.all([])
      },
      async (context) => await context.df.Task.all([]),
    )
    assert.deepEqual(await complete(client, 'generator'), [])
    assert.deepEqual(await complete(client, 'async'), [])
  })

  test('fails with the first failure as soon as there is one', async (t) => {
    const list = (context) => [
      context.df.waitForExternalEvent('never'),
      bad(context, 'first'),
      ok(context, 1),
    ]
    const { client } = await open(
      t,
      function* (context) {
        yield context.df.Task.all(list(context))
      },
      async (context) => await context.df.Task.all(list(context)),
    )
    assert.equal((await fail(client, 'generator')).message, 'first')
    assert.equal((await fail(client, 'async')).message, 'first')
  })

  test('may hold a task twice, and tasks that have settled', async (t) => {
    const { client } = await open(t, function* (context) {
      const one = ok(context, 1)
      yield one
      const two = ok(context, 2)
      return yield context.df.Task.all([one, two, two, one])
    })
    assert.deepEqual(await complete(client, 'generator'), [1, 2, 2, 1])
  })
})

describe('Task.any', () => {
  const list = (context) => [
    context.df.waitForExternalEvent('never'),
    ok(context, 'won'),
    context.df.createTimer(new Date(Date.now() + 3_600_000)),
  ]

  test('gives a generator the winning task', async (t) => {
    const { client } = await open(t, function* (context) {
      const tasks = list(context)
      const winner = yield context.df.Task.any(tasks)
      return [tasks.indexOf(winner), winner.isCompleted, winner.isFaulted, winner.result]
    })
    assert.deepEqual(await complete(client, 'generator'), [1, true, false, 'won'])
  })

  test('gives an async function { index, isFaulted, result }', async (t) => {
    const { client } = await open(t, async (context) => await context.df.Task.any(list(context)))
    assert.deepEqual(await complete(client, 'async'), { index: 1, isFaulted: false, result: 'won' })
  })

  test('completes with a task that failed, and does not throw', async (t) => {
    const pair = (context) => [bad(context, 'lost'), context.df.waitForExternalEvent('never')]
    const { client } = await open(
      t,
      function* (context) {
        const winner = yield context.df.Task.any(pair(context))
        return [winner.isFaulted, winner.result.message]
      },
      async (context) => {
        const { index, isFaulted, result } = await context.df.Task.any(pair(context))
        return [index, isFaulted, result.message]
      },
    )
    assert.deepEqual(await complete(client, 'generator'), [true, 'lost'])
    assert.deepEqual(await complete(client, 'async'), [0, true, 'lost'])
  })

  test('of tasks that have settled gives the one that settled first', async (t) => {
    const { client } = await open(t, function* (context) {
      const [a, b] = [context.df.waitForExternalEvent('a'), context.df.waitForExternalEvent('b')]
      yield b
      yield a
      const winner = yield context.df.Task.any([a, b])
      return winner === b
    })
    const id = await startWaiting(client, 'generator')
    await client.raiseEvent(id, 'b')
    await waiting(client, id, (waits) => waits.length === 1)
    await client.raiseEvent(id, 'a')
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, true)
  })
})

describe('nested', () => {
  /** A tree of `{ all }`, `{ any }` and leaves, which are numbers: the events to wait for. */
  const { tree } = fc.letrec((tie) => ({
    leaf: fc.constant('leaf'),
    inner: fc
      .record({
        kind: fc.constantFrom('all', 'any'),
        of: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }),
      })
      .map(({ kind, of }) => ({ [kind]: of })),
    tree: fc.oneof({ maxDepth: 3 }, tie('leaf'), tie('inner')),
  }))

  function numbered(node, next) {
    if (node === 'leaf') return next()
    const [kind, children] = Object.entries(node)[0]
    return { [kind]: children.map((child) => numbered(child, next)) }
  }

  /** What the tree gives once the events in `settled` came, in that order; undefined while open. */
  function model(node, settled) {
    if (typeof node === 'number') {
      const at = settled.indexOf(node)
      return at < 0 ? undefined : { at, value: node }
    }
    const [kind, children] = Object.entries(node)[0]
    const ends = children.map((child) => model(child, settled))
    if (kind === 'all') {
      if (ends.includes(undefined)) return undefined
      return { at: Math.max(...ends.map((end) => end.at)), value: ends.map((end) => end.value) }
    }
    const done = ends.filter((end) => end !== undefined)
    if (done.length === 0) return undefined
    const at = Math.min(...done.map((end) => end.at))
    const index = ends.findIndex((end) => end?.at === at)
    return { at, value: { index, isFaulted: false, result: ends[index].value } }
  }

  test('freely, all and any settle like their model, in any order of events', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('tree', async (context) => {
        const build = (node) => {
          if (typeof node === 'number') return context.df.waitForExternalEvent(`e${node}`)
          const [kind, children] = Object.entries(node)[0]
          return context.df.Task[kind](children.map(build))
        }
        return await build(context.df.getInput())
      })
    })
    const property = fc.asyncProperty(tree, fc.infiniteStream(fc.nat()), async (shape, random) => {
      let leaves = 0
      const node = numbered(shape, () => leaves++)
      const order = Array.from({ length: leaves }, (_, n) => n)
      for (const event of order.keys()) {
        const other = random.next().value % leaves
        ;[order[event], order[other]] = [order[other], order[event]]
      }
      const id = await startWaiting(client, 'tree', { input: node })
      const settled = []
      for (const event of order) {
        assert.equal((await client.raiseEvent(id, `e${event}`, event)).outcome, 'delivered')
        settled.push(event)
        const expected = model(node, settled)
        if (expected !== undefined) {
          const { output } = await client.waitForCompletion(id, { timeoutMs })
          assert.deepEqual(output, expected.value)
          return
        }
        await waiting(client, id, (waits) => waits.length === leaves - settled.length)
      }
      assert.fail('the tree never settled')
    })
    await fc.assert(property, { numRuns: 40, seed: 2026 })
  })

  test('generators receive winning tasks inside of lists', async (t) => {
    const { client } = await open(t, function* (context) {
      const { Task } = context.df
      const [a, b] = [ok(context, 'a'), ok(context, 'b')]
      const never = context.df.waitForExternalEvent('never')
      const inner = Task.all([a, b])
      const [winner, last] = yield Task.all([Task.any([never, inner]), ok(context, 'c')])
      return [winner === inner, winner.result, last]
    })
    assert.deepEqual(await complete(client, 'generator'), [true, ['a', 'b'], 'c'])
  })
})

describe('Task.all with concurrency', () => {
  /** A hub whose activity `slow` notes how many run at a time, and runs until it is let go. */
  async function openSlow(t, orchestrator) {
    const gauge = { running: 0, most: 0, total: 0, release: [] }
    const hub = await openHub(t, (app) => {
      app.activity('slow', {
        handler: async (input) => {
          gauge.running += 1
          gauge.total += 1
          gauge.most = Math.max(gauge.most, gauge.running)
          await new Promise((resolve) => gauge.release.push(resolve))
          gauge.running -= 1
          return input
        },
      })
      app.orchestration('fan', orchestrator)
    })
    return { ...hub, gauge }
  }

  const fan = (concurrency) =>
    async function fanOut(context) {
      const tasks = Array.from({ length: 7 }, (_, n) => context.df.callActivity('slow', n))
      return await context.df.Task.all(tasks, { concurrency })
    }

  test('starts at most that many at a time, and all are recorded at once', async (t) => {
    const { client, gauge } = await openSlow(t, fan(2))
    const id = await client.startNew('fan')
    await until('two run', () => gauge.running === 2)
    const { history } = await client.getStatus(id, { showHistory: true })
    assert.equal(history.filter((event) => event.eventType === 'TaskScheduled').length, 7)
    for (let n = 0; n < 7; n++) {
      await until('one can be let go', () => gauge.release.length > 0)
      gauge.release.shift()()
    }
    const { output } = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(output, [0, 1, 2, 3, 4, 5, 6])
    assert.equal(gauge.most, 2)
  })

  test('bounds each fan-out by itself', async (t) => {
    const { client, gauge } = await openSlow(t, fan(1))
    const ids = await Promise.all([1, 2, 3].map(() => client.startNew('fan')))
    await until('one of each runs', () => gauge.running === 3)
    await until('all have run', () => {
      while (gauge.release.length > 0) gauge.release.shift()()
      return gauge.total === 21
    })
    await Promise.all(ids.map((id) => client.waitForCompletion(id, { timeoutMs })))
    assert.equal(gauge.most, 3)
  })

  test('is ignored by a replay, so it may be changed while instances are open', async (t) => {
    const store = tempStore(t)
    const code = (concurrency) => (app) => {
      app.activity('ok', { handler: (input) => input })
      app.orchestration('fan', async (context) => {
        const tasks = [1, 2, 3].map((n) => context.df.callActivity('ok', n))
        const first = await context.df.Task.all(tasks, { concurrency })
        await context.df.waitForExternalEvent('go')
        return first
      })
    }
    const first = await openHub(t, code(1), { store })
    const id = await startAndRun(first, 'fan')
    await first.close()
    const { client } = await openHub(t, code(3), { store })
    await client.raiseEvent(id, 'go')
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(status.output, [1, 2, 3])
  })

  async function startAndRun({ client }, name) {
    const id = await client.startNew(name)
    await waiting(client, id, ([wait]) => wait?.kind === 'event')
    return id
  }

  const refusals = {
    'a task of an earlier turn': async (context) => {
      const old = ok(context, 1)
      await ok(context, 2)
      await context.df.Task.all([old], { concurrency: 1 })
    },
    'what is no call': async (context) => {
      await context.df.Task.all([context.df.createTimer(new Date())], { concurrency: 1 })
    },
    'a combination': async (context) => {
      await context.df.Task.all([context.df.Task.any([ok(context, 1)])], { concurrency: 1 })
    },
    'a task that has one already': async (context) => {
      const task = ok(context, 1)
      context.df.Task.all([task], { concurrency: 1 })
      await context.df.Task.all([task], { concurrency: 2 })
    },
    'a number that is none': async (context) => {
      await context.df.Task.all([ok(context, 1)], { concurrency: 0 })
    },
  }
  for (const [what, orchestrator] of Object.entries(refusals)) {
    test(`refuses ${what}`, async (t) => {
      const { client } = await open(t, orchestrator)
      assert.equal((await fail(client, 'async')).code, 'InvalidOption')
    })
  }
})

describe('a task', () => {
  test('exists from its creation: it runs, in order of creation, though nobody awaits it', async (t) => {
    const ran = []
    const { client } = await openHub(t, (app) => {
      app.activity('note', { handler: (n) => ran.push(n) })
      app.orchestration('loose', async (context) => {
        for (const n of [1, 2, 3]) context.df.callActivity('note', n)
        await context.df.waitForExternalEvent('go')
      })
    })
    const id = await client.startNew('loose')
    await until('all ran', () => ran.length === 3)
    assert.deepEqual(ran, [1, 2, 3])
    await client.raiseEvent(id, 'go')
    await client.waitForCompletion(id, { timeoutMs })
  })

  test('that fails before anyone awaits it raises no unhandledRejection', async (t) => {
    const unhandled = []
    const note = (reason) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    t.after(() => process.off('unhandledRejection', note))
    const { client } = await open(t, async (context) => {
      const failing = bad(context, 'early')
      const combined = context.df.Task.all([failing, bad(context, 'other')])
      await ok(context, 1)
      await ok(context, 2)
      assert.ok(failing.isFaulted && combined.isFaulted)
      return await failing.catch((error) => error.message)
    })
    assert.equal(await complete(client, 'async'), 'early')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(unhandled, [])
  })

  test('says whether it completed, whether it failed, and what it gave', async (t) => {
    const state = ({ isCompleted, isFaulted, result }) => [
      isCompleted,
      isFaulted,
      result?.message ?? result,
    ]
    const { client } = await open(t, function* (context) {
      const tasks = [ok(context, 'v'), bad(context, 'e')]
      const before = tasks.map(state)
      yield tasks[0]
      try {
        yield tasks[1]
      } catch {}
      return [before, tasks.map(state)]
    })
    const pending = [false, false, null]
    assert.deepEqual(await complete(client, 'generator'), [
      [pending, pending],
      [
        [true, false, 'v'],
        [true, true, 'e'],
      ],
    ])
  })

  test('may be awaited again, by then, catch and finally too', async (t) => {
    const { client } = await open(t, async (context) => {
      const task = ok(context, 2)
      const seen = []
      await task.finally(() => seen.push('finally'))
      return [await task, await task.then((n) => n * 2), ...seen]
    })
    assert.deepEqual(await complete(client, 'async'), [2, 4, 'finally'])
  })

  const notTasks = {
    'in a list': (context) => [() => context.df.Task.all([5]), /number 0 of the list is number/],
    'in place of a list': (context) => [() => context.df.Task.any(ok(context, 1)), /array/],
    'in an empty Task.any': (context) => [() => context.df.Task.any([]), /never complete/],
  }
  for (const [where, make] of Object.entries(notTasks)) {
    test(`is what combinators take: anything else ${where} throws NotATask`, async (t) => {
      const { client } = await open(t, async (context) => {
        const [action, message] = make(context)
        assert.throws(
          action,
          (error) => error instanceof df.NotATask && message.test(error.message),
        )
        return 'refused'
      })
      assert.equal(await complete(client, 'async'), 'refused')
    })
  }

  test('of another instance is refused', async (t) => {
    let task
    const { client } = await openHub(t, (app) => {
      app.orchestration('owner', function* (context) {
        task = context.df.waitForExternalEvent('never')
        yield task
      })
      app.orchestration('thief', function* () {
        yield task
      })
      app.orchestration('combiner', function* (context) {
        yield context.df.Task.all([task, context.df.waitForExternalEvent('never')])
      })
    })
    await startWaiting(client, 'owner')
    assert.equal((await fail(client, 'thief')).code, 'NotATask')
    assert.equal((await fail(client, 'combiner')).code, 'NotATask')
  })

  test('that is yielded from a generator must be one; the error comes to the yield', async (t) => {
    const { client } = await open(t, function* (context) {
      const seen = []
      for (const value of [5, undefined, [ok(context, 1)], Promise.resolve(1)]) {
        try {
          yield value
        } catch (error) {
          seen.push(error.code)
        }
      }
      return [...seen, yield ok(context, 'fine')]
    })
    const four = Array(4).fill('NotATask')
    assert.deepEqual(await complete(client, 'generator'), [...four, 'fine'])
  })

  test('that nobody yields, over and over, fails the instance', async (t) => {
    const { client } = await open(t, function* () {
      for (;;) {
        try {
          yield 1
        } catch {}
      }
    })
    assert.equal((await fail(client, 'generator')).code, 'NotATask')
  })
})
