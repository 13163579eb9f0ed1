/** The ends of a hub: closed, left open, torn down. `docs/semantics.md` §3.9. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import {
  complete,
  connect,
  deferred,
  openHub,
  PATIENCE_MS,
  refuses,
  startWaiting,
  tempDir,
  tempStore,
  until,
} from './support/hub.mjs'

const timeoutMs = PATIENCE_MS
const CYCLES = 50

describe(`${CYCLES} cycles end without a crash, and the hub can be opened again at once`, () => {
  /** Opens a hub with activities that run, and ends as its arguments say. */
  async function endHub({ df, args, say }) {
    const app = new df.App()
    app.activity('running', { handler: () => new Promise(() => {}) })
    app.activity('quick', { handler: () => 1 })
    app.orchestration('busy', async (context) => {
      const slow = ['running', 'running'].map((name) => context.df.callActivity(name))
      for (let n = 0; n < 3; n++) await context.df.callActivity('quick')
      await context.df.Task.all(slow)
    })
    const hub = await df.open({ store: args.store, app, logger: false })
    await hub.client.startMany(Array.from({ length: 5 }, () => ({ name: 'busy' })))
    const other = await df.connect({ store: args.store, logger: false })
    await other.count()
    say('busy')
    if (args.end === 'close') await Promise.all([hub.close({ drainTimeoutMs: 1 }), other.close()])
    if (args.end === 'exit') process.exit(3)
    if (args.end === 'throw') {
      setImmediate(() => {
        throw new Error('nobody catches this')
      })
    }
  }

  const ends = {
    'close()': { end: 'close', code: 0, stderr: /^$/ },
    'process.exit without it': { end: 'exit', code: 3, stderr: /^$/ },
    'an uncaught exception with activities running': {
      end: 'throw',
      code: 1,
      stderr: /nobody catches this/,
    },
  }
  for (const [what, { end, code, stderr }] of Object.entries(ends)) {
    test(`of ${what}`, async (t) => {
      // Two stores, in parallel; on each, one process after the other.
      const line = async (cycles) => {
        const store = tempStore(t)
        for (let n = 0; n < cycles; n++) {
          const child = startChild(t, endHub, { store, end })
          await child.finish({ code })
          assert.deepEqual(child.said, ['busy'])
          assert.match(child.stderr, stderr)
        }
        const client = await connect(t, store)
        return await client.count({ name: 'busy' })
      }
      const counts = await Promise.all([line(CYCLES / 2), line(CYCLES / 2)])
      assert.deepEqual(counts, [125, 125])
    })
  }

  test('of a hub in a worker thread that is terminated', async (t) => {
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const { Worker } = await import('node:worker_threads')
        const program = `
          import { parentPort, workerData } from 'node:worker_threads'
          import * as df from 'durafn'
          const app = new df.App()
          app.activity('running', { handler: () => new Promise(() => {}) })
          app.activity('quick', { handler: () => 1 })
          app.orchestration('busy', async (context) => {
            context.df.callActivity('running')
            for (;;) await context.df.callActivity('quick')
          })
          async function main() {
            const hub = await df.open({ store: workerData, app, logger: false })
            await hub.client.startMany([{ name: 'busy' }, { name: 'busy' }])
            parentPort.postMessage('busy')
          }
          main()`
        for (let n = 0; n < args.cycles; n++) {
          const worker = new Worker(program, { eval: true, workerData: args.store })
          await new Promise((resolve, reject) => {
            worker.once('message', resolve)
            worker.once('error', reject)
          })
          await worker.terminate()
        }
        const hub = await df.open({ store: args.store, app: new df.App(), logger: false })
        say(await hub.client.count())
        await hub.close()
      },
      { store: tempStore(t), cycles: CYCLES },
    )
    await child.finish({ timeoutMs: 60_000 })
    assert.deepEqual(child.said, [2 * CYCLES])
  })

  test('of hubs opened and closed in one process', async (t) => {
    const store = tempStore(t)
    for (let n = 0; n < CYCLES; n++) {
      const app = new df.App()
      app.orchestration('o', () => n)
      const hub = await df.open({ store, app, logger: false })
      assert.equal(await complete(hub.client, 'o'), n)
      await hub.close()
    }
  })
})

