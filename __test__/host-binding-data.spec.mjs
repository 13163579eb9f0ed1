/** `context.bindingData`, and `context.triggerMetadata` of the newer model: the fields of the trigger's JSON. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { activity, link, manual, openApp, orchestration, writeApp } from './support/app.mjs'
import { http, post, serveModern, serveOne } from './support/http-app.mjs'
import { complete, openHub } from './support/hub.mjs'

const order = {
  Item: 'tea',
  count: 2,
  lines: [{ Price: 3 }],
  instanceId: 'theirs',
  invocationId: 'x',
}
const fields = { item: 'tea', count: 2, lines: [{ price: 3 }] }
const flow = (df) => `
  const df = require('${df}')
  module.exports = df.orchestrator(function* (context) {
    const { input, instanceId, isReplaying, parentInstanceId } = context.bindingData
    return [{ input, instanceId, parentInstanceId: parentInstanceId ?? null, isReplaying: typeof isReplaying },
      yield context.df.callActivity('Step', context.df.getInput())]
  })`
const step = `module.exports = async (context, input) => {
  const { item, count, lines, instanceId, data, invocationId } = context.bindingData
  return { item, count, lines, instanceId, same: data === input && invocationId === context.invocationId }
}`
const ofFlow = { input: { ...fields, instanceId: 'theirs', invocationId: 'x' }, instanceId: 'one' }
const seen = [
  { ...ofFlow, parentInstanceId: null, isReplaying: 'boolean' },
  { ...fields, instanceId: 'theirs', same: true },
]

describe('folders', () => {
  for (const name of ['durafn', 'durable-functions@1', 'durable-functions@2']) {
    test(`an orchestrator of ${name} reads its input, and an activity its own fields`, async (t) => {
      const files = { Flow: [orchestration(), flow(name.split('@')[0])], Step: [activity(), step] }
      const { client } = await openApp(t, link(writeApp(t, files), name))
      assert.deepEqual(await complete(client, 'Flow', order, { instanceId: 'one' }), seen)
    })
  }

  test('an http function reads the route before the query, and both before its body', async (t) => {
    const { ask } = await serveOne(
      t,
      `module.exports = async (context, req) => {
        const { id, a, kind, item, sys, query, req: request } = context.bindingData
        context.res = { body: { id, a, kind, item, sys: sys.methodName, query, same: request === req } }
      }`,
      http({ route: 'orders/{id}' }),
    )
    const body = { id: 'body', a: 'body', kind: 'body', Item: 'tea', sys: 'theirs', req: 1 }
    const answer = await ask('/api/orders/7?id=9&a=query', post(JSON.stringify(body)))
    assert.deepEqual(await answer.json(), {
      id: '7',
      a: 'query',
      kind: 'body',
      item: 'tea',
      sys: 'Work',
      query: { id: '9', a: 'query' },
      same: true,
    })
    assert.equal((await ask('/api/orders/7', post('[1]'))).status, 200)
    assert.equal((await ask('/api/orders/7', post('{"no json', 'text/plain'))).status, 200)
  })

  test('a manual function reads the fields of its input, a text of JSON too', async (t) => {
    const script = 'module.exports = async (context) => context.bindingData.item ?? null'
    const { app } = await openApp(t, { Work: [manual(), script] })
    assert.equal(await app.invoke('Work', order), 'tea')
    assert.equal(await app.invoke('Work', JSON.stringify(order)), 'tea')
    const cyclic = { item: 1 }
    cyclic.self = cyclic
    assert.equal(await app.invoke('Work', cyclic), 1)
    for (const input of ['{no json', 'tea', 7, null, [order]]) {
      assert.equal(await app.invoke('Work', input), null)
    }
  })

  test("binding data is the function's own, and names of objects are only names", async (t) => {
    const script = `module.exports = async (context) => {
      const { __proto__: prototype, constructor } = context.bindingData
      context.bindingData.item = 'changed'
      return [context.bindingData.item, Object.getPrototypeOf(context.bindingData) === Object.prototype]
    }`
    const { app } = await openApp(t, { Work: [manual(), script] })
    const input = JSON.parse('{ "item": 1, "__proto__": { "item": 2 } }')
    assert.deepEqual(await app.invoke('Work', input), ['changed', true])
    assert.equal(input.item, 1)
  })
})

describe('triggerMetadata', () => {
  const read = `(input, context) => {
    const { item, count, lines, instanceId, data } = context.triggerMetadata
    return { item, count, lines, instanceId, same: JSON.stringify(data) === JSON.stringify(input) }
  }`
  for (const name of ['durafn', 'durable-functions@3']) {
    test(`orchestrators and activities of ${name} have the same`, async (t) => {
      const files = {
        'package.json': { main: 'index.js' },
        'index.js': `
          const df = require('${name.split('@')[0]}')
          df.app.activity('Step', { handler: ${read} })
          df.app.orchestration('Flow', function* (context) {
            const { input, instanceId, isReplaying, parentInstanceId } = context.triggerMetadata
            return [{ input, instanceId, parentInstanceId: parentInstanceId ?? null, isReplaying: typeof isReplaying },
              yield context.df.callActivity('Step', context.df.getInput())]
          })`,
      }
      const dir = link(writeApp(t, files), '@azure/functions@4', name)
      const { client } = await openApp(t, dir)
      assert.deepEqual(await complete(client, 'Flow', order, { instanceId: 'one' }), seen)
    })
  }

  test('of an entity it holds whose it is, and its state', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.entity('cell', (context) => {
        context.df.setState({ Value: 1 })
        return context.triggerMetadata
      })
      app.orchestration('o', function* (context) {
        const id = context.df.getInput()
        return [yield context.df.callEntity(id, 'set'), yield context.df.callEntity(id, 'set')]
      })
    })
    const self = { name: 'cell', key: 'a' }
    assert.deepEqual(await complete(client, 'o', self), [
      { self, exists: false, state: { Value: 1 } },
      { self, exists: true, state: { Value: 1 } },
    ])
  })

  test('a generic function has the fields of its input; of http all is on the request', async (t) => {
    const { app, ask } = await serveModern(
      t,
      `app.generic('Work', { trigger: { type: 'manualTrigger', name: 'input' },
         handler: (_, context) => context.triggerMetadata.item })
       app.http('Web', { authLevel: 'anonymous',
         handler: (_, context) => ({ jsonBody: [context.triggerMetadata ?? null] }) })`,
    )
    assert.equal(await app.invoke('Work', order), 'tea')
    const answer = await ask('/api/Web', post(JSON.stringify(order)))
    assert.deepEqual(await answer.json(), [null])
  })
})
