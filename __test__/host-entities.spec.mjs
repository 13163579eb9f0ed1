/** Entities in the function host, in folders and in modules. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { link, openApp, orchestration, writeApp } from './support/app.mjs'
import { complete, throwsCode } from './support/hub.mjs'

const entity = () => {
  return { bindings: [{ name: 'context', type: 'entityTrigger', direction: 'in' }] }
}
const body = `{
  const count = context.df.getState(() => 0)
  if (context.df.operationName === 'add') context.df.setState(count + context.df.getInput())
  context.df.return(context.df.getState())
}`
const counts = `function* (context) {
  const id = new df.EntityId('Counter', context.df.instanceId)
  yield context.df.callEntity(id, 'add', 2)
  context.df.signalEntity(id, 'add', 3)
  return yield context.df.callEntity(id, 'get')
}`
const require = `const df = require('durafn');`

describe('folders', () => {
  const kinds = {
    'df.entity of a function': `${require} module.exports = df.entity(function (context) ${body})`,
    'df.entity of a class': `${require} module.exports = df.entity(class {
      count = 0
      add(by) { this.count += by }
      get() { return this.count }
    })`,
    'the bare async function': `module.exports = async (context) => ${body}`,
    'the bare class': `module.exports = class {
      count = 0
      add(by) { this.count += by }
      get() { return this.count }
    }`,
  }
  for (const [what, script] of Object.entries(kinds)) {
    test(`one is ${what}`, async (t) => {
      const { app, client } = await openApp(t, {
        Counter: [entity(), script],
        Count: [orchestration(), `${require} module.exports = df.orchestrator(${counts})`],
      })
      assert.deepEqual(
        app.functions.map(({ name, kind }) => [name, kind]),
        [
          ['Count', 'orchestration'],
          ['Counter', 'entity'],
        ],
      )
      assert.equal(await complete(client, 'Count', undefined, { instanceId: 'one' }), 5)
    })
  }

  test('the context has what the classic model gives', async (t) => {
    const { client } = await openApp(t, {
      See: [
        entity(),
        `module.exports = async (context) => ({
          function: context.executionContext.functionName, data: context.bindingData.operationName,
          key: context.bindings.context.self.key,
        })`,
      ],
      Ask: [
        orchestration(),
        `${require} module.exports = df.orchestrator(function* (context) {
          return yield context.df.callEntity(new df.EntityId('See', 'k'), 'look')
        })`,
      ],
    })
    assert.deepEqual(await complete(client, 'Ask'), { function: 'See', data: 'look', key: 'k' })
  })

  test('df.entity refuses what is neither', () => {
    for (const value of [undefined, null, {}, 'x']) {
      throwsCode('InvalidOption', () => df.entity(value), { field: 'handler' })
    }
  })
})

test('modules register them on df.app', async (t) => {
  const files = {
    'package.json': { main: 'index.js' },
    'index.js': `${require}
      df.app.entity('Counter', (context) => ${body})
      df.app.orchestration('Count', ${counts})`,
  }
  const { app, client } = await openApp(t, link(writeApp(t, files), 'durafn'))
  assert.equal(app.functions.find(({ name }) => name === 'Counter').kind, 'entity')
  assert.equal(await complete(client, 'Count', undefined, { instanceId: 'one' }), 5)
})
