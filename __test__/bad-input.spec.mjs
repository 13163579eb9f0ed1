/**
 * Values, ids, names and options that make no sense: each is refused where it is passed, with an
 * error that names the field, before anything is written; and what is JSON gets through unchanged.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import fc from 'fast-check'
import {
  complete,
  connect,
  openHub,
  PATIENCE_MS,
  refuses,
  run,
  startWaiting,
  tempStore,
  throwsCode,
  waiting,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS
const LIMIT = 65_536

// ------------------------------------------------------------------ the values

function cycle() {
  const value = { list: [] }
  value.list.push(value)
  return value
}

function nested(depth) {
  let value = 1
  for (let n = 0; n < depth; n++) value = [value]
  return value
}

/** What cannot be written as JSON, by name: how it is made, and the code of the refusal. */
const refused = {
  'a BigInt': [() => 1n, 'UnserializableValue'],
  'a BigInt inside': [() => ({ a: [1n] }), 'UnserializableValue'],
  'a cycle': [cycle, 'UnserializableValue'],
  'a function': [() => () => 1, 'UnserializableValue'],
  'a symbol': [() => Symbol('s'), 'UnserializableValue'],
  'a toJSON that throws': [
    () => ({
      toJSON() {
        throw new Error('no JSON today')
      },
    }),
    'UnserializableValue',
  ],
  'a toJSON that gives nothing': [() => ({ toJSON() {} }), 'UnserializableValue'],
  'a getter that throws': [
    () => ({
      get a() {
        throw new Error('not to be read')
      },
    }),
    'UnserializableValue',
  ],
  'JSON 100,000 deep': [() => nested(100_000), 'UnserializableValue'],
  'a value over the limit': [() => 'x'.repeat(LIMIT), 'PayloadTooLarge'],
  'a value over the limit in bytes, not in characters': [
    () => 'é'.repeat(LIMIT / 2),
    'PayloadTooLarge',
  ],
}

/** What is JSON, or becomes it by JSON's own rules. */
const accepted = {
  'a lone surrogate': 'a\ud800b\udc00',
  'a lone surrogate in a key': { '\udfff': '\ud800' },
  'the character U+0000': 'a\u0000b',
  'every control character': String.fromCharCode(...Array(32).keys(), 127, 0x2028, 0x2029),
  'a key __proto__': JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":2}}'),
  'undefined, functions and symbols inside': { a: undefined, b: () => 1, c: [undefined, Symbol()] },
  'NaN and infinities': [Number.NaN, Infinity, -Infinity, -0],
  'numbers at their limits': [2 ** 53, Number.MAX_VALUE, Number.MIN_VALUE, 1e21, 0.1 + 0.2],
  'a Date and a Map': { at: new Date(0), map: new Map([[1, 2]]), set: new Set([1]) },
  'null and empty values': [null, '', [], {}, false, 0],
  'sparse arrays': Object.assign(Array(3), { 0: 1, 2: 3 }),
  'JSON 1,000 deep': nested(1_000),
  'a text as large as allowed': 'x'.repeat(LIMIT - 2),
  'keys that look like the protocol': { ok: 1, fail: 2, end: { complete: {} }, token: 'x' },
}

const json = (value) => JSON.parse(JSON.stringify(value))

// ------------------------------------------------------------------ the places

/**
 * Where a value can be passed. `inside` of an orchestrator: it gets `make` and does the passing;
 * what it throws is the refusal. `field` is what the error must name.
 */
const inside = {
  'the input of an activity': {
    field: /input of activity 'echo'/,
    pass: async ({ df: durable }, value) => await durable.callActivity('echo', value),
  },
  'the result of an activity': {
    field: /result of activity 'give'/,
    pass: async ({ df: durable }) => await durable.callActivity('give'),
  },
  'the input of a sub-orchestration': {
    field: /input of orchestrator 'echo'/,
    pass: async ({ df: durable }, value) => await durable.callSubOrchestrator('echo', value),
  },
  'the output of a sub-orchestration': {
    field: /output|result/,
    pass: async ({ df: durable }) => await durable.callSubOrchestrator('give'),
  },
  'the custom status': {
    field: /custom status/,
    pass: async ({ df: durable }, value) => {
      durable.setCustomStatus(value)
      await durable.createTimer(new Date(0))
      return durable.customStatus
    },
  },
  'the input of continueAsNew': {
    field: /input of continueAsNew/,
    pass: async ({ df: durable }, value) => {
      const input = durable.getInput()
      if (input !== 'begin') return input
      durable.continueAsNew(value)
    },
  },
}

