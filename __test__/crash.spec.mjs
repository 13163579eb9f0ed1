/**
 * Processes that die: everything that was acknowledged is there, and goes on. `docs/semantics.md` §3.1 to §3.6.
 *
 * The ledger is a file beside the store to which each activity appends a line before it returns, so
 * that it tells what really ran.
 */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from './support/child.mjs'
import { connect, openHub, PATIENCE_MS, tempDir, until } from './support/hub.mjs'
import { seeded } from './support/random.mjs'

const timeoutMs = PATIENCE_MS
const ROUNDS = 30

/** A worker that starts instances, four at a time, until it is killed or told to drain and then to close. */
async function worker({ df, args, say, hear }) {
  const { appendFileSync } = await import('node:fs')
  const { randomUUID } = await import('node:crypto')
  const app = new df.App()
  const note = (context, step) => {
    const nonce = randomUUID()
    appendFileSync(args.ledger, `${context.instanceId} ${step} ${nonce}\n`)
    return nonce
  }
  app.activity('sync', { handler: (step, context) => note(context, step) })
  app.activity('async', {
    handler: async (step, context) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
      return note(context, step)
    },
  })
  app.orchestration('child', async (context) => await context.df.callActivity('sync', 'child'))
  app.orchestration('work', function* (context) {
    const { df: durable } = context
    const event = durable.waitForExternalEvent('go')
    const first = yield durable.callActivity('async', 'first')
    const fan = yield durable.Task.all(
      ['a', 'b', 'c'].map((step) => durable.callActivity(step === 'b' ? 'async' : 'sync', step)),
    )
    const now = durable.currentUtcDateTime.getTime()
    yield durable.createTimer(new Date(now + 5))
    const child = yield durable.callSubOrchestrator('child', null, `${durable.instanceId}-child`)
    const data = yield event
    const last = yield durable.callActivity('sync', 'last')
    return { steps: [first, ...fan, last], child, data }
  })
  const hub = await df.open({ store: args.store, app, logger: false })
  say('open')
  let isDraining = false
  hear().then(
    () => {
      isDraining = true
    },
    () => {},
  )
  const start = async (k) => {
    for (let n = 0; !isDraining; n++) {
      const id = `${args.round}-${k}-${n}`
      await hub.client.startNew('work', { instanceId: id })
      say({ started: id })
    }
  }
  await Promise.all([1, 2, 3, 4].map(start))
  await hear()
  await hub.close()
}

