/** Apps that keep the original packages: their orchestrators, told from native ones, run in the host. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { activity, link, manual, openApp, orchestration, writeApp } from './support/app.mjs'
import { succeed } from './support/cli.mjs'
import { complete, deferred, fail, tempStore, until } from './support/hub.mjs'

const hello = [activity(), "module.exports = async (context, name) => 'Hello ' + name"]
const chain = `function* (context) {
  const first = yield context.df.callActivity('Hello', context.df.getInput())
  const both = yield context.df.Task.all([
    context.df.callActivity('Hello', 'a'), context.df.callActivity('Hello', 'b'),
  ])
  return [first, ...both, context.df.instanceId]
}`
const expected = ['Hello Oslo', 'Hello a', 'Hello b', 'one']

const wait = `function* (context) { return yield context.df.waitForExternalEvent('Go') }`

/** Starts an instance over HTTP as a function does it, and manages it by the URLs of the answer. */
async function manage(app) {
  const start = `${app.url}/api/start/Wait`
  const started = await fetch(start, { method: 'POST', body: JSON.stringify({ a: 1 }) })
  const urls = await started.json()
  assert.equal(started.status, 202)
  assert.equal(started.headers.get('location'), urls.statusQueryGetUri)
  assert.ok(urls.statusQueryGetUri.startsWith(`${app.url}/runtime/webhooks/durabletask/`))
  await until(
    'it runs',
    async () => (await (await fetch(urls.statusQueryGetUri)).json()).runtimeStatus === 'Running',
  )
  const raise = urls.sendEventPostUri.replace('{eventName}', 'Go')
  const headers = { 'content-type': 'application/json' }
  const raised = await fetch(raise, { method: 'POST', headers, body: '{"b":2}' })
  assert.equal(raised.status, 202)
  const status = await until('it has ended', async () => {
    const response = await fetch(urls.statusQueryGetUri)
    return response.status === 200 && (await response.json())
  })
  assert.deepEqual(
    [status.runtimeStatus, status.output, status.input],
    ['Completed', { b: 2 }, { a: 1 }],
  )
  // The client of the package, by its own protocol.
  const seen = await (await fetch(`${app.url}/api/see/${urls.id}`)).json()
  assert.deepEqual(seen, { runtimeStatus: 'Completed', output: { b: 2 }, purged: 1, gone: true })
  const withoutKey = await fetch(urls.statusQueryGetUri.replace(/code=[^&]*/, ''))
  assert.equal(withoutKey.status, 401)
}

const client = { name: 'client', type: 'durableClient', direction: 'in' }
const http = (route) => {
  const trigger = { name: 'req', type: 'httpTrigger', authLevel: 'anonymous', route }
  return { bindings: [trigger, { name: 'res', type: 'http', direction: 'out' }, client] }
}

for (const version of [1, 2]) {
  describe(`durable-functions ${version}`, () => {
    const open = (t, files, options) =>
      openApp(
        t,
        link(writeApp(t, files), `durable-functions@${version}`, `@azure/functions@3`),
        options,
      )

    test('its orchestrators run beside native ones', async (t) => {
      const { client } = await open(t, {
        Hello: hello,
        Hosted: [
          orchestration(),
          `const df = require('durable-functions'); module.exports = df.orchestrator(${chain})`,
        ],
        Member: [
          { ...orchestration(), entryPoint: 'run' },
          `const df = require('durable-functions'); exports.run = df.orchestrator(${chain})`,
        ],
        'Module/function.json': orchestration(),
        'Module/index.mjs': `import df from 'durable-functions'; export default df.orchestrator(${chain})`,
        Native: [orchestration(), `module.exports = ${chain}`],
        Marked: [orchestration(), `module.exports = require('durafn').orchestrator(${chain})`],
      })
      for (const name of ['Hosted', 'Member', 'Module', 'Native', 'Marked']) {
        const output = await complete(client, name, 'Oslo', { instanceId: 'one' })
        assert.deepEqual(output, expected, name)
      }
    })

    for (const name of ['durable-functions', 'durafn']) {
      test(`its client starts, asks and purges, imported from ${name}`, async (t) => {
        const df = `const df = require('${name}')`
        const { app } = await open(
          t,
          {
            Wait: [orchestration(), `${df}; module.exports = df.orchestrator(${wait})`],
            Start: [
              http('start/{name}'),
              `${df}
              module.exports = async function (context, req) {
                const client = df.getClient(context)
                const id = await client.startNew(req.params.name, undefined, req.body)
                return { res: client.createCheckStatusResponse(context.bindingData.req, id) }
              }`,
            ],
            See: [
              http('see/{id}'),
              `${df}
              module.exports = async function (context, req) {
                const client = df.getClient(context)
                const { runtimeStatus, output } = await client.getStatus(req.params.id)
                const { instancesDeleted } = await client.purgeInstanceHistory(req.params.id)
                const after = await client.getStatus(req.params.id)
                context.res = { body: { runtimeStatus, output, purged: instancesDeleted, gone: !after } }
              }`,
            ],
          },
          { port: 0 },
        )
        await manage(app)
      })
    }

    test('what its orchestrator throws is the failure', async (t) => {
      const { client } = await open(t, {
        Throws: [
          orchestration(),
          `module.exports = require('durable-functions').orchestrator(function* () { throw new RangeError('no') })`,
        ],
      })
      assert.match((await fail(client, 'Throws')).message, /no/)
    })
  })
}

