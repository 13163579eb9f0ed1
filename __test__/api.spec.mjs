/** Starting instances, hubs and registries: what `docs/semantics.md` §1.1 says and the options of a hub. */

import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import {
  complete,
  connect,
  openHub,
  PATIENCE_MS,
  refuses,
  run,
  startWaiting,
  tempDir,
  tempStore,
  throwsCode,
  until,
  waiting,
} from './support/hub.mjs'

function register(app) {
  app.orchestration('echo', (context) => ({ input: context.df.getInput() ?? 'none' }))
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

const timeoutMs = PATIENCE_MS

test('the quickstart: activities in sequence, awaited by waitForCompletion', async (t) => {
  const { client } = await openHub(t, (app) => {
    app.activity('hello', { handler: (city) => `Hello ${city}!` })
    app.orchestration('sayHello', function* (context) {
      const first = yield context.df.callActivity('hello', 'Tokyo')
      return [first, yield context.df.callActivity('hello', 'Seattle')]
    })
  })
  const id = await client.startNew('sayHello', { input: 1 })
  const status = await client.waitForCompletion(id, { timeoutMs })
  assert.equal(status.runtimeStatus, 'Completed')
  assert.deepEqual(status.output, ['Hello Tokyo!', 'Hello Seattle!'])
})

describe('start', () => {
  test('takes name and options, and gives the id', async (t) => {
    const { client } = await openHub(t, register)
    const id = await client.startNew('echo', { input: [1, null], instanceId: 'mine' })
    assert.equal(id, 'mine')
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(status.output, { input: [1, null] })
  })

  test('takes the older form (name, instanceId, input)', async (t) => {
    const { client } = await openHub(t, register)
    assert.equal(await client.startNew('echo', 'older', { a: 1 }), 'older')
    const status = await client.waitForCompletion('older', { timeoutMs })
    assert.deepEqual(status.output, { input: { a: 1 } })
    assert.equal(await client.startNew('echo', 'only-id'), 'only-id')
    const random = await client.startNew('echo', undefined, 5)
    assert.deepEqual((await client.waitForCompletion(random, { timeoutMs })).output, { input: 5 })
  })

  test('without an id gives a random one of 32 hex digits', async (t) => {
    const { client } = await openHub(t, register)
    const ids = await Promise.all(Array.from({ length: 50 }, () => client.startNew('echo')))
    for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/)
    assert.equal(new Set(ids).size, ids.length)
  })

  test('undefined means no input', async (t) => {
    const { client } = await openHub(t, register)
    assert.deepEqual(await complete(client, 'echo'), { input: 'none' })
    assert.deepEqual(await complete(client, 'echo', undefined), { input: 'none' })
    assert.equal((await run(client, 'echo', undefined)).input, null)
  })

  test('takes a definition in place of a name', async (t) => {
    const { client, app } = await openHub(t, register)
    const definition = app.orchestration('late', (context) => context.df.getInput())
    assert.equal(await complete(client, definition, 7), 7)
  })

  test('matches orchestrator names without regard to case', async (t) => {
    const { client } = await openHub(t, register)
    assert.deepEqual(await complete(client, 'ECHO', 1), { input: 1 })
  })

  test('ids take 1 to 256 characters, and many that others refuse', async (t) => {
    const { client } = await openHub(t, register)
    for (const instanceId of ['a', 'x'.repeat(256), '💾'.repeat(256), 'a b', 'ä@:.~%', '日本']) {
      assert.equal(await client.startNew('echo', { instanceId }), instanceId)
      const status = await client.waitForCompletion(instanceId, { timeoutMs })
      assert.equal(status.instanceId, instanceId)
    }
  })

  test('ids differ in case', async (t) => {
    const { client } = await openHub(t, register)
    await startWaiting(client, 'wait', { instanceId: 'Case' })
    await startWaiting(client, 'wait', { instanceId: 'case' })
    assert.equal((await client.getStatus('Case')).instanceId, 'Case')
  })

  test('refuses an unknown orchestrator name in a hub that runs workers', async (t) => {
    const { client } = await openHub(t, register)
    await refuses('NotRegistered', client.startNew('nobody', { instanceId: 'x' }))
    assert.equal(await client.getStatus('x', { pending: true }), null, 'nothing was written')
  })
})

