/** Whose `AsyncLocalStorage` user code runs in: that of `open`, whoever asked for the work. */

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { link, openApp, writeApp } from './support/app.mjs'
import { complete, deferred, memoryLogger, openHub, PATIENCE_MS } from './support/hub.mjs'
import { openThreads } from './support/threads.mjs'

const timeoutMs = PATIENCE_MS

/** As tracing, tenants and the loggers of requests use it. */
const storage = new AsyncLocalStorage()

/** Notes in which contexts each place of user code runs. */
function notes() {
  const seen = {}
  const note = (where) => {
    seen[where] ??= []
    if (!seen[where].includes(storage.getStore())) seen[where].push(storage.getStore())
  }
  return { seen, note }
}

/** A logger that notes where each of its lines is written. */
function notingLogger(note) {
  const logger = memoryLogger()
  const at = (level) => (line) => {
    note(`log: ${line.replace(/'[\w-]+'/g, '…')}`)
    logger[level](line)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Functions of each kind that note where they run, at each step. */
function noting(app, note) {
  const echo = (input) => {
    note('activity')
    return input
  }
  app.activity('echo', { handler: echo })
  const flaky = async (_, context) => {
    note('activity, async')
    await null
    note('activity, later')
    context.log('from an activity')
    if (context.attempt === 1) throw new Error('once')
  }
  app.activity('flaky', { handler: flaky })
  app.entity('counter', async (context) => {
    note('entity')
    await null
    note('entity, later')
    context.df.setState(1)
  })
  const retryIf = () => {
    note('retryIf')
    return true
  }
  const retry = { firstRetryIntervalInMilliseconds: 1, maxNumberOfAttempts: 2, retryIf }
  app.orchestration('generator', function* (context) {
    note('generator')
    yield context.df.callActivity('echo', 1)
    note('generator, later')
    yield context.df.waitForExternalEvent('go')
    note('generator, after an event')
    yield context.df.callEntity(new df.EntityId('counter', 'a'), 'add')
    yield context.df.callActivityWithRetry('flaky', retry)
    note('generator, at last')
  })
  app.orchestration('async', async (context) => {
    note('async')
    await context.df.callActivity('echo', 1)
    note('async, later')
    await context.df.waitForExternalEvent('go').then(() => note('async, in then'))
    note('async, after an event')
    await context.df.callSubOrchestrator('child')
    note('async, at last')
  })
  app.orchestration('child', async () => note('child'))
}

/** Starts, signals, raises and waits, in a context of its own. */
function request(client, name, n) {
  return storage.run(`request ${n}`, async () => {
    const id = await client.startNew(name)
    await client.signalEntity(new df.EntityId('counter', `${n % 3}`), 'add')
    await client.raiseEvent(id, 'go')
    const status = await client.waitForCompletion(id, { timeoutMs })
    assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
    assert.equal(storage.getStore(), `request ${n}`, 'a call goes on where it was made')
  })
}

describe('user code runs in the context of open', () => {
  for (const own of ['open', undefined]) {
    test(own === undefined ? 'which has no store' : 'which has one', async (t) => {
      const { seen, note } = notes()
      const open = () =>
        openHub(t, (app) => noting(app, note), {
          unmatchedEvents: 'buffer',
          logger: notingLogger(note),
        })
      const { client } = own === undefined ? await open() : await storage.run(own, open)
      const requests = Array.from({ length: 20 }, (_, n) =>
        request(client, n % 2 === 0 ? 'generator' : 'async', n),
      )
      await Promise.all(requests)
      assert.ok('retryIf' in seen && 'child' in seen && 'log: from an activity' in seen)
      for (const [where, stores] of Object.entries(seen)) assert.deepEqual(stores, [own], where)
    })
  }

  test('what a close aborts hears of it there, and so does the log of a termination', async (t) => {
    const { seen, note } = notes()
    const begun = deferred()
    const register = (app) => {
      const slow = (_, { signal }) => {
        const { promise, resolve } = deferred()
        signal.addEventListener('abort', () => {
          note('abort')
          resolve()
        })
        begun.resolve()
        return promise
      }
      app.activity('slow', { handler: slow })
      app.orchestration('waits', function* (context) {
        yield context.df.callActivity('slow')
      })
      app.orchestration('idle', function* (context) {
        yield context.df.waitForExternalEvent('never')
      })
    }
    const { hub, client } = await storage.run('open', () =>
      openHub(t, register, { logger: notingLogger(note) }),
    )
    await storage.run('request', async () => {
      await client.startNew('waits')
      await begun.promise
      await client.terminate(await client.startNew('idle'), 'for the log')
      await hub.close({ drainTimeoutMs: 0 })
    })
    assert.deepEqual(seen['abort'], ['open'])
    for (const [where, stores] of Object.entries(seen)) assert.deepEqual(stores, ['open'], where)
    assert.ok(Object.keys(seen).length > 1)
  })
})

describe('what user code enters with enterWith stays its own', () => {
  const enters = (app) => {
    const enter = (result) => {
      const before = storage.getStore() ?? null
      storage.enterWith(result)
      return before
    }
    app.activity('enters', { handler: (n) => enter(n) })
    app.activity('entersAsync', { handler: async (n) => enter(n) })
    app.entity('enters', (context) => context.df.return(enter('an entity')))
    const retryIf = () => {
      enter('retryIf')
      return true
    }
    const fails = (_, { attempt }) => {
      const before = enter('a failure')
      if (attempt === 1) throw new Error('once')
      return before
    }
    app.activity('fails', { handler: fails })
    app.orchestration('all', function* (context) {
      const { Task, callActivity, callEntity, callActivityWithRetry } = context.df
      const before = enter(context.df.instanceId)
      const retry = { firstRetryIntervalInMilliseconds: 1, maxNumberOfAttempts: 2, retryIf }
      const results = yield Task.all([
        ...[1, 2, 3].flatMap((n) => [callActivity('enters', n), callActivity('entersAsync', n)]),
        ...['a', 'b'].map((key) => callEntity(new df.EntityId('enters', key), 'enter')),
        callActivityWithRetry('fails', retry),
      ])
      return [before, ...results]
    })
  }

  test('on the calling thread', async (t) => {
    const { client } = await openHub(t, enters)
    const outputs = await Promise.all(Array.from({ length: 5 }, () => complete(client, 'all')))
    for (const output of outputs) assert.deepEqual(output, Array(10).fill(null))
  })

  test('in threads, whose lines are logged in the context of open', async (t) => {
    const { seen, note } = notes()
    const app = new URL('./apps/threads/storage.mjs', import.meta.url)
    const { client } = await storage.run('open', () =>
      openThreads(t, { app, threads: 1, logger: notingLogger(note) }),
    )
    const output = await storage.run('request', () => complete(client, 'fan', 10))
    assert.deepEqual(
      output,
      output.map((_, n) => [null, n]),
    )
    const lines = Object.entries(seen).filter(([where]) => where.startsWith('log: entered'))
    assert.equal(lines.length, 10)
    for (const [where, stores] of lines) assert.deepEqual(stores, ['open'], where)
  })
})

test('an http function runs in its own request, what it starts does not', async (t) => {
  globalThis.durafnStorage = storage
  t.after(() => {
    delete globalThis.durafnStorage
    delete globalThis.durafnEnd
  })
  const dir = writeApp(t, {
    'package.json': { main: 'index.js' },
    'index.js': `
      const { app } = require('@azure/functions')
      const df = require('durafn')
      const where = () => String(globalThis.durafnStorage.getStore())
      app.hook.appTerminate(() => {
        globalThis.durafnEnd = where()
      })
      df.app.activity('where', { handler: where })
      df.app.orchestration('both', function* (context) {
        return [where(), yield context.df.callActivity('where')]
      })
      app.http('start', {
        extraInputs: [df.input.durableClient()],
        handler: async (request, context) => {
          const client = df.getClient(context)
          const id = await client.startNew('both')
          const { output } = await client.waitForCompletion(id)
          return { jsonBody: [where(), ...output] }
        },
      })`,
  })
  const { app } = await storage.run('open', () =>
    openApp(t, link(dir, '@azure/functions@4', 'durafn')),
  )
  const answer = await storage.run('request', async () => {
    const response = await app.fetch(new Request('http://localhost/api/start'))
    return await response.text()
  })
  assert.deepEqual(JSON.parse(answer), ['request', 'open', 'open'])
  await storage.run('request', () => app.close({ drainTimeoutMs: 0 }))
  assert.equal(globalThis.durafnEnd, 'open')
})
