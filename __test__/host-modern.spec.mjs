/** v4 apps: functions that register themselves through `@azure/functions` 4. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { link, openApp, writeApp } from './support/app.mjs'
import { addressOf, refuse, startHost, stop, succeed } from './support/cli.mjs'
import { complete, fail, refuses, tempStore } from './support/hub.mjs'

/** An app with `@azure/functions` 4 and this package. */
function modernApp(t, files, main = 'index.js', type = 'commonjs') {
  const dir = writeApp(t, { 'package.json': { main, type }, ...files })
  return link(dir, '@azure/functions@4', 'durafn')
}

/** A manual function, in text. */
const manual = (name, handler) =>
  `require('@azure/functions').app.generic('${name}', { trigger: { type: 'manualTrigger', name: 'input' }, handler: ${handler} })`

describe('the entry', () => {
  const entries = {
    'a file': ['src/app.js', 'commonjs', { 'src/app.js': manual('Work', '(input) => input') }],
    'a glob': [
      'dist/{index.js,functions/*.js}',
      'commonjs',
      {
        'dist/index.js': 'globalThis.durafnSeen = ["index"]',
        'dist/functions/work.js': `globalThis.durafnSeen.push('work'); ${manual('Work', '(input) => input')}`,
        'dist/functions/deep/other.js': 'throw new Error("not of the pattern")',
        'dist/functions/notes.txt': '',
      },
    ],
    'an ES module by its package': [
      'main.js',
      'module',
      {
        'main.js': `import { app } from '@azure/functions'
          await null
          app.generic('Work', { trigger: { type: 'manualTrigger', name: 'input' }, handler: (input) => input })`,
      },
    ],
    'an .mjs file': [
      'main.mjs',
      'commonjs',
      {
        'main.mjs': `import { app } from '@azure/functions'
          app.generic('Work', { trigger: { type: 'manualTrigger', name: 'input' }, handler: (input) => input })`,
      },
    ],
  }
  for (const [what, [main, type, files]] of Object.entries(entries)) {
    test(`it is ${what}`, async (t) => {
      const { app } = await openApp(t, modernApp(t, files, main, type))
      assert.deepEqual(
        app.functions.map(({ name, kind }) => [name, kind]),
        [['Work', 'manual']],
      )
      assert.deepEqual(await app.invoke('work', { a: ['ü'] }), { a: ['ü'] })
    })
  }

  test('an app that registers nothing is one of folders', async (t) => {
    const dir = modernApp(t, {
      'index.js': 'module.exports = 1',
      'Work/function.json': { bindings: [{ name: 'input', type: 'manualTrigger' }] },
      'Work/index.js': 'module.exports = async (context, input) => input + 1',
    })
    const { app } = await openApp(t, dir)
    assert.equal(await app.invoke('Work', 1), 2)
  })

  test('a module that throws is named, and so is a function that is there twice', async (t) => {
    const bad = modernApp(t, { 'index.js': 'throw new Error("at load")' })
    await refuses('InvalidFunction', df.openFunctionApp(bad), { message: /index\.js.*at load/ })
    const twice = modernApp(t, {
      'index.js': `${manual('Work', '() => 1')}; ${manual('work', '() => 2')}`,
    })
    const error = await refuses('InvalidFunction', df.openFunctionApp(twice))
    assert.match(error.message, /'work' and 'Work'/)
  })

  test('a trigger that is not supported is refused with its name and the file', async (t) => {
    const dir = modernApp(t, {
      'index.js': `require('@azure/functions').app.storageQueue('Work', { queueName: 'q', connection: 'c', handler: () => {} })`,
    })
    const error = await refuses('InvalidFunction', df.openFunctionApp(dir))
    assert.match(error.message, /index\.js: function 'Work': .*queueTrigger.*not support/)
  })

  test('with skip the rest of the app runs, and the log says what does not', async (t) => {
    const dir = modernApp(
      t,
      { 'a.js': manual('Work', '() => 1'), 'b.js': 'throw new Error("at load")' },
      '*.js',
    )
    const { app, logger } = await openApp(t, dir, { onInvalidFunction: 'skip' })
    assert.equal(await app.invoke('Work'), 1)
    assert.equal(app.problems.length, 1)
    assert.equal(logger.find('error', /b\.js cannot be loaded: at load/).length, 1)
  })

  test('one that was opened before is opened again', async (t) => {
    const dir = modernApp(t, { 'index.js': manual('Work', '() => 1') })
    const first = await openApp(t, dir)
    await first.app.close()
    const { app } = await openApp(t, dir)
    assert.equal(await app.invoke('Work'), 1)
  })
})

describe('the command line', () => {
  const files = {
    'index.js': `${manual('Work', '(input) => ({ input, cwd: process.cwd() === __dirname })')}
      require('@azure/functions').app.get('Where', () => ({ jsonBody: process.cwd() === __dirname }))`,
  }

  test('durafn invoke runs a function of a module', async (t) => {
    const options = ['--dir', modernApp(t, files), '--store', tempStore(t)]
    const printed = await succeed(['invoke', 'work', '--input', '[1]', ...options])
    assert.deepEqual(JSON.parse(printed).input, [1])
    assert.match(await refuse('InvalidFunction', ['invoke', 'Nobody', ...options]), /Work, Where/)
    assert.match(await refuse('NotRegistered', ['invoke', 'Where', ...options]), /manualTrigger/)
  })

  test('durafn start runs in the folder of the app', async (t) => {
    const host = await startHost(t, [modernApp(t, files), '--store', tempStore(t)])
    assert.equal(await (await fetch(`${addressOf(host)}/api/where`)).json(), true)
    assert.equal(await stop(host), 0)
  })
})

