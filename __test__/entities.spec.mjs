/** Entities: operations from clients, orchestrators and other entities, and what becomes of state. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import {
  complete,
  connect,
  deferred,
  fail,
  openHub,
  refuses,
  tempStore,
  throwsCode,
  until,
} from './support/hub.mjs'
import { moduleOf, openThreads } from './support/threads.mjs'

const id = (key = 'a', name = 'counter') => new df.EntityId(name, key)

/** Adds up, and tells. */
function counter(context) {
  const { df } = context
  const count = df.getState(() => 0)
  if (df.operationName === 'add') df.setState(count + df.getInput())
  if (df.operationName === 'get') df.return(count)
  if (df.operationName === 'reset') df.destructOnExit()
  if (df.operationName === 'fail') {
    df.setState(-1)
    df.signalEntity(df.entityId, 'add', 1000)
    throw Object.assign(new RangeError('no'), { limit: 3 })
  }
}

/** Calls one operation. */
function* caller(context) {
  const { key, operation, input, name } = context.df.getInput()
  return yield context.df.callEntity(id(key, name), operation, input)
}

const register = (app) => {
  app.entity('counter', counter)
  app.orchestration('caller', caller)
}

const call = (client, operation, input, more = {}) =>
  complete(client, 'caller', { key: 'a', operation, input, ...more })

async function settles(client, entityId, expected) {
  await until(`${entityId} is as expected`, async () => {
    const { entityState } = await client.readEntityState(entityId)
    return JSON.stringify(entityState) === JSON.stringify(expected)
  })
}

suite('entities', () => {
  test('signals are carried out in order, and a client reads what came of them', async (t) => {
    const { client } = await openHub(t, register)
    assert.deepEqual({ ...(await client.readEntityState(id())) }, { entityExists: false })
    for (let n = 1; n <= 100; n += 1) void client.signalEntity(id(), 'add', n)
    await settles(client, id(), 5050)
    assert.equal((await client.readEntityState(new df.EntityId('COUNTER', 'a'))).entityExists, true)
    assert.equal((await client.readEntityState(id('A'))).entityExists, false, 'case counts in keys')
  })

  test('a call gives what the operation returns', async (t) => {
    const { client } = await openHub(t, register)
    assert.equal(await call(client, 'add', 2), null)
    assert.equal(await call(client, 'add', 3), null)
    assert.equal(await call(client, 'get'), 5)
  })

  test('a failure crosses to the caller, and leaves no trace in the state or elsewhere', async (t) => {
    const { client } = await openHub(t, register)
    await call(client, 'add', 2)
    const failure = await fail(client, 'caller', { key: 'a', operation: 'fail' })
    assert.equal(failure.name, 'RangeError')
    assert.equal(failure.message, 'no')
    assert.equal(failure.limit, 3)
    assert.equal(await call(client, 'get'), 2)
  })
})

