/** Several processes on one store: clients anywhere, one worker, and nobody is kept waiting. */

import assert from 'node:assert/strict'
import { existsSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import {
  connect,
  openHub,
  PATIENCE_MS,
  refuses,
  run,
  startWaiting,
  tempDir,
  tempStore,
  until,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS

function register(app) {
  app.activity('now', { handler: () => Date.now() })
  app.orchestration('wait', function* (context) {
    const data = yield context.df.waitForExternalEvent('go')
    return { data, at: yield context.df.callActivity('now') }
  })
  app.orchestration('fail', () => {
    throw new Error('failed')
  })
}

describe('a client in another process', () => {
  /** Does each call once, and says what came of it. */
  async function everyCall({ df, args, say }) {
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const client = await df.connect({ store: args, logger })
    const wait = async (ask) => {
      while (!(await ask())) await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const id = await client.startNew('wait', { instanceId: 'x', input: 1 })
    await wait(() => client.getStatus(id))
    say(['status', (await client.getStatus(id)).runtimeStatus])
    await client.suspend(id)
    say(['suspend', (await client.getStatus(id)).runtimeStatus])
    await client.resume(id)
    say(['resume', (await client.getStatus(id)).runtimeStatus])
    say(['raiseEvent', (await client.raiseEvent(id, 'go', 'data')).outcome])
    say(['wait', (await client.waitForCompletion(id, { timeoutMs: 10_000 })).output.data])
    const other = await client.startNew('wait')
    await wait(() => client.getStatus(other))
    await client.terminate(other, 'reason')
    say(['terminate', (await client.waitForCompletion(other)).output])
    const failed = await client.startNew('fail')
    say(['failed', (await client.waitForCompletion(failed)).failure.message])
    await client.rewind(failed)
    say(['rewind', (await client.waitForCompletion(failed)).runtimeStatus])
    const again = await client.restart(id)
    await wait(() => client.getStatus(again))
    say(['restart', (await client.getStatus(again)).input])
    say(['count', await client.count()])
    say(['list', (await client.list({ runtimeStatus: 'Running' })).instances.length])
    say(['purge', (await client.purgeInstanceHistory(id)).instancesDeleted])
    say(['purgeBy', (await client.purgeInstanceHistoryBy({})).instancesDeleted])
    const code = await client.startNew('nobody').catch((error) => error.code)
    say(['unknown', code])
    await client.close()
  }

  test('can do everything while a worker runs', async (t) => {
    const store = tempStore(t)
    await openHub(t, register, { store })
    const child = await startChild(t, everyCall, store).finish()
    assert.deepEqual(child.said, [
      ['status', 'Running'],
      ['suspend', 'Suspended'],
      ['resume', 'Running'],
      ['raiseEvent', 'delivered'],
      ['wait', 'data'],
      ['terminate', 'reason'],
      ['failed', 'failed'],
      ['rewind', 'Failed'],
      ['restart', 1],
      ['count', 4],
      ['list', 1],
      ['purge', 1],
      ['purgeBy', 2],
      ['unknown', 'NotRegistered'],
    ])
  })

  test('can do everything while none does, and a worker later goes on from there', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    for (const instanceId of ['a', 'b', 'c', 'd']) {
      await startWaiting(first.client, 'wait', { instanceId })
    }
    await run(first.client, 'fail', 1, { instanceId: 'failed' })
    await first.close()
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const client = await df.connect({ store: args, logger: false })
        say(await client.startNew('wait', { instanceId: 'new', input: 2 }))
        say(await client.startNew('unknown', { instanceId: 'unknown' }))
        say((await client.getStatus('new', { pending: true })).runtimeStatus)
        say((await client.raiseEvent('a', 'go', 'from outside')).outcome)
        say((await client.raiseEvent('a', 'go', 'twice')).reason)
        say((await client.raiseEvent('new', 'go')).reason)
        await client.terminate('b', 'ended outside')
        say((await client.getStatus('b')).runtimeStatus)
        await client.suspend('c')
        await client.suspend('d')
        await client.resume('d')
        say((await client.getStatus('c')).runtimeStatus)
        await client.rewind('failed')
        say(await client.restart('b', false))
        say(await client.waitForCompletion('a', { timeoutMs: 20 }).catch((error) => error.code))
      },
      store,
    )
    await child.finish()
    assert.deepEqual(child.said, [
      'new',
      'unknown',
      'Pending',
      'delivered',
      'NotWaiting',
      'NotWaiting',
      'Terminated',
      'Suspended',
      'b',
      'Timeout',
    ])
    const { client } = await openHub(t, register, { store })
    const a = await client.waitForCompletion('a', { timeoutMs })
    assert.equal(a.output.data, 'from outside')
    assert.equal((await client.waitForCompletion('failed', { timeoutMs })).runtimeStatus, 'Failed')
    for (const id of ['b', 'd', 'new']) {
      await until(`${id} waits`, async () => {
        return (await client.getStatus(id))?.waitingFor[0]?.name === 'go'
      })
    }
    assert.equal((await client.getStatus('c')).runtimeStatus, 'Suspended')
  })

  test('may make the store, before any worker ever ran', async (t) => {
    const store = tempStore(t)
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const client = await df.connect({ store: args, logger: false })
        say(await client.startNew('wait', { instanceId: 'early' }))
      },
      store,
    )
    await child.finish()
    const { client } = await openHub(t, register, { store })
    await until('it runs', () => client.getStatus('early'))
  })

  test('learns of an end that a worker brings about later', async (t) => {
    const store = tempStore(t)
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const client = await df.connect({ store: args, logger: false })
        const id = await client.startNew('fail', { instanceId: 'x' })
        say('waits')
        say((await client.waitForCompletion(id)).runtimeStatus)
      },
      store,
    )
    assert.equal(await child.next(), 'waits')
    await openHub(t, register, { store })
    assert.equal(await child.next(), 'Failed')
    await child.finish()
  })

  test('wakes the worker within 50 ms, in the median', async (t) => {
    const store = tempStore(t)
    const { client } = await openHub(t, register, { store })
    const ids = Array.from({ length: 40 }, (_, n) => `w${n}`)
    for (const instanceId of ids) await startWaiting(client, 'wait', { instanceId })
    const child = startChild(
      t,
      async ({ df, args }) => {
        const other = await df.connect({ store: args.store, logger: false })
        for (const id of args.ids) {
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 10))
          await other.raiseEvent(id, 'go', Date.now())
        }
      },
      { store, ids },
    )
    const statuses = await Promise.all(
      ids.map((id) => client.waitForCompletion(id, { timeoutMs: 30_000 })),
    )
    await child.finish()
    const spans = statuses.map(({ output }) => output.at - output.data).sort((a, b) => a - b)
    t.diagnostic(`from the call to the activity: median ${spans[20]} ms, longest ${spans[39]} ms`)
    assert.ok(spans[20] < 50, `${spans}`)
  })
})

