/** The functions of a folder: the classic context, and how a function says that it is done. */

import assert from 'node:assert/strict'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { activity, openApp, orchestration } from './support/app.mjs'
import { complete, fail } from './support/hub.mjs'

describe('activities', () => {
  const calls = [
    orchestration(),
    "module.exports = function* (context) { return yield context.df.callActivity('Work', context.df.getInput()) }",
  ]
  const work = (script, json = activity()) => ({ Call: calls, Work: [json, script] })

  const ends = {
    'a promise': "module.exports = async (context, input) => 'Hello ' + input",
    'context.done': "module.exports = (context, input) => context.done(null, 'Hello ' + input)",
    'context.done later':
      "module.exports = (context, input) => { setImmediate(() => context.done(null, 'Hello ' + input)) }",
    'context.bindings for the input':
      "module.exports = async (context) => 'Hello ' + context.bindings.input",
  }
  for (const [what, script] of Object.entries(ends)) {
    test(`one ends by ${what}`, async (t) => {
      const { client } = await openApp(t, work(script))
      assert.equal(await complete(client, 'Call', 'Oslo'), 'Hello Oslo')
    })
  }

  const failures = {
    'throws at once': "module.exports = () => { throw new RangeError('no') }",
    rejects: "module.exports = async () => { throw new RangeError('no') }",
    'calls done with an error': "module.exports = (context) => context.done(new RangeError('no'))",
  }
  for (const [what, script] of Object.entries(failures)) {
    test(`one fails if it ${what}`, async (t) => {
      const { client } = await openApp(t, work(script))
      const failure = await fail(client, 'Call')
      assert.deepEqual([failure.name, failure.message], ['RangeError', 'no'])
    })
  }

  test('what fails with a value that is no error fails too', async (t) => {
    for (const value of ['undefined', 'false', "''"]) {
      const { client } = await openApp(t, work(`module.exports = () => Promise.reject(${value})`))
      await fail(client, 'Call')
    }
  })

  test('a value that is no promise is ignored, with a warning, until done is called', async (t) => {
    const script = `module.exports = (context) => {
      setImmediate(() => context.done(null, 'by done'))
      return 'ignored'
    }`
    const { client, logger } = await openApp(t, work(script))
    assert.equal(await complete(client, 'Call'), 'by done')
    assert.equal(logger.find('warn', /'Work' returned a value that is no promise/).length, 1)
  })

  test('only the first end counts', async (t) => {
    const script = `module.exports = (context) => {
      context.done(null, 1)
      context.done(null, 2)
      context.done(new Error('no'))
    }`
    const { client, logger } = await openApp(t, work(script))
    assert.equal(await complete(client, 'Call'), 1)
    assert.equal(logger.find('warn', /context\.done was called a second time/).length, 2)
  })

  test('the context has what the classic model and the engine give', async (t) => {
    const script = `module.exports = async function (context, input) {
      const { executionContext, bindings, bindingData, bindingDefinitions, invocationId } = context
      return {
        same: executionContext.invocationId === invocationId && bindingData.invocationId === invocationId,
        executionContext: { ...executionContext, invocationId: undefined },
        bindings, bindingDefinitions, input,
        bindingData: { ...bindingData, invocationId: undefined },
        instanceId: context.instanceId, attempt: context.attempt,
        signal: context.signal.aborted, key: typeof context.idempotencyKey,
        traceContext: context.traceContext, arguments: arguments.length,
      }
    }`
    const { client, dir } = await openApp(t, work(script))
    const seen = await complete(client, 'Call', { a: 1 }, { instanceId: 'one' })
    assert.deepEqual(seen, {
      same: true,
      executionContext: {
        functionName: 'Work',
        functionDirectory: join(realpathSync(dir), 'Work'),
        retryContext: null,
      },
      bindings: { input: { a: 1 } },
      bindingDefinitions: [{ name: 'input', type: 'activityTrigger', direction: 'in' }],
      input: { a: 1 },
      bindingData: { instanceId: 'one', data: { a: 1 }, input: { a: 1 }, a: 1 },
      instanceId: 'one',
      attempt: 1,
      signal: false,
      key: 'string',
      traceContext: { traceparent: null, tracestate: null, attributes: {} },
      arguments: 2,
    })
  })

  test('context.log is a function with levels', async (t) => {
    const script = `module.exports = async (context) => {
      context.log('plain %d', 1)
      for (const level of ['error', 'warn', 'info', 'verbose']) context.log[level](level, { a: 1 })
    }`
    const { client, logger } = await openApp(t, work(script))
    await complete(client, 'Call')
    const said = logger.lines.filter(({ message }) => !message.startsWith('durafn:'))
    assert.deepEqual(said, [
      { level: 'info', message: 'plain 1' },
      { level: 'error', message: 'error { a: 1 }' },
      { level: 'warn', message: 'warn { a: 1 }' },
      { level: 'info', message: 'info { a: 1 }' },
      { level: 'debug', message: 'verbose { a: 1 }' },
    ])
  })

  test('the trigger comes first wherever it stands, then a client if its direction is in', async (t) => {
    const json = activity('starter')
    json.bindings[1].direction = 'in'
    json.bindings.reverse()
    const script =
      'module.exports = async (context, input, starter) => [input, typeof starter.startNew]'
    const { client } = await openApp(t, work(script, json))
    assert.deepEqual(await complete(client, 'Call', 7), [7, 'function'])
  })
})

describe('orchestrators', () => {
  const hello = [activity(), "module.exports = async (context, name) => 'Hello ' + name"]
  const kinds = {
    'df.orchestrator of a generator function': `
      const df = require('durafn')
      module.exports = df.orchestrator(function* (context) {
        return yield context.df.callActivity('Hello', context.df.getInput())
      })`,
    'df.orchestrator of an async function': `
      const df = require('durafn')
      module.exports = df.orchestrator(async (context) => {
        return await context.df.callActivity('Hello', context.df.getInput())
      })`,
    'the bare generator function': `
      module.exports = function* (context) {
        return yield context.df.callActivity('Hello', context.df.getInput())
      }`,
    'the bare async function': `
      module.exports = async function (context) {
        return await context.df.callActivity('Hello', context.df.getInput())
      }`,
  }
  for (const [what, script] of Object.entries(kinds)) {
    test(`one is ${what}`, async (t) => {
      const { client } = await openApp(t, { Hello: hello, Greet: [orchestration(), script] })
      assert.equal(await complete(client, 'greet', 'Oslo'), 'Hello Oslo')
    })
  }

  test('the context has the trigger and what the classic model gives', async (t) => {
    const script = `module.exports = function* (context, trigger) {
      const { executionContext, bindingData, bindings, invocationId } = context
      return {
        trigger: { ...bindings.context }, same: trigger === bindings.context,
        name: executionContext.functionName, directory: executionContext.functionDirectory,
        ids: [executionContext.invocationId, bindingData.invocationId].every((id) => id === invocationId),
        instanceId: bindingData.instanceId,
      }
    }`
    const { client, dir } = await openApp(t, { See: [orchestration(), script] })
    assert.deepEqual(await complete(client, 'See', { a: 1 }, { instanceId: 'one' }), {
      trigger: { input: { a: 1 }, instanceId: 'one', parentInstanceId: null, isReplaying: false },
      same: true,
      name: 'See',
      directory: join(realpathSync(dir), 'See'),
      ids: true,
      instanceId: 'one',
    })
  })

  test('df.orchestrator refuses what is no function', () => {
    for (const value of [undefined, null, {}, 'x']) {
      assert.throws(() => df.orchestrator(value), { code: 'InvalidOption', field: 'handler' })
    }
  })
})
