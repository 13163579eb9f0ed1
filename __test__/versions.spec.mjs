/** Versions of orchestrations: what an instance gets, and which worker runs it. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { link, openApp, writeApp } from './support/app.mjs'
import { succeed } from './support/cli.mjs'
import { expectStatus, openApi } from './support/http.mjs'
import {
  complete,
  connect,
  fail,
  openHub,
  PATIENCE_MS,
  postgresStore,
  startWaiting,
  tempStore,
  until,
} from './support/hub.mjs'

/** A store of its own that can be opened again. */
function anyPlace(t) {
  const isServer = process.env.DURAFN_TEST_STORE === 'postgres'
  return isServer ? postgresStore(process.env.DURAFN_TEST_POSTGRES) : { store: tempStore(t) }
}

const retry = { firstRetryIntervalInMilliseconds: 1, maxNumberOfAttempts: 2 }

function register(app) {
  let failures = 1
  const seen = app.orchestration('seen', (context) => context.df.version ?? 'none')
  app.orchestration('asyncSeen', async (context) => {
    await context.df.callActivity('echo', 1)
    return context.df.version ?? 'none'
  })
  app.activity('echo', { handler: (value) => value })
  app.orchestration('children', function* (context) {
    const { df } = context
    return yield df.Task.all([
      df.callSubOrchestrator('seen'),
      df.callSubOrchestrator('seen', undefined, undefined, '3.0'),
      df.callSubOrchestrator('seen', undefined, undefined, ''),
      df.callSubOrchestratorWithRetry('failsOnce', retry, undefined, undefined, '4.0'),
      df.call(seen, undefined, { version: '5.0' }),
      seen(),
    ])
  })
  app.orchestration('failsOnce', (context) => {
    if (failures-- > 0) throw new Error('once')
    return context.df.version
  })
  app.orchestration('again', function* (context) {
    const before = context.df.getInput() ?? []
    yield context.df.callActivity('echo', 1)
    const versions = [...before, context.df.version ?? 'none']
    if (versions.length < 3) context.df.continueAsNew(versions)
    return versions
  })
  app.orchestration('wait', function* (context) {
    yield context.df.waitForExternalEvent('go')
    return context.df.version ?? 'none'
  })
  app.orchestration('parent', function* (context) {
    try {
      return yield context.df.callSubOrchestrator('seen', undefined, undefined, '9')
    } catch (error) {
      return error.code
    }
  })
  app.orchestration('failsAfterEvent', function* (context) {
    yield context.df.waitForExternalEvent('go')
    if (failures-- > 0) throw new Error('once')
    return context.df.version ?? 'none'
  })
}

