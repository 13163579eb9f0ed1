/** The programs of `one-import.spec.mjs` in the function host, and what the host's part of the names does. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as df from 'durafn'
import { link, openApp, writeApp } from './support/app.mjs'
import {
  complete,
  fail,
  memoryLogger,
  PATIENCE_MS,
  refuses,
  run,
  startWaiting,
  until,
} from './support/hub.mjs'
import { compilePrograms } from './support/one-import.mjs'
import { reply, serve } from './support/server.mjs'

/** The programs as an app, with the package that they import. */
for (const name of ['durable-functions', 'durafn']) {
  describe(`the programs, as an app, with ${name}`, () => {
    const sent = []
    const dir = mkdtempSync(join(tmpdir(), 'durafn-test-'))
    let app
    let client

    before(async () => {
      assert.equal(compilePrograms(dir, name), '')
      link(dir, 'durable-functions@3')
      const http = { allowPrivateAddresses: true, pollingIntervalMs: 5 }
      const logger = memoryLogger()
      app = await df.openFunctionApp(dir, {
        store: 'sqlite::memory:',
        logger,
        http,
        port: 0,
      })
      client = app.client
      for (const type of ['programSms', 'storageQueue']) {
        df.registerBinding(type, (value) => sent.push(value))
      }
    })
    after(async () => {
      await app?.close({ drainTimeoutMs: 0 })
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
    })

    test('are all there, those with a client too', () => {
      const kinds = new Map(app.functions.map(({ name, kind }) => [name, kind]))
      const expected = {
        chain: 'orchestration',
        account: 'entity',
        sayHello: 'activity',
        manage: 'http',
        tidy: 'timer',
        byHand: 'manual',
      }
      for (const [each, kind] of Object.entries(expected)) assert.equal(kinds.get(each), kind, each)
    })

    test('give the same outputs and statuses', async () => {
      const cities = ['Hello, Tokyo', 'Hello, Seattle', 'Hello, Cairo']
      assert.deepEqual(await complete(client, 'chain'), cities)
      assert.deepEqual(await complete(client, 'fanOut', 5), { items: 5, total: 100 })
      const monitor = await run(client, 'monitor', { job: 'a', left: 2, seen: [] })
      assert.deepEqual(monitor.output, ['busy', 'busy', 'done'])
      assert.deepEqual(monitor.customStatus, { state: 'done', looks: 3 })
      const id = await startWaiting(client, 'approval', { input: '12345' })
      for (const answer of [1, 5]) await client.raiseEvent(id, 'Answer', answer)
      const { output } = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.deepEqual(output, { approved: true, cancelled: true, faulted: false })
      assert.deepEqual(sent, [{ to: '12345', body: 'Your code is 5' }, '12345'])
      assert.deepEqual(await complete(client, 'saga'), {
        undone: ['undone: charged 10'],
        type: 'CardDeclined',
        properties: { limit: 100, shop: 'corner' },
        isIt: true,
      })
      assert.match((await run(client, 'fails')).output, /^Orchestrator function 'fails' failed: /)
    })

    test('call services', async (t) => {
      const server = await slowServer(t)
      assert.deepEqual(await complete(client, 'web', server.url), [200, 'done', 202])
      df.app.setTokenProvider(({ resource }) => `for ${resource}`)
      t.after(() => df.app.setTokenProvider(undefined))
      assert.deepEqual(await complete(client, 'identity', server.url), [200, 'https://vault.test/'])
      assert.equal(server.requests.at(-1).headers.authorization, 'Bearer for https://vault.test/')
    })

    test('have clients', async () => {
      assert.equal(await app.invoke('byHand', ['by-hand']), 'by-hand')
      const { output } = await client.waitForCompletion('by-hand', { timeoutMs: PATIENCE_MS })
      assert.deepEqual(output, ['Hello, Tokyo', 'Hello, Seattle', 'Hello, Cairo'])
      assert.deepEqual(await complete(client, 'escalation'), ['sent', 'escalated'])
    })

    test('have entities', async () => {
      const input = { from: 'a', to: 'b', amount: 50 }
      assert.deepEqual((await complete(client, 'transfer', input)).locks, ['a', 'b'])
      const [, , id] = await app.invoke('balance', 'b')
      assert.equal(id, '@account@b')
      await until(
        'the signal is carried out',
        async () => (await app.invoke('balance', 'b'))[1] > 51,
      )
    })
  })
}

