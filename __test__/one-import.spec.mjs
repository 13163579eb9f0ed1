/** Programs written for `durable-functions` 3, with one import changed. See docs/migrating.md. */

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as df from 'durafn'
import {
  complete,
  fail,
  memoryLogger,
  openHub,
  run,
  startWaiting,
  tempDir,
  throwsCode,
  until,
} from './support/hub.mjs'
import { compilePrograms } from './support/one-import.mjs'
import { reply, serve } from './support/server.mjs'

test('the programs compile with the original package', (t) => {
  assert.equal(compilePrograms(tempDir(t), 'durable-functions'), '')
})

describe('with the import changed the programs', () => {
  const dir = mkdtempSync(join(tmpdir(), 'durafn-test-'))
  const logger = memoryLogger()
  const said = []
  const sent = []
  const programs = {}
  let hub
  let client

  before(async () => {
    assert.equal(compilePrograms(dir, 'durafn'), '')
    // A host would read it from local.settings.json.
    process.env.Phone = '+15550100'
    const load = createRequire(join(dir, 'package.json'))
    process.once('warning', ({ message }) => said.push(message))
    for (const file of readdirSync(join(dir, 'dist'))) {
      programs[file.slice(0, -3)] = load(`./dist/${file}`)
    }
    for (const type of ['programSms', 'storageQueue']) {
      df.registerBinding(type, (value) => sent.push(value))
    }
    const http = { allowPrivateAddresses: true, pollingIntervalMs: 5 }
    hub = await df.open({ store: 'sqlite::memory:', logger, http, unmatchedEvents: 'buffer' })
    client = hub.client
  })
  after(async () => {
    await hub?.close({ drainTimeoutMs: 0 })
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
  })

  test('compile, and say that functions of the host need the host', async () => {
    await until('the warning is emitted', () => said.length > 0)
    assert.match(said[0], /startAndWait.*not registered/)
  })

  test('hello: activities one after the other', async () => {
    const expected = ['Hello, Tokyo', 'Hello, Seattle', 'Hello, Cairo']
    assert.deepEqual(await complete(client, 'chain'), expected)
    assert.equal(logger.find('info', /greeted Cairo, replaying: false/).length, 1)
    assert.equal(logger.find('info', /sayHello .* activityTrigger/).length, 3)
  })

  test('fan-out: sub-orchestrations, retries, and definitions that are called', async () => {
    assert.deepEqual(await complete(client, 'fanOut', 5), { items: 5, total: 100 })
  })

  test('monitor: timers, custom status and continue-as-new', async () => {
    const status = await run(client, 'monitor', { job: 'a', left: 2, seen: [] })
    assert.deepEqual(status.output, ['busy', 'busy', 'done'])
    assert.deepEqual(status.customStatus, { state: 'done', looks: 3 })
  })

  test('human: an answer before the deadline, and outputs of an activity', async () => {
    const id = await startWaiting(client, 'approval', { input: '12345' })
    for (const answer of [1, 5]) await client.raiseEvent(id, 'answer', answer)
    const { output } = await client.waitForCompletion(id)
    assert.deepEqual(output, { approved: true, cancelled: true, faulted: false })
    assert.deepEqual(sent, [{ to: '12345', body: 'Your code is 5' }, '12345'])
  })

  test('errors: caught with their details, and thrown to the end', async () => {
    assert.deepEqual(await complete(client, 'saga'), {
      undone: ['undone: charged 10'],
      type: 'CardDeclined',
      properties: { limit: 100, shop: 'corner' },
      isIt: true,
    })
    const status = await run(client, 'fails')
    assert.equal(status.runtimeStatus, df.OrchestrationRuntimeStatus.Failed)
    assert.equal(status.output, "Orchestrator function 'fails' failed: too much")
  })

  test('web: callHttp with polling, and a managed identity', async (t) => {
    let polls = 0
    const server = await serve(t, (request, response) => {
      const isBusy = request.method === 'POST' || polls++ < 2
      reply(response, isBusy ? 202 : 200, isBusy ? { location: '/jobs/1' } : {}, 'done')
    })
    assert.deepEqual(await complete(client, 'web', server.url), [200, 'done', 202])
    assert.match((await fail(client, 'identity', server.url)).message, /setTokenProvider/)
    df.app.setTokenProvider(({ resource }) => `for ${resource}`)
    t.after(() => df.app.setTokenProvider(undefined))
    assert.deepEqual(await complete(client, 'identity', server.url), [200, 'https://vault.test/'])
    assert.equal(server.requests.at(-1).headers.authorization, 'Bearer for https://vault.test/')
  })

  test('entities: a transfer under a lock, signals, failures and what a lock forbids', async () => {
    const input = { from: 'a', to: 'b', amount: 50 }
    assert.deepEqual(await complete(client, 'transfer', input), {
      locks: ['a', 'b'],
      free: false,
      notes: ['a'],
      failed: true,
    })
    assert.equal(await complete(client, 'nested'), true)
    const id = new df.EntityId('account', 'b')
    const { entityExists, entityState } = await client.readEntityState(id)
    assert.deepEqual([entityExists, entityState.balance], [true, 51])
    assert.equal(id.toString(), '@account@b')
  })

  test('clients: an activity has the client of its hub', async () => {
    assert.deepEqual(await complete(client, 'escalation'), ['sent', 'escalated'])
  })

  test('unit-tests: orchestrators are stepped with stubs', () => {
    const { operate, step, triggers, input } = programs['unit-tests']
    const handler = function* (context) {
      return [yield context.df.callActivity('one', 1), yield context.df.callActivity('two')]
    }
    assert.deepEqual(step(handler, ['a', 'b']), [
      [
        ['one', 1],
        ['two', undefined],
      ],
      true,
      ['a', 'b'],
      'stepped',
      'id-1',
    ])
    const entity = (context) => context.df.return(context.df.getState() + context.df.getInput())
    assert.deepEqual(operate(entity, 'add', 2), [2, 7, 'entityTrigger'])
    const kinds = triggers.map(({ type }) => type)
    assert.deepEqual(kinds, ['activityTrigger', 'orchestrationTrigger', 'entityTrigger'])
    assert.equal(input.type, 'durableClient')
    assert.match(input.name, /^durableClientInput[0-9a-f]{10}$/)
  })
})

