/** Entities over HTTP, as the original has them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EntityId } from 'durafn'
import { expectStatus, openApi } from './support/http.mjs'
import { startWaiting, until } from './support/hub.mjs'

function register(app) {
  app.entity('counter', (context) => {
    const { df } = context
    const value = df.getState(() => 0)
    if (df.operationName === 'add') df.setState(value + df.getInput())
    else if (df.operationName === 'set') df.setState(df.getInput())
    else if (df.operationName === 'delete') df.destructOnExit()
  })
}

const stateOf = (call, path) => async () => (await call('GET', path)).body

test('signals are taken, and the state is what comes of them', async (t) => {
  const { call } = await openApi(t, register)
  const path = '/entities/Counter/steps'
  assert.equal(expectStatus(await call('GET', path), 404), '')
  assert.equal(expectStatus(await call('POST', `${path}?op=add`, 3), 202), '')
  assert.equal(expectStatus(await call('POST', `${path}?OP=add`, 4), 202), '')
  await until('both are added', async () => (await stateOf(call, path)()) === 7)
  assert.equal(expectStatus(await call('DELETE', path), 202), '')
  await until('it is gone', async () => (await call('GET', path)).status === 404)
})

test('an input is JSON, or a text if it says that it is one', async (t) => {
  const { call } = await openApi(t, register)
  const path = '/entities/counter/text'
  const plain = { 'content-type': 'text/plain' }
  expectStatus(await call('POST', `${path}?op=set`, 'not { JSON', plain), 202)
  await until('it is set', async () => (await stateOf(call, path)()) === 'not { JSON')
  const refused = expectStatus(await call('POST', `${path}?op=set`, 'not { JSON'), 400)
  assert.match(refused.Message, /^Could not parse JSON content: /)
  expectStatus(await call('POST', `${path}?op=set`, { a: [1] }), 202)
  await until('it is an object', async () => (await stateOf(call, path)())?.a?.[0] === 1)
})

test('an empty key is $, or is left out of a signal', async (t) => {
  const { call, client } = await openApi(t, register)
  expectStatus(await call('POST', '/entities/counter?op=add', 1), 202)
  expectStatus(await call('POST', '/entities/counter/$?op=add', 1), 202)
  await until('both are added', async () => (await stateOf(call, '/entities/counter/$')()) === 2)
  assert.equal((await client.readEntityState(new EntityId('counter', ''))).entityState, 2)
})

test('ids that no entity can have are refused', async (t) => {
  const { call } = await openApi(t, register)
  for (const path of ['/entities/counter/a%2Fb', '/entities/a%40b/x', '/entities/counter/a%23']) {
    assert.match(expectStatus(await call('GET', path), 400).Message, /entityId/)
    assert.match(expectStatus(await call('POST', `${path}?op=add`, 1), 400).Message, /entityId/)
  }
  const control = await call('POST', '/entities/counter/x?op=a%00b', 1)
  assert.match(expectStatus(control, 400).Message, /operation name/)
  expectStatus(await call('PUT', '/entities/counter/x', 1), 404)
})

test('entities are listed by name and time, by pages, with their states if they are asked for', async (t) => {
  const { call, client } = await openApi(t, register)
  for (const key of ['a', 'b', 'c']) {
    await client.signalEntity(new EntityId('counter', key), 'add', 1)
  }
  const path = '/entities/counter'
  const all = await until('all have a state', async () => {
    const { body } = await call('GET', `${path}?fetchState=true`)
    return body.length === 3 ? body : false
  })
  assert.deepEqual(
    all.map(({ lastOperationTime, ...rest }) => {
      assert.ok(Math.abs(new Date(lastOperationTime) - Date.now()) < 60_000)
      return rest
    }),
    ['a', 'b', 'c'].map((key) => ({ entityId: { name: 'counter', key }, state: 1 })),
  )
  const first = await call('GET', '/entities?top=2')
  assert.deepEqual(Object.keys(expectStatus(first, 200)[0]), ['entityId', 'lastOperationTime'])
  const token = first.headers.get('x-ms-continuation-token')
  const rest = await call('GET', '/entities?top=2', undefined, { 'x-ms-continuation-token': token })
  assert.deepEqual(
    rest.body.map(({ entityId }) => entityId.key),
    ['c'],
  )
  assert.equal(rest.headers.get('x-ms-continuation-token'), null)
  const hour = new Date(Date.now() + 3_600_000).toISOString()
  assert.deepEqual((await call('GET', `${path}?lastOperationTimeFrom=${hour}`)).body, [])
  assert.equal((await call('GET', `${path}?lastOperationTimeTo=${hour}`)).body.length, 3)
  assert.deepEqual((await call('GET', '/entities/other')).body, [])
})

test('an entity is purged by its id, as in the original', async (t) => {
  const { call, client } = await openApi(t, register)
  const id = new EntityId('counter', 'old')
  await client.signalEntity(id, 'add', 1)
  await until('it has a state', async () => (await client.readEntityState(id)).entityExists)
  const path = '/instances/@counter@old'
  const purge = async () => expectStatus(await call('DELETE', path), 200).instancesDeleted
  assert.equal(await purge(), 1)
  assert.equal((await client.readEntityState(id)).entityExists, false)
  assert.equal(await purge(), 0)
})

test('a page may end with any key', async (t) => {
  const { call, client } = await openApi(t, register)
  const keys = ['a', '100%', 'ключ', '鍵']
  for (const key of keys) await client.signalEntity(new EntityId('counter', key), 'add', 1)
  await until('all are there', async () => (await client.listEntities()).entities.length === 4)
  const seen = []
  let token = ''
  do {
    const page = await call('GET', '/entities?top=1', undefined, {
      'x-ms-continuation-token': token,
    })
    seen.push(...expectStatus(page, 200).map(({ entityId }) => entityId.key))
    token = page.headers.get('x-ms-continuation-token')
  } while (token)
  assert.deepEqual(seen.sort(), keys.sort())
})

test('an entity that an orchestration has for itself is not purged: 412', async (t) => {
  const { call, client } = await openApi(t, (app) => {
    register(app)
    app.orchestration('keep', function* (context) {
      yield context.df.lock(new EntityId('counter', 'kept'))
      yield context.df.waitForExternalEvent('go')
    })
  })
  await startWaiting(client, 'keep')
  assert.match(expectStatus(await call('DELETE', '/instances/@counter@kept'), 412), /for itself/)
})