/** Its work takes two polls. */
async function slowServer(t) {
  let polls = 0
  return await serve(t, (request, response) => {
    const isBusy = request.method === 'POST' || polls++ < 2
    reply(response, isBusy ? 202 : 200, isBusy ? { location: '/jobs/1' } : {}, 'done')
  })
}

describe('df.app.client', () => {
  function modernApp(t, text, ...packages) {
    const files = { 'package.json': { main: 'index.js' }, 'index.js': text }
    return link(writeApp(t, files), 'durafn', ...packages)
  }

  test('needs @azure/functions in the app, and says so', async (t) => {
    const dir = modernApp(t, `require('durafn').app.client.http('web', { handler: () => ({}) })`)
    const error = await refuses('InvalidFunction', df.openFunctionApp(dir))
    assert.match(error.message, /index\.js.*'web' needs the package '@azure\/functions'/)
  })

  test('leaves triggers that the host does not have to it, which refuses them by name', async (t) => {
    const dir = modernApp(
      t,
      `require('durafn').app.client.storageQueue('queue', { queueName: 'q', connection: 'c', handler() {} })`,
      '@azure/functions@4',
    )
    const error = await refuses('InvalidFunction', df.openFunctionApp(dir))
    assert.match(error.message, /'queue'.*queueTrigger/)
  })

  test('refuses options without a handler', async (t) => {
    const dir = modernApp(t, `require('durafn').app.client.http('web', {})`, '@azure/functions@4')
    const error = await refuses('InvalidFunction', df.openFunctionApp(dir))
    assert.match(error.message, /handler of function 'web' must be a function/)
  })
})

describe('functions on df.app', () => {
  const open = async (t, text, host = {}) => {
    const files = {
      'package.json': { main: 'functions.js' },
      'host.json': { version: '2.0', ...host },
      'functions.js': `const df = require('durafn'); ${text}`,
    }
    return await openApp(t, link(writeApp(t, files), 'durafn', '@azure/functions@4'))
  }
  const run = `df.app.orchestration('run', function* (context) {
    return yield context.df.callActivity('work', context.df.getInput())
  });`

  test('are called between the hooks of the app, if they are activities', async (t) => {
    const { client } = await open(
      t,
      `${run} const { app } = require('@azure/functions')
      df.app.activity('work', { handler: (value) => {
        if (value === 'B') throw new Error('no')
        return value
      } })
      app.hook.preInvocation((hook) => {
        const { functionHandler, invocationContext: { functionName } } = hook
        hook.hookData.name = functionName
        hook.inputs[0] = hook.inputs[0].toUpperCase()
        hook.functionHandler = async (...all) => ['wrapped', await functionHandler(...all)]
      })
      app.hook.postInvocation((hook) => {
        hook.result = hook.error ? hook.error.message : [hook.hookData.name, ...hook.result]
        hook.error = null
      })`,
    )
    assert.deepEqual(await complete(client, 'run', 'a'), ['work', 'wrapped', 'A'])
    assert.equal(await complete(client, 'run', 'b'), 'no')
  })

  test('have the bound of host.json, and are disabled by settings', async (t) => {
    process.env['AzureWebJobs.Off.Disabled'] = 'true'
    t.after(() => delete process.env['AzureWebJobs.Off.Disabled'])
    const { app, client, dir } = await open(
      t,
      `${run} df.app.activity('work', { handler: () => new Promise(() => {}) })
      df.app.activity('Off', { handler: () => 1 })`,
      { functionTimeout: '00:00:01' },
    )
    assert.equal((await fail(client, 'run')).code, 'Timeout')
    const off = app.functions.find(({ name }) => name === 'Off')
    assert.equal(off.isDisabled, true)
    assert.equal(off.file, join(dir, 'functions.js'))
  })

  test('are those of their app, also beside another one with the same names', async (t) => {
    const apps = await Promise.all(
      ['one', 'other'].map((name) =>
        open(t, `${run} df.app.activity('work', { handler: () => '${name}' })`),
      ),
    )
    const outputs = apps.map(({ client }) => complete(client, 'run'))
    assert.deepEqual(await Promise.all(outputs), ['one', 'other'])
    assert.equal(df.app.isEmpty, true)
    const again = await df.openFunctionApp(apps[0].dir, { store: 'sqlite::memory:', app: df.app })
    t.after(() => again.close())
    assert.equal(await complete(again.client, 'run'), 'one')
  })
})

