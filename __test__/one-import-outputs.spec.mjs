/** Outputs of activities on the registry: `extraOutputs` and `return`. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as df from 'durafn'
import { link, writeApp } from './support/app.mjs'
import { complete, fail, openHub, refuses, throwsCode } from './support/hub.mjs'

/** Registers a handler for a type of the test's own, and gives what it has taken. */
function handle(type) {
  const taken = []
  df.registerBinding(type, async (value, binding, context) => {
    if (value === 'refused') throw new Error('the handler')
    taken.push([value, binding.name, binding.to, context.functionName])
  })
  return taken
}

test('what an activity leaves for an output is handed on, and so is its result', async (t) => {
  process.env.TestPhone = '+1'
  t.after(() => delete process.env.TestPhone)
  const taken = handle('testSms')
  const sms = { type: 'testSms', name: 'sms1', direction: 'out', to: '%TestPhone% {instanceId}' }
  const back = { type: 'testSms', name: '$return', to: 'all' }
  const { client } = await openHub(t, (app) => {
    app.activity('send', {
      extraOutputs: [sms],
      return: back,
      handler: (text, context) => {
        context.extraOutputs.set(sms, text)
        return text === undefined ? undefined : text.length
      },
    })
    app.orchestration('o', function* (context) {
      return yield context.df.callActivity('send', context.df.getInput())
    })
  })
  assert.equal(await complete(client, 'o', 'hello', { instanceId: 'one' }), 5)
  assert.deepEqual(taken, [
    ['hello', 'sms1', '+1 one', 'send'],
    [5, '$return', 'all', 'send'],
  ])
  assert.equal(await complete(client, 'o'), null)
  assert.equal(taken.length, 2)
  assert.equal((await fail(client, 'o', 'refused')).message, 'the handler')
})

test('nothing is handed on when the activity fails', async (t) => {
  const taken = handle('testNone')
  const output = { type: 'testNone', name: 'out' }
  const { client } = await openHub(t, (app) => {
    app.activity('bad', {
      extraOutputs: [output],
      handler: (_, context) => {
        context.extraOutputs.set(output, 1)
        throw new Error('no')
      },
    })
    app.orchestration('o', (context) => context.df.callActivity('bad'))
  })
  assert.equal((await fail(client, 'o')).message, 'no')
  assert.deepEqual(taken, [])
})

test('an output that nobody takes is refused, by a host when the app is loaded', async (t) => {
  const { client } = await openHub(t, (app) => {
    app.activity('send', { extraOutputs: [{ type: 'nobody', name: 'n' }], handler: () => 1 })
    app.orchestration('o', (context) => context.df.callActivity('send'))
  })
  const failure = await fail(client, 'o')
  assert.equal(failure.code, 'InvalidFunction')
  assert.match(failure.message, /'send' has the output 'n' of type 'nobody'.*registerBinding/)
  const dir = writeApp(t, {
    'package.json': { main: 'index.js' },
    'index.js': `const df = require('durafn')
      const out = require('@azure/functions').output.generic({ type: 'nobody' })
      df.app.activity('sendNobody', { extraOutputs: [out], handler: () => 1 })
      df.app.client.generic('byHand', {
        trigger: { type: 'manualTrigger', name: 'input' }, handler: () => 1 })`,
  })
  link(dir, 'durafn', '@azure/functions@4')
  const error = await refuses('InvalidFunction', df.openFunctionApp(dir))
  assert.match(error.message, /index\.js: activity 'sendNobody'/)
})

test('orchestrators have no outputs', () => {
  const extraOutputs = [{ type: 'testSms', name: 'sms1' }]
  const register = () => new df.App().orchestration('o', { handler: () => 1, extraOutputs })
  throwsCode('InvalidOption', register, { message: /'sms1' of type 'testSms'/ })
})