const outside = {
  'the input of startNew': {
    field: 'input',
    pass: async (client, value) => await client.startNew('echo', { input: value }),
  },
  'the input of startMany': {
    field: 'input',
    pass: async (client, value) => await client.startMany([{ name: 'echo', input: value }]),
  },
  'the data of an event': {
    field: "data of event 'go'",
    pass: async (client, value) => await client.raiseEvent('wait', 'go', value),
  },
  'the reason of terminate': {
    field: 'reason',
    pass: async (client, value) => await client.terminate('wait', value),
  },
  'the reason of suspend': {
    field: 'reason',
    pass: async (client, value) => await client.suspend('wait', value),
  },
}

/** A hub in which `give` gives what `make` makes, as an activity and as an orchestrator. */
function open(t, current = {}) {
  return openHub(
    t,
    (app) => {
      app.activity('echo', { handler: (input) => input })
      app.activity('give', { handler: () => current.make() })
      app.orchestration('echo', (context) => context.df.getInput())
      app.orchestration('give', () => current.make())
      app.orchestration('pass', async (context) => await current.pass(context, current.make()))
      app.orchestration('wait', function* (context) {
        return yield context.df.waitForExternalEvent('go')
      })
    },
    { limits: { payloadBytes: LIMIT } },
  )
}

for (const [where, { field, pass }] of Object.entries(inside)) {
  describe(`as ${where}`, () => {
    test('what is no JSON is refused there, with the field, and the hub goes on', async (t) => {
      const current = { pass }
      const { client } = await open(t, current)
      for (const [what, [make, code]] of Object.entries(refused)) {
        current.make = make
        const status = await run(client, 'pass', 'begin')
        assert.equal(status.runtimeStatus, 'Failed', `${what}: ${JSON.stringify(status)}`)
        assert.equal(status.failure.code, code, `${what}: ${status.output}`)
        assert.match(status.failure.field, field, what)
        assert.ok(status.failure.message.includes(status.failure.field), what)
      }
      current.make = () => 'fine'
      assert.equal(await complete(client, 'pass', 'begin'), 'fine')
    })

    test('what is JSON passes, as JSON has it', async (t) => {
      const current = { pass }
      const { client } = await open(t, current)
      for (const [what, value] of Object.entries(accepted)) {
        current.make = () => value
        assert.deepEqual(await complete(client, 'pass', 'begin'), json(value), what)
      }
      assert.equal({}.polluted, undefined)
    })
  })
}

describe('as the output', () => {
  test('what is no JSON fails the orchestration, with the field', async (t) => {
    const current = {}
    const { client } = await open(t, current)
    for (const [what, [make, code]] of Object.entries(refused)) {
      current.make = make
      const status = await run(client, 'give')
      assert.equal(status.failure?.code, code, `${what}: ${JSON.stringify(status)}`)
      assert.match(status.failure.message, /'give'/, what)
    }
  })

  test('what is JSON is the output, as JSON has it', async (t) => {
    const current = {}
    const { client } = await open(t, current)
    for (const [what, value] of Object.entries(accepted)) {
      current.make = () => value
      assert.deepEqual(await complete(client, 'give'), json(value), what)
    }
  })
})

for (const [where, { field, pass }] of Object.entries(outside)) {
  describe(`as ${where}`, () => {
    test('what is no JSON is refused there, with the field, and nothing is written', async (t) => {
      const { client } = await open(t)
      await startWaiting(client, 'wait', { instanceId: 'wait' })
      for (const [what, [make, code]] of Object.entries(refused)) {
        const error = await refuses(code, pass(client, make()), { field })
        assert.ok(error.message.includes(field), `${what}: ${error.message}`)
      }
      assert.equal(await client.count(), 1)
      const status = await client.getStatus('wait', { showHistory: true })
      assert.equal(status.runtimeStatus, 'Running')
      assert.equal(status.history.length, 2)
    })
  })
}

test('as input and as event data, what is JSON passes, as JSON has it', async (t) => {
  const { client } = await open(t)
  for (const [what, value] of Object.entries(accepted)) {
    const started = await run(client, 'echo', value)
    assert.deepEqual(started.output, json(value), what)
    assert.deepEqual(started.input, json(value), what)
    const id = await startWaiting(client, 'wait')
    assert.equal((await client.raiseEvent(id, 'go', value)).outcome, 'delivered')
    const raised = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(raised.output, json(value), what)
    const ended = await startWaiting(client, 'wait')
    await client.terminate(ended, value)
    assert.deepEqual((await client.getStatus(ended)).output, json(value), what)
  }
})