describe('df.getClient', () => {
  test('gives the client to classic functions and to those of @azure/functions', async (t) => {
    const classic = {
      'Work/function.json': { bindings: [{ name: 'input', type: 'manualTrigger' }] },
      'Work/index.js': `const df = require('durafn')
        module.exports = async (context) => df.getClient(context).taskHubName`,
    }
    const { app } = await openApp(t, classic, { hubName: 'classic' })
    assert.equal(await app.invoke('Work'), 'classic')
    const modern = writeApp(t, {
      'package.json': { main: 'index.js' },
      'index.js': `const df = require('durafn')
        require('@azure/functions').app.generic('Work', {
          trigger: { type: 'manualTrigger', name: 'input' },
          extraInputs: [df.input.durableClient()],
          handler: (input, context) => df.getClient(context).taskHubName,
        })`,
    })
    link(modern, 'durafn', '@azure/functions@4')
    const opened = await openApp(t, modern, { hubName: 'modern' })
    assert.equal(await opened.app.invoke('Work'), 'modern')
  })
})

describe('df.entity', () => {
  test('is a folder of its own, in the classic model', async (t) => {
    const { app, client } = await openApp(t, {
      'Counter/function.json': { bindings: [{ name: 'context', type: 'entityTrigger' }] },
      'Counter/index.js': `module.exports = require('durafn').entity(function (context) {
        const count = context.df.getState(() => 0)
        if (context.df.operationName === 'add') context.df.setState(count + context.df.getInput())
        else context.df.return([count, context.bindings.context.self.key, context.executionContext.functionName])
      })`,
      'Use/function.json': { bindings: [{ name: 'context', type: 'orchestrationTrigger' }] },
      'Use/index.js': `const df = require('durafn')
        module.exports = df.orchestrator(function* (context) {
          const id = new df.EntityId('Counter', 'k')
          yield context.df.callEntity(id, 'add', 2)
          context.df.signalEntity(id, 'add', 3)
          return yield context.df.callEntity(id, 'get')
        })`,
    })
    assert.deepEqual(await complete(client, 'Use'), [5, 'k', 'Counter'])
    const kinds = app.functions.map(({ name, kind }) => [name, kind])
    assert.deepEqual(kinds, [
      ['Counter', 'entity'],
      ['Use', 'orchestration'],
    ])
  })
})

describe('httpSettings of host.json', () => {
  function files(httpSettings) {
    return {
      'host.json': { version: '2.0', extensions: { durableTask: { httpSettings } } },
      'Call/function.json': { bindings: [{ name: 'context', type: 'orchestrationTrigger' }] },
      'Call/index.js': `module.exports = require('durafn').orchestrator(function* (context) {
        return yield context.df.callHttp({ method: 'GET', url: context.df.getInput() })
      })`,
    }
  }

  test('allow private addresses', async (t) => {
    const none = await openApp(t, files({ defaultAsyncRequestSleepTimeMilliseconds: 5 }))
    assert.equal((await fail(none.client, 'Call', 'http://127.0.0.1:1')).code, 'AddressRefused')
    const some = await openApp(t, files({ allowPrivateAddresses: ['127.0.0.1'] }))
    assert.equal((await fail(some.client, 'Call', 'http://127.0.0.1:1')).code, 'HttpRequestFailed')
  })

  test('that are wrong are refused with the file', async (t) => {
    const dir = writeApp(t, files({ timeoutMs: 'long' }))
    const error = await refuses('InvalidFunction', df.openFunctionApp(dir))
    assert.match(error.message, /host\.json: durableTask\.httpSettings is wrong: .*timeoutMs/)
  })
})