test('durafn invoke gives a client that works, whether or not a host runs', async (t) => {
  const files = {
    Wait: [orchestration(), `module.exports = ${wait}`],
    Start: [
      manual('client'),
      `const df = require('durable-functions')
      module.exports = async function (context, input) {
        const client = df.getClient(context)
        const id = await client.startNew('Wait', 'by-hand', input)
        return (await client.getStatus(id)).runtimeStatus
      }`,
    ],
  }
  const dir = link(writeApp(t, files), 'durable-functions@2')
  const args = ['invoke', 'Start', '--dir', dir, '--store', tempStore(t), '--input', '1']
  assert.equal(JSON.parse(await succeed(args)), 'Pending')
})

describe('durable-functions 3', () => {
  test('its orchestrators and activities run', async (t) => {
    const files = {
      'package.json': { main: 'index.js' },
      'index.js': `
        const df = require('durable-functions')
        df.app.orchestration('Chain', ${chain})
        df.app.activity('Hello', { handler: (name) => 'Hello ' + name })`,
    }
    const dir = link(writeApp(t, files), 'durable-functions@3', '@azure/functions@4')
    const { client, app } = await openApp(t, dir)
    assert.deepEqual(
      app.functions.map(({ name, kind }) => [name, kind]),
      [
        ['Chain', 'orchestration'],
        ['Hello', 'activity'],
      ],
    )
    assert.deepEqual(await complete(client, 'Chain', 'Oslo', { instanceId: 'one' }), expected)
  })

  test('its client works in an activity that a close waits for, and the app ends after that', async (t) => {
    const files = {
      'package.json': { main: 'index.js' },
      'index.js': `
        const { app } = require('@azure/functions')
        const df = require('durable-functions')
        const say = (globalThis.saidAtClose = [])
        df.app.orchestration('Wait', ${wait})
        df.app.orchestration('Late', function* (context) { yield context.df.callActivity('Work') })
        df.app.activity('Work', {
          extraInputs: [df.input.durableClient()],
          handler: async (input, context) => {
            say.push('began')
            await globalThis.closing
            say.push(await df.getClient(context).startNew('Wait', { instanceId: 'late' }))
          },
        })
        app.hook.appTerminate(() => say.push('ended'))`,
    }
    const closing = deferred()
    globalThis.closing = closing.promise
    const dir = link(writeApp(t, files), 'durable-functions@3', '@azure/functions@4')
    const { client, app } = await openApp(t, dir, { store: tempStore(t) })
    await client.startNew('Late')
    await until('it works', () => globalThis.saidAtClose[0])
    const closed = app.close()
    setImmediate(closing.resolve)
    await closed
    assert.deepEqual(globalThis.saidAtClose, ['began', 'late', 'ended'])
  })

  for (const name of ['durable-functions', 'durafn']) {
    test(`its client starts, asks and purges, imported from ${name}`, async (t) => {
      const files = {
        'package.json': { main: 'index.js' },
        'index.js': `
          const { app } = require('@azure/functions')
          const df = require('${name}')
          df.app.orchestration('Wait', ${wait})
          app.http('Start', {
            route: 'start/{name}', extraInputs: [df.input.durableClient()],
            handler: async (request, context) => {
              const client = df.getClient(context)
              const input = await request.json()
              const id = await client.startNew(request.params.name, { input })
              return client.createCheckStatusResponse(request, id)
            },
          })
          app.http('See', {
            route: 'see/{id}', extraInputs: [df.input.durableClient()],
            handler: async (request, context) => {
              const client = df.getClient(context)
              const { id } = request.params
              const { runtimeStatus, output } = await client.getStatus(id)
              const { instancesDeleted } = await client.purgeInstanceHistory(id)
              const after = await client.getStatus(id).catch(() => null)
              return { jsonBody: { runtimeStatus, output, purged: instancesDeleted, gone: !after } }
            },
          })`,
      }
      const dir = link(writeApp(t, files), 'durable-functions@3', '@azure/functions@4', 'durafn')
      const { app } = await openApp(t, dir, { port: 0 })
      await manage(app)
    })
  }
})