test(`a worker under load, killed at ${ROUNDS} random points, loses nothing and does nothing twice`, async (t) => {
  const random = seeded(t)
  const dir = tempDir(t)
  const args = { store: `sqlite:${join(dir, 'hub.db')}`, ledger: join(dir, 'ledger') }
  const client = await connect(t, args.store)
  const started = []
  const delivered = new Map()

  const collect = (child) => {
    for (const message of child.said.splice(0)) {
      if (message.started !== undefined) started.push(message.started)
    }
  }
  /** Sends its event to one instance after the other, as long as the worker of the round lives. */
  const sendEvents = async (isOver) => {
    for (const id of started) {
      if (isOver()) return
      if (delivered.has(id)) continue
      const data = random.integer(0, 1_000_000)
      const { outcome } = await client.raiseEvent(id, 'go', data)
      if (outcome === 'delivered') delivered.set(id, data)
    }
  }

  for (let round = 0; round < ROUNDS; round++) {
    const child = startChild(t, worker, { ...args, round })
    assert.equal(await child.next(), 'open')
    let isOver = false
    const sending = sendEvents(() => isOver)
    await sleep(random.integer(0, 120))
    await child.kill()
    isOver = true
    collect(child)
    await sending
  }
  assert.ok(started.length > ROUNDS, `${started.length} instances were acknowledged`)

  const last = startChild(t, worker, { ...args, round: 'last' })
  assert.equal(await last.next(), 'open')
  last.tell('drain')
  await until('every instance has its event', async () => {
    collect(last)
    await sendEvents(() => false)
    return delivered.size === started.length
  })
  const statuses = new Map()
  await Promise.all(
    started.map(async (id) => {
      const ended = client.waitForCompletion(id, { timeoutMs: 30_000 })
      statuses.set(id, await ended.catch(() => client.getStatus(id)))
    }),
  )
  const stuck = [...statuses.values()].filter((status) => status.runtimeStatus !== 'Completed')
  assert.deepEqual(stuck, [])
  last.tell('close')
  await last.finish()
  collect(last)

  const ran = readLedger(args.ledger)
  for (const [id, { output }] of statuses) {
    for (const [n, step] of ['first', 'a', 'b', 'c', 'last'].entries()) {
      assert.ok(ran.get(`${id} ${step}`).has(output.steps[n]), `${id} ${step}: a result that ran`)
    }
    assert.ok(ran.get(`${id}-child child`).has(output.child))
    assert.equal(output.data, delivered.get(id), `${id}: the event that was delivered`)
  }
  const again = [...ran.values()].filter((nonces) => nonces.size > 1).length
  t.diagnostic(`${started.length} instances, ${ran.size} activities, ${again} of them ran again`)

  for (const id of [...statuses.keys()].filter((_, n) => n % 20 === 0)) {
    const options = { showHistory: true, showHistoryOutput: true }
    const { history, output } = await client.getStatus(id, options)
    const results = history.filter((event) => event.eventType === 'TaskCompleted')
    assert.equal(results.length, 5, `${id}: one result of each activity`)
    assert.deepEqual(
      new Set(results.map((event) => event.result)),
      new Set(output.steps),
      `${id}: the one that was observed`,
    )
  }
  // Nobody acknowledged these, yet they were written: they are whole instances all the same.
  const open = await client.list({ runtimeStatus: ['Pending', 'Running', 'Suspended'] })
  for (const { instanceId } of open.instances) {
    assert.ok(!statuses.has(instanceId), `${instanceId} is open`)
  }
})

test('client processes killed at random points leave the hub in order, and what they were told holds', async (t) => {
  const random = seeded(t, 7)
  const store = `sqlite:${join(tempDir(t), 'hub.db')}`
  const { client } = await openHub(
    t,
    (app) =>
      app.orchestration('wait', function* (context) {
        return yield context.df.waitForExternalEvent('go')
      }),
    { store },
  )
  const caller = async ({ df, args, say }) => {
    const own = await df.connect({ store: args.store, logger: false })
    say('connected')
    for (let n = 0; ; n++) {
      const id = `${args.round}-${n}`
      await own.startNew('wait', { instanceId: id })
      say({ id })
      while ((await own.raiseEvent(id, 'go', n)).outcome !== 'delivered') {
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      say({ id, data: n })
    }
  }
  const told = new Map()
  for (let round = 0; round < 10; round++) {
    const pair = [0, 1].map((k) => startChild(t, caller, { store, round: `${round}-${k}` }))
    await Promise.all(pair.map((child) => child.next()))
    await sleep(random.integer(0, 60))
    await Promise.all(pair.map((child) => child.kill()))
    for (const { id, data } of pair.flatMap((child) => child.said)) told.set(id, data)
    const id = await client.startNew('wait')
    await until('it waits', () => client.getStatus(id))
    assert.equal((await client.raiseEvent(id, 'go', round)).outcome, 'delivered')
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, round)
  }
  assert.ok(told.size > 10, `${told.size} starts were acknowledged`)
  for (const [id, data] of told) {
    await until(`${id} is there`, () => client.getStatus(id))
    if (data === undefined) continue
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, data)
  }
})

/** The nonces by `instance step`. */
function readLedger(file) {
  const ran = new Map()
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const [id, step, nonce] = line.split(' ')
    const key = `${id} ${step}`
    ran.set(key, (ran.get(key) ?? new Set()).add(nonce))
  }
  return ran
}