test('an idle worker and an idle client take next to no CPU', async (t) => {
  const store = tempStore(t)
  const idle = async ({ df, args, say }) => {
    const app = new df.App()
    app.orchestration('wait', function* (context) {
      yield context.df.waitForExternalEvent('go')
    })
    const open = args.role === 'worker' ? df.open : df.connect
    const options = args.role === 'worker' ? { app } : {}
    const hub = await open({ store: args.store, logger: false, ...options })
    say('open')
    const ids = await hub.client.startMany(Array.from({ length: 20 }, () => ({ name: 'wait' })))
    while ((await hub.client.getStatus(ids[19])) === null) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await new Promise((resolve) => setTimeout(resolve, 300))
    const before = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const { user, system } = process.cpuUsage(before)
    say((user + system) / 1_000)
    await hub.close()
  }
  // What a worker registers is known to clients once it is open.
  const worker = startChild(t, idle, { store, role: 'worker' })
  assert.equal(await worker.next(), 'open')
  const client = startChild(t, idle, { store, role: 'client' })
  assert.equal(await client.next(), 'open')
  const spent = { worker: await worker.next(), client: await client.next() }
  t.diagnostic(`of 1,000 ms: ${JSON.stringify(spent)}`)
  assert.ok(spent.worker < 100 && spent.client < 100, JSON.stringify(spent))
})

