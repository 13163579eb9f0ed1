/**
 * Orchestrators of the original packages `durable-functions` 1, 2 and 3, as they are. Each test runs
 * for every version.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { complete, openHub } from './support/hub.mjs'
import { sdks } from './support/sdk.mjs'

for (const sdk of sdks) {
  const open = (t, register) => openHub(t, register)

  describe(`durable-functions ${sdk.version}`, () => {
    test('calls activities one after the other, and many at once', async (t) => {
      const { client } = await open(t, (app) => {
        app.activity('hello', { handler: (name) => `Hello ${name}` })
        sdk.register(app, 'chain', function* (context) {
          const first = yield context.df.callActivity('hello', context.df.getInput())
          const names = ['a', 'b', 'c']
          const tasks = names.map((name) => context.df.callActivity('hello', name))
          return [first, ...(yield context.df.Task.all(tasks))]
        })
      })
      const output = await complete(client, 'chain', 'x')
      assert.deepEqual(output, ['Hello x', 'Hello a', 'Hello b', 'Hello c'])
    })
  })
}