describe('close', () => {
  test('drains: what runs may end and is kept, and nothing more starts', async (t) => {
    const gate = deferred()
    const ran = []
    const store = tempStore(t)
    const register = (app) => {
      app.activity('step', {
        handler: async (step) => {
          ran.push(step)
          if (step === 'first') await gate.promise
          return step
        },
      })
      app.orchestration('two', function* (context) {
        return [
          yield context.df.callActivity('step', 'first'),
          yield context.df.callActivity('step', 'second'),
        ]
      })
    }
    const { hub } = await openHub(t, register, { store })
    const id = await hub.client.startNew('two')
    await until('it runs', () => ran.length === 1)
    const closing = hub.close()
    gate.resolve()
    await closing
    assert.deepEqual(ran, ['first'])
    const second = await openHub(t, register, { store })
    const { output } = await second.client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(output, ['first', 'second'])
    assert.deepEqual(ran, ['first', 'second'], 'the result was kept')
  })

  test('aborts what still runs after drainTimeoutMs; it runs again at the next open', async (t) => {
    const store = tempStore(t)
    const signals = []
    const register = (app) => {
      app.activity('slow', {
        handler: (_, context) => {
          signals.push(context.signal)
          return signals.length > 1 ? 'done' : new Promise(() => {})
        },
      })
      app.orchestration('slow', async (context) => await context.df.callActivity('slow'))
    }
    const { hub } = await openHub(t, register, { store })
    const id = await hub.client.startNew('slow')
    await until('it runs', () => signals.length === 1)
    await hub.close({ drainTimeoutMs: 20 })
    assert.ok(signals[0].aborted)
    assert.ok(signals[0].reason instanceof df.HubClosed)
    const { client } = await openHub(t, register, { store })
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'done')
  })

  test('writes what was asked for before it, and answers it', async (t) => {
    const store = tempStore(t)
    const { hub, client } = await openHub(t, (app) => app.orchestration('o', () => 1), { store })
    const starts = Array.from({ length: 300 }, (_, n) =>
      client.startNew('o', { instanceId: `i${n}` }),
    )
    const closing = hub.close()
    assert.equal((await Promise.all(starts)).length, 300)
    await closing
    const again = await connect(t, store)
    assert.equal(await again.count(), 300)
  })

  test('rejects the calls that still wait with HubClosed', async (t) => {
    const { hub, client } = await openHub(t, (app) => {
      app.orchestration('wait', function* (context) {
        yield context.df.waitForExternalEvent('go')
      })
    })
    const id = await startWaiting(client, 'wait')
    const waits = [client.waitForCompletion(id), client.waitForCompletion(id, { timeoutMs })]
    const refusals = waits.map((wait) => refuses('HubClosed', wait))
    await hub.close()
    await Promise.all(refusals)
  })

  const calls = {
    startNew: (client) => client.startNew('o'),
    startMany: (client) => client.startMany([{ name: 'o' }]),
    getStatus: (client) => client.getStatus('x'),
    getStatusAll: (client) => client.getStatusAll(),
    getStatusBy: (client) => client.getStatusBy({}),
    list: (client) => client.list(),
    count: (client) => client.count(),
    terminate: (client) => client.terminate('x'),
    suspend: (client) => client.suspend('x'),
    resume: (client) => client.resume('x'),
    rewind: (client) => client.rewind('x'),
    restart: (client) => client.restart('x'),
    purgeInstanceHistory: (client) => client.purgeInstanceHistory('x'),
    purgeInstanceHistoryBy: (client) => client.purgeInstanceHistoryBy({}),
    raiseEvent: (client) => client.raiseEvent('x', 'go'),
    waitForCompletion: (client) => client.waitForCompletion('x', { timeoutMs: 5 }),
  }

  test('makes every later call reject with HubClosed, of a hub and of a client', async (t) => {
    const store = tempStore(t)
    const { hub, client } = await openHub(t, () => {}, { store })
    const connected = await connect(t, store)
    await hub.close()
    await connected.close()
    for (const [name, call] of Object.entries(calls)) {
      await refuses('HubClosed', call(client), { message: /closed/ })
      await refuses('HubClosed', call(connected), { message: /closed/ })
      assert.equal(typeof client[name], 'function')
    }
    await refuses('HubClosed', hub.backup(join(tempDir(t), 'copy.db')))
  })

  test('may be called again, and at the same time', async (t) => {
    const { hub } = await openHub(t, () => {})
    await Promise.all([hub.close(), hub.close(), hub[Symbol.asyncDispose]()])
    await hub.close()
    const connected = await connect(t, tempStore(t))
    await Promise.all([connected.close(), connected.close()])
    await connected[Symbol.asyncDispose]()
  })

  test('takes a drain of any length, and nothing else', async (t) => {
    const { hub } = await openHub(t, () => {})
    await refuses('InvalidOption', hub.close({ drainTimeoutMs: -1 }))
    await refuses('InvalidOption', hub.close({ timeoutMs: 5 }))
    await hub.close({ drainTimeoutMs: Number.POSITIVE_INFINITY })
  })

  test('`await using` closes hubs and clients: both have Symbol.asyncDispose', async (t) => {
    const store = tempStore(t)
    const hub = await df.open({ store, app: new df.App(), logger: false })
    const client = await df.connect({ store, logger: false })
    assert.equal(client.client, client)
    await hub[Symbol.asyncDispose]()
    await client[Symbol.asyncDispose]()
    await refuses('HubClosed', hub.client.count())
    await refuses('HubClosed', client.count())
  })
})