describe('an instance has', () => {
  test('the version asked for, else that of the hub; an empty one is none', async (t) => {
    const { client } = await openHub(t, register, { defaultVersion: '2.0' })
    for (const name of ['seen', 'asyncSeen']) {
      assert.equal(await complete(client, name), '2.0')
      assert.equal(await complete(client, name, undefined, { version: '1.0-β' }), '1.0-β')
      assert.equal(await complete(client, name, undefined, { version: '' }), 'none')
    }
    const ids = await client.startMany([{ name: 'wait', version: '1' }, { name: 'wait' }])
    const statuses = await Promise.all(ids.map((id) => client.getStatus(id, { pending: true })))
    assert.deepEqual(
      statuses.map(({ version }) => version),
      ['1', '2.0'],
    )
  })

  test('none where the hub has none', async (t) => {
    const { client } = await openHub(t, register)
    const id = await client.startNew('seen')
    const status = await client.waitForCompletion(id)
    assert.equal(status.output, 'none')
    assert.ok(!('version' in status))
    assert.equal(await complete(client, 'seen', undefined, { version: '7' }), '7')
  })

  test('as a sub-orchestration what the call says, else that of the hub', async (t) => {
    const { client } = await openHub(t, register, {
      defaultVersion: '2.0',
      versionMatchStrategy: 'None',
    })
    const expected = ['2.0', '3.0', 'none', '4.0', '5.0', '2.0']
    assert.deepEqual(await complete(client, 'children', undefined, { version: '1.0' }), expected)
  })

  test('the same in each execution, and when it is rewound or restarted', async (t) => {
    const place = anyPlace(t)
    const one = await openHub(t, register, { ...place, defaultVersion: '1.0' })
    assert.deepEqual(await complete(one.client, 'again'), ['1.0', '1.0', '1.0'])
    const id = await startWaiting(one.client, 'failsAfterEvent')
    await one.client.raiseEvent(id, 'go')
    assert.equal((await one.client.waitForCompletion(id)).runtimeStatus, 'Failed')
    await one.client.purgeInstanceHistoryBy({ name: 'again' })
    await one.close()
    const { client } = await openHub(t, register, { ...place, defaultVersion: '2.0' })
    await client.rewind(id)
    await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
    await client.restart(id, { withNewInstanceId: false })
    await until('it waits', async () => (await client.getStatus(id))?.waitingFor?.length > 0)
    await client.raiseEvent(id, 'go')
    const status = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
    assert.deepEqual([status.version, status.output], ['1.0', '1.0'])
    assert.equal(await complete(client, 'seen'), '2.0')
  })

  test('that of the hub when a client of another process starts it', async (t) => {
    const place = anyPlace(t)
    await openHub(t, register, { ...place, defaultVersion: '2.0' })
    const client = await connect(t, place.store, place)
    assert.equal(await complete(client, 'seen'), '2.0')
    assert.equal(await complete(client, 'seen', undefined, { version: '1.0' }), '1.0')
  })

  test('over HTTP and from the command line what was asked for', async (t) => {
    const hub = { defaultVersion: '2.0' }
    const { call, store } = await openApi(t, register, { hub })
    const start = async (query, headers) => {
      const path = `/orchestrators/seen?${query}&timeout=20&pollingInterval=0.01`
      return expectStatus(await call('POST', path, undefined, headers), 200)
    }
    assert.equal(await start(''), '2.0')
    assert.equal(await start('version=1.0%2Bb'), '1.0+b')
    assert.equal(await start('version=1.5', { 'idempotency-key': 'k' }), '1.5')
    expectStatus(await call('POST', '/orchestrators/seen?version=%00'), 400)
    const args = ['instances', 'start', 'wait', '--orchestration-version', '1.7', '--store', store]
    const id = (await succeed(args)).trim()
    const shown = await succeed(['instances', 'get', id, '--store', store])
    assert.match(shown, /^Version +1\.7$/m)
  })
})

describe('a worker', () => {
  const problemOf = (client, id) =>
    until(`${id} is left`, async () => {
      return (await client.getStatus(id, { pending: true })).problem
    })

  test('leaves instances of later versions as they are, for one that has their version', async (t) => {
    const place = anyPlace(t)
    const newer = await openHub(t, register, { ...place, defaultVersion: '2.0' })
    await startWaiting(newer.client, 'wait', { instanceId: 'running' })
    await newer.close()
    const older = await openHub(t, register, { ...place, defaultVersion: '1.10' })
    const { client, logger } = older
    await client.startNew('seen', { instanceId: 'later', version: '2.0' })
    await client.startMany([{ name: 'seen', instanceId: 'many', version: '1.10.1' }])
    await client.raiseEvent('running', 'go')
    for (const id of ['later', 'many', 'running']) {
      const { code, message } = await problemOf(client, id)
      assert.equal(code, 'VersionMismatch')
      assert.match(message, /this worker \(it has version '1\.10'\) does not run/)
    }
    assert.equal(logger.find('warn', /version '2\.0', which this worker/).length, 2)
    assert.equal((await client.getStatus('later', { pending: true })).runtimeStatus, 'Pending')
    assert.equal((await client.getStatus('running')).runtimeStatus, 'Running')
    assert.equal(await complete(client, 'seen', undefined, { version: '1.9' }), '1.9')
    await older.close()
    const again = await openHub(t, register, { ...place, defaultVersion: '2.0' })
    for (const [id, version] of [
      ['later', '2.0'],
      ['many', '1.10.1'],
      ['running', '2.0'],
    ]) {
      const status = await again.client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.deepEqual([status.output, status.problem], [version, undefined])
    }
  })

  test('fails them if it is to, and who called one hears of it', async (t) => {
    const { client } = await openHub(t, register, {
      defaultVersion: '1.0',
      versionFailureStrategy: 'Fail',
    })
    const failure = await fail(client, 'seen', undefined, { version: '2.0' })
    assert.deepEqual([failure.name, failure.code], ['VersionMismatch', 'VersionMismatch'])
    assert.match(failure.message, /version '2\.0'.*versionFailureStrategy/)
    assert.equal(await complete(client, 'parent'), 'VersionMismatch')
    assert.equal(typeof df.VersionMismatch, 'function')
  })

  test('runs its own version alone when it is strict, and all when it compares none', async (t) => {
    const strict = { defaultVersion: '2.0', versionMatchStrategy: 'Strict' }
    const one = await openHub(t, register, { ...strict, versionFailureStrategy: 'Fail' })
    assert.equal(await complete(one.client, 'seen'), '2.0')
    for (const version of ['1.0', '3.0', '']) {
      const { code } = await fail(one.client, 'seen', undefined, { version })
      assert.equal(code, 'VersionMismatch')
    }
    const other = await openHub(t, register, {
      defaultVersion: '2.0',
      versionMatchStrategy: 'None',
    })
    assert.equal(await complete(other.client, 'seen', undefined, { version: '3.0' }), '3.0')
  })
})

