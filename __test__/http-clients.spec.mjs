/** The clients of the original packages, unmodified, over the route that they call without a key. */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { before, describe, test } from 'node:test'
import { openApi, openRpc } from './support/http.mjs'
import { startWaiting, until, waiting } from './support/hub.mjs'

const require = createRequire(import.meta.url)
/** As a host does: else the packages take the server for one at port 7071. */
before(() => {
  process.env.WEBSITE_HOSTNAME = 'localhost'
})

function register(app) {
  app.activity('hello', { handler: (name) => `Hello ${name}!` })
  app.orchestration('sayHello', function* (context) {
    return yield context.df.callActivity('hello', context.df.getInput())
  })
  app.orchestration('wait', function* (context) {
    return (yield context.df.waitForExternalEvent('go')) ?? 'nothing'
  })
  app.entity('counter', (context) => {
    context.df.setState(context.df.getState(() => 0) + context.df.getInput())
  })
  let isBroken = true
  app.orchestration('failOnce', () => {
    if (!isBroken) return 'mended'
    isBroken = false
    throw new Error('broken')
  })
}

/** A client of a package, as its functions get it. */
function clientOf(version, binding) {
  const df = require(`durable-functions-v${version}`)
  if (version < 3) return df.getClient({ bindings: { starter: binding } })
  const input = { type: 'durableClient', name: 'client' }
  return df.getClient({
    options: { extraInputs: [input] },
    extraInputs: new Map([[input, binding]]),
  })
}

/** How each version spells a start. */
function start(client, version, name, instanceId, input) {
  return version < 3
    ? client.startNew(name, instanceId, input)
    : client.startNew(name, { instanceId, input })
}

/** Of `waitForCompletionOrCreateCheckStatusResponse`; version 3 gives one to be read. */
async function bodyOf(response, version) {
  return version < 3 ? parsed(response.body) : await response.json()
}

/** The older ones give objects and texts of JSON. */
function parsed(body) {
  return typeof body === 'string' ? JSON.parse(body) : body
}

