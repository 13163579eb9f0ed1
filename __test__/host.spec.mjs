/** Function apps: `function.json`, the scripts, and the opening of a folder. */

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, realpathSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { activity, fixture, manual, openApp, orchestration, writeApp } from './support/app.mjs'
import { complete, PATIENCE_MS, refuses, tempDir, tempStore } from './support/hub.mjs'

/** An orchestrator that gives its input back, as the bare function. */
const echo = [
  orchestration(),
  'module.exports = function* (context) { return context.df.getInput() }',
]
/** One that waits for an event. */
const wait = [
  orchestration(),
  "module.exports = function* (context) { return yield context.df.waitForExternalEvent('Go') }",
]

async function outputOf(client, id) {
  const status = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
  assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
  return status.output
}

describe('scripts', () => {
  const entries = {
    'scriptFile, outside the folder': [
      { scriptFile: '../built/work.js' },
      { 'built/work.js': "module.exports = async () => 'found'" },
    ],
    entryPoint: [
      { entryPoint: 'work' },
      { 'Work/index.js': "exports.other = 1; exports.work = async () => 'found'" },
    ],
    'the only script of the folder': [
      {},
      { 'Work/odd.js': "module.exports = async () => 'found'" },
    ],
    'index.js among others': [
      {},
      { 'Work/index.js': "module.exports = async () => 'found'", 'Work/a.js': 'throw 1' },
    ],
    'the only member': [{}, { 'Work/index.js': "exports.anything = async () => 'found'" }],
    'run of several': [{}, { 'Work/index.js': "exports.run = async () => 'found'; exports.x = 1" }],
    'index of several': [
      {},
      { 'Work/index.js': "exports.index = async () => 'found'; exports.x = 1" },
    ],
    'a member, with the module as this': [
      { entryPoint: 'work' },
      {
        'Work/index.js':
          "exports.what = 'found'; exports.work = async function () { return this.what }",
      },
    ],
    'an ES module': [{}, { 'Work/index.mjs': "export default async () => 'found'" }],
    'an ES module by the type of its package': [
      {},
      {
        'package.json': { type: 'module' },
        'Work/index.js': "export const work = async () => 'found'",
      },
    ],
  }
  for (const [what, [json, files]] of Object.entries(entries)) {
    test(`the function is found: ${what}`, async (t) => {
      const { app } = await openApp(t, { 'Work/function.json': { ...manual(), ...json }, ...files })
      assert.equal(await app.invoke('work'), 'found')
    })
  }

  test("require('durafn') gives the package that runs, with no node_modules in sight", async (t) => {
    const store = tempStore(t)
    const main = createRequire(import.meta.url).resolve('durafn')
    const script = "module.exports = async () => [require.resolve('durafn'), require('../lib')]"
    const { app, dir } = await openApp(
      t,
      { Work: [manual(), script], 'lib.js': "module.exports = typeof require('durafn').open" },
      { store },
    )
    assert.deepEqual(await app.invoke('Work'), [main, 'function'])
    const outside = createRequire(join(tempDir(t), 'x.js'))
    assert.throws(() => outside.resolve('durafn'), { code: 'MODULE_NOT_FOUND' })
    const inside = createRequire(join(realpathSync(dir), 'x.js'))
    assert.throws(() => inside.resolve('durafn-other'), { code: 'MODULE_NOT_FOUND' })
  })

  test("import 'durafn' does so too, in folders and in modules", async (t) => {
    const copy = { 'node_modules/durafn/index.js': 'exports.copy = true' }
    const folders = await openApp(t, {
      ...copy,
      'Work/function.json': manual(),
      'Work/index.mjs': `import * as df from 'durafn'
        import { serve } from 'durafn/http'
        export default async () => [df.app === globalThis.durafnApp, df.copy, typeof serve]`,
    })
    globalThis.durafnApp = df.app
    t.after(() => delete globalThis.durafnApp)
    assert.deepEqual(await folders.app.invoke('Work'), [true, undefined, 'function'])
    const modules = await openApp(t, {
      ...copy,
      'package.json': { main: 'main.mjs' },
      'main.mjs': `import * as df from 'durafn'
        import './more.mjs'
        df.app.orchestration('ImportedHere', function* () { return 1 })`,
      'more.mjs': `import * as df from 'durafn'
        df.app.orchestration('ImportedThere', function* () { return 2 })`,
    })
    assert.equal(await complete(modules.client, 'ImportedHere'), 1)
    assert.equal(await complete(modules.client, 'ImportedThere'), 2)
  })

  test('it does so too when the app has a copy of its own', async (t) => {
    const { app } = await openApp(t, {
      Work: [manual(), "module.exports = async () => require('durafn').copy"],
      'node_modules/durafn/index.js': 'exports.copy = true',
    })
    assert.equal(await app.invoke('Work'), undefined)
  })

  test('folders without function.json are none, and a disabled function is not loaded', async (t) => {
    const { app } = await openApp(t, {
      Work: [manual(), 'module.exports = async () => 1'],
      Off: [{ ...manual(), disabled: true }, 'throw new Error()'],
      'shared/helper.js': 'throw new Error()',
      'README.md': 'no function',
    })
    const seen = app.functions.map(({ name, kind, isDisabled }) => [name, kind, isDisabled])
    assert.deepEqual(seen, [
      ['Off', 'manual', true],
      ['Work', 'manual', false],
    ])
    await refuses('NotRegistered', app.invoke('Off'), { message: /disabled/ })
  })
})