describe('an id in use', () => {
  test("by an open instance is refused ('error', the default)", async (t) => {
    const { client } = await openHub(t, register)
    const instanceId = await startWaiting(client, 'wait', { instanceId: 'one', input: 'first' })
    await refuses('InstanceAlreadyExists', client.startNew('wait', { instanceId }))
    await refuses(
      'InstanceAlreadyExists',
      client.startNew('wait', { instanceId, onConflict: 'error', input: 'second' }),
    )
    assert.equal((await client.getStatus(instanceId)).input, 'first')
  })

  test('by an ended instance is replaced, with nothing left of the old one', async (t) => {
    const { client } = await openHub(t, register)
    for (const onConflict of [undefined, 'error', 'return', 'terminate']) {
      await run(client, 'echo', 'old', { instanceId: 'again' })
      const id = await client.startNew('wait', { instanceId: 'again', input: 'new', onConflict })
      assert.equal(id, 'again')
      const status = await waiting(client, id)
      assert.equal(status.name, 'wait')
      assert.equal(status.input, 'new')
      assert.equal(status.output, null)
      const { history } = await client.getStatus(id, { showHistory: true })
      assert.deepEqual(
        history.map((event) => event.eventType),
        ['ExecutionStarted', 'EventAwaited'],
      )
      await client.terminate(id)
    }
  })

  test("gives the running one with 'return'", async (t) => {
    const { client } = await openHub(t, register)
    const instanceId = await startWaiting(client, 'wait', { instanceId: 'single', input: 1 })
    const id = await client.startNew('wait', { instanceId, input: 2, onConflict: 'return' })
    assert.equal(id, instanceId)
    assert.equal((await client.getStatus(id)).input, 1)
  })

  test("ends the old and starts the new with 'terminate'", async (t) => {
    const { client } = await openHub(t, register)
    const instanceId = await startWaiting(client, 'wait', { instanceId: 'single', input: 1 })
    await client.startNew('wait', { instanceId, input: 2, onConflict: 'terminate' })
    const status = await waiting(client, instanceId)
    assert.equal(status.input, 2)
    await client.raiseEvent(instanceId, 'go', 'done')
    const ended = await client.waitForCompletion(instanceId, { timeoutMs })
    assert.equal(ended.output, 'done')
  })

  test('is decided atomically: of many concurrent starts one wins', async (t) => {
    const { client } = await openHub(t, register)
    const start = (n) => client.startNew('wait', { instanceId: 'race', input: n })
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => start(n)))
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    assert.equal(refused.length, 19)
    for (const { reason } of refused) assert.equal(reason.code, 'InstanceAlreadyExists')
    const ids = await Promise.all(
      Array.from({ length: 20 }, () =>
        client.startNew('wait', { instanceId: 'race', onConflict: 'return' }),
      ),
    )
    assert.deepEqual(new Set(ids), new Set(['race']))
    assert.equal(await client.count(), 1)
  })
})

