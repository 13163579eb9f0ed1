/**
 * Promises that code leaves rejected: those of a turn are its instance's, all others Node's. The test
 * runner fails a test on every rejection that reaches the process.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import { complete, deferred, openHub, run, startWaiting, tempStore, until } from './support/hub.mjs'
import { sdkOf } from './support/sdk.mjs'
import { openThreads } from './support/threads.mjs'

const WARNING = /left a promise rejected/

/** Two helpers at the same time, of which the second fails while the first is awaited. */
async function order(context) {
  const ship = async () => await context.df.waitForExternalEvent('shipped')
  const charge = async () => {
    await context.df.callActivity('charge')
  }
  const shipped = ship()
  const charged = charge()
  try {
    return [await shipped, await charged]
  } catch (error) {
    return `compensated: ${error.message}`
  }
}

function register(app) {
  app.activity('charge', {
    handler: () => {
      throw new Error('card declined')
    },
  })
  app.orchestration('order', order)
  app.orchestration('careless', async (context) => {
    const fail = async (message) => {
      await context.df.callActivity('charge').catch(() => {})
      throw new Error(message)
    }
    void fail('first')
    void fail('second')
    return await context.df.waitForExternalEvent('go')
  })
}

/** All that happens in it has come to Node. */
const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

describe('a rejection in a turn', () => {
  test('is delivered to the await of a later turn', async (t) => {
    const { client, logger } = await openHub(t, register)
    const id = await startWaiting(client, 'order')
    await until('charge has failed', async () => {
      const { waitingFor } = await client.getStatus(id)
      return waitingFor.length === 1
    })
    await client.raiseEvent(id, 'shipped', 1)
    const { output } = await client.waitForCompletion(id)
    assert.equal(output, 'compensated: card declined')
    await settled()
    assert.deepEqual(logger.find('warn', WARNING), [])
  })

  test('is delivered so after a replay too', async (t) => {
    const store = tempStore(t)
    const first = await openHub(t, register, { store })
    const id = await startWaiting(first.client, 'order')
    await until('charge has failed', async () => {
      const { waitingFor } = await first.client.getStatus(id)
      return waitingFor.length === 1
    })
    await first.close()
    const { client } = await openHub(t, register, { store })
    await client.raiseEvent(id, 'shipped', 1)
    const { output } = await client.waitForCompletion(id)
    assert.equal(output, 'compensated: card declined')
  })

  test('that nothing ever awaits is warned of once, and the orchestration goes on', async (t) => {
    const { client, logger } = await openHub(t, register)
    const id = await startWaiting(client, 'careless')
    await client.raiseEvent(id, 'go', 7)
    assert.equal((await client.waitForCompletion(id)).output, 7)
    const [line, ...more] = await until('it is warned of', () => {
      const lines = logger.find('warn', WARNING)
      return lines.length > 0 && lines
    })
    assert.match(line, /first \(and 1 more\)/)
    assert.ok(line.includes(id), line)
    assert.deepEqual(more, [])
  })

  test('of each instance is its own, however many share the turn', async (t) => {
    const { client, logger } = await openHub(t, (app) => {
      app.orchestration('each', async (context) => {
        void Promise.reject(new Error(`of ${context.df.instanceId}`))
        return context.df.instanceId
      })
    })
    const ids = Array.from({ length: 20 }, (_, n) => `one-${n}`)
    await Promise.all(ids.map((instanceId) => complete(client, 'each', null, { instanceId })))
    await settled()
    const lines = logger.find('warn', WARNING)
    for (const id of ids) {
      assert.equal(lines.filter((line) => line.includes(`'${id}'`)).length, 1, id)
      assert.ok(lines.some((line) => line.includes(`'${id}'`) && line.includes(`of ${id}.`)))
    }
  })

  test('by something that is not durable, long after it, is the same', async (t) => {
    const io = deferred()
    const { client, logger } = await openHub(t, (app) => {
      app.orchestration('io', function* (context) {
        const read = async () => {
          await io.promise
          throw new Error('connection reset')
        }
        void read()
        return yield context.df.waitForExternalEvent('go')
      })
    })
    const id = await startWaiting(client, 'io')
    io.resolve()
    await settled()
    await client.raiseEvent(id, 'go', 1)
    assert.equal((await client.waitForCompletion(id)).output, 1)
    await until('it is warned of', () => logger.find('warn', /connection reset/).length === 1)
  })

  test('of a promise that a generator yields gives NotATask, and nothing else', async (t) => {
    const { client, logger } = await openHub(t, (app) => {
      app.orchestration('yields', function* () {
        yield Promise.reject(new Error('fetch failed'))
      })
    })
    const { failure } = await run(client, 'yields')
    assert.equal(failure.code, 'NotATask')
    assert.match(failure.message, /a promise, which is not durable/)
    await settled()
    assert.deepEqual(logger.find('warn', WARNING), [])
  })

  test('of retryIf, and of what a dropped execution goes on with, reaches nobody', async (t) => {
    const io = deferred()
    const { client, close } = await openHub(t, (app) => {
      register(app)
      app.orchestration('asks', function* (context) {
        const retry = new df.RetryOptions(1, 2)
        retry.retryIf = () => {
          void Promise.reject(new Error('of retryIf'))
          return false
        }
        yield context.df.callActivityWithRetry('charge', retry)
      })
      app.orchestration('left', async (context) => {
        void io.promise.then(() => {
          throw new Error('of a dropped execution')
        })
        await context.df.waitForExternalEvent('never')
      })
    })
    assert.equal((await run(client, 'asks')).runtimeStatus, 'Failed')
    await startWaiting(client, 'left')
    await close()
    io.resolve()
    await settled()
  })
})