describe('bad folders are refused when they are opened', () => {
  const ok = 'module.exports = async () => {}'
  const trigger = { name: 'input', type: 'manualTrigger', direction: 'in' }
  const json = (...bindings) => ({ bindings })
  /** What is written, and the field and text that the error has. */
  const cases = {
    'no JSON': [{ F: ['{ "bindings": [', ok] }, undefined, /F.function\.json cannot be read/],
    'no object': [{ F: ['[]', ok] }, undefined, /function\.json must hold a JSON object/],
    'no bindings': [{ F: [{}, ok] }, 'bindings', /must be an array with a trigger/],
    'a binding that is no object': [{ F: [json(trigger, 1), ok] }, 'bindings[1]', /an object/],
    'a binding without a name': [
      { F: [json({ type: 'manualTrigger' }), ok] },
      'bindings[0].name',
      /a string/,
    ],
    'a binding without a type': [
      { F: [json({ name: 'x' }), ok] },
      'bindings[0].type',
      /'x' has no type/,
    ],
    'a trigger of another kind': [
      { F: [json({ name: 'req', type: 'queueTrigger' }), ok] },
      'bindings[0].type',
      /F.function\.json: .*'req' has type 'queueTrigger'.*not support/,
    ],
    'a binding of another kind': [
      { F: [json(trigger, { name: 'out', type: 'queue', direction: 'out' }), ok] },
      'bindings[1].type',
      /F.function\.json: .*'out' has type 'queue'/,
    ],
    'a wrong direction': [
      { F: [json(trigger, { name: 's', type: 'orchestrationClient', direction: 'up' }), ok] },
      'bindings[1].direction',
      /'in' or 'out'/,
    ],
    'a trigger that goes out': [
      { F: [json({ ...trigger, direction: 'out' }), ok] },
      'bindings[0].direction',
      /must be 'in'/,
    ],
    'one name twice': [{ F: [json(trigger, trigger), ok] }, 'bindings[1].name', /two bindings/],
    'two triggers': [
      { F: [json(trigger, { name: 'x', type: 'activityTrigger' }), ok] },
      'bindings',
      /two triggers, 'input' and 'x'/,
    ],
    'no trigger': [
      { F: [json({ name: 's', type: 'orchestrationClient', direction: 'out' }), ok] },
      'bindings',
      /must have a trigger/,
    ],
    'an orchestrator with a starter': [
      {
        F: [
          json(
            { name: 'c', type: 'orchestrationTrigger' },
            { name: 's', type: 'orchestrationClient' },
          ),
          ok,
        ],
      },
      'bindings',
      /'s' \(orchestrationClient\).*no binding but its trigger/,
    ],
    'a script that is not there': [
      { F: [{ ...manual(), scriptFile: 'gone.js' }, ok] },
      'scriptFile',
      /'gone\.js', which does not exist/,
    ],
    'no script at all': [{ F: [manual()] }, 'scriptFile', /must name the script.*no script/],
    'a scriptFile that is no text': [
      { F: [{ ...manual(), scriptFile: 1 }, ok] },
      'scriptFile',
      /string/,
    ],
    'an entryPoint that is not there': [
      { F: [{ ...manual(), entryPoint: 'gone' }, 'exports.a = () => {}'] },
      'entryPoint',
      /'gone'.*index\.js exports no function/,
    ],
    'disabled with another value': [
      { F: [{ ...manual(), disabled: 'no' }, ok] },
      'disabled',
      /true or false/,
    ],
    'a script that throws': [
      { F: [manual(), "throw new Error('at load')"] },
      undefined,
      /F.index\.js cannot be loaded: at load/,
    ],
    'a script that does not parse': [
      { F: [manual(), 'module.exports = {'] },
      undefined,
      /cannot be loaded/,
    ],
    'a script that exports nothing': [{ F: [manual(), ''] }, undefined, /index\.js exports/],
    'an activity that is a generator function': [
      { F: [activity(), 'module.exports = function* () {}'] },
      undefined,
      /generator function.*function\.json has type 'activityTrigger'/,
    ],
    'no function': [{ 'README.md': '' }, undefined, /holds no function/],
    'a host.json that is no JSON': [
      { F: [manual(), ok], 'host.json': '{' },
      undefined,
      /host\.json cannot/,
    ],
    'a host.json with a wrong setting': [
      { F: [manual(), ok], 'host.json': { durableTask: { unmatchedEvents: 'keep' } } },
      'durableTask.unmatchedEvents',
      /host\.json.*'discard' or 'buffer'/,
    ],
  }
  for (const [what, [files, field, message]] of Object.entries(cases)) {
    test(what, async (t) => {
      const dir = writeApp(t, files)
      const opening = df.openFunctionApp(dir, { store: 'sqlite::memory:' })
      const error = await refuses('InvalidFunction', opening, { message })
      assert.equal(error.field, field)
      assert.ok(error.message.includes(realpathSync(dir)), `names the file: ${error.message}`)
    })
  }

  test('what is no folder', async (t) => {
    const dir = tempDir(t)
    writeFileSync(join(dir, 'file'), '')
    for (const path of [join(dir, 'gone'), join(dir, 'file')]) {
      await refuses('InvalidFunction', df.openFunctionApp(path), { message: /is not a folder/ })
    }
    await refuses('InvalidOption', df.openFunctionApp(undefined), { field: 'directory' })
  })

  test('two functions of one name, without regard to case', async (t) => {
    const dir = writeApp(t, { Work: [manual(), ok] })
    mkdirSync(join(dir, 'work'), { recursive: true })
    if (readdirSync(dir).length === 1) return t.skip('the file system knows no case')
    writeFileSync(join(dir, 'work', 'function.json'), JSON.stringify(manual()))
    writeFileSync(join(dir, 'work', 'index.js'), ok)
    await refuses('AlreadyRegistered', df.openFunctionApp(dir), { message: /'work' and 'Work'/ })
  })
})

