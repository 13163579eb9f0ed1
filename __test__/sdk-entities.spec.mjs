/** Entities of the original packages, and orchestrators of theirs that use entities. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import {
  complete,
  openHub,
  PATIENCE_MS,
  run,
  startWaiting,
  tempStore,
  until,
} from './support/hub.mjs'
import { sdks } from './support/sdk.mjs'

const timeoutMs = PATIENCE_MS

/** A counter in the words of the original. */
function counter(context) {
  const { df: durable } = context
  const value = durable.getState(() => 0)
  switch (durable.operationName) {
    case 'add':
      durable.setState(value + durable.getInput())
      durable.return(value + durable.getInput())
      break
    case 'get':
      durable.return({ value, key: durable.entityKey })
      break
    case 'echo':
      durable.return(durable.getInput())
      break
    case 'tell':
      durable.signalEntity(durable.getInput(), 'add', 7)
      durable.return(true)
      break
    case 'delete':
      durable.destructOnExit()
      break
    default:
      throw new Error('no such operation')
  }
}

for (const sdk of sdks) {
  const open = (t, register, options) => {
    return openHub(
      t,
      (app) => {
        app.activity('echo', { handler: (value) => value })
        sdk.registerEntity(app, 'Counter', counter)
        register?.(app, (name, fn) => sdk.register(app, name, fn))
      },
      options,
    )
  }
  const id = (key) => new sdk.df.EntityId('Counter', key)
  /** The state, when it is this. */
  const stateOf = (client, key, expected) =>
    until(`the state of ${key} is ${expected}`, async () => {
      const state = await client.readEntityState(new df.EntityId('counter', key))
      return state.entityExists && state.entityState === expected && state
    })

  describe(`durable-functions ${sdk.version}`, () => {
    test('an entity takes signals of a client, and keeps its state', async (t) => {
      const { client } = await open(t)
      const entity = new df.EntityId('counter', 'signals')
      for (let n = 1; n <= 10; n += 1) await client.signalEntity(entity, 'add', n)
      await stateOf(client, 'signals', 55)
      await client.signalEntity(entity, 'tell', { name: 'counter', key: 'other' })
      await stateOf(client, 'other', 7)
      await client.signalEntity(entity, 'delete')
      await until('it is gone', async () => !(await client.readEntityState(entity)).entityExists)
    })

    test('an orchestrator calls entities and gets what they return', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('calls', function* (context) {
          const { df: durable } = context
          const first = yield durable.callEntity(id('a'), 'add', 2)
          const text = yield durable.callEntity(id('a'), 'echo', 'text')
          const both = yield durable.Task.all([
            durable.callEntity(id('a'), 'add', 3),
            durable.callEntity(id('b'), 'add', 4),
          ])
          const got = yield durable.callEntity(id('a'), 'get')
          const nothing = yield durable.callEntity(id('b'), 'delete')
          return [first, text, both, got, nothing ?? null]
        })
      })
      const output = await complete(client, 'calls')
      assert.deepEqual(output, [2, 'text', [5, 4], { value: 5, key: 'a' }, null])
      assert.deepEqual(sdk.misnumbered, [])
    })

    test('what an entity throws comes to the caller, and its state stays', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('fails', function* (context) {
          const { df: durable } = context
          yield durable.callEntity(id('f'), 'add', 1)
          let caught = false
          try {
            yield durable.callEntity(id('f'), 'nonsense')
          } catch {
            caught = true
          }
          return [caught, (yield durable.callEntity(id('f'), 'get')).value]
        })
      })
      // Version 1 takes the error for the result.
      assert.deepEqual(await complete(client, 'fails'), [sdk.version > 1, 1])
    })

    test('calls go on after a restart in the middle', async (t) => {
      const store = tempStore(t)
      const register = (_app, add) => {
        add('halves', function* (context) {
          const { df: durable } = context
          const first = yield durable.callEntity(id('h'), 'add', 1)
          if (sdk.version > 1) durable.signalEntity(id('h'), 'add', 10)
          yield durable.waitForExternalEvent('go')
          return [first, yield durable.callEntity(id('h'), 'add', 1)]
        })
      }
      const before = await open(t, register, { store })
      const instance = await startWaiting(before.client, 'halves')
      await until('it waits', async () => {
        const { waitingFor } = await before.client.getStatus(instance)
        return waitingFor?.some(({ name }) => name === 'go')
      })
      await before.close()
      const { client } = await open(t, register, { store })
      await client.raiseEvent(instance, 'go')
      const { output } = await client.waitForCompletion(instance, { timeoutMs })
      assert.deepEqual(output, [1, sdk.version > 1 ? 12 : 2])
      assert.deepEqual(sdk.misnumbered, [])
    })

    if (sdk.version < 2) return

    test('an orchestrator signals entities without waiting', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('signals', function* (context) {
          const { df: durable } = context
          for (let n = 1; n <= 3; n += 1) durable.signalEntity(id('s'), 'add', n)
          const value = yield durable.callEntity(id('s'), 'add', 4)
          durable.signalEntity(id('s'), 'add', 5)
          return value
        })
        register('throws', function* (context) {
          yield context.df.callActivity('echo', 1)
          context.df.signalEntity(id('last'), 'add', 1)
          throw new Error('after the signal')
        })
      })
      assert.equal(await complete(client, 'signals'), 10)
      await stateOf(client, 's', 15)
      assert.equal((await run(client, 'throws')).runtimeStatus, 'Failed')
      await stateOf(client, 'last', 1)
      assert.deepEqual(sdk.misnumbered, [])
    })

    if (sdk.version < 3) return

    test('critical sections exclude each other, and numbers hold in them', async (t) => {
      const { client } = await open(t, (_app, register) => {
        register('locks', function* (context) {
          const { df: durable } = context
          const lock = yield durable.lock(id('x'), id('y'))
          const { isLocked, ownedLocks } = durable.isLocked()
          const x = (yield durable.callEntity(id('x'), 'get')).value
          yield durable.callActivity('echo', 1)
          yield durable.callEntity(id('x'), 'add', 1)
          yield durable.callEntity(id('y'), 'add', x)
          lock.release()
          yield durable.callActivity('echo', 2)
          return [isLocked, ownedLocks.length, durable.isLocked().isLocked]
        })
        register('held', function* (context) {
          yield context.df.lock(id('x'))
          throw new Error('inside the critical section')
        })
      })
      await run(client, 'held')
      const count = 8
      const all = await Promise.all(Array.from({ length: count }, () => complete(client, 'locks')))
      for (const output of all) assert.deepEqual(output, [true, 2, false])
      await stateOf(client, 'x', count)
      // Each saw another value of x: 0 + 1 + ... + (count - 1).
      await stateOf(client, 'y', (count * (count - 1)) / 2)
      assert.deepEqual(sdk.misnumbered, [])
    })
  })
}