describe('a second worker', () => {
  const opening = (store) => df.open({ store, app: new df.App(), logger: false })

  test('in the same process is refused, and the first one works on', async (t) => {
    const dir = tempDir(t)
    const store = `sqlite:${join(dir, 'hub.db')}`
    const { client } = await openHub(t, register, { store })
    await refuses('HubInUse', opening(store), { message: new RegExp(`${process.pid}`) })
    symlinkSync(join(dir, 'hub.db'), join(dir, 'other-name.db'))
    await refuses('HubInUse', opening(`sqlite:${join(dir, 'other-name.db')}`))
    assert.equal((await run(client, 'fail')).runtimeStatus, 'Failed')
  })

  test('in another process is refused; a client is not', async (t) => {
    const store = tempStore(t)
    await openHub(t, register, { store })
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const options = { store: args, logger: false }
        const refusal = await df.open({ ...options, app: new df.App() }).catch((error) => error)
        say([refusal instanceof df.HubInUse, refusal.code, refusal.message])
        const client = await df.connect(options)
        say(await client.count())
      },
      store,
    )
    const [isClass, code, message] = await child.next()
    assert.deepEqual([isClass, code], [true, 'HubInUse'])
    assert.match(message, /df\.connect/)
    assert.equal(await child.next(), 0)
    await child.finish()
  })

  test('may open as soon as the first has closed, or was killed', async (t) => {
    const store = tempStore(t)
    for (let n = 0; n < 5; n++) {
      const hub = await opening(store)
      await hub.close()
      const child = startChild(
        t,
        async ({ df, args, say }) => {
          await df.open({ store: args, app: new df.App(), logger: false })
          say('open')
        },
        store,
      )
      assert.equal(await child.next(), 'open')
      await refuses('HubInUse', opening(store))
      await child.kill()
    }
    await (await opening(store)).close()
  })
})

describe('while the worker is under full load', () => {
  const CLIENTS = 4
  const COLLECTORS = 10
  const RAISES = 1_000

  /** Instances of five activities, 200 at a time, and collectors for the clients. */
  async function busyWorker({ df, args, say, hear }) {
    const app = new df.App()
    app.activity('inc', { handler: (n) => n + 1 })
    app.orchestration('five', function* (context) {
      let n = 0
      for (let step = 0; step < 5; step += 1) n = yield context.df.callActivity('inc', n)
    })
    app.orchestration('collector', function* (context) {
      const seen = []
      const stop = context.df.waitForExternalEvent('stop')
      while (!stop.isCompleted) {
        const event = context.df.waitForExternalEvent('go')
        yield context.df.Task.any([event, stop])
        if (event.isCompleted) seen.push(event.result)
      }
      return seen
    })
    const hub = await df.open({ store: args.store, app, logger: false })
    await hub.client.startMany(args.ids.map((instanceId) => ({ name: 'collector', instanceId })))
    let isRunning = true
    let done = 0
    const caller = async () => {
      while (isRunning) {
        const id = await hub.client.startNew('five')
        await hub.client.waitForCompletion(id)
        done += 1
      }
    }
    const callers = Array.from({ length: 200 }, caller)
    say('open')
    await hear()
    isRunning = false
    await Promise.all(callers)
    say(done)
    await hub.close()
  }

  /** Raises in groups, one event to each of its collectors, and notes the outcomes. */
  async function raiser({ df, args, say }) {
    const client = await df.connect({ store: args.store, logger: false })
    const taken = Object.fromEntries(args.ids.map((id) => [id, []]))
    const spans = []
    for (let n = 0; n < args.groups; n++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      const begin = performance.now()
      const outcomes = await Promise.all(args.ids.map((id) => client.raiseEvent(id, 'go', n)))
      spans.push(performance.now() - begin)
      for (const [k, { outcome }] of outcomes.entries()) {
        if (outcome === 'delivered') taken[args.ids[k]].push(n)
      }
    }
    spans.sort((a, b) => a - b)
    say({ taken, median: spans[spans.length >> 1], longest: spans.at(-1) })
  }

  test('each of four client processes gets its calls through within 1 s, and outcomes of 4 x 1,000 raises agree with what was got', async (t) => {
    const store = tempStore(t)
    const client = await connect(t, store)
    const idsOf = (k) => Array.from({ length: COLLECTORS }, (_, n) => `c${k}-${n}`)
    const ids = Array.from({ length: CLIENTS }, (_, k) => idsOf(k)).flat()
    const worker = startChild(t, busyWorker, { store, ids })
    assert.equal(await worker.next(), 'open')
    await until('all collect', async () => {
      const open = { name: 'collector', runtimeStatus: 'Running' }
      return (await client.count(open)) === ids.length
    })
    const groups = RAISES / COLLECTORS
    const raisers = Array.from({ length: CLIENTS }, (_, k) =>
      startChild(t, raiser, { store, ids: idsOf(k), groups }),
    )
    const reports = await Promise.all(raisers.map((child) => child.next(60_000)))
    for (const { median, longest } of reports) {
      t.diagnostic(
        `a group of calls: median ${median.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`,
      )
      assert.ok(longest < 1_000, `${longest} ms`)
    }
    worker.tell('stop')
    t.diagnostic(`instances of the load that ended meanwhile: ${await worker.next()}`)
    await worker.finish()

    const app = new df.App()
    app.orchestration('collector', function* (context) {
      const seen = []
      const stop = context.df.waitForExternalEvent('stop')
      while (!stop.isCompleted) {
        const event = context.df.waitForExternalEvent('go')
        yield context.df.Task.any([event, stop])
        if (event.isCompleted) seen.push(event.result)
      }
      return seen
    })
    const hub = await df.open({ store, app, logger: false })
    t.after(() => hub.close())
    let count = 0
    for (const { taken } of reports) {
      for (const [id, expected] of Object.entries(taken)) {
        assert.equal((await hub.client.raiseEvent(id, 'stop')).outcome, 'delivered')
        const { output } = await hub.client.waitForCompletion(id, { timeoutMs })
        assert.deepEqual(output, expected, id)
        count += expected.length
      }
    }
    t.diagnostic(`${count} of ${CLIENTS * RAISES} raises were delivered`)
    assert.ok(count > 400)
  })
})