describe('a rejection elsewhere', () => {
  test("of an entity's operation is its entity's", async (t) => {
    const io = deferred()
    const { client, logger } = await openHub(t, (app) => {
      app.entity('account', async (context) => {
        const late = (async () => {
          throw new Error('late')
        })()
        if (context.df.operationName === 'careless') return
        await new Promise((resolve) => setImmediate(resolve))
        await io.promise
        await late.catch((error) => context.df.return(error.message))
      })
      app.orchestration('calls', function* (context) {
        return yield context.df.callEntity(new df.EntityId('account', 'a'), context.df.getInput())
      })
    })
    io.resolve()
    assert.equal(await complete(client, 'calls', 'awaits'), 'late')
    assert.deepEqual(logger.find('warn', WARNING), [])
    await complete(client, 'calls', 'careless')
    await until('it is warned of', () => logger.find('warn', /'@account@a' .*late/).length === 1)
  })

  test('of code that durafn hosts for an original package is its instance', async (t) => {
    for (const version of [1, 2, 3]) {
      const { client, logger } = await openHub(t, (app) => {
        sdkOf(version).register(app, `stray${version}`, function* (context) {
          void Promise.reject(new Error('astray'))
          return yield context.df.waitForExternalEvent('go')
        })
      })
      const id = await startWaiting(client, `stray${version}`)
      await client.raiseEvent(id, 'go', version)
      assert.equal((await client.waitForCompletion(id)).output, version)
      await until('it is warned of', () => logger.find('warn', /astray/).length > 0)
      assert.equal(logger.find('warn', /astray/).length, 1)
    }
  })

  test('of a thread ends no thread', async (t) => {
    const { client, logger } = await openThreads(t)
    assert.equal(await complete(client, 'careless'), 'done')
    await until('it is warned of', () => logger.find('warn', /never awaited: astray/).length === 1)
    assert.deepEqual(logger.find('error', /./), [])
  })

  for (const [whose, name] of [
    ['an activity', 'activity'],
    ['the app', 'app'],
  ]) {
    test(`of ${whose} ends the process, as without a hub`, async (t) => {
      const child = startChild(
        t,
        async ({ df, args, say }) => {
          const app = new df.App()
          const stray = () => {
            void Promise.reject(new Error('of nobody'))
          }
          app.activity('stray', { handler: stray })
          app.orchestration('strays', async (context) => {
            // Out of its turn, so that the hub has work to do in the context of the turn.
            const client = await hub.client.startNew('calls')
            await context.df.waitForExternalEvent(client)
          })
          app.orchestration('calls', function* (context) {
            yield context.df.callActivity('stray')
          })
          app.orchestration('fine', async () => 1)
          const hub = await df.open({ store: 'sqlite::memory:', app, logger: false })
          const { client } = hub
          await client.waitForCompletion(await client.startNew('fine'))
          say(process.listenerCount('unhandledRejection'))
          if (args === 'app') stray()
          else await client.startNew('strays')
        },
        name,
      )
      assert.equal(await child.next(), 0)
      assert.deepEqual(await child.ended, { code: 1, signal: null })
      assert.match(child.stderr, /of nobody/)
    })
  }
})