describe('a function that takes the process down', () => {
  /** Opens the hub with a bomb of the given kind, and lives until the bomb goes off or is parked. */
  async function bombWorker({ df, args, say, until: wait }) {
    const app = new df.App()
    app.activity('bomb', { handler: () => process.abort() })
    app.activity('slow', {
      handler: () => new Promise((resolve) => setTimeout(resolve, 40, 'fine')),
    })
    app.orchestration('activity', async (context) => await context.df.callActivity('bomb'))
    app.orchestration('orchestrator', () => process.abort())
    app.orchestration('after an event', function* (context) {
      yield context.df.waitForExternalEvent('go')
      process.abort()
    })
    app.orchestration('after a timer', function* (context) {
      const now = context.df.currentUtcDateTime.getTime()
      yield context.df.createTimer(new Date(now + 30))
      process.abort()
    })
    app.orchestration('innocent', async (context) => await context.df.callActivity('slow'))
    const hub = await df.open({ store: args.store, app, logger: false })
    if (args.start !== undefined) {
      await hub.client.startMany(args.start)
      say('started')
    }
    const bomb = await wait(async () => {
      const status = await hub.client.getStatus('bomb', { pending: true })
      return status?.problem?.code === 'Poison' && status
    })
    say(bomb)
    for (const { name } of args.innocents) {
      await hub.client.waitForCompletion(name, { timeoutMs: 10_000 })
    }
    await hub.close()
  }

  const innocents = Array.from({ length: 20 }, (_, n) => ({ name: `innocent-${n}` }))
  const startsOf = (kind) => [
    { name: kind, instanceId: 'bomb' },
    ...innocents.map(({ name }) => ({ name: 'innocent', instanceId: name })),
  ]

  async function deathsUntilParked(t, args) {
    for (let deaths = 0; deaths < 9; deaths++) {
      const child = startChild(t, bombWorker, deaths === 0 ? args : { ...args, start: undefined })
      const end = await Promise.race([child.ended, child.next().catch(() => child.ended)])
      const said = end === 'started' ? await child.next().catch(() => null) : end
      if (said?.problem !== undefined) {
        assert.equal(said.runtimeStatus, 'Suspended')
        assert.match(said.problem.message, /5 times/)
        await child.finish()
        return deaths
      }
      assert.equal((await child.ended).signal, 'SIGABRT', child.stderr)
    }
    return assert.fail('it was never parked')
  }

  for (const kind of ['activity', 'orchestrator', 'after a timer']) {
    test(`is parked after five deaths, and the others finish (${kind})`, async (t) => {
      const store = `sqlite:${join(tempDir(t), 'hub.db')}`
      const args = { store, innocents, start: startsOf(kind) }
      assert.equal(await deathsUntilParked(t, args), 5)
      const client = await connect(t, store)
      for (const { name } of innocents) {
        assert.equal((await client.getStatus(name)).output, 'fine', name)
      }
    })
  }

  test('is parked after five deaths though a client process started it', async (t) => {
    const store = `sqlite:${join(tempDir(t), 'hub.db')}`
    const client = await connect(t, store)
    await client.startMany(startsOf('activity'))
    assert.equal(await deathsUntilParked(t, { store, innocents }), 5)
    for (const { name } of innocents) {
      assert.equal((await client.getStatus(name)).output, 'fine', name)
    }
  })

  test('is parked after five deaths when an event sets it off', async (t) => {
    const store = `sqlite:${join(tempDir(t), 'hub.db')}`
    const first = startChild(t, bombWorker, { store, innocents, start: startsOf('after an event') })
    assert.equal(await first.next(), 'started')
    const client = await connect(t, store)
    await until('it waits', () => client.getStatus('bomb'))
    await client.raiseEvent('bomb', 'go')
    assert.equal((await first.ended).signal, 'SIGABRT')
    assert.equal(await deathsUntilParked(t, { store, innocents }), 4)
  })

  test('runs again, when it is mended, by resume', async (t) => {
    const store = `sqlite:${join(tempDir(t), 'hub.db')}`
    await deathsUntilParked(t, { store, innocents: [], start: startsOf('activity').slice(0, 1) })
    const { client } = await openHub(
      t,
      (app) => {
        app.activity('bomb', { handler: () => 'mended' })
        app.orchestration('activity', async (context) => await context.df.callActivity('bomb'))
      },
      { store },
    )
    assert.equal((await client.getStatus('bomb')).problem.code, 'Poison')
    await client.resume('bomb')
    const status = await client.waitForCompletion('bomb', { timeoutMs })
    assert.equal(status.output, 'mended')
    assert.equal(status.problem, undefined)
  })
})