describe('backup', () => {
  test('copies a hub that is under way, whole and consistent', async (t) => {
    const store = tempStore(t)
    const { hub, client } = await openHub(t, register, { store })
    const ids = Array.from({ length: 50 }, (_, n) => `b${n}`)
    for (const instanceId of ids) await startWaiting(client, 'wait', { instanceId })
    let isRunning = true
    const load = async () => {
      while (isRunning) await run(client, 'fail')
    }
    const loads = [load(), load(), load()]
    const file = join(tempDir(t), 'copy.db')
    await hub.backup(file)
    isRunning = false
    await Promise.all(loads)
    const copy = await openHub(t, register, { store: `sqlite:${file}` })
    assert.equal(await copy.client.count({ idPrefix: 'b', name: 'wait' }), 50)
    for (const id of ids) {
      const { outcome } = await copy.client.raiseEvent(id, 'go', id)
      assert.equal(outcome, 'delivered')
      const { output } = await copy.client.waitForCompletion(id, { timeoutMs })
      assert.equal(output.data, id)
    }
    assert.equal((await client.getStatus('b0')).runtimeStatus, 'Running', 'the original')
  })

  test('writes to a new file only', async (t) => {
    const { hub } = await openHub(t, register, { store: tempStore(t) })
    const dir = tempDir(t)
    await hub.backup(join(dir, 'copy.db'))
    assert.ok(existsSync(join(dir, 'copy.db')))
    await assert.rejects(hub.backup(join(dir, 'copy.db')), df.DurableError)
    await assert.rejects(hub.backup(join(dir, 'no/such/folder/copy.db')), df.DurableError)
    await assert.rejects(hub.backup(''), df.InvalidOption)
  })
})

test('the hub in memory is of one process alone', async (t) => {
  const { client } = await openHub(t, register)
  await refuses('InvalidOption', df.connect({ store: 'sqlite::memory:' }), {
    field: 'options.store',
  })
  await startWaiting(client, 'wait')
  const other = await openHub(t, register)
  assert.equal(await other.client.count(), 0)
})
