/** Expressions in the settings of outputs: handlers get what they stand for. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as df from 'durafn'
import { activity, link, manual, openApp, orchestration, writeApp } from './support/app.mjs'
import { http, post, serve } from './support/http-app.mjs'
import { complete, fail, refuses } from './support/hub.mjs'

const out = (settings) => ({ name: 'o', type: 'testExpression', direction: 'out', ...settings })
const script = "module.exports = async (context) => { context.bindings.o = 'x' }"

/** The bindings that the handler is given, from now on. */
function handle() {
  const seen = []
  df.registerBinding('testExpression', (_, binding) => seen.push(binding))
  return seen
}

const withOutput = (json, settings) => ({ bindings: [...json.bindings, out(settings)] })

test('they stand for fields of the trigger, settings, ids and times', async (t) => {
  const seen = handle()
  process.env.TestContainer = 'samples'
  t.after(() => delete process.env.TestContainer)
  const { app } = await openApp(t, {
    Work: [
      withOutput(manual(), {
        path: '%TestContainer%/{NAME}/{place.City}-{n}-{place}{none}',
        ids: '{rand-guid} {rand-guid:N} {rand-guid:b} {sys.RandGuid}',
        times: "{DateTime} {datetime:yyyy} {sys.utcnow} {DateTime:dd'd' MMM. HH.mm K}",
        function: '{sys.methodname}',
        plain: '100% {of} 5 %',
        other: { path: '{name}' },
        count: 2,
      }),
      script,
    ],
  })
  const input = { Name: 'tea', n: 1, place: { city: 'Oslo' }, none: null, of: 'of' }
  await app.invoke('Work', input)
  await app.invoke('Work', input)
  const [{ ids, times, ...rest }, second] = seen
  assert.deepEqual(rest, {
    name: 'o',
    type: 'testExpression',
    direction: 'out',
    path: 'samples/tea/Oslo-1-{"city":"Oslo"}',
    function: 'Work',
    plain: '100% of 5 %',
    other: { path: '{name}' },
    count: 2,
  })
  const uuid = '[\\da-f]{8}(-[\\da-f]{4}){3}-[\\da-f]{12}'
  assert.match(ids, new RegExp(`^${uuid} [\\da-f]{32} \\{${uuid}\\} ${uuid}$`))
  assert.notEqual(ids, second.ids)
  const time = '\\d{4}-\\d\\d-\\d\\dT\\d\\d-\\d\\d-\\d\\dZ'
  assert.match(
    times,
    new RegExp(`^${time} \\d{4} ${time} \\d\\dd [A-Z][a-z]{2}\\. \\d\\d\\.\\d\\d Z$`),
  )
})

test('a request gives route, query, headers and the fields of its body', async (t) => {
  const seen = handle()
  const { ask } = await serve(t, {
    Work: [
      withOutput(http({ route: 'files/{name}' }), {
        path: '{name}/{query.kind}/{kind}/{headers.x-own}/{item}',
      }),
      script,
    ],
  })
  const init = post('{ "Item": "tea", "name": "other" }')
  init.headers['x-own'] = 'own'
  assert.equal((await ask('/api/files/one?kind=k', init)).status, 200)
  assert.equal(seen[0].path, 'one/k/k/own/tea')
})

test('an activity gives its input and its instance, in each model', async (t) => {
  const seen = handle()
  const call =
    'module.exports = function* (c) { return yield c.df.callActivity("Step", c.df.getInput()) }'
  const classic = await openApp(t, {
    Flow: [orchestration(), call],
    Step: [withOutput(activity(), { path: '{item}-{instanceId}' }), script],
  })
  await complete(classic.client, 'Flow', { Item: 'tea' }, { instanceId: 'one' })
  for (const name of ['durafn', 'durable-functions@3']) {
    const files = {
      'package.json': { main: 'index.js' },
      'index.js': `
        const df = require('${name.split('@')[0]}')
        const o = { name: 'o', type: 'testExpression', direction: 'out', path: '{item}-{instanceId}' }
        df.app.activity('Step', { extraOutputs: [o],
          handler: (_, context) => { context.extraOutputs.set(o, 'x') } })
        df.app.orchestration('Flow', function* (c) { return yield c.df.callActivity('Step', c.df.getInput()) })`,
    }
    const dir = link(writeApp(t, files), '@azure/functions@4', name)
    const { client } = await openApp(t, dir)
    await complete(client, 'Flow', { Item: 'tea' }, { instanceId: 'one' })
  }
  assert.deepEqual(
    seen.map(({ path }) => path),
    ['tea-one', 'tea-one', 'tea-one'],
  )
})

test('what stands for nothing fails the call, and says what there is', async (t) => {
  const seen = handle()
  const { app } = await openApp(t, {
    Work: [withOutput(manual(), { path: 'a/{name}' }), script],
  })
  const error = await refuses('InvalidOption', app.invoke('Work', { title: 1 }), { field: 'path' })
  assert.match(error.message, /'Work': \{name\} in path 'a\/\{name\}' of output 'o'.*title/s)
  assert.deepEqual(seen, [])
})

test('a setting that is not set, and a brace without its other, are refused at the load', async (t) => {
  handle()
  for (const path of ['%TestNotSet%/a', 'a/{name', 'a/name}']) {
    const dir = writeApp(t, { Work: [withOutput(manual(), { path }), script] })
    const opening = df.openFunctionApp(dir, { store: 'sqlite::memory:' })
    await refuses('InvalidFunction', opening, { field: 'bindings[1].path' })
    const modern = {
      'package.json': { main: 'index.js' },
      'index.js': `require('durafn').app.activity('Step', {
        return: { name: 'o', type: 'testExpression', path: '${path}' }, handler: () => 1 })`,
    }
    const loading = df.openFunctionApp(link(writeApp(t, modern), 'durafn'), {
      store: 'sqlite::memory:',
    })
    await refuses('InvalidFunction', loading, { field: 'o.path' })
  }
})

test('outside of a host the instance fails, and says why', async (t) => {
  handle()
  const app = new df.App()
  const o = { name: 'o', type: 'testExpression', path: '{name}' }
  app.activity('step', { return: o, handler: () => 1 })
  app.orchestration('flow', function* (context) {
    return yield context.df.callActivity('step')
  })
  const hub = await df.open({ store: 'sqlite::memory:', app })
  t.after(() => hub.close({ drainTimeoutMs: 0 }))
  assert.match(
    (await fail(hub.client, 'flow')).message,
    /\{name\} in path '\{name\}' of output 'o'/,
  )
})