describe('startMany', () => {
  test('starts all in one transaction, and gives the ids in order', async (t) => {
    const { client } = await openHub(t, register)
    const ids = await client.startMany([
      { name: 'echo', instanceId: 'a', input: 1 },
      { name: 'echo', instanceId: 'b' },
      { name: 'wait' },
    ])
    assert.deepEqual(ids.slice(0, 2), ['a', 'b'])
    assert.match(ids[2], /^[0-9a-f]{32}$/)
    assert.deepEqual((await client.waitForCompletion('a', { timeoutMs })).output, { input: 1 })
    assert.deepEqual(await client.startMany([]), [])
  })

  test('starts none when one is refused, and the error has its index', async (t) => {
    const { client } = await openHub(t, register)
    await startWaiting(client, 'wait', { instanceId: 'taken' })
    const good = (instanceId) => ({ name: 'wait', instanceId })
    const cases = [
      ['InstanceAlreadyExists', [good('n1'), good('n2'), good('taken')], 2],
      ['InstanceAlreadyExists', [good('n1'), good('n1')], 1],
      ['NotRegistered', [good('n1'), { name: 'nobody' }], 1],
      ['InvalidInstanceId', [good('a/b'), good('n1')], 0],
      ['UnserializableValue', [good('n1'), { name: 'wait', input: 1n }], 1],
      ['InvalidName', [good('n1'), {}], 1],
      ['InvalidOption', [good('n1'), { name: 'wait', id: 'typo' }], 1],
    ]
    for (const [code, starts, index] of cases) {
      const error = await refuses(code, client.startMany(starts))
      assert.equal(error.index, index, error.message)
    }
    assert.equal(await client.count(), 1)
  })
})

describe('an instance whose name no live worker registers', () => {
  test('may be started while no worker lives, and waits as Pending', async (t) => {
    const store = tempStore(t)
    const client = await connect(t, store)
    const id = await client.startNew('anything', { input: 1 })
    assert.equal(await client.getStatus(id), null)
    const status = await client.getStatus(id, { pending: true })
    assert.equal(status.runtimeStatus, 'Pending')
    assert.equal(status.input, 1)
    assert.equal(status.problem, undefined)
  })

  test('waits with a warning and the problem NotRegistered, and runs when one does', async (t) => {
    const store = tempStore(t)
    const client = await connect(t, store)
    const id = await client.startNew('Later', { input: 4 })
    const { app, logger, close } = await openHub(t, register, { store })
    const status = await until('the problem shows', async () => {
      const pending = await client.getStatus(id, { pending: true })
      return pending.problem && pending
    })
    assert.equal(status.problem.code, 'NotRegistered')
    assert.match(status.problem.message, /Later/)
    assert.equal(status.runtimeStatus, 'Pending')
    assert.equal(logger.find('warn', /Later.*registered/).length, 1)
    app.orchestration('later', (context) => context.df.getInput() * 2)
    const ended = await client.waitForCompletion(id, { timeoutMs })
    assert.equal(ended.output, 8)
    assert.equal(ended.problem, undefined)
    await close()
  })

  test('runs in the next worker that registers it', async (t) => {
    const store = tempStore(t)
    const client = await connect(t, store)
    const id = await client.startNew('twice', { input: 4 })
    const first = await openHub(t, register, { store })
    await until('it waits', async () => (await client.getStatus(id, { pending: true })).problem)
    await first.close()
    const second = (app) => app.orchestration('TWICE', (context) => context.df.getInput() * 2)
    await openHub(t, second, { store })
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 8)
  })

  test('in the middle of its history waits the same way', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    const id = await startWaiting(first.client, 'wait')
    await first.close()
    const { app, client } = await openHub(t, () => {}, { store })
    assert.deepEqual(await client.raiseEvent(id, 'go', 'kept'), { outcome: 'delivered' })
    const { runtimeStatus, problem } = await until('the problem shows', async () => {
      const status = await client.getStatus(id)
      return status.problem && status
    })
    assert.deepEqual([runtimeStatus, problem.code], ['Running', 'NotRegistered'])
    register(app)
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual([status.output, status.problem], ['kept', undefined])
  })

  test('can be terminated', async (t) => {
    const store = tempStore(t)
    const client = await connect(t, store)
    const id = await client.startNew('nobody')
    await openHub(t, register, { store })
    await until('it waits', async () => (await client.getStatus(id, { pending: true })).problem)
    await client.terminate(id, 'not needed')
    assert.equal((await client.getStatus(id)).runtimeStatus, 'Terminated')
  })
})