suite('operations', () => {
  test('an entity function may be async, is alone with its entity, and returns its result', async (t) => {
    let running = 0
    let most = 0
    const { client } = await openHub(t, (app) => {
      app.entity('counter', async ({ df }) => {
        running += 1
        most = Math.max(most, running)
        const count = df.getState(() => 0)
        await new Promise((resolve) => setImmediate(resolve))
        df.setState(count + 1)
        running -= 1
        return { name: df.entityName, key: df.entityKey, count, isNew: df.isNewlyConstructed }
      })
      app.orchestration('caller', caller)
    })
    for (let n = 0; n < 20; n += 1) await client.signalEntity(id(), 'any')
    const told = await call(client, 'any')
    assert.deepEqual(told, { name: 'counter', key: 'a', count: 20, isNew: false })
    assert.equal(most, 1)
  })

  test('operations of several entities run at the same time', async (t) => {
    const both = deferred()
    let waiting = 0
    const { client } = await openHub(t, (app) => {
      app.entity('counter', async () => {
        waiting += 1
        if (waiting === 2) both.resolve()
        await both.promise
        return 'met'
      })
      app.orchestration('caller', caller)
    })
    const calls = ['a', 'b'].map((key) => call(client, 'any', undefined, { key }))
    assert.deepEqual(await Promise.all(calls), ['met', 'met'])
  })

  test('entities signal each other, and themselves', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.entity('counter', ({ df }) => {
        df.setState(df.getState(() => 0) + 1)
        const left = df.getInput()
        if (left > 0) df.signalEntity(id(df.entityKey === 'a' ? 'b' : 'a'), 'on', left - 1)
        if (left === 3) df.signalEntity(df.entityId, 'on', 0)
      })
    })
    assert.equal(await client.signalEntity(id(), 'on', 9), undefined)
    await settles(client, id('a'), 6)
    await settles(client, id('b'), 5)
  })

  test('a scheduled signal is carried out when its time has come, after a restart too', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    const soon = Date.now() + 300
    await first.client.signalEntity(id(), 'add', 5, { scheduledTime: new Date(soon) })
    await first.client.signalEntity(id('b'), 'add', 7, { scheduledTime: new Date(soon) })
    await first.client.signalEntity(id('b'), 'add', 1)
    await settles(first.client, id('b'), 1)
    await first.close()
    const { client } = await openHub(t, register, { store })
    await settles(client, id('a'), 5)
    assert.ok(Date.now() >= soon)
    await settles(client, id('b'), 8)
  })

  test('orchestrators signal, now and later, in generator and async functions', async (t) => {
    const { client } = await openHub(t, (app) => {
      register(app)
      app.orchestration('signals', function* (context) {
        context.df.signalEntity(id(), 'add', 1)
        const scheduledTime = new Date(context.df.currentUtcDateTime.getTime() + 50)
        context.df.signalEntity(id(), 'add', 10, { scheduledTime })
        return yield context.df.callEntity(id(), 'get')
      })
      app.orchestration('signalsAsync', async (context) => {
        context.df.signalEntity(id('b'), 'add', 1)
        return await context.df.callEntity(id('b'), 'get')
      })
    })
    assert.equal(await complete(client, 'signals'), 1)
    await settles(client, id(), 11)
    assert.equal(await complete(client, 'signalsAsync'), 1)
  })

  test('a state that has no JSON, or is too large, fails its operation alone', async (t) => {
    const { client } = await openHub(
      t,
      (app) => {
        const operations = {
          add: ({ df }) => df.setState(df.getState(() => 0) + df.getInput()),
          bigint: ({ df }) => df.setState(1n),
          large: ({ df }) => df.setState('x'.repeat(3_000)),
          result: ({ df }) => df.return(() => {}),
        }
        app.entity('counter', (context) => {
          operations[context.df.operationName](context)
          return context.df.getState()
        })
        app.orchestration('caller', caller)
      },
      { limits: { payloadBytes: 2_048 } },
    )
    assert.equal(await call(client, 'add', 3), 3)
    for (const [operation, code] of [
      ['bigint', 'UnserializableValue'],
      ['large', 'PayloadTooLarge'],
      ['result', 'UnserializableValue'],
    ]) {
      const failure = await fail(client, 'caller', { key: 'a', operation })
      assert.equal(failure.code, code, operation)
    }
    assert.equal(await call(client, 'add', 1), 4)
  })

  test('what an operation does after it has ended has no effect', async (t) => {
    const late = deferred()
    const { client } = await openHub(t, (app) => {
      app.entity('counter', ({ df }) => {
        df.setState(1)
        setImmediate(() => {
          try {
            df.setState(2)
          } catch (error) {
            late.resolve(error.code)
          }
        })
      })
    })
    await client.signalEntity(id(), 'any')
    assert.equal(await late.promise, 'OutsideTurn')
    await settles(client, id(), 1)
  })
})

suite('classes', () => {
  class Account {
    balance = 0
    owner = { name: 'nobody' }
    deposit(amount) {
      if (amount < 0) throw new RangeError('negative')
      this.balance += amount
      return this.balance
    }
    async rename(name, context) {
      this.owner.name = `${name} of ${context.df.entityKey}`
      await null
      return this
    }
    close(_, context) {
      context.df.destructOnExit()
      return 'closed'
    }
    touch() {
      this.owner.name = 'touched'
      throw new Error('no')
    }
  }
  const registerClass = (app) => {
    app.entity('counter', Account)
    app.orchestration('caller', caller)
  }

  test('methods are operations and fields are the state', async (t) => {
    const { client } = await openHub(t, registerClass)
    assert.equal(await call(client, 'deposit', 5), 5)
    assert.equal(await call(client, 'deposit', 2), 7)
    const renamed = await call(client, 'rename', 'Ada')
    assert.deepEqual(renamed, { balance: 7, owner: { name: 'Ada of a' } })
    for (const operation of ['touch', 'constructor', 'toString', 'nothing', '']) {
      await fail(client, 'caller', { key: 'a', operation })
    }
    const { entityState } = await client.readEntityState(id())
    assert.deepEqual(entityState, { balance: 7, owner: { name: 'Ada of a' } })
    assert.equal(await call(client, 'close'), 'closed')
    assert.equal((await client.readEntityState(id())).entityExists, false)
  })

  test('a class without a method delete can be deleted', async (t) => {
    const { client } = await openHub(t, registerClass)
    await call(client, 'deposit', 5)
    await call(client, 'delete')
    assert.equal((await client.readEntityState(id())).entityExists, false)
  })
})

