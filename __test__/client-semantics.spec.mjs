/** What calls that can change nothing do: as this package has it, and as `durable-functions` of every version. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { serve } from 'durafn/http'
import { link, openApp, orchestration, writeApp } from './support/app.mjs'
import { connect, openHub, refuses, run, startWaiting, tempStore } from './support/hub.mjs'

/** What each call comes to, of an instance that has ended and of none. */
async function outcomes(client, ended) {
  const calls = ['terminate', 'suspend', 'resume'].map((name) => [
    name,
    (id) => client[name](id, 'why'),
  ])
  calls.push(['raiseEvent', (id) => client.raiseEvent(id, 'E', 1)])
  const seen = {}
  for (const [name, call] of calls) {
    seen[name] = await Promise.all(
      [ended, 'none'].map((id) =>
        call(id).then(
          (value) => value?.reason ?? 'resolves',
          ({ code, message }) => code ?? message,
        ),
      ),
    )
  }
  return seen
}

const both = (ended, none) => ({
  terminate: [ended, none],
  suspend: [ended, none],
  resume: [ended, none],
})
const durafn = { ...both('InstanceEnded', 'InstanceNotFound'), raiseEvent: ['Ended', 'NotFound'] }
const azure = { ...both('resolves', 'InstanceNotFound'), raiseEvent: ['Ended', 'InstanceNotFound'] }
const register = (app) => {
  app.orchestration('end', () => 1)
  app.activity('ask', { handler: (id, context) => outcomes(df.getClient(context), id) })
  app.orchestration('ask', (context) => context.df.callActivity('ask', context.df.getInput()))
  app.orchestration('waits', (context) => context.df.waitForExternalEvent('E'))
}

for (const [clientSemantics, expected] of [
  [undefined, durafn],
  ['durafn', durafn],
  ['azure', azure],
]) {
  test(`with clientSemantics ${clientSemantics} a hub and a connection`, async (t) => {
    const store = tempStore(t)
    const { client } = await openHub(t, register, { store, clientSemantics })
    const ended = (await run(client, 'end')).instanceId
    assert.deepEqual(await outcomes(client, ended), expected)
    assert.deepEqual((await run(client, 'ask', ended)).output, expected)
    const other = await connect(t, store, { clientSemantics })
    assert.deepEqual(await outcomes(other, ended), expected)
    // What can change something does, in both.
    const waits = await startWaiting(client, 'waits')
    await client.suspend(waits)
    await client.resume(waits)
    assert.deepEqual(await client.raiseEvent(waits, 'E', 1), { outcome: 'delivered' })
  })
}

test('the management API answers by what happened, whatever its client does', async (t) => {
  const { hub, client } = await openHub(t, register, { clientSemantics: 'azure' })
  const ended = (await run(client, 'end')).instanceId
  const server = await serve(hub, { port: 0, keys: false })
  t.after(() => server.close(0))
  for (const [id, status] of [
    [ended, 410],
    ['none', 404],
  ]) {
    for (const verb of ['terminate', 'suspend', 'resume', 'raiseEvent/E']) {
      const url = `${server.url}/runtime/webhooks/durabletask/instances/${id}/${verb}`
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '1' }
      assert.equal((await fetch(url, init)).status, status, `${verb} of ${id}`)
    }
  }
})

describe('a host gives its functions what they were written for', () => {
  const ask = `
    const df = require('durafn')
    const outcomes = ${outcomes}
    module.exports = async (context, id) => outcomes(df.getClient(context), id)`
  const end = [orchestration(), 'module.exports = function* () { return 1 }']
  const manual = (type) => ({
    bindings: [
      { name: 'id', type: 'manualTrigger' },
      { name: 'starter', type, direction: 'in' },
    ],
  })
  const setting = (clientSemantics) => ({ extensions: { durableTask: { clientSemantics } } })
  const cases = {
    'folders with an orchestrationClient': ['orchestrationClient', {}, durafn],
    'folders with a durableClient': ['durableClient', {}, azure],
    'host.json says azure': ['orchestrationClient', setting('azure'), azure, azure],
    'host.json says durafn': ['durableClient', setting('Durafn'), durafn],
  }
  for (const [what, [type, json, expected, ofOpener = durafn]] of Object.entries(cases)) {
    test(what, async (t) => {
      const files = { 'host.json': json, Ask: [manual(type), ask], End: end }
      const { app, client } = await openApp(t, link(writeApp(t, files), 'durafn'))
      const ended = (await run(client, 'End')).instanceId
      assert.deepEqual(await app.invoke('Ask', ended), expected)
      assert.deepEqual(await outcomes(client, ended), ofOpener)
    })
  }

  for (const name of ['durafn', 'durable-functions@3']) {
    test(`modules with ${name}`, async (t) => {
      const files = {
        'package.json': { main: 'index.js' },
        'index.js': `
          const df = require('${name.split('@')[0]}')
          const { app } = require('@azure/functions')
          const outcomes = ${outcomes}
          df.app.orchestration('End', function* () { return 1 })
          app.generic('Ask', {
            trigger: { type: 'manualTrigger', name: 'id' }, extraInputs: [df.input.durableClient()],
            handler: (id, context) => outcomes(df.getClient(context), id) })`,
      }
      const dir = link(writeApp(t, files), '@azure/functions@4', name)
      const { app, client } = await openApp(t, dir, { port: 0 })
      const ended = (await run(client, 'End')).instanceId
      const seen = await app.invoke('Ask', ended)
      const { raiseEvent, ...verbs } = seen
      if (name === 'durafn') assert.deepEqual(seen, azure)
      else {
        // The original itself: it gives nothing, and errors without a code.
        const text = "No instance with ID 'none' found."
        assert.deepEqual(verbs, both('resolves', text))
        assert.deepEqual(raiseEvent, ['resolves', text])
      }
      assert.deepEqual(await outcomes(client, ended), durafn)
    })
  }
})

test('an unknown one is refused by the words of the original', async (t) => {
  const { client } = await openHub(t, register, { clientSemantics: 'azure' })
  const error = await refuses('InstanceNotFound', client.raiseEvent('none', 'E'))
  assert.equal(error.message, "No instance with ID 'none' found.")
  assert.equal(error.instanceId, 'none')
})

test('another name is refused before anything is opened', async () => {
  for (const open of [df.open, df.connect]) {
    const call = open({ store: 'sqlite:never.db', clientSemantics: 'Azure' })
    await refuses('InvalidOption', call, { field: 'options.clientSemantics' })
  }
})
