/** How errors cross: from an activity to the orchestrator, on to its parent, and into the status. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import fc from 'fast-check'
import { complete, fail, openHub, run } from './support/hub.mjs'

/**
 * A hub in which activity and orchestrators throw what `make` gives: `catch` reports by `look` what
 * it caught, `through` lets it pass, `nested` gets it from `through`.
 */
function openThrowing(t, make, look = (error) => error) {
  return openHub(t, (app) => {
    app.activity('throw', {
      handler: () => {
        throw make()
      },
    })
    app.activity('reject', { handler: () => Promise.reject(make()) })
    app.orchestration('catch', function* (context) {
      try {
        return yield context.df.callActivity(context.df.getInput() ?? 'throw')
      } catch (error) {
        return look(error)
      }
    })
    app.orchestration('through', async (context) => {
      await context.df.callActivity('throw')
    })
    app.orchestration('nested', async (context) => {
      try {
        await context.df.callSubOrchestrator('through')
      } catch (error) {
        return look(error)
      }
    })
    app.orchestration('itself', () => {
      throw make()
    })
  })
}

const ways = ['catch', 'nested']

describe('an error keeps', () => {
  test('name, message and stack', async (t) => {
    class Declined extends Error {
      name = 'Declined'
    }
    const look = ({ name, message, stack }) => ({ name, message, stack })
    const { client } = await openThrowing(t, () => new Declined('no money'), look)
    for (const way of ways) {
      const { name, message, stack } = await complete(client, way)
      assert.deepEqual([name, message], ['Declined', 'no money'], way)
      assert.match(stack, /no money\n.*at .*errors\.spec\.mjs/s, 'where it was thrown')
    }
    const { name, message, stack } = await fail(client, 'through')
    assert.deepEqual([name, message], ['Declined', 'no money'])
    assert.match(stack, /errors\.spec\.mjs/)
  })

  test('its own JSON fields, and no others', async (t) => {
    const make = () =>
      Object.assign(new Error('fields'), {
        code: 'E1',
        status: 402,
        nested: { list: [1, null] },
        when: new Date(0),
        none: undefined,
        big: 1n,
        method() {},
      })
    const look = ({ code, status, nested, when, ...rest }) => [code, status, nested, when, rest]
    const { client } = await openThrowing(t, make, look)
    const expected = ['E1', 402, { list: [1, null] }, '1970-01-01T00:00:00.000Z', {}]
    for (const way of ways) assert.deepEqual(await complete(client, way), expected, way)
    const { status } = await fail(client, 'through')
    assert.equal(status, 402)
  })

  test('its cause, and the causes of that, as errors or as values', async (t) => {
    const make = () => {
      const root = Object.assign(new TypeError('root'), { at: 3 })
      return new Error('top', { cause: new Error('middle', { cause: root }) })
    }
    const look = (error) => {
      const { cause } = error
      const types = [cause instanceof Error, cause.cause instanceof TypeError]
      return [...types, cause.message, cause.cause.message, cause.cause.at]
    }
    const { client } = await openThrowing(t, make, look)
    for (const way of ways) {
      assert.deepEqual(await complete(client, way), [true, true, 'middle', 'root', 3], way)
    }
    const status = await run(client, 'through')
    assert.equal(status.failure.cause.cause.message, 'root')
    const plain = await openThrowing(
      t,
      () => new Error('x', { cause: { reason: [1] } }),
      (error) => error.cause,
    )
    assert.deepEqual(await complete(plain.client, 'catch'), { reason: [1] })
  })

  test('the members of an AggregateError', async (t) => {
    const make = () => new AggregateError([new RangeError('one'), 'two', 3], 'several')
    const look = ({ name, message, errors }) => [
      name,
      message,
      errors.map((error) => (error instanceof RangeError ? error.message : error)),
    ]
    const { client } = await openThrowing(t, make, look)
    const expected = ['AggregateError', 'several', ['one', 'two', 3]]
    assert.deepEqual(await complete(client, 'catch'), expected)
  })

  test('its class, if it is one of JavaScript', async (t) => {
    const classes = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]
    for (const ErrorClass of classes) {
      const { client } = await openThrowing(
        t,
        () => new ErrorClass('x'),
        (error) => error instanceof ErrorClass && error.constructor === ErrorClass,
      )
      assert.equal(await complete(client, 'catch'), true, ErrorClass.name)
    }
  })

  test('its class and code, if it is one of this package', async (t) => {
    const make = () => new df.InvalidOption('bad', { field: 'options.x' })
    const look = (error) => [error instanceof df.InvalidOption, error.code, error.field]
    const { client } = await openThrowing(t, make, look)
    for (const way of ways) {
      assert.deepEqual(await complete(client, way), [true, 'InvalidOption', 'options.x'], way)
    }
  })

  test('all of it when it was a rejection', async (t) => {
    const make = () => Object.assign(new Error('rejected'), { n: 1 })
    const { client } = await openThrowing(t, make, ({ message, n }) => [message, n])
    assert.deepEqual(await complete(client, 'catch', 'reject'), ['rejected', 1])
  })
})

