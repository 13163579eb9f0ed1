/** A fault in one call, one instance or one entity is its own: the hub goes on, and everyone is answered. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import * as df from 'durafn'
import {
  complete,
  openHub,
  PATIENCE_MS,
  refuses,
  startWaiting,
  tempStore,
  until,
} from './support/hub.mjs'
import { sdks } from './support/sdk.mjs'

const require = createRequire(import.meta.url)
const { Engine } = require('../dist/engine.js')
const { NativeEngine } = require('../native/index.js')

function register(app) {
  app.orchestration('fine', (context) => `fine: ${context.df.instanceId}`)
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

/** Puts something in the place of a method while `work` runs. */
async function replacing(object, name, make, work) {
  const original = object[name]
  object[name] = make(original)
  try {
    return await work()
  } finally {
    object[name] = original
  }
}

describe('a call whose answer cannot be given', () => {
  test('does not look at what it was given after the call', async (t) => {
    const { client, logger } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    const reason = { because: 'tidying' }
    const terminated = client.terminate(id, reason)
    reason.itself = reason
    await terminated
    assert.equal(logger.find('info', /terminated: \{"because":"tidying"\}/).length, 1)
    assert.match(await complete(client, 'fine'), /^fine/)
  })

  test('is rejected alone, whichever it is', async (t) => {
    const { client } = await openHub(t, register)
    const entity = new df.EntityId('counter', 'x')
    const id = await startWaiting(client, 'wait')
    const waits = client.waitForCompletion(id)
    const failed = await startWaiting(client, 'wait')
    const broken = new TypeError('the answer is not what it was')
    const breaks = () => {
      throw broken
    }
    const convertBy = (original) =>
      function (request, convert, ...rest) {
        return original.call(this, request, convert === null ? null : breaks, ...rest)
      }
    const ask = () => ({
      startNew: client.startNew('fine'),
      startMany: client.startMany([{ name: 'fine' }]),
      getStatus: client.getStatus(id),
      list: client.list(),
      suspend: client.suspend(id),
      resume: client.resume(id),
      raiseEvent: client.raiseEvent(failed, 'go'),
      terminate: client.terminate(failed),
      restart: client.restart(id),
      purge: client.purgeInstanceHistory('nobody'),
      purgeBy: client.purgeInstanceHistoryBy({ idPrefix: 'nobody' }),
      signalEntity: client.signalEntity(entity, 'add', 1),
      readEntityState: client.readEntityState(entity),
      listEntities: client.listEntities(),
      wait: client.waitForCompletion(failed),
    })
    await replacing(Engine.prototype, 'callUntil', convertBy, () =>
      replacing(Engine.prototype, 'call', convertBy, () => {
        const refused = Object.entries(ask()).map(async ([name, call]) => {
          const error = await refuses('Internal', call)
          assert.equal(error.cause, broken, name)
        })
        return Promise.all(refused)
      }),
    )
    await client.raiseEvent(id, 'go', 7)
    assert.equal((await waits).output, 7, 'and whoever waited before gets what came')
  })

  test('is settled by an error that ends the hub, and so are all that wait', async (t) => {
    const { hub, client } = await openHub(t, register)
    const id = await startWaiting(client, 'wait')
    const waits = client.waitForCompletion(id)
    const garbles = (exchange) =>
      function (batch) {
        return batch.includes('"get"') ? '{"replies":' : exchange.call(this, batch)
      }
    await replacing(NativeEngine.prototype, 'exchange', garbles, async () => {
      const calls = [client.getStatus(id), client.startNew('fine'), waits]
      await Promise.all(calls.map((call) => refuses('Internal', call)))
    })
    await hub.close()
  })
})

/** Lists in lists: the parser takes any depth, and what writes JSON does not. */
const deep = (depth) => '['.repeat(depth) + ']'.repeat(depth)
const DEPTH = 20_000

/** Runs a program with a stack that is deep enough to write what a hub with the usual one cannot. */
const withDeepStack = (program, ...args) =>
  promisify(execFile)(process.execPath, [
    '--stack-size=7000',
    '--input-type=module',
    '--eval',
    program,
    ...args,
  ])

const KEEP = `
  import * as df from 'durafn'
  const [store, text] = process.argv.slice(1)
  const app = new df.App()
  app.entity('keep', (context) => context.df.setState(context.df.getInput()))
  const hub = await df.open({ store, app, logger: false })
  const entity = new df.EntityId('keep', 'deep')
  await hub.client.signalEntity(entity, 'set', JSON.parse(text))
  while (!(await hub.client.readEntityState(entity)).entityExists) await null
  await hub.close()
  const client = await df.connect({ store })
  for (const instanceId of ['hosted', 'own']) {
    await client.startNew(instanceId, { instanceId, input: JSON.parse(text) })
  }
  await client.signalEntity(new df.EntityId('hostedKeep', 'x'), 'set', JSON.parse(text))
  await client.signalEntity(new df.EntityId('hostedKeep', 'x'), 'set', 7)
  await client.close()
`

function useEntities(app) {
  register(app)
  const [sdk] = sdks
  sdk.register(app, 'hosted', () => 'never')
  sdk.registerEntity(app, 'hostedKeep', ({ df }) => df.setState(df.getInput()))
  app.orchestration('own', (context) => Array.isArray(context.df.getInput()))
  app.entity('keep', (context) => {
    context.df.setState(context.df.getInput())
    context.df.return('set')
  })
  app.orchestration('call', function* (context) {
    const entity = new df.EntityId('keep', context.df.getInput())
    try {
      return yield context.df.callEntity(entity, 'set', 1)
    } catch (error) {
      return error.message
    }
  })
}

describe('what cannot be handed to user code', () => {
  test('fails alone: an operation, an entity, an instance; others and the hub go on', async (t) => {
    const store = tempStore(t)
    await withDeepStack(KEEP, store, deep(DEPTH))
    const { client } = await openHub(t, useEntities, { store })
    const hosted = await client.waitForCompletion('hosted', { timeoutMs: PATIENCE_MS })
    assert.match(hosted.failure.message, /cannot be run: .*call stack/)
    const own = await client.waitForCompletion('own', { timeoutMs: PATIENCE_MS })
    assert.equal(own.output, true)
    const kept = new df.EntityId('hostedKeep', 'x')
    const isSet = async () => (await client.readEntityState(kept)).entityState === 7
    await until('the operation behind the one that failed is carried out', isSet)
    const [bad, good] = await Promise.all([
      complete(client, 'call', 'deep'),
      complete(client, 'call', 'flat'),
    ])
    assert.match(bad, /call stack/)
    assert.equal(good, 'set')
    const { entityState } = await client.readEntityState(new df.EntityId('keep', 'deep'))
    assert.ok(Array.isArray(entityState), 'its state is as it was')
  })
})
