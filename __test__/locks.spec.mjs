/** Critical sections: entities that an orchestration has for itself, whatever becomes of it. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import {
  complete,
  fail,
  openHub,
  PATIENCE_MS,
  refuses,
  run,
  startWaiting,
  tempStore,
  until,
} from './support/hub.mjs'

const account = (key) => new df.EntityId('account', key)

class Account {
  balance = 0

  deposit(amount) {
    this.balance += amount
    return this.balance
  }

  withdraw(amount) {
    if (amount > this.balance) throw new RangeError('not enough')
    this.balance -= amount
  }

  get() {
    return this.balance
  }
}

/** Moves an amount from one account to another, in a critical section. */
function* transfer(context) {
  const { from, to, amount } = context.df.getInput()
  const lock = yield context.df.lock(account(from), account(to))
  try {
    const before = yield context.df.callEntity(account(from), 'get')
    if (before < amount) return false
    yield context.df.callEntity(account(from), 'withdraw', amount)
    yield context.df.callEntity(account(to), 'deposit', amount)
    return true
  } finally {
    lock.release()
  }
}

/** Locks what it is told, and waits for an event inside. */
function* holder(context) {
  yield context.df.lock(context.df.getInput().map(account))
  yield context.df.waitForExternalEvent('go')
  return 'went'
}

const register = (app) => {
  app.entity('account', Account)
  app.orchestration('transfer', transfer)
  app.orchestration('holder', holder)
  app.orchestration('deposit', function* (context) {
    const [key, amount] = context.df.getInput()
    return yield context.df.callEntity(account(key), 'deposit', amount)
  })
  app.orchestration('rules', rules)
}

/** Does one forbidden thing, and tells what it got for it. */
function* rules(context) {
  const lock = yield context.df.lock([account('b'), account('a'), account('B'), account('a')])
  const caught = []
  const attempt = (what) => {
    try {
      what()
      caught.push('nothing')
    } catch (error) {
      caught.push(error.code)
    }
  }
  attempt(() => context.df.callEntity(account('c'), 'get'))
  attempt(() => context.df.signalEntity(account('a'), 'deposit', 1))
  attempt(() => context.df.callSubOrchestrator('deposit', ['a', 1]))
  attempt(() => context.df.lock(account('c')))
  const first = context.df.callEntity(account('a'), 'get')
  attempt(() => context.df.callEntity(account('a'), 'get'))
  yield first
  yield context.df.callEntity(account('a'), 'get')
  context.df.signalEntity(account('c'), 'deposit', 1)
  const during = context.df.isLocked()
  lock.release()
  lock.release()
  const { isLocked } = context.df.isLocked()
  return { caught, owned: during.ownedLocks.map(String), during: during.isLocked, after: isLocked }
}

const balances = async (client, keys) => {
  const states = await Promise.all(keys.map((key) => client.readEntityState(account(key))))
  return states.map(({ entityState }) => entityState?.balance ?? 0)
}

suite('locks', () => {
  test('transfers in both directions never wait for each other, and keep the sum', async (t) => {
    const { client } = await openHub(t, register)
    const keys = ['a', 'b', 'c', 'd']
    for (const key of keys) await complete(client, 'deposit', [key, 100])
    const started = Array.from({ length: 40 }, (_, n) => {
      const [from, to] = [keys[n % 4], keys[(n * 7 + 1 + (n % 3)) % 4]]
      return client.startNew('transfer', { input: { from, to, amount: 30 } })
    })
    for (const id of await Promise.all(started)) {
      const status = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
    }
    const sum = (await balances(client, keys)).reduce((a, b) => a + b)
    assert.equal(sum, 400)
  })

  test('the rules of a critical section are those of durable-functions', async (t) => {
    const { client } = await openHub(t, register)
    const told = await complete(client, 'rules')
    assert.deepEqual(told, {
      caught: Array(5).fill('LOCKING_RULES_VIOLATION'),
      owned: ['@account@B', '@account@a', '@account@b'],
      during: true,
      after: false,
    })
  })

  test('others wait while an entity is locked, also for one that is terminated', async (t) => {
    const { client } = await openHub(t, register)
    const first = await startWaiting(client, 'holder', { input: ['a', 'b'] })
    await until('the lock is granted', async () => {
      const { waitingFor } = await client.getStatus(first)
      return waitingFor.some(({ kind }) => kind === 'event')
    })
    const second = await startWaiting(client, 'holder', { input: ['b', 'c'] })
    const { waitingFor } = await client.getStatus(second)
    assert.deepEqual(
      waitingFor.map(({ kind, entityIds }) => [kind, entityIds]),
      [['lock', ['@account@b', '@account@c']]],
    )
    const deposit = await client.startNew('deposit', { input: ['b', 5] })
    await client.terminate(second, 'no more')
    assert.equal((await client.getStatus(deposit)).runtimeStatus, 'Running')
    await client.terminate(first, 'no more')
    const done = await client.waitForCompletion(deposit, { timeoutMs: PATIENCE_MS })
    assert.equal(done.output, 5)
    await complete(client, 'deposit', ['c', 1])
  })

  test('an orchestration that fails, or continues as new, gives its entities back', async (t) => {
    const { client } = await openHub(t, (app) => {
      register(app)
      app.orchestration('throws', function* (context) {
        yield context.df.lock(account('a'))
        throw new Error('inside')
      })
      app.orchestration('again', function* (context) {
        const round = context.df.getInput()
        if (round === 3) return round
        yield context.df.lock(account('a'))
        context.df.continueAsNew(round + 1)
      })
    })
    await fail(client, 'throws')
    assert.equal(await complete(client, 'again', 0), 3)
    assert.equal(await complete(client, 'deposit', ['a', 1]), 1)
  })
})