describe('what is thrown and is no error', () => {
  const values = [
    ['a string', 'out of paper', 'out of paper'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a number', 7, '7'],
    ['a BigInt', 7n, '7'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['an object', { code: 5 }, '{"code":5}'],
    ['an object with a message', { message: 'mine', n: 1 }, 'mine'],
    ['a function', () => 1, '() => 1'],
  ]
  for (const [what, value, message] of values) {
    test(`${what}: becomes an error that says what it was`, async (t) => {
      const look = (error) => [error instanceof Error, error.message]
      const { client } = await openThrowing(t, () => value, look)
      for (const way of ways) assert.deepEqual(await complete(client, way), [true, message], way)
      for (const way of ['through', 'itself']) {
        const failure = await fail(client, way)
        assert.deepEqual([failure.name, failure.message], ['Error', message])
        assert.equal(typeof failure.stack, 'string')
      }
    })
  }
})

describe('an error that resists', () => {
  const cycle = () => {
    const error = new Error('cycle')
    error.self = error
    error.cause = error
    return error
  }
  const long = () => {
    const error = new Error('m'.repeat(1_000_000))
    error.kept = 'short'
    error.dropped = 'x'.repeat(20_000_000)
    return error
  }
  const throwing = () => {
    const error = new Error('getters')
    for (const key of ['message', 'stack', 'cause', 'extra']) {
      Object.defineProperty(error, key, {
        enumerable: true,
        get() {
          throw new Error(`no ${key}`)
        },
      })
    }
    return error
  }
  const resisting = {
    'a frozen one': () => Object.freeze(new Error('frozen')),
    'a cycle': cycle,
    'one with getters that throw': throwing,
    'a revoked proxy': () => {
      const { proxy, revoke } = Proxy.revocable(new Error('x'), {})
      revoke()
      return proxy
    },
    'one with a toJSON that throws': () =>
      Object.assign(new Error('json'), {
        toJSON() {
          throw new Error('no')
        },
      }),
    'one with a __proto__ field': () => {
      const error = new Error('proto')
      Object.defineProperty(error, '__proto__', { value: { polluted: 1 }, enumerable: true })
      return error
    },
    'a chain of 100 causes': () => {
      let error = new Error('root')
      for (let n = 0; n < 100; n++) error = new Error(`${n}`, { cause: error })
      return error
    },
    'one larger than the limit': long,
  }
  for (const [what, make] of Object.entries(resisting)) {
    test(`${what} still fails its activity, and nothing else`, async (t) => {
      const { client } = await openThrowing(t, make, (error) => error instanceof Error)
      for (const way of ways) assert.equal(await complete(client, way), true, way)
      for (const way of ['through', 'itself']) {
        const failure = await fail(client, way)
        assert.equal(typeof failure.message, 'string')
      }
      assert.equal({}.polluted, undefined)
    })
  }

  test('by its size is cut, not lost: what is short is kept', async (t) => {
    const { client } = await openThrowing(t, long)
    const failure = await fail(client, 'through')
    assert.ok(failure.message.startsWith('mmm'))
    assert.equal(failure.kept, 'short')
    assert.equal(failure.dropped, undefined)
  })
})

test('any error with any JSON in it crosses unchanged', async (t) => {
  let make
  const look = (error) => ({ message: error.message, fields: { ...error }, cause: error.cause })
  const { client } = await openThrowing(t, () => make(), look)
  const key = fc.string({ unit: 'binary' }).filter((name) => {
    return !['name', 'message', 'stack', 'cause', 'errors', 'code', 'toJSON'].includes(name)
  })
  const value = fc.jsonValue({ maxDepth: 3 })
  const property = fc.asyncProperty(
    fc.string({ unit: 'binary' }),
    fc.dictionary(key, value, { maxKeys: 5, noNullPrototype: true }),
    value,
    async (message, fields, cause) => {
      make = () => {
        const error = new Error(message, { cause })
        for (const name of Object.keys(fields)) {
          Object.defineProperty(error, name, { value: fields[name], enumerable: true })
        }
        return error
      }
      const expected = JSON.parse(JSON.stringify({ message, fields, cause }))
      assert.deepEqual(await complete(client, 'nested'), expected)
    },
  )
  await fc.assert(property, { numRuns: 200, seed: 7 })
})

test('every error class of the package has its code, which never changes', () => {
  const codes = Object.entries(df)
    .filter(([, value]) => value?.prototype instanceof df.DurableError)
    .map(([name, { code }]) => (name === code ? name : `${name}: ${code}`))
  const known = [
    'AddressRefused',
    'AlreadyRegistered',
    'CorruptHistory',
    'EntityInUse',
    'EntityReplyLost',
    'HttpRequestFailed',
    'HttpStatusError: HttpStatus',
    'HubClosed',
    'HubInUse',
    'HubTooNew',
    'InstanceAlreadyExists',
    'InstanceEnded',
    'InstanceNotEnded',
    'InstanceNotFound',
    'Internal',
    'InvalidEntityId',
    'InvalidFunction',
    'InvalidInstanceId',
    'InvalidName',
    'InvalidOption',
    'LockingRulesViolationError: LOCKING_RULES_VIOLATION',
    'NonDurableAwait',
    'Nondeterminism',
    'VersionMismatch',
    'NotAHub',
    'NotATask',
    'NotRegistered',
    'NotRewindable',
    'OrchestrationTerminated',
    'OutsideTurn',
    'PayloadTooLarge',
    'Poison',
    'PortUnavailable',
    'StoreFull',
    'StoreGone',
    'StoreReadOnly',
    'StoreUnavailable',
    'TimeoutError: Timeout',
    'TooManyCalls',
    'UnserializableValue',
    'UnsupportedPlatform',
  ]
  for (const name of known) assert.ok(codes.includes(name), `${name} is gone`)
  for (const name of codes) assert.ok(known.includes(name), `${name} is new: add it here`)
  const error = new df.InstanceNotFound('text', { instanceId: 'x', cause: new Error('why') })
  assert.ok(error instanceof Error && error instanceof df.DurableError)
  assert.deepEqual(
    [error.name, error.code, error.instanceId],
    ['InstanceNotFound', 'InstanceNotFound', 'x'],
  )
  assert.equal(error.cause.message, 'why')
})