describe('the process', () => {
  test('exits by itself when the hub is closed', async (t) => {
    const child = startChild(t, async ({ df }) => {
      const hub = await df.open({ store: 'sqlite::memory:', app: new df.App(), logger: false })
      await hub.client.count()
      await hub.close()
    })
    await child.finish()
  })

  test('is kept alive by an open hub', async (t) => {
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const app = new df.App()
        app.orchestration('later', async (context) => {
          const due = context.df.currentUtcDateTime.getTime() + 300
          await context.df.createTimer(new Date(due))
          say('still here')
        })
        const hub = await df.open({ store: args, app, logger: false })
        await hub.client.startNew('later')
        say('nothing else to do')
      },
      tempStore(t),
    )
    assert.equal(await child.next(), 'nothing else to do')
    assert.equal(await child.next(), 'still here')
    assert.equal(child.hasEnded, false)
    await child.kill()
  })

  test('is not kept alive by a client, though it was not closed', async (t) => {
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const client = await df.connect({ store: args, logger: false })
        say(await client.startNew('any', { instanceId: 'x' }))
      },
      tempStore(t),
    )
    assert.equal(await child.next(), 'x')
    await child.finish()
  })

  test('is kept alive by a call of a client that waits, and no longer', async (t) => {
    const store = tempStore(t)
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const client = await df.connect({ store: args, logger: false })
        const id = await client.startNew('wait', { instanceId: 'x' })
        say('waits')
        say((await client.waitForCompletion(id)).output)
      },
      store,
    )
    assert.equal(await child.next(), 'waits')
    const { client } = await openHub(
      t,
      (app) =>
        app.orchestration('wait', function* (context) {
          return yield context.df.waitForExternalEvent('go')
        }),
      { store },
    )
    await until('it runs', () => client.getStatus('x'))
    assert.equal(child.hasEnded, false)
    await client.raiseEvent('x', 'go', 'over')
    assert.equal(await child.next(), 'over')
    await child.finish()
  })

  test('ends with what opening failed with, and is not held by it', async (t) => {
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const refusal = await df.open({ store: `sqlite:${args}` }).catch((error) => error.code)
        say(refusal)
      },
      tempDir(t),
    )
    assert.equal(await child.next(), 'NotAHub')
    await child.finish()
  })
})