describe('functions', () => {
  test('one gets its input and the context of the package', async (t) => {
    const dir = modernApp(t, {
      'index.js': manual(
        'Work',
        `async (input, context) => {
          context.log('plain %d', 1)
          context.warn('careful')
          return { input, name: context.functionName, id: context.invocationId.length,
            trigger: context.options.trigger.type }
        }`,
      ),
    })
    const { app, logger } = await openApp(t, dir)
    assert.deepEqual(await app.invoke('Work', 7), {
      input: 7,
      name: 'Work',
      id: 36,
      trigger: 'manualTrigger',
    })
    assert.deepEqual(logger.find('info', /^plain 1$/), ['plain 1'])
    assert.deepEqual(logger.find('warn', /^careful$/), ['careful'])
  })

  test('what it throws comes back as it is', async (t) => {
    const dir = modernApp(t, {
      'index.js': manual('Work', `() => { throw Object.assign(new RangeError('no'), { a: 1 }) }`),
    })
    const { app } = await openApp(t, dir)
    await assert.rejects(app.invoke('Work'), { name: 'RangeError', message: 'no', a: 1 })
  })

  test('activities run, with orchestrators on df.app', async (t) => {
    const dir = modernApp(t, {
      'index.js': `
        const df = require('durafn')
        const { app } = require('@azure/functions')
        df.app.orchestration('Modern', function* (context) {
          return yield context.df.callActivity(context.df.getInput().name, context.df.getInput().of)
        })
        const activity = (name, handler) =>
          app.generic(name, { trigger: { type: 'activityTrigger', name: 'input' }, handler })
        activity('Hello', (name, context) => 'Hello ' + name + context.triggerMetadata.instanceId)
        activity('Back', (value) => value)
        activity('Throw', () => { throw new RangeError('no') })`,
    })
    const { client } = await openApp(t, dir)
    const call = (name, of) => complete(client, 'Modern', { name, of }, { instanceId: 'a' })
    assert.equal(await call('Hello', 'Oslo'), 'Hello Osloa')
    for (const value of [0, '', false, null, '"1"', '5', { a: [] }]) {
      assert.deepEqual(await call('Back', value), value)
    }
    const failure = await fail(client, 'Modern', { name: 'Throw' })
    assert.deepEqual([failure.name, failure.message], ['RangeError', 'no'])
  })
})

describe('hooks', () => {
  test('they run around each call, and may change input, function, result and error', async (t) => {
    const dir = modernApp(t, {
      'index.js': `
        const { app } = require('@azure/functions')
        const say = []
        app.hook.appStart((context) => { say.push('start'); context.hookData.by = 'start' })
        app.hook.preInvocation((context) => {
          say.push('pre ' + context.invocationContext.functionName)
          context.inputs[0] += 1
          context.hookData.at = 'pre'
          const before = context.functionHandler
          context.functionHandler = async (...given) => (await before(...given)) * 2
        })
        app.hook.postInvocation((context) => {
          say.push('post ' + context.hookData.at)
          if (context.error) { context.error = null; context.result = 'mended' }
          else context.result += 1
        })
        const removed = app.hook.preInvocation(() => { throw new Error('removed') })
        removed.dispose()
        ${manual('Work', '(input) => { if (input < 0) throw new Error("no"); return input }')}
        ${manual('Said', '() => { throw new Error(say.join()) }')}`,
    })
    const { app } = await openApp(t, dir)
    assert.equal(await app.invoke('Work', 5), 13)
    assert.equal(await app.invoke('Work', -5), 'mended')
  })

  test('what one throws fails the call', async (t) => {
    const dir = modernApp(t, {
      'index.js': `
        require('@azure/functions').app.hook.preInvocation(() => { throw new TypeError('not today') })
        ${manual('Work', '() => 1')}`,
    })
    const { app } = await openApp(t, dir)
    await assert.rejects(app.invoke('Work'), { name: 'TypeError', message: 'not today' })
  })

  test('what one throws when the app ends is told, and the app ends', async (t) => {
    const dir = modernApp(t, {
      'index.js': `
        require('@azure/functions').app.hook.appTerminate(() => { throw new TypeError('not now') })
        ${manual('Work', '() => 1')}`,
    })
    const { app, client, logger } = await openApp(t, dir)
    await app.close()
    await assert.rejects(client.count(), { code: 'HubClosed' })
    assert.equal(logger.find('error', /appTerminate.*not now/).length, 1)
  })

  test('those for logs may change lines, or drop them', async (t) => {
    const dir = modernApp(t, {
      'index.js': `
        require('@azure/functions').app.hook.log((context) => {
          if (context.message.includes('secret')) context.level = 'none'
          else { context.level = 'warning'; context.message += '!' }
        })
        ${manual('Work', '(input, context) => { context.log("secret 1"); context.log("said") }')}`,
    })
    const { app, logger } = await openApp(t, dir)
    await app.invoke('Work')
    assert.deepEqual(logger.find('warn', /said/), ['said!'])
    assert.equal(
      logger.lines.some(({ message }) => message.includes('secret')),
      false,
    )
  })
})
