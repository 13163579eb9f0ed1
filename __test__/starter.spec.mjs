/** The starter: the binding that is a client and an output at once. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { activity, manual, openApp, orchestration } from './support/app.mjs'
import { connect, PATIENCE_MS, refuses, tempStore } from './support/hub.mjs'

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

/** A manual function with the starter binding `starter`. */
const starter = (script) => [manual('starter'), script]

async function outputOf(client, id) {
  const status = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
  assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
  return status.output
}

describe('the starter binding', () => {
  test('the call of the original article starts the orchestrator', async (t) => {
    const { app, client } = await openApp(t, {
      HelloWorld: echo,
      Start: starter(`module.exports = function (context, input) {
        context.bindings.starter = [{ FunctionName: "HelloWorld", Input: input, InstanceId: "hello-1" }];
        context.done(null);
      };`),
    })
    await app.invoke('Start', { city: 'Oslo' })
    assert.deepEqual(await outputOf(client, 'hello-1'), { city: 'Oslo' })
  })

  const forms = {
    'one object': "{ FunctionName: 'Echo', Input: 1, InstanceId: 'a' }",
    'an array': "[{ FunctionName: 'Echo', Input: 1, InstanceId: 'a' }]",
    'a JSON string of an object': `'{"FunctionName":"Echo","Input":1,"InstanceId":"a"}'`,
    'a JSON string of an array': `'[{"FunctionName":"Echo","Input":1,"InstanceId":"a"}]'`,
    'names in another case': "{ functionname: 'echo', INPUT: 1, instanceId: 'a' }",
    'the names of startNew': "{ name: 'Echo', input: 1, instanceId: 'a' }",
  }
  for (const [what, value] of Object.entries(forms)) {
    test(`it takes ${what}`, async (t) => {
      const script = `module.exports = async (context) => { context.bindings.starter = ${value} }`
      const { app, client } = await openApp(t, { Echo: echo, Start: starter(script) })
      await app.invoke('Start')
      assert.equal(await outputOf(client, 'a'), 1)
    })
  }

  for (const value of ['undefined', 'null', '[]', "'[]'"]) {
    test(`${value} starts nothing`, async (t) => {
      const script = `module.exports = async (context) => { context.bindings.starter = ${value} }`
      const { app, client } = await openApp(t, { Echo: echo, Start: starter(script) })
      await app.invoke('Start')
      assert.equal(await client.count(), 0)
    })
  }

  test('an id that is absent, null or empty is a random one', async (t) => {
    const { app, client } = await openApp(t, {
      Echo: echo,
      Start: starter(`module.exports = async (context) => {
        context.bindings.starter = [{}, { InstanceId: null }, { InstanceId: '' }].map((ids) => ({
          FunctionName: 'Echo', ...ids }))
      }`),
    })
    await app.invoke('Start')
    const { instances } = await client.list()
    assert.equal(instances.length, 3)
    for (const { instanceId } of instances) assert.match(instanceId, /^[0-9a-f]{32}$/)
  })

  test('when the function fails nothing is started, however it fails', async (t) => {
    const assign = "context.bindings.starter = { FunctionName: 'Echo', InstanceId: 'a' };"
    const { app, client } = await openApp(t, {
      Echo: echo,
      Throws: starter(`module.exports = (context) => { ${assign} throw new Error('no') }`),
      Rejects: starter(`module.exports = async (context) => { ${assign} throw new Error('no') }`),
      Done: starter(`module.exports = (context) => { ${assign} context.done(new Error('no')) }`),
      Text: starter(`module.exports = (context) => { ${assign} context.done('no') }`),
    })
    for (const name of ['Throws', 'Rejects', 'Done']) {
      await assert.rejects(app.invoke(name), { message: 'no' })
    }
    await assert.rejects(app.invoke('Text'), (error) => error === 'no')
    assert.equal(await client.count(), 0)
  })

  test('when one id is refused none is started, and the error names its index', async (t) => {
    const { app, client } = await openApp(t, {
      Wait: wait,
      Start: starter(`module.exports = async (context, ids) => {
        context.bindings.starter = ids.map((InstanceId) => ({ FunctionName: 'Wait', InstanceId }))
      }`),
    })
    await client.startNew('Wait', { instanceId: 'taken' })
    const inUse = await refuses('InstanceAlreadyExists', app.invoke('Start', ['x', 'y', 'taken']), {
      message: /context\.bindings\.starter\[2\]/,
    })
    assert.equal(inUse.index, 2)
    const bad = await refuses('InvalidInstanceId', app.invoke('Start', ['x', 'a/b', 'z']), {
      message: /context\.bindings\.starter\[1\]/,
    })
    assert.equal(bad.index, 1)
    const twice = await refuses('InstanceAlreadyExists', app.invoke('Start', ['x', 'x']))
    assert.equal(twice.index, 1)
    assert.equal(await client.count(), 1)
  })

  const refusals = {
    "'{'": ['InvalidOption', /context\.bindings\.starter was assigned a string that is not JSON/],
    '[{ FunctionName: "Echo" }, null]': ['InvalidOption', /starter\[1\] must be an object/],
    42: ['InvalidOption', /context\.bindings\.starter must be an object/],
    '{ Input: 1 }': ['InvalidName', /context\.bindings\.starter: .*name/],
    '{ FunctionName: "Echo", functionname: "Wait" }': ['InvalidOption', /functionname twice/],
    '{ FunctionName: "Nobody" }': ['NotRegistered', /Nobody/],
    '{ FunctionName: "Echo", Input: 1n }': ['UnserializableValue', /input/],
  }
  for (const [value, [code, message]] of Object.entries(refusals)) {
    test(`${value} is refused`, async (t) => {
      const script = `module.exports = async (context) => { context.bindings.starter = ${value} }`
      const { app, client } = await openApp(t, { Echo: echo, Start: starter(script) })
      await refuses(code, app.invoke('Start'), { message })
      assert.equal(await client.count(), 0)
    })
  }

  test('a field that no start has is ignored, and the log says so', async (t) => {
    const { app, client, logger } = await openApp(t, {
      Echo: echo,
      Start: starter(`module.exports = async (context) => {
        context.bindings.starter = { FunctionName: 'Echo', InstanzId: 'a' }
      }`),
    })
    await app.invoke('Start')
    assert.equal(await client.count(), 1)
    assert.equal(logger.find('warn', /starter\.InstanzId/).length, 1)
  })

  test('it is a client too, whatever its direction, and startNew acts at once', async (t) => {
    const script = `module.exports = async (context) => {
      const { starter } = context.bindings
      const id = await starter.startNew('Wait', { instanceId: 'a' })
      const older = await starter.startNew('Wait', 'b', 1)
      await starter.terminate(older, 'enough')
      const { output } = await starter.waitForCompletion(older)
      context.bindings.starter = { FunctionName: 'Wait', InstanceId: 'c' }
      context.done(null, [id, older, output, await starter.raiseEvent('nobody', 'Go')])
    }`
    const direction = (way) => {
      const json = manual('starter')
      json.bindings[1].direction = way
      return [json, script]
    }
    for (const way of ['in', 'out', 'inout']) {
      const { app, client } = await openApp(t, { Wait: wait, Use: direction(way) })
      const discarded = { outcome: 'discarded', reason: 'NotFound' }
      assert.deepEqual(await app.invoke('Use'), ['a', 'b', 'enough', discarded])
      assert.equal(await client.count(), 3)
    }
  })

  test('a start by startNew stays when the function then fails', async (t) => {
    const { app, client } = await openApp(t, {
      Echo: echo,
      Start: starter(`module.exports = async (context) => {
        await context.bindings.starter.startNew('Echo', { instanceId: 'a', input: 1 })
        throw new Error('no')
      }`),
    })
    await assert.rejects(app.invoke('Start'), { message: 'no' })
    assert.equal(await outputOf(client, 'a'), 1)
  })

  test('the result can hold the starts, under the name of the binding or as $return', async (t) => {
    const { app, client } = await openApp(t, {
      Echo: echo,
      ByName: starter(`module.exports = async () => {
        return { starter: [{ FunctionName: 'Echo', Input: 1, InstanceId: 'a' }] }
      }`),
      AsResult: [
        manual('$return'),
        "module.exports = async () => ({ FunctionName: 'Echo', Input: 2, InstanceId: 'b' })",
      ],
    })
    await app.invoke('ByName')
    await app.invoke('AsResult')
    assert.deepEqual([await outputOf(client, 'a'), await outputOf(client, 'b')], [1, 2])
  })

  test('several starters of one function are one transaction', async (t) => {
    const { app, client } = await openApp(t, {
      Echo: echo,
      Start: [
        manual('one', 'two'),
        `module.exports = async (context) => {
          context.bindings.one = { FunctionName: 'Echo', InstanceId: 'a' }
          context.bindings.two = [{ FunctionName: 'Echo', InstanceId: 'b' }, { FunctionName: 'No' }]
        }`,
      ],
    })
    const error = await refuses('NotRegistered', app.invoke('Start'), {
      message: /bindings\.two\[1\]/,
    })
    assert.equal(error.index, 1)
    assert.equal(await client.count(), 0)
  })

  test('an activity has a starter as well, also one that runs while the hub opens', async (t) => {
    const store = tempStore(t)
    const early = await connect(t, store)
    await early.startNew('Parent', { instanceId: 'parent' })
    const { client } = await openApp(
      t,
      {
        Echo: echo,
        Parent: [
          orchestration(),
          "module.exports = function* (context) { return yield context.df.callActivity('Start') }",
        ],
        Start: [
          activity('starter'),
          `module.exports = async (context) => {
            context.bindings.starter = { FunctionName: 'Echo', Input: 5, InstanceId: 'child' }
            return 'started'
          }`,
        ],
      },
      { store },
    )
    assert.equal(await outputOf(client, 'parent'), 'started')
    assert.equal(await outputOf(client, 'child'), 5)
  })
})