describe('registering', () => {
  test('one name twice is an error, whatever its case', () => {
    const app = new df.App()
    app.orchestration('Order', () => 1)
    app.activity('Pay', { handler: () => 1 })
    throwsCode('AlreadyRegistered', () => app.orchestration('order', () => 1), { message: /Order/ })
    throwsCode('AlreadyRegistered', () => app.activity('PAY', { handler: () => 1 }))
  })

  test('an orchestrator and an activity may share a name', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.activity('same', { handler: () => 'activity' })
      app.orchestration('same', async (context) => await context.df.callActivity('same'))
    })
    assert.equal(await complete(client, 'same'), 'activity')
  })

  test('after the hub is open takes effect at once', async (t) => {
    const { client, app } = await openHub(t, register)
    app.activity('late', { handler: () => 'on time' })
    app.orchestration('after', async (context) => await context.df.callActivity('late'))
    assert.equal(await complete(client, 'after'), 'on time')
  })

  test('gives a definition with its name, kind and handler', () => {
    const handler = () => 1
    const app = new df.App()
    const activity = app.activity('pay', { handler })
    assert.deepEqual(
      [activity.kind, activity.functionName, activity.handler, activity.name],
      ['activity', 'pay', handler, 'pay'],
    )
    const orchestration = app.orchestration('order', { handler })
    assert.deepEqual(
      [orchestration.kind, orchestration.functionName, orchestration.handler],
      ['orchestration', 'order', handler],
    )
  })

  test('two Apps keep their functions apart, in two hubs of one process', async (t) => {
    const one = await openHub(t, (app) => app.orchestration('who', () => 'one'))
    const two = await openHub(t, (app) => app.orchestration('who', () => 'two'))
    assert.equal(await complete(one.client, 'who'), 'one')
    assert.equal(await complete(two.client, 'who'), 'two')
  })
})