suite('locks over the death of the process', () => {
  /** Registers a bank whose transfers take the accounts in any order; shared with the child by text. */
  const bank = (df, app) => {
    const account = (key) => new df.EntityId('account', key)
    app.entity('account', (context) => {
      const balance = context.df.getState(() => 100)
      const operations = {
        get: () => balance,
        add: () => {
          context.df.setState(balance + context.df.getInput())
          return balance + context.df.getInput()
        },
      }
      return operations[context.df.operationName]()
    })
    app.activity('pause', { handler: () => new Promise((resolve) => setTimeout(resolve, 2)) })
    app.orchestration('transfer', function* (context) {
      const [from, to, amount] = context.df.getInput()
      const lock = yield context.df.lock(account(from), account(to))
      const before = yield context.df.callEntity(account(from), 'get')
      yield context.df.callEntity(account(from), 'add', -amount)
      yield context.df.callActivity('pause')
      const after = yield context.df.callEntity(account(from), 'get')
      yield context.df.callEntity(account(to), 'add', amount)
      lock.release()
      return before - after === amount
    })
  }
  const keys = ['a', 'b', 'c', 'd']

  test('a bank that is killed in the middle of transfers keeps the sum, and all of them end', async (t) => {
    const store = tempStore(t)
    const work = async ({ df, args, say, hear }) => {
      // biome-ignore lint/security/noGlobalEval: the program of a child is text
      const bank = globalThis.eval(args.bank)
      bank(df, df.app)
      const hub = await df.open({ store: args.store, logger: false })
      for (let n = 0; n < args.count; n += 1) {
        const [from, to] = [args.keys[n % 4], args.keys[(n + 1 + (n % 3)) % 4]]
        const options = { input: [from, to, 1 + n], instanceId: `${args.round}-${n}` }
        hub.client.startNew('transfer', options).then(say, () => {})
      }
      await hear()
    }
    const ids = []
    for (let round = 0; round < 3; round += 1) {
      const args = { store, keys, round, count: 24, bank: `(${bank})` }
      const child = startChild(t, work, args)
      while (child.said.length < 24 && !child.hasEnded) await delay(1)
      ids.push(...child.said)
      await delay(20 * (round + 1))
      await child.kill()
      await child.ended
    }
    const { client } = await openHub(t, (app) => bank(df, app), { store })
    for (const id of ids) {
      const status = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.equal(status.output, true, `${id} was alone with its accounts: ${status.output}`)
    }
    const states = await Promise.all(keys.map((key) => client.readEntityState(account(key))))
    assert.equal(
      states.map(({ entityState = 100 }) => entityState).reduce((a, b) => a + b),
      400,
    )
    const { entities } = await client.listEntities()
    assert.ok(entities.every(({ isLocked }) => !isLocked))
  })

  test('four that lock the same entities in different orders all get on', async (t) => {
    const { client } = await openHub(t, (app) => {
      register(app)
      app.orchestration('all', async (context) => {
        const lock = await context.df.lock(context.df.getInput().map(account))
        for (const id of lock.ownedLocks) await context.df.callEntity(id, 'deposit', 1)
        lock.release()
      })
    })
    const orders = ['abcd', 'dcba', 'bdac', 'cadb'].map((order) => [...order])
    const ids = await Promise.all(orders.map((input) => client.startNew('all', { input })))
    for (const id of ids) {
      const { runtimeStatus } = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.equal(runtimeStatus, 'Completed')
    }
    assert.deepEqual(await balances(client, keys), [4, 4, 4, 4])
  })

  test('one that holds a lock holds it after a restart', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    const id = await startWaiting(first.client, 'holder', { input: ['a'] })
    await until('the lock is granted', async () => {
      const { waitingFor } = await first.client.getStatus(id)
      return waitingFor.some(({ kind }) => kind === 'event')
    })
    const deposit = await first.client.startNew('deposit', { input: ['a', 5] })
    await first.close()
    const { client } = await openHub(t, register, { store })
    await until('the deposit is called', async () => {
      const status = await client.getStatus(deposit)
      return status?.waitingFor?.some(({ kind }) => kind === 'entity')
    })
    const { entities } = await client.listEntities({ includeTransient: true })
    assert.deepEqual(
      entities.map(({ isLocked }) => isLocked),
      [true],
    )
    await client.raiseEvent(id, 'go')
    const done = await client.waitForCompletion(deposit, { timeoutMs: PATIENCE_MS })
    assert.equal(done.output, 5)
  })

  test('one that failed inside is not rewound', async (t) => {
    const { client } = await openHub(t, (app) => {
      register(app)
      app.orchestration('throws', function* (context) {
        yield context.df.lock(account('a'))
        yield context.df.callEntity(account('a'), 'deposit', 1)
        throw new Error('inside')
      })
    })
    const { instanceId } = await run(client, 'throws')
    await refuses('NotRewindable', client.rewind(instanceId), { message: /critical section/ })
  })
})
