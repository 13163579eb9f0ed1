/** What a hub does first: nothing of that is taken for what stood in its store when it was opened. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as df from 'durafn'
import { complete, openHub, tempStore } from './support/hub.mjs'

/** Two threads race at the open; so often that the wrong one wins now and then. */
const OPENS = 30

test('an operation that is called right after the open is carried out once', async (t) => {
  const calls = []
  const register = (app) => {
    app.entity('counter', (context) => {
      calls.push(context.df.operationName)
    })
    app.orchestration('call', function* (context) {
      yield context.df.callEntity(new df.EntityId('counter', 'one'), 'add')
    })
  }
  for (let n = 1; n <= OPENS; n += 1) {
    const { client, close } = await openHub(t, register, { store: tempStore(t) })
    await complete(client, 'call')
    await close()
    assert.equal(calls.length, n)
  }
})
