/** Apps that keep the original packages: their orchestrators, told from native ones, run in the host. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { activity, link, openApp, orchestration, writeApp } from './support/app.mjs'
import { complete, fail } from './support/hub.mjs'

const hello = [activity(), "module.exports = async (context, name) => 'Hello ' + name"]
const chain = `function* (context) {
  const first = yield context.df.callActivity('Hello', context.df.getInput())
  const both = yield context.df.Task.all([
    context.df.callActivity('Hello', 'a'), context.df.callActivity('Hello', 'b'),
  ])
  return [first, ...both, context.df.instanceId]
}`
const expected = ['Hello Oslo', 'Hello a', 'Hello b', 'one']

for (const version of [1, 2]) {
  describe(`durable-functions ${version}`, () => {
    const open = (t, files) =>
      openApp(t, link(writeApp(t, files), `durable-functions@${version}`, `@azure/functions@3`))

    test('its orchestrators run beside native ones', async (t) => {
      const { client } = await open(t, {
        Hello: hello,
        Hosted: [
          orchestration(),
          `const df = require('durable-functions'); module.exports = df.orchestrator(${chain})`,
        ],
        Member: [
          { ...orchestration(), entryPoint: 'run' },
          `const df = require('durable-functions'); exports.run = df.orchestrator(${chain})`,
        ],
        'Module/function.json': orchestration(),
        'Module/index.mjs': `import df from 'durable-functions'; export default df.orchestrator(${chain})`,
        Native: [orchestration(), `module.exports = ${chain}`],
        Marked: [orchestration(), `module.exports = require('durafn').orchestrator(${chain})`],
      })
      for (const name of ['Hosted', 'Member', 'Module', 'Native', 'Marked']) {
        const output = await complete(client, name, 'Oslo', { instanceId: 'one' })
        assert.deepEqual(output, expected, name)
      }
    })

    test('what its orchestrator throws is the failure', async (t) => {
      const { client } = await open(t, {
        Throws: [
          orchestration(),
          `module.exports = require('durable-functions').orchestrator(function* () { throw new RangeError('no') })`,
        ],
      })
      assert.match((await fail(client, 'Throws')).message, /no/)
    })
  })
}

describe('durable-functions 3', () => {
  test('its orchestrators and activities run', async (t) => {
    const files = {
      'package.json': { main: 'index.js' },
      'index.js': `
        const df = require('durable-functions')
        df.app.orchestration('Chain', ${chain})
        df.app.activity('Hello', { handler: (name) => 'Hello ' + name })`,
    }
    const dir = link(writeApp(t, files), 'durable-functions@3', '@azure/functions@4')
    const { client, app } = await openApp(t, dir)
    assert.deepEqual(
      app.functions.map(({ name, kind }) => [name, kind]),
      [
        ['Chain', 'orchestration'],
        ['Hello', 'activity'],
      ],
    )
    assert.deepEqual(await complete(client, 'Chain', 'Oslo', { instanceId: 'one' }), expected)
  })
})