describe('openFunctionApp', () => {
  test('the folder of the fixture runs', async (t) => {
    const { app, client } = await openApp(t, fixture('desk'))
    const id = await app.invoke('StartOrder', { id: 'o-1', total: 12 })
    assert.equal(id, 'o-1')
    assert.equal(await outputOf(client, 'o-1'), 'order of 12: charged')
  })

  test('only manual functions are invoked, by names in any case', async (t) => {
    const { app } = await openApp(t, {
      Echo: echo,
      Work: [activity(), 'module.exports = async () => 1'],
      Start: [manual(), 'module.exports = async (context, input) => ({ input })'],
    })
    assert.deepEqual(await app.invoke('START', [1]), { input: [1] })
    await refuses('NotRegistered', app.invoke('Echo'), { message: /orchestration.*startNew/ })
    await refuses('NotRegistered', app.invoke('Work'), { message: /activity/ })
    await refuses('NotRegistered', app.invoke('Nobody'), { message: /Manual functions: Start/ })
    await refuses('InvalidOption', app.invoke(undefined), { field: 'name' })
    await app.close()
    await refuses('HubClosed', app.invoke('Start'))
  })

  test('the store is the one given, then DURAFN_STORE, then in the folder', async (t) => {
    const files = { Start: [manual(), 'module.exports = async () => 1'] }
    const before = process.env.DURAFN_STORE
    t.after(() => {
      if (before === undefined) delete process.env.DURAFN_STORE
      else process.env.DURAFN_STORE = before
    })
    const opened = async (options) => {
      const dir = writeApp(t, files)
      await (await df.openFunctionApp(dir, { logger: false, ...options })).close()
      return existsSync(join(dir, '.durafn', 'hub.db'))
    }
    delete process.env.DURAFN_STORE
    assert.equal(await opened({}), true)
    const other = join(tempDir(t), 'env.db')
    process.env.DURAFN_STORE = `sqlite:${other}`
    assert.equal(await opened({}), false)
    assert.equal(existsSync(other), true)
    const given = join(tempDir(t), 'given.db')
    assert.equal(await opened({ store: `sqlite:${given}` }), false)
    assert.equal(existsSync(given), true)
  })

  test('functions can be added to an App that has others', async (t) => {
    const registry = new df.App()
    registry.activity('Hello', { handler: (name) => `Hello ${name}` })
    const script =
      "module.exports = function* (context) { return yield context.df.callActivity('Hello', 'Oslo') }"
    const files = { Greet: [orchestration(), script] }
    const { client } = await openApp(t, files, { app: registry })
    assert.equal(await complete(client, 'Greet'), 'Hello Oslo')
    const again = df.openFunctionApp(writeApp(t, files), {
      app: registry,
      store: 'sqlite::memory:',
    })
    await refuses('AlreadyRegistered', again)
    const wrong = df.openFunctionApp(writeApp(t, files), { app: {} })
    await refuses('InvalidOption', wrong, { field: 'options.app' })
  })

  const modern = { name: 'starter', type: 'durableClient', direction: 'in' }
  const start = 'module.exports = async () => {}'
  const plain = { Start: [manual('starter'), start] }
  const ofToday = { Start: [{ bindings: [...manual().bindings, modern] }, start] }
  const hostJson = (unmatchedEvents) => ({ extensions: { durableTask: { unmatchedEvents } } })
  const settings = {
    'orchestrationClient: discard': [plain, {}, 'discarded'],
    'durableClient: buffer': [ofToday, {}, 'buffered'],
    'host.json goes before the binding': [
      { ...ofToday, 'host.json': hostJson('discard') },
      {},
      'discarded',
    ],
    'host.json of version 1': [
      { ...plain, 'host.json': { durableTask: { unmatchedEvents: 'buffer' } } },
      {},
      'buffered',
    ],
    'an option goes before host.json': [
      { ...plain, 'host.json': hostJson('discard') },
      { unmatchedEvents: 'buffer' },
      'buffered',
    ],
  }
  for (const [what, [files, options, outcome]] of Object.entries(settings)) {
    test(`an event that nobody waits for: ${what}`, async (t) => {
      const { client } = await openApp(t, { Wait: wait, ...files }, options)
      await client.startNew('Wait', { instanceId: 'a' })
      assert.equal((await client.raiseEvent('a', 'Other')).outcome, outcome)
    })
  }
})