test('graceful restarts do not count, however often, with an activity running', async (t) => {
  const store = `sqlite:${join(tempDir(t), 'hub.db')}`
  let running = 0
  let isReady = false
  const register = (app) => {
    app.activity('slow', {
      handler: () => {
        running += 1
        return isReady ? 'done' : new Promise(() => {})
      },
    })
    app.orchestration('slow', async (context) => await context.df.callActivity('slow'))
  }
  let hub = await openHub(t, register, { store })
  const id = await hub.client.startNew('slow')
  for (let n = 1; n <= 12; n++) {
    await until(`it runs for the ${n}th time`, () => running === n)
    await hub.close()
    isReady = n === 12
    hub = await openHub(t, register, { store })
  }
  const status = await hub.client.waitForCompletion(id, { timeoutMs })
  assert.equal(status.output, 'done')
  assert.equal(status.problem, undefined)
})

test('a result that comes while its instance is suspended is durable by itself', async (t) => {
  const store = `sqlite:${join(tempDir(t), 'hub.db')}`
  const child = startChild(
    t,
    async ({ df, args, say }) => {
      const app = new df.App()
      let finish
      app.activity('slow', {
        handler: () => {
          say('runs')
          return new Promise((resolve) => {
            finish = resolve
          })
        },
      })
      app.orchestration('slow', async (context) => await context.df.callActivity('slow'))
      app.orchestration('other', () => 1)
      const hub = await df.open({ store: args, app, logger: false })
      const { client } = hub
      const id = await client.startNew('slow', { instanceId: 'one' })
      while (finish === undefined) await new Promise((resolve) => setTimeout(resolve, 1))
      await client.suspend(id)
      await client.startNew('other')
      finish('kept')
      await client.waitForCompletion(await client.startNew('other'))
      say('finished')
    },
    store,
  )
  assert.equal(await child.next(), 'runs')
  assert.equal(await child.next(), 'finished')
  await child.kill()
  let ranAgain = false
  const { client } = await openHub(
    t,
    (app) => {
      app.activity('slow', {
        handler: () => {
          ranAgain = true
        },
      })
      app.orchestration('slow', async (context) => await context.df.callActivity('slow'))
    },
    { store },
  )
  assert.equal((await client.getStatus('one')).runtimeStatus, 'Suspended')
  await client.resume('one')
  const { output } = await client.waitForCompletion('one', { timeoutMs })
  assert.deepEqual([output, ranAgain], ['kept', false])
})

test('a store whose process was killed before it wrote anything opens', async (t) => {
  const dir = tempDir(t)
  const store = `sqlite:${join(dir, 'hub.db')}`
  const child = startChild(
    t,
    async ({ df, args, say }) => {
      const opening = df.open({ store: args, app: new df.App(), logger: false })
      say('opening')
      await opening
    },
    store,
  )
  await child.next()
  await child.kill()
  await openHub(t, () => {}, { store })
  assert.ok(existsSync(join(dir, 'hub.db')))
})