test('any JSON value passes through every place unchanged, and through a replay', async (t) => {
  const store = tempStore(t)
  const register = (app) => {
    app.activity('echo', { handler: (input) => input })
    app.orchestration('echo', (context) => context.df.getInput())
    app.orchestration('through', function* (context) {
      const first = yield context.df.callActivity('echo', context.df.getInput())
      const second = yield context.df.callSubOrchestrator('echo', first)
      context.df.setCustomStatus(second)
      return [first, second, yield context.df.waitForExternalEvent('go')]
    })
  }
  const text = fc.string({ unit: 'binary', maxLength: 20 })
  const value = fc.oneof(
    fc.jsonValue({ stringUnit: 'binary', maxDepth: 4 }),
    fc.dictionary(text, text, { noNullPrototype: true }),
  )
  const samples = fc.sample(value, { numRuns: 300, seed: 11 })
  const first = await openHub(t, register, { store, durability: 'relaxed' })
  const ids = await first.client.startMany(samples.map((input) => ({ name: 'through', input })))
  for (const id of ids) await waiting(first.client, id, ([wait]) => wait?.name === 'go')
  await first.close()
  const { client } = await openHub(t, register, { store, durability: 'relaxed' })
  await Promise.all(
    ids.map(async (id, n) => {
      await client.raiseEvent(id, 'go', samples[n])
      const status = await client.waitForCompletion(id, { timeoutMs })
      const expected = json(samples[n])
      assert.deepEqual(status.output, [expected, expected, expected])
      assert.deepEqual(status.customStatus, expected)
    }),
  )
})

describe('limits.payloadBytes', () => {
  test('is 16 MiB unless told otherwise', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('size', (context) => context.df.getInput().length)
    })
    const largest = 'x'.repeat(16 * 2 ** 20 - 2)
    assert.equal(await complete(client, 'size', largest), largest.length)
    await refuses('PayloadTooLarge', client.startNew('size', { input: `${largest}x` }), {
      field: 'input',
      message: /16777216/,
    })
  })

  test('stands in the hub: a client of another connection keeps to it', async (t) => {
    const store = tempStore(t)
    await openHub(t, () => {}, { store, limits: { payloadBytes: 2_048 } })
    const other = await connect(t, store)
    await refuses('PayloadTooLarge', other.raiseEvent('x', 'go', 'x'.repeat(2_048)))
  })
})

// ------------------------------------------------------------------ ids, names, options

describe('ids', () => {
  const bad = {
    '': 'empty',
    '@entity': '@',
    '.': 'no URL',
    '..': 'no URL',
    'a/b': '/',
    'a\\b': '\\',
    'a#b': '#',
    'a?b': '?',
    'a\u0000': 'control',
    'a\nb': 'control',
    'a\u007f': 'control',
    'a\u0085': 'control',
    ['x'.repeat(257)]: '256',
    ['💾'.repeat(257)]: '256',
    'a\ud800': 'surrogate',
  }

  test('that are no ids are refused before anything is written, naming the field', async (t) => {
    const { client } = await open(t)
    for (const [instanceId, why] of Object.entries(bad)) {
      const options = { field: 'instanceId' }
      const error = await refuses(
        'InvalidInstanceId',
        client.startNew('echo', { instanceId }),
        options,
      )
      assert.ok(error.message.includes('instanceId') && error.message.includes(why), error.message)
    }
    for (const instanceId of [5, {}, null, true]) {
      await refuses('InvalidInstanceId', client.startNew('echo', { instanceId }))
    }
    assert.equal(await client.count(), 0)
  })

  test('of sub-orchestrations are checked the same way', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('parent', function* (context) {
        for (const id of Object.keys(bad)) {
          throwsCode('InvalidInstanceId', () => context.df.callSubOrchestrator('x', null, id))
        }
        return 'all refused'
      })
    })
    assert.equal(await complete(client, 'parent'), 'all refused')
  })

  test('that no instance can have are simply not found', async (t) => {
    const { client } = await open(t)
    for (const id of ['', '@x', 'a/b', 'x'.repeat(10_000)]) {
      assert.equal(await client.getStatus(id), null)
      assert.equal((await client.raiseEvent(id, 'go')).reason, 'NotFound')
      await refuses('InstanceNotFound', client.terminate(id))
      await refuses('InstanceNotFound', client.waitForCompletion(id))
    }
    for (const id of [undefined, 5, null, {}, 'a\ud800']) {
      await refuses('InvalidInstanceId', client.getStatus(id))
      await refuses('InvalidInstanceId', client.terminate(id))
    }
  })

  test('any text is an id or is refused as one: there is no third way', async (t) => {
    const { client } = await open(t)
    const id = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 })
    const property = fc.asyncProperty(id, async (instanceId) => {
      const isId = !/^@|^\.{1,2}$|[/\\#?]|\p{Cc}/u.test(instanceId) && instanceId.isWellFormed()
      const starting = client.startNew('wait', { instanceId, onConflict: 'return' })
      if (!isId) return void (await refuses('InvalidInstanceId', starting))
      assert.equal(await starting, instanceId)
      assert.equal((await client.getStatus(instanceId, { pending: true })).instanceId, instanceId)
    })
    await fc.assert(property, { numRuns: 300, seed: 5 })
  })
})