describe('open', () => {
  test('makes the folders of the store, for their owner alone', async (t) => {
    const dir = join(tempDir(t), 'a/b')
    await openHub(t, register, { store: `sqlite:${join(dir, 'hub.db')}` })
    assert.equal(statSync(dir).mode & 0o777, 0o700)
    assert.equal(statSync(join(dir, 'hub.db')).mode & 0o077, 0)
  })

  test("uses DURAFN_STORE, and else 'sqlite:.durafn/hub.db' in the current folder", async (t) => {
    const dir = tempDir(t)
    const before = { cwd: process.cwd(), store: process.env.DURAFN_STORE }
    t.after(() => {
      process.chdir(before.cwd)
      if (before.store === undefined) delete process.env.DURAFN_STORE
      else process.env.DURAFN_STORE = before.store
    })
    process.chdir(dir)
    process.env.DURAFN_STORE = 'sqlite:named.db'
    await (await df.open({ app: new df.App(), logger: false })).close()
    assert.ok(existsSync(join(dir, 'named.db')))
    delete process.env.DURAFN_STORE
    await (await df.open({ app: new df.App(), logger: false })).close()
    assert.ok(existsSync(join(dir, '.durafn/hub.db')))
    await (await df.connect({ logger: false })).close()
  })

  test('runs df.app unless another app is given', async (t) => {
    const hub = await df.open({ store: 'sqlite::memory:', logger: false })
    t.after(() => hub.close())
    assert.equal(hub.app, df.app)
  })

  test('keeps the name that the hub has, and refuses another', async (t) => {
    const store = tempStore(t)
    const { client, close } = await openHub(t, register, { store, hubName: 'orders' })
    assert.equal(client.taskHubName, 'orders')
    await close()
    await refuses('InvalidOption', df.open({ store, hubName: 'other', app: new df.App() }))
    await refuses('InvalidOption', df.connect({ store, hubName: 'other' }))
    const again = await openHub(t, register, { store })
    assert.equal(again.client.taskHubName, 'orders')
    assert.equal((await connect(t, store)).taskHubName, 'orders')
  })

  test('retention purges what ended long enough ago, by status', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    await run(first.client, 'echo', 1, { instanceId: 'completed' })
    await startWaiting(first.client, 'wait', { instanceId: 'open' })
    await startWaiting(first.client, 'wait', { instanceId: 'terminated' })
    await first.client.terminate('terminated')
    await first.close()
    const retention = { completedMs: 0, terminatedMs: 86_400_000 }
    const { client } = await openHub(t, register, { store, retention })
    await until('it is purged', async () => (await client.getStatus('completed')) === null)
    assert.equal((await client.getStatus('open')).runtimeStatus, 'Running')
    assert.equal((await client.getStatus('terminated')).runtimeStatus, 'Terminated')
  })

  test('runs 256 activities at a time unless told otherwise', async (t) => {
    const release = []
    const { client } = await openHub(t, (app) => {
      app.activity('step', { handler: () => new Promise((resolve) => release.push(resolve)) })
      app.orchestration('fan', async (context) => {
        const tasks = Array.from({ length: 300 }, () => context.df.callActivity('step'))
        return (await context.df.Task.all(tasks)).length
      })
    })
    const id = await client.startNew('fan')
    await until('as many run as may', () => release.length >= 256)
    await client.getStatus(id)
    assert.equal(release.length, 256)
    await until('all have run', () => {
      while (release.length > 0) release.shift()()
      return client.getStatus(id).then((status) => status.runtimeStatus === 'Completed')
    })
  })

  test('maxConcurrentActivities bounds what runs at a time', async (t) => {
    let running = 0
    let most = 0
    const { client } = await openHub(
      t,
      (app) => {
        app.activity('step', {
          handler: async () => {
            running += 1
            most = Math.max(most, running)
            await new Promise((resolve) => setImmediate(resolve))
            running -= 1
          },
        })
        app.orchestration('fan', async (context) => {
          const tasks = Array.from({ length: 20 }, () => context.df.callActivity('step'))
          await context.df.Task.all(tasks)
        })
      },
      { maxConcurrentActivities: 3 },
    )
    await complete(client, 'fan')
    assert.equal(most, 3)
  })

  test('limits.cachedInstances bounds memory, not what is open', async (t) => {
    const { client } = await openHub(t, register, { limits: { cachedInstances: 2 } })
    const ids = Array.from({ length: 20 }, (_, n) => `cached-${n}`)
    for (const id of ids) await startWaiting(client, 'wait', { instanceId: id })
    for (const id of ids) {
      assert.deepEqual(await client.raiseEvent(id, 'go', id), { outcome: 'delivered' })
      assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, id)
    }
  })

  test('logs to the logger that is given, and to console else', async (t) => {
    const { client, logger } = await openHub(t, (app) => {
      app.activity('talk', {
        handler: (_, context) => {
          context.log('said', 1)
          context.warn('careful')
        },
      })
      app.orchestration('talker', async (context) => {
        context.log.verbose('begin %s', 'now')
        await context.df.callActivity('talk')
        context.error('end')
      })
    })
    await complete(client, 'talker')
    assert.deepEqual(logger.find('debug', /begin/), ['begin now'])
    assert.deepEqual(logger.find('info', /said/), ['said 1'])
    assert.deepEqual(logger.find('warn', /careful/), ['careful'])
    assert.deepEqual(logger.find('error', /end/), ['end'], 'not again in later turns')
  })

  test('a logger that throws takes nothing with it', async (t) => {
    const broken = () => {
      throw new Error('no room for logs')
    }
    const logger = { debug: broken, info: broken, warn: broken, error: broken }
    const { client } = await openHub(
      t,
      (app) => {
        app.orchestration('talk', (context) => {
          context.log('x')
          return 'done'
        })
      },
      { logger },
    )
    assert.equal(await complete(client, 'talk'), 'done')
    assert.equal((await client.raiseEvent('nobody', 'go')).outcome, 'discarded')
  })
})

test('require gives the same package as import', () => {
  const required = createRequire(import.meta.url)('durafn')
  assert.equal(required.app, df.app)
  assert.equal(required.App, df.App)
})
