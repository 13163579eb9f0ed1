/** `host.json`, `local.settings.json`, and settings that turn functions off. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { manual, openApp, writeApp } from './support/app.mjs'
import { http, serve } from './support/http-app.mjs'
import { refuses } from './support/hub.mjs'

const ok = 'module.exports = async () => {}'

describe('host.json', () => {
  test('the hub has its name, of either version, and from a setting', async (t) => {
    process.env.DURAFN_TEST_HUB = 'FromSetting'
    t.after(() => delete process.env.DURAFN_TEST_HUB)
    const names = [
      [{ version: '2.0', extensions: { durableTask: { hubName: 'Second' } } }, 'Second'],
      [{ durableTask: { HubName: 'First' } }, 'First'],
      [{ extensions: { durableTask: { hubName: '%DURAFN_TEST_HUB%' } } }, 'FromSetting'],
    ]
    for (const [host, name] of names) {
      const { client } = await openApp(t, { Work: [manual(), ok], 'host.json': host })
      assert.equal(client.taskHubName, name)
    }
    const files = { Work: [manual(), ok], 'host.json': names[0][0] }
    const { client } = await openApp(t, files, { hubName: 'Given' })
    assert.equal(client.taskHubName, 'Given')
  })

  test('activities have its functionTimeout', async (t) => {
    const { client } = await openApp(t, {
      'host.json': { functionTimeout: '00:00:01' },
      Call: [
        { bindings: [{ name: 'context', type: 'orchestrationTrigger' }] },
        "module.exports = function* (context) { return yield context.df.callActivity('Hang') }",
      ],
      Hang: [
        { bindings: [{ name: 'input', type: 'activityTrigger' }] },
        'module.exports = () => new Promise(() => {})',
      ],
    })
    const id = await client.startNew('Call')
    const { failure } = await client.waitForCompletion(id)
    assert.match(failure.message, /'Hang' did not end within 1000 ms/)
  })

  const wrong = {
    functionTimeout: [{ functionTimeout: 'soon' }, /must be a time/],
    'http.routePrefix': [{ extensions: { http: { routePrefix: 1 } } }, /must be a string/],
    'http.maxRequestBodyBytes': [{ http: { maxRequestBodyBytes: 0 } }, /whole number/],
    'durableTask.hubName': [
      { extensions: { durableTask: { hubName: '%DURAFN_TEST_NONE%' } } },
      /'DURAFN_TEST_NONE', which is not set/,
    ],
    'durableTask.defaultVersion': [{ durableTask: { defaultVersion: 2 } }, /must be a string/],
    'durableTask.versionMatchStrategy': [
      { durableTask: { versionMatchStrategy: 'Newer' } },
      /must be one of None, Strict, CurrentOrOlder/,
    ],
    'durableTask.versionFailureStrategy': [
      { durableTask: { versionFailureStrategy: 'Ignore' } },
      /must be one of Reject, Fail/,
    ],
    'durableTask.maxConcurrentActivityFunctions': [
      { durableTask: { maxConcurrentActivityFunctions: 'x' } },
      /whole number/,
    ],
  }
  for (const [field, [host, message]] of Object.entries(wrong)) {
    test(`a wrong ${field} is refused with the file`, async (t) => {
      const dir = writeApp(t, { Work: [manual(), ok], 'host.json': host })
      const error = await refuses('InvalidFunction', df.openFunctionApp(dir), { field, message })
      assert.match(error.message, /host\.json/)
    })
  }
})

describe('local.settings.json', () => {
  test('its values come into the environment, where they are not yet', async (t) => {
    process.env.DURAFN_TEST_GIVEN = 'before'
    t.after(() => {
      delete process.env.DURAFN_TEST_GIVEN
      delete process.env.DURAFN_TEST_NEW
    })
    const { app } = await openApp(t, {
      'local.settings.json': {
        IsEncrypted: false,
        Values: { DURAFN_TEST_GIVEN: 'file', DURAFN_TEST_NEW: 'new' },
      },
      Work: [
        manual(),
        'module.exports = async () => [process.env.DURAFN_TEST_GIVEN, process.env.DURAFN_TEST_NEW]',
      ],
    })
    assert.deepEqual(await app.invoke('Work'), ['before', 'new'])
  })

  test('pages of the origins of Host.CORS may read answers of functions', async (t) => {
    const open = async (CORS, options) => {
      const { ask } = await serve(
        t,
        {
          'local.settings.json': { Host: { CORS } },
          Work: [http(), `module.exports = async (context) => { context.res = { body: 'made' } }`],
        },
        options,
      )
      const { headers } = await ask('/api/work', { headers: { origin: 'https://shop.example' } })
      return headers.get('access-control-allow-origin')
    }
    assert.equal(await open('https://a.example, https://shop.example'), 'https://shop.example')
    assert.equal(await open('*'), 'https://shop.example')
    assert.equal(await open('https://a.example'), null)
    assert.equal(await open('*', { allowedOrigins: [] }), null)
  })

  const wrong = {
    'Host.CORS': [{ Host: { CORS: ['*'] } }, /must be a string/],
    IsEncrypted: [{ IsEncrypted: true, Values: {} }, /decrypt it first/],
    Values: [{ Values: [] }, /must be an object/],
    'Values.A': [{ Values: { A: {} } }, /must be a string/],
  }
  for (const [field, [settings, message]] of Object.entries(wrong)) {
    test(`a wrong ${field} is refused with the file`, async (t) => {
      const dir = writeApp(t, { Work: [manual(), ok], 'local.settings.json': settings })
      const error = await refuses('InvalidFunction', df.openFunctionApp(dir), { field, message })
      assert.match(error.message, /local\.settings\.json/)
    })
  }

  test('a setting turns a function off', async (t) => {
    process.env['AzureWebJobs.Off.Disabled'] = 'true'
    t.after(() => delete process.env['AzureWebJobs.Off.Disabled'])
    const { app } = await openApp(t, { Work: [manual(), ok], Off: [manual(), 'throw 1'] })
    const off = app.functions.filter(({ isDisabled }) => isDisabled).map(({ name }) => name)
    assert.deepEqual(off, ['Off'])
  })
})

describe('functions that are at fault', () => {
  test('with skip the others run, and each fault is named with its file', async (t) => {
    const { app, logger } = await openApp(
      t,
      {
        Bad: ['{ "bindings": [', ok],
        Throws: [manual(), 'throw new Error("at load")'],
        Queue: [{ bindings: [{ name: 'item', type: 'queueTrigger' }] }, ok],
        Route: [{ bindings: [{ name: 'req', type: 'httpTrigger', route: '{' }] }, ok],
        Work: [manual(), 'module.exports = async () => 1'],
      },
      { onInvalidFunction: 'skip' },
    )
    assert.equal(await app.invoke('Work'), 1)
    assert.equal(app.problems.length, 4)
    for (const pattern of [
      /Bad.function\.json cannot be read/,
      /Throws.index\.js cannot be loaded: at load/,
      /Queue.function\.json: .*'queueTrigger'/,
      /Route.function\.json: route/,
    ]) {
      assert.equal(logger.find('error', pattern).length, 1, String(pattern))
    }
  })

  test('when none is left the app is refused', async (t) => {
    const dir = writeApp(t, { Bad: ['{', ok] })
    const options = { store: 'sqlite::memory:', onInvalidFunction: 'skip' }
    await refuses('InvalidFunction', df.openFunctionApp(dir, options), { message: /Bad/ })
    const wrong = df.openFunctionApp(dir, { onInvalidFunction: 'ignore' })
    await refuses('InvalidOption', wrong, { field: 'options.onInvalidFunction' })
  })
})