describe('names', () => {
  const bad = ['', 'x'.repeat(257), 'a\u0000b', 'a\nb', 'a\ud800', 5, null, undefined, {}]

  test('that are no names are refused: of orchestrators, activities and events', async (t) => {
    const app = new df.App()
    const { client } = await openHub(t, (own) => {
      own.orchestration('calls', function* (context) {
        for (const name of bad) {
          throwsCode('InvalidName', () => context.df.callActivity(name))
          throwsCode('InvalidName', () => context.df.callSubOrchestrator(name))
          throwsCode('InvalidName', () => context.df.waitForExternalEvent(name))
        }
        return 'all refused'
      })
    })
    for (const name of bad) {
      throwsCode('InvalidName', () => app.orchestration(name, () => 1))
      throwsCode('InvalidName', () => app.activity(name, { handler: () => 1 }))
      await refuses('InvalidName', client.startNew(name))
      await refuses('InvalidName', client.raiseEvent('x', name))
    }
    throwsCode('InvalidName', () => app.orchestration('@x', () => 1))
    const activity = app.activity('activity', { handler: () => 1 })
    await refuses('InvalidName', client.startNew(activity), { message: /activity/ })
    assert.equal(await complete(client, 'calls'), 'all refused')
    assert.equal(await client.count(), 1)
  })
})

describe('options', () => {
  const cases = {
    store: ['', 'file.db', 'sqlite:', 'mysql:x', 'postgres:x', 5, null, 'sqlite:a\u0000b'],
    app: [{}, null, 'x'],
    unmatchedEvents: ['keep', 5, null],
    onNondeterminism: ['ignore', true],
    defaultVersion: [1, null, 'a\u0000', 'x'.repeat(257)],
    versionMatchStrategy: ['strict', 2, null],
    versionFailureStrategy: ['reject', true],
    durability: ['none', null],
    hubName: ['', 'a b', 'x'.repeat(65), 5],
    maxConcurrentActivities: [0, -1, 1.5, '5', Infinity],
    leaseMs: [0, 999, 1.5, '5', Infinity],
    limits: [5, null, { payloadBytes: 10 }, { payloadBytes: 2 ** 40 }, { bytes: 1 }],
    retention: [5, { completedMs: -1 }, { completedMs: 'x' }, { days: 3 }],
    logger: [5, {}, { info() {} }, true],
    unknown: [1],
  }
  test('of open and connect that make no sense are refused, naming the field', async () => {
    for (const [key, values] of Object.entries(cases)) {
      for (const value of values) {
        const options = { store: 'sqlite::memory:', logger: false, [key]: value }
        const opening = df.open(options).then((hub) => hub.close())
        const error = await refuses('InvalidOption', opening, { message: new RegExp(key) })
        assert.match(error.field, new RegExp(`^options\\.${key}`))
      }
    }
    await refuses('InvalidOption', df.open(5))
    await refuses('InvalidOption', df.connect({ store: 'sqlite:x.db', app: new df.App() }))
  })

  test('of calls that make no sense are refused', async (t) => {
    const { client } = await open(t)
    await refuses('InvalidOption', client.startNew('echo', { onConflict: 'replace' }))
    await refuses('InvalidOption', client.startNew('echo', { id: 'typo' }))
    for (const version of [1, 'a\u0000', 'x'.repeat(257)]) {
      await refuses('InvalidName', client.startNew('echo', { version }), { field: 'version' })
    }
    await refuses('InvalidOption', client.getStatus('x', { history: true }))
    await refuses('InvalidOption', client.getStatus('x', { showHistory: 1 }))
    await refuses('InvalidOption', client.waitForCompletion('x', { timeoutMs: -1 }))
    await refuses('InvalidOption', client.waitForCompletion('x', { timeoutMs: Number.NaN }))
    await refuses('InvalidOption', client.waitForCompletion('x', 5))
    await refuses('InvalidOption', client.terminate('x', 'r', { recursive: 'yes' }))
    await refuses('InvalidOption', client.restart('x', { newId: true }))
    await refuses('InvalidOption', client.startMany({ name: 'echo' }))
    assert.equal(await client.count(), 0)
  })
})
