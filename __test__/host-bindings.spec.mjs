/** Bindings beside the trigger: outputs of the user's, and clients. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { link, manual, openApp, writeApp } from './support/app.mjs'
import { PATIENCE_MS, refuses, throwsCode } from './support/hub.mjs'

const out = (name, type, rest) => ({ name, type, direction: 'out', ...rest })
const withOutputs = (...bindings) => ({ bindings: [...manual().bindings, ...bindings] })

describe('outputs with a handler', () => {
  test('it gets the value, the binding and the context, and the call waits for it', async (t) => {
    const seen = []
    df.registerBinding('testTable', async (value, binding, context) => {
      await null
      seen.push([value, binding, context.functionName])
    })
    const { app } = await openApp(t, {
      Work: [
        withOutputs(out('row', 'testTable', { tableName: 'rows' }), out('other', 'testTable')),
        `module.exports = async (context, input) => {
          context.bindings.row = { id: input }
        }`,
      ],
    })
    await app.invoke('Work', 7)
    assert.deepEqual(seen, [
      [{ id: 7 }, { name: 'row', type: 'testTable', direction: 'out', tableName: 'rows' }, 'Work'],
    ])
  })

  test('$return and an object by names go to it too', async (t) => {
    const seen = []
    df.registerBinding('testQueue', (value, { name }) => seen.push([name, value]))
    const { app } = await openApp(t, {
      Return: [withOutputs(out('$return', 'testQueue')), 'module.exports = async () => [1]'],
      Named: [
        withOutputs(out('a', 'testQueue'), out('b', 'testQueue')),
        'module.exports = async (context) => { context.bindings.b = 2; return { a: 1 } }',
      ],
    })
    await app.invoke('Return')
    await app.invoke('Named')
    assert.deepEqual(seen, [
      ['$return', [1]],
      ['a', 1],
      ['b', 2],
    ])
  })

  test('a call fails with its handler, and a function that failed hands nothing on', async (t) => {
    const seen = []
    df.registerBinding('testBroken', (value) => {
      seen.push(value)
      throw new RangeError('full')
    })
    const { app } = await openApp(t, {
      Work: [
        withOutputs(out('o', 'testBroken')),
        `module.exports = async (context, input) => {
          context.bindings.o = 1
          if (input) throw new TypeError('first')
        }`,
      ],
    })
    await assert.rejects(app.invoke('Work', true), TypeError)
    assert.deepEqual(seen, [])
    await assert.rejects(app.invoke('Work'), RangeError)
  })

  test('names of @azure/functions 4 are known, and a module of the app may register', async (t) => {
    const files = {
      'package.json': { main: 'index.js' },
      'index.js': `
        const { app, output } = require('@azure/functions')
        const df = require('durafn')
        df.registerBinding('storageBlob', (value, { path }) => { globalThis.durafnBlob = [path, value] })
        const blob = output.storageBlob({ path: 'a/b', connection: 'c' })
        app.generic('Work', {
          trigger: { type: 'manualTrigger', name: 'input' }, extraOutputs: [blob],
          handler: (input, context) => { context.extraOutputs.set(blob, input) },
        })`,
    }
    t.after(() => delete globalThis.durafnBlob)
    const { app } = await openApp(t, link(writeApp(t, files), '@azure/functions@4', 'durafn'))
    await app.invoke('Work', { a: 1 })
    assert.deepEqual(globalThis.durafnBlob, ['a/b', { a: 1 }])
  })

  test('without one, and as an input, a type is refused', async (t) => {
    const ok = 'module.exports = async () => {}'
    const bindings = [out('o', 'testNone'), { ...out('i', 'testTable'), direction: 'in' }]
    for (const binding of bindings) {
      const dir = writeApp(t, { Work: [withOutputs(binding), ok] })
      const opening = df.openFunctionApp(dir, { store: 'sqlite::memory:' })
      const error = await refuses('InvalidFunction', opening, { field: 'bindings[1].type' })
      assert.match(error.message, new RegExp(`'${binding.name}' has type '${binding.type}'`))
    }
    throwsCode('InvalidOption', () => df.registerBinding('', () => {}), { field: 'type' })
    throwsCode('InvalidOption', () => df.registerBinding('x', 1), { field: 'handler' })
  })
})

describe('clients', () => {
  test('an http function starts an orchestration by its output binding', async (t) => {
    const { app, client } = await openApp(t, {
      Echo: [
        { bindings: [{ name: 'context', type: 'orchestrationTrigger' }] },
        'module.exports = function* (context) { return context.df.getInput() }',
      ],
      Start: [
        {
          bindings: [
            { name: 'req', type: 'httpTrigger', authLevel: 'anonymous' },
            { name: 'res', type: 'http', direction: 'out' },
            { name: 'starter', type: 'orchestrationClient', direction: 'out' },
          ],
        },
        `module.exports = function (context, req) {
          context.bindings.starter = { FunctionName: 'Echo', Input: req.body, InstanceId: 'a' }
          context.res = { status: 202 }
          context.done()
        }`,
      ],
    })
    const init = { method: 'POST', body: '{"a":1}' }
    const response = await app.fetch(new Request('http://localhost/api/start', init))
    assert.equal(response.status, 202)
    const { output } = await client.waitForCompletion('a', { timeoutMs: PATIENCE_MS })
    assert.deepEqual(output, { a: 1 })
  })
})