describe('TaskFailedError', () => {
  test('an error of a task is one, beside its own class; no other error is', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.activity('bad', {
        handler: () => {
          throw Object.assign(new RangeError('no', { cause: new TypeError('why') }), { a: 1 })
        },
      })
      app.orchestration('o', function* (context) {
        try {
          yield context.df.callActivity('bad')
        } catch (error) {
          const { errorType, errorMessage, properties, innerFailure } = error.failureDetails
          const isCausedBy = error.failureDetails.isCausedBy('TypeError')
          const classes = [error instanceof df.TaskFailedError, error instanceof RangeError]
          return [classes, errorType, errorMessage, properties, innerFailure.errorType, isCausedBy]
        }
      })
    })
    const expected = [[true, true], 'RangeError', 'no', { a: 1 }, 'TypeError', true]
    assert.deepEqual(await complete(client, 'o'), expected)
    assert.equal(new Error('x') instanceof df.TaskFailedError, false)
    class Derived extends df.TaskFailedError {}
    const made = new df.TaskFailedError({
      errorType: 'A',
      errorMessage: 'b',
      isNonRetriable: false,
    })
    assert.equal(made instanceof df.TaskFailedError, true)
    assert.equal(made instanceof Derived, false)
    assert.equal(made.message, 'A: b')
  })

  test('a provider that throws hides nothing, and fields of the error win', async (t) => {
    let answer = () => ({ a: 2, b: 3, message: 'other' })
    const { client } = await openHub(t, (app) => {
      app.setExceptionPropertiesProvider({ getExceptionProperties: () => answer() })
      app.activity('bad', {
        handler: () => {
          throw Object.assign(new Error('no'), { a: 1 })
        },
      })
      app.orchestration('o', (context) => context.df.callActivity('bad'))
    })
    const { message, a, b } = await fail(client, 'o')
    assert.deepEqual([message, a, b], ['no', 1, 3])
    answer = () => {
      throw new Error('the provider')
    }
    assert.equal((await fail(client, 'o')).message, 'no')
  })
})

describe('getClient', () => {
  test('says why there is none: in an orchestrator, and in a context of nobody', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('o', async (context) => df.getClient(context).taskHubName)
    })
    const { code, message } = await fail(client, 'o')
    assert.equal(code, 'InvalidOption')
    assert.match(message, /an orchestrator has none/)
    throwsCode('InvalidOption', () => df.getClient({ bindings: { a: 1 } }), { message: /df\.open/ })
  })
})

describe('what durable-functions takes and durafn cannot do is refused', () => {
  test('other hubs, and bindings of activities', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('o', () => 1)
    })
    const options = { taskHubName: 'other' }
    await assert.rejects(client.raiseEvent('id', 'e', 1, options), { code: 'InvalidOption' })
    await assert.rejects(client.rewind('id', 'why', options), { code: 'InvalidOption' })
    const blob = { type: 'blob', name: 'blobInput' }
    throwsCode(
      'InvalidOption',
      () => new df.App().activity('a', { handler: () => 1, extraInputs: [blob] }),
      { message: /'blobInput' of type 'blob'/ },
    )
  })

  test('no instance is ever canceled', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('o', () => 1)
    })
    await complete(client, 'o')
    const { Canceled, Completed } = df.OrchestrationRuntimeStatus
    assert.equal(await client.count({ runtimeStatus: [Canceled] }), 0)
    assert.equal(await client.count({ runtimeStatus: [Canceled, Completed] }), 1)
    const { instancesDeleted } = await client.purgeInstanceHistoryBy({ runtimeStatus: Canceled })
    assert.equal(instancesDeleted, 0)
  })
})

test('registering methods can be taken off the app', () => {
  const { orchestration, activity, entity } = new df.App()
  entity('e', () => {})
  activity('a', { handler: () => 1 })
  assert.equal(orchestration('o', () => 1).functionName, 'o')
})

test('methods of contexts can be taken off them, and replaced', async (t) => {
  const { client } = await openHub(t, (app) => {
    app.activity('echo', { handler: (value) => value })
    app.entity('tally', ({ df: { getState, setState, getInput, return: give } }) => {
      setState(getState(() => 0) + getInput())
      give(getState())
    })
    app.orchestration('o', function* ({ df: { callActivity, callEntity, createTimer } }) {
      yield createTimer(new Date(0))
      return [
        yield callActivity('echo', 1),
        yield callEntity(new df.EntityId('tally', 'k'), 'add', 2),
      ]
    })
    app.orchestration('async', async ({ df: { callActivity, getInput } }) => {
      return [await callActivity('echo', 1), await callActivity('echo', getInput())]
    })
    app.orchestration('stub', (context) => {
      context.df.getInput = () => 'stubbed'
      return context.df.getInput()
    })
  })
  assert.deepEqual(await complete(client, 'o'), [1, 2])
  assert.deepEqual(await complete(client, 'async', 2), [1, 2])
  assert.equal(await complete(client, 'stub'), 'stubbed')
})