/** Written for durable-functions 3.5, whichever of the packages it loads. */
const program = (name) => `
  const df = require('${name}')
  df.app.orchestration('Seen', function* (context) { return context.df.version ?? 'none' })
  df.app.orchestration('All', function* (context) {
    const before = context.df.getInput() ?? []
    const retry = new df.RetryOptions(1, 2)
    const seen = yield context.df.Task.all([
      context.df.callSubOrchestrator('Seen'),
      context.df.callSubOrchestrator('Seen', undefined, undefined, '1.0'),
      context.df.callSubOrchestratorWithRetry('Seen', retry, undefined, undefined, '1.5'),
    ])
    if (before.length === 0) return context.df.continueAsNew([context.df.version])
    return [...before, context.df.version, ...seen]
  })
  require('@azure/functions').app.http('Start', {
    route: 'start/{name}', methods: ['POST'], authLevel: 'anonymous',
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
      const version = request.query.get('version') ?? undefined
      const id = await df.getClient(context).startNew(request.params.name, { version })
      return { body: id }
    },
  })`

describe('an app for durable-functions 3.5', () => {
  const open = (t, durableTask, { name = 'durable-functions', ...options } = {}) => {
    const files = {
      'package.json': { main: 'index.js' },
      'index.js': program(name),
      'host.json': { version: '2.0', extensions: { durableTask } },
    }
    const packages = ['durable-functions@3', '@azure/functions@4', 'durafn']
    return openApp(t, link(writeApp(t, files), ...packages), { port: 0, ...options })
  }

  for (const name of ['durable-functions', 'durafn']) {
    test(`has versions by its host.json, its client and its calls, with ${name}`, async (t) => {
      const place = process.env.DURAFN_TEST_STORE === 'postgres' ? anyPlace(t) : {}
      const { app, client } = await open(t, { defaultVersion: '2.0' }, { name, ...place })
      const start = async (name, query = '') => {
        const response = await fetch(`${app.url}/api/start/${name}${query}`, { method: 'POST' })
        const id = await response.text()
        return (await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })).output
      }
      assert.equal(await start('Seen'), '2.0')
      assert.equal(await start('Seen', '?version=1.0'), '1.0')
      const expected = ['1.2', '1.2', '2.0', '1.0', '1.5']
      assert.deepEqual(await start('All', '?version=1.2'), expected)
    })
  }

  test('has no version without one, as before', async (t) => {
    const { client } = await open(t, { defaultVersion: null })
    assert.equal(await complete(client, 'Seen'), 'none')
  })

  test('has the strategies of its host.json', async (t) => {
    const settings = { versionMatchStrategy: 'strict', versionFailureStrategy: 'FAIL' }
    const { client } = await open(t, { defaultVersion: '2.0', ...settings })
    const failure = await fail(client, 'Seen', undefined, { version: '1.0' })
    assert.equal(failure.code, 'VersionMismatch')
    assert.equal(await complete(client, 'Seen'), '2.0')
  })
})
