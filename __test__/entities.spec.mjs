/** Entities: operations from clients, orchestrators and other entities, and what becomes of state. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as df from 'durafn'
import { complete, fail, openHub, until } from './support/hub.mjs'

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