suite('the hub of entities', () => {
  test('an entity whose name nobody registers waits, and runs when somebody does', async (t) => {
    const { client, app, logger } = await openHub(t, (registry) => {
      registry.orchestration('caller', caller)
    })
    await client.signalEntity(id(), 'add', 1)
    await client.signalEntity(id(), 'add', 2)
    const problem = await until('the problem is told', async () => {
      const { entities } = await client.listEntities({ includeTransient: true })
      return entities[0]?.problem
    })
    assert.equal(problem.code, 'NotRegistered')
    assert.equal(logger.find('warn', /No entity named 'counter'/).length, 1)
    app.entity('Counter', counter)
    await settles(client, id(), 3)
    const { entities } = await client.listEntities()
    assert.equal(entities[0].problem, undefined)
  })

  test('entities are listed by name, key and time, page by page, and are no instances', async (t) => {
    const { client } = await openHub(t, register)
    for (const key of ['a1', 'a2', 'b1']) await call(client, 'add', 1, { key })
    const listed = async (options) => {
      const { entities, cursor } = await client.listEntities(options)
      return [entities.map(({ entityId }) => entityId.key), cursor === null]
    }
    assert.deepEqual(await listed({ name: 'COUNTER' }), [['a1', 'a2', 'b1'], true])
    assert.deepEqual(await listed({ name: 'counter', keyPrefix: 'a', top: 1 }), [['a1'], false])
    assert.deepEqual(await listed({ name: 'other' }), [[], true])
    assert.deepEqual(await listed({ lastOperationFrom: new Date(Date.now() + 1e6) }), [[], true])
    const page = await client.listEntities({ top: 2 })
    const rest = await client.listEntities({ top: 2, cursor: page.cursor, includeState: false })
    assert.deepEqual(
      rest.entities.map(({ entityId, state }) => [String(entityId), state]),
      [['@counter@b1', undefined]],
    )
    assert.equal(page.entities[0].state, 1)
    assert.ok(page.entities[0].lastOperationTime instanceof Date)
    await refuses('InvalidOption', client.listEntities({ keyPrefix: 'a' }), {
      field: 'options.keyPrefix',
    })
    const instances = await client.list({ top: 1_000 })
    assert.ok(instances.instances.every(({ name }) => name === 'caller'))
    assert.equal(await client.getStatus('@counter@a1', { pending: true }), null)
    await refuses('InstanceNotFound', client.terminate('@counter@a1'))
    await refuses('InvalidInstanceId', client.startNew('caller', { instanceId: '@counter@x' }))
  })

  test('an entity is purged by its id, but not while something waits for it', async (t) => {
    const { client } = await openHub(t, register)
    await call(client, 'add', 4)
    await client.signalEntity(id(), 'add', 1, { scheduledTime: new Date(Date.now() + 60_000) })
    await refuses('EntityInUse', client.purgeInstanceHistory('@counter@a'))
    await call(client, 'add', 4, { key: 'b' })
    const { instancesDeleted } = await client.purgeInstanceHistory('@Counter@b')
    assert.equal(instancesDeleted, 1)
    assert.equal((await client.purgeInstanceHistory('@counter@b')).instancesDeleted, 0)
    assert.equal(await call(client, 'get', undefined, { key: 'b' }), 0)
  })

  test('bad ids, names and inputs are refused before anything is written', async (t) => {
    const { client, app } = await openHub(t, register)
    for (const [name, key] of [
      ['', 'a'],
      ['a@b', 'a'],
      ['a', 'b/c'],
      ['a', 1],
      ['a', 'x'.repeat(257)],
    ]) {
      throwsCode('InvalidEntityId', () => new df.EntityId(name, key), { field: 'entityId' })
    }
    await refuses('InvalidEntityId', client.signalEntity('@counter@a', 'add'))
    await refuses('InvalidName', client.signalEntity(id(), 'a\u0007'))
    await refuses('UnserializableValue', client.signalEntity(id(), 'add', 1n))
    await refuses('InvalidOption', client.signalEntity(id(), 'add', 1, { at: 1 }))
    throwsCode('AlreadyRegistered', () => app.entity('COUNTER', counter))
    throwsCode('InvalidName', () => app.entity('a@b', counter))
    throwsCode('InvalidOption', () => app.entity('other', {}))
    assert.deepEqual((await client.listEntities({ includeTransient: true })).entities, [])
  })

  test('signals of another process are durable, and come in their order', async (t) => {
    const store = tempStore(t)
    const sender = await connect(t, store)
    for (let n = 0; n < 50; n += 1) void sender.signalEntity(id(), 'append', n)
    await sender.signalEntity(id(), 'append', 50)
    await sender.signalEntity(id(), 'append', 99, { scheduledTime: new Date(Date.now() + 100) })
    const append = (app) =>
      app.entity('counter', ({ df }) => df.setState([...df.getState(() => []), df.getInput()]))
    await openHub(t, append, { store })
    const numbers = Array.from({ length: 51 }, (_, n) => n)
    await settles(sender, id(), [...numbers, 99])
    await sender.signalEntity(id(), 'append', 'live')
    await settles(sender, id(), [...numbers, 99, 'live'])
  })

  test('entities of other SDKs run whole batches', async (t) => {
    const batches = []
    const { client } = await openHub(t, (app) => {
      app.hostedEntity('counter', async (batch) => {
        batches.push(batch)
        const inputs = batch.batch.map(({ input }) => JSON.parse(input ?? 'null'))
        const sum = inputs.reduce((all, each) => all + (each ?? 0), Number(batch.state ?? 0))
        return {
          entityExists: true,
          entityState: JSON.stringify(sum),
          results: batch.batch.map(({ name }) =>
            name === 'fail'
              ? { isError: true, result: '{}' }
              : { isError: false, result: '"done"' },
          ),
          signals: [{ target: { name: 'log', key: 'k' }, name: 'note', input: '1' }],
        }
      })
      app.entity('log', ({ df }) => df.setState(df.getState(() => 0) + df.getInput()))
      app.orchestration('caller', caller)
    })
    assert.equal(await call(client, 'add', 4), 'done')
    assert.equal(await call(client, 'add'), 'done')
    await fail(client, 'caller', { key: 'a', operation: 'fail' })
    assert.deepEqual(batches.slice(0, 2), [
      {
        self: { name: 'counter', key: 'a' },
        exists: false,
        state: null,
        batch: [{ name: 'add', input: '4', isSignal: false }],
      },
      {
        self: { name: 'counter', key: 'a' },
        exists: true,
        state: '4',
        batch: [{ name: 'add', input: null, isSignal: false }],
      },
    ])
    await settles(client, id('k', 'log'), 3)
  })

  test('with threads an entity lives in one, and outlives it', async (t) => {
    const { client } = await openThreads(t, { app: moduleOf('entities.mjs') })
    const ask = (...input) => complete(client, 'call', input)
    const keys = Array.from({ length: 16 }, (_, n) => String(n))
    const threads = await Promise.all(keys.map((key) => ask(key, 'where')))
    assert.equal(new Set(threads).size, 2, 'both are used')
    assert.equal(await ask('0', 'deposit', 5), 5)
    assert.equal(await ask('0', 'where'), threads[0])
    const failure = await fail(client, 'call', ['0', 'exit'])
    assert.equal(failure.code, 'Poison')
    assert.equal(await ask('0', 'deposit', 1), 6)
  })

  test('a close waits for the operation that runs, and those behind it are for the next open', async (t) => {
    const store = tempStore(t)
    const [began, mayEnd] = [deferred(), deferred()]
    const slow = (app) =>
      app.entity('counter', async ({ df }) => {
        began.resolve()
        await mayEnd.promise
        df.setState([...df.getState(() => []), df.getInput()])
      })
    const first = await openHub(t, slow, { store })
    await first.client.signalEntity(id(), 'any', 1)
    await began.promise
    await first.client.signalEntity(id(), 'any', 2)
    const closed = first.hub.close()
    mayEnd.resolve()
    await closed
    const client = await connect(t, store)
    assert.deepEqual((await client.readEntityState(id())).entityState, [1])
    await openHub(t, slow, { store })
    await settles(client, id(), [1, 2])
  })

  test('a process that is killed loses no signal and carries none out twice', async (t) => {
    const store = tempStore(t)
    const worker = startChild(
      t,
      async ({ df, args, say }) => {
        df.app.entity('counter', ({ df }) => df.setState(df.getState(() => 0) + df.getInput()))
        const hub = await df.open({ store: args, logger: false })
        const id = new df.EntityId('counter', 'a')
        let sent = 0
        for (;;) {
          const some = Array.from({ length: 20 }, () => hub.client.signalEntity(id, 'add', 1))
          await Promise.all(some)
          sent += 20
          say(sent)
        }
      },
      store,
    )
    let acknowledged = 0
    while (acknowledged < 2_000) acknowledged = await worker.next()
    await worker.kill()
    await worker.ended
    acknowledged = worker.said.at(-1) ?? acknowledged
    const { client } = await openHub(t, register, { store })
    const count = await until('all that was sent is carried out', async () => {
      const { entityState } = await client.readEntityState(id())
      return entityState >= acknowledged ? entityState : false
    })
    assert.ok(count <= acknowledged + 20, `${count} of ${acknowledged}`)
  })
})