for (const version of [1, 2, 3]) {
  describe(`the client of durable-functions ${version}`, () => {
    async function open(t) {
      const opened = await openApi(t, register)
      const { hub, server } = opened
      const rpc = await openRpc(t, hub, server)
      const binding = server.api.clientBinding(server.url, rpc.rpcBaseUrl)
      // It comes as JSON.
      return { ...opened, theirs: clientOf(version, JSON.parse(JSON.stringify(binding))) }
    }
    // The older ones take them one after the other, and with an object they do not wait at all.
    const wait =
      version < 3
        ? [20_000, 20]
        : [{ timeoutInMilliseconds: 20_000, retryIntervalInMilliseconds: 20 }]

    test('starts, looks and waits', async (t) => {
      const { theirs } = await open(t)
      const id = await start(theirs, version, 'sayHello', 'first order', 'Ada')
      assert.equal(id, 'first order')
      const request = { url: 'http://shop.example/api/orders' }
      const response = await theirs.waitForCompletionOrCreateCheckStatusResponse(
        request,
        id,
        ...wait,
      )
      assert.equal(response.status, 200)
      assert.equal(await bodyOf(response, version), 'Hello Ada!')
      const status = await theirs.getStatus(
        id,
        ...(version < 3 ? [true, true, true] : [{ showHistory: true, showHistoryOutput: true }]),
      )
      assert.equal(status.runtimeStatus, 'Completed')
      assert.equal(status.output, 'Hello Ada!')
      assert.equal(status.input, 'Ada')
      assert.equal(new Date(status.createdTime).getTime() % 1_000, 0)
      assert.match(await start(theirs, version, 'sayHello', undefined, undefined), /^[0-9a-f]{32}$/)
      await assert.rejects(start(theirs, version, 'nobody', undefined, undefined), /nobody/)
    })

    test('gives a check-status response whose URLs work', async (t) => {
      const { theirs, server } = await open(t)
      const id = await start(theirs, version, 'wait', 'check', undefined)
      const request = { url: `${server.url}/api/orders` }
      const response = theirs.createCheckStatusResponse(request, id)
      assert.equal(response.status, 202)
      const body = await bodyOf(response, version)
      assert.equal((await fetch(body.statusQueryGetUri)).status, 202)
      const url = body.terminatePostUri.replace('{text}', 'enough%20now')
      assert.equal((await fetch(url, { method: 'POST' })).status, 202)
      assert.equal((await (await fetch(body.statusQueryGetUri)).json()).output, 'enough now')
    })

    test('raises events, with data and without', async (t) => {
      const { theirs, client } = await open(t)
      for (const [id, data, output] of [
        ['with', { by: 'Ada' }, { by: 'Ada' }],
        ['falsy', 0, 0],
        ['without', undefined, 'nothing'],
      ]) {
        await startWaiting(client, 'wait', { instanceId: id })
        await theirs.raiseEvent(id, 'go', data)
        assert.deepEqual((await client.waitForCompletion(id, { timeoutMs: 5_000 })).output, output)
        await theirs.raiseEvent(id, 'go', data) // one that has ended is no error to it
      }
      await assert.rejects(theirs.raiseEvent('nobody', 'go', 1), /No instance with ID 'nobody'/)
    })

    test('suspends, resumes, terminates, rewinds', async (t) => {
      const { theirs, client } = await open(t)
      const id = await startWaiting(client, 'wait')
      if (version > 2) {
        await theirs.suspend(id, 'a pause')
        assert.equal((await client.getStatus(id)).runtimeStatus, 'Suspended')
        await theirs.resume(id, 'on')
        assert.equal((await client.getStatus(id)).runtimeStatus, 'Running')
      }
      await theirs.terminate(id, 'no more, no less')
      await theirs.terminate(id, 'twice')
      assert.equal((await client.getStatus(id)).output, 'no more, no less')
      await assert.rejects(theirs.terminate('nobody', 'why'), /No instance with ID 'nobody'/)
      const failed = await client.startNew('failOnce')
      await client.waitForCompletion(failed)
      await theirs.rewind(failed, 'mended')
      assert.equal((await client.waitForCompletion(failed)).output, 'mended')
      await assert.rejects(theirs.rewind(failed, 'again'))
      await assert.rejects(theirs.rewind('nobody', 'why'), /nobody/)
    })

    test('signals entities, and reads their states', async (t) => {
      const { theirs } = await open(t)
      const { EntityId } = require(`durable-functions-v${version}`)
      const id = new EntityId('Counter', 'all steps')
      assert.equal((await theirs.readEntityState(id)).entityExists, false)
      await theirs.signalEntity(id, 'add', 3)
      await theirs.signalEntity(id, 'add', 4)
      const { entityState } = await until('both are added', async () => {
        const response = await theirs.readEntityState(id)
        return response.entityState === 7 ? response : false
      })
      assert.equal(entityState, 7)
    })

    test('lists all pages and by filter, and purges', async (t) => {
      const { theirs, client } = await open(t)
      await client.startMany(
        Array.from({ length: 250 }, (_, n) => ({ name: 'sayHello', input: n })),
      )
      const waits = await startWaiting(client, 'wait')
      await waiting(client, waits)
      for (const { instanceId } of await client.getStatusAll()) {
        if (instanceId !== waits) await client.waitForCompletion(instanceId)
      }
      assert.equal((await theirs.getStatusAll()).length, 251)
      const from = new Date(Date.now() - 60_000)
      const to = new Date(Date.now() + 60_000)
      const by = (runtimeStatus) =>
        version < 3
          ? theirs.getStatusBy(from, to, runtimeStatus)
          : theirs.getStatusBy({ createdTimeFrom: from, createdTimeTo: to, runtimeStatus })
      assert.equal((await by(['Completed', 'Failed'])).length, 250)
      assert.deepEqual(
        (await by(['Running'])).map(({ instanceId }) => instanceId),
        [waits],
      )
      const first = (await by(['Completed']))[0].instanceId
      assert.equal((await theirs.purgeInstanceHistory(first)).instancesDeleted, 1)
      assert.equal((await theirs.purgeInstanceHistory(first)).instancesDeleted, 0)
      const purged =
        version < 3
          ? await theirs.purgeInstanceHistoryBy(from, to, ['Completed'])
          : await theirs.purgeInstanceHistoryBy({
              createdTimeFrom: from,
              createdTimeTo: to,
              runtimeStatus: ['Completed'],
            })
      assert.equal(purged.instancesDeleted, 249)
      assert.equal((await theirs.getStatusAll()).length, 1)
    })
  })
}
