/** `threads`: user code in worker threads. Their deaths are in `threads-deaths.spec.mjs`. */

import assert from 'node:assert/strict'
import { relative } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import { runScript } from './support/cli.mjs'
import {
  complete,
  fail,
  memoryLogger,
  openHub,
  PATIENCE_MS,
  refuses,
  run,
  startWaiting,
  tempDir,
  tempStore,
  until,
} from './support/hub.mjs'
import { moduleOf, openThreads, signs } from './support/threads.mjs'

const timeoutMs = PATIENCE_MS

describe('gives what the calling thread gives', () => {
  const inputs = {
    sequence: undefined,
    sequenceAsync: { deep: [{ ключ: '\u2028' }], __proto__: null },
    fanOut: undefined,
    parent: undefined,
    timers: undefined,
    retries: undefined,
    retriesAsync: undefined,
    eternal: { n: 1, sum: 0 },
    tooLarge: undefined,
    fails: undefined,
    unknown: undefined,
    strays: undefined,
  }

  /** What an instance came to, without the stacks, which say where it ran. */
  async function outcome(client, name) {
    const id = await client.startNew(name, { input: inputs[name], instanceId: `one-${name}` })
    const status = await client.waitForCompletion(id, { timeoutMs })
    const { runtimeStatus, output, customStatus, failure = null } = status
    const said = JSON.stringify(failure, (key, value) => (key === 'stack' ? undefined : value))
    return { runtimeStatus, output, customStatus, said }
  }

  for (const name of Object.keys(inputs)) {
    test(name, async (t) => {
      const limits = { payloadBytes: 2_048 }
      const outcomes = []
      for (const threads of [0, 2]) {
        const { client } = await openThreads(t, { threads, limits })
        outcomes.push(await outcome(client, name))
      }
      assert.deepEqual(outcomes[1], outcomes[0])
      const fails = ['fails', 'unknown', 'strays'].includes(name)
      assert.equal(outcomes[0].runtimeStatus, fails ? 'Failed' : 'Completed', outcomes[0].said)
    })
  }

  test('events and a custom status', async (t) => {
    const { client } = await openThreads(t)
    const id = await startWaiting(client, 'events')
    assert.deepEqual((await client.getStatus(id)).customStatus, { waits: true })
    await client.raiseEvent(id, 'b', [1])
    await client.raiseEvent(id, 'a', { two: 2 })
    const { output } = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(output, [{ two: 2 }, [1]])
  })

  test('what strays outside its turn fails, and the log says so', async (t) => {
    const { client, logger } = await openThreads(t)
    const failure = await fail(client, 'strays')
    assert.equal(failure.code, 'OutsideTurn')
    assert.equal(logger.find('error', /^durafn: Orchestrator .*outside a turn/).length, 1)
  })

  test('instances go on in threads that began without them', async (t) => {
    const store = tempStore(t)
    const first = await openThreads(t, { store, threads: 0 })
    const id = await startWaiting(first.client, 'events')
    await first.hub.close()
    const { client } = await openThreads(t, { store, threads: 3 })
    await client.raiseEvent(id, 'a', 1)
    await client.raiseEvent(id, 'b', 2)
    assert.deepEqual((await client.waitForCompletion(id, { timeoutMs })).output, [1, 2])
  })
})

describe('spreads', () => {
  test('instances over the threads, each of which stays where it is', async (t) => {
    const { client } = await openThreads(t)
    const runs = Array.from({ length: 32 }, () => complete(client, 'where'))
    const seen = await Promise.all(runs)
    for (const ids of seen) assert.equal(new Set(ids).size, 1, `it moved: ${ids}`)
    const ids = new Set(seen.flat())
    assert.equal(ids.size, 2)
    assert.ok(!ids.has(0), 'nothing runs in the calling thread')
  })

  test('the activities of one instance: two that hold their threads run at the same time', async (t) => {
    const { client } = await openThreads(t)
    const { dir } = signs(t)
    const meet = (name, other) => ({ name: 'meet', input: { dir, name, other } })
    const output = await complete(client, 'callAll', [meet('a', 'b'), meet('b', 'a')])
    assert.equal(new Set(output).size, 2)
  })

  test('no instance behind a thread that an activity holds for good, but those of that thread', async (t) => {
    const { hub, client } = await openThreads(t)
    const sign = signs(t)
    await client.startNew('call', { input: { name: 'spin', input: { dir: sign.dir } } })
    await sign.until('spins')
    // Of as many instances half are in the other thread; their activities find it as well.
    let done = 0
    for (let n = 0; n < 16; n++) {
      run(client, 'where').then(
        () => {
          done += 1
        },
        () => {},
      )
    }
    await until('some are done', () => done > 0)
    await hub.close({ drainTimeoutMs: 1 })
  })

  test('many quick activities', async (t) => {
    const { client } = await openThreads(t)
    const calls = Array.from({ length: 500 }, (_, input) => ({ name: 'double', input }))
    const output = await complete(client, 'callAll', calls)
    assert.deepEqual(
      output,
      calls.map(({ input }) => 2 * input),
    )
  })
})

describe('the module', () => {
  const kinds = {
    'default.mjs': 'default',
    'global.mjs': 'df.app',
    'named.cjs': 'CommonJS, app',
    'exported.cjs': 'CommonJS, module.exports',
    'transpiled.cjs': 'CommonJS, exports.default',
  }
  for (const [name, expected] of Object.entries(kinds)) {
    test(`may be of any kind: ${name}`, async (t) => {
      const { client } = await openThreads(t, { app: moduleOf(name), threads: 1 })
      assert.equal(await complete(client, 'from'), expected)
    })
  }

  test('may be given by a URL, the text of one, or a path, with threads or without', async (t) => {
    const url = moduleOf('default.mjs')
    const path = fileURLToPath(url)
    for (const app of [url, url.href, path, relative(process.cwd(), path)]) {
      for (const threads of [0, 1]) {
        const { hub, client } = await openThreads(t, { app, threads })
        assert.equal(await complete(client, 'from'), 'default')
        await hub.close()
      }
    }
  })

  const faults = {
    'throws.mjs': /throws\.mjs' cannot be loaded: not today\.$/,
    'exits.mjs': /exits\.mjs' cannot be loaded: it ended with exit code 4/,
    'empty.mjs': /empty\.mjs' cannot be loaded: it exports no App and registers nothing/,
    'differs.mjs':
      /differs\.mjs' cannot be loaded: .*activity 'of thread \d+', activity 'of thread/,
  }
  for (const [name, message] of Object.entries(faults)) {
    test(`is refused if it is at fault: ${name}`, async (t) => {
      const store = tempStore(t)
      const opening = openThreads(t, { app: moduleOf(name), store })
      const error = await refuses('InvalidFunction', opening, { field: 'options.app', message })
      if (name === 'throws.mjs') {
        assert.ok(error.cause instanceof Error)
        assert.equal(error.cause.message, 'not today')
      }
      await openHub(t, () => {}, { store }) // nothing was left open
    })
  }

  test('is refused in the calling thread as it is in others', async (t) => {
    const opening = openThreads(t, { app: moduleOf('throws.mjs'), threads: 0 })
    await refuses('InvalidFunction', opening, { field: 'options.app', message: /not today/ })
  })

  test('may register later, in each thread', async (t) => {
    const { client } = await openThreads(t)
    const seen = new Set()
    while (seen.size < 2) {
      const status = await run(client, 'lateRegister')
      if (status.runtimeStatus === 'Completed') seen.add(status.output)
      if (seen.size < 2) await refuses('NotRegistered', client.startNew('lateOrchestration'))
    }
    const output = await until('the name is known', () =>
      complete(client, 'lateOrchestration').catch(() => false),
    )
    assert.equal(output, 'late')
  })

  test('may be the whole program, if it opens the hub in the main thread only', async () => {
    const file = fileURLToPath(moduleOf('whole.mjs'))
    const whole = await runScript(file, [])
    assert.deepEqual(whole, { code: 0, stdout: 'a whole program\n', stderr: '' })
    const careless = await runScript(file, [], { env: { CARELESS: '1' } })
    assert.equal(careless.code, 1)
    assert.match(
      careless.stderr,
      /InvalidFunction: The app's module .* open was called in a thread/,
    )
  })
})

describe('options', () => {
  test('threads is a number, and needs a module', async (t) => {
    for (const threads of [-1, 1.5, '2', 257]) {
      await refuses('InvalidOption', openThreads(t, { threads }), { field: 'options.threads' })
    }
    for (const app of [undefined, new df.App()]) {
      await refuses('InvalidOption', openThreads(t, { app }), {
        field: 'options.app',
        message: /must be a module .*new URL\('\.\/app\.js', import\.meta\.url\)/,
      })
    }
    const none = moduleOf('missing.mjs')
    for (const app of [
      none,
      none.href,
      'missing.mjs',
      '.',
      'a\u0000b',
      '',
      'https://example.com/app.js',
      new URL('data:text/javascript,0'),
      7,
      {},
    ]) {
      await refuses('InvalidOption', openThreads(t, { app }), { field: 'options.app' })
    }
    const folder = df.openFunctionApp(tempDir(t), { threads: 2 })
    await refuses('InvalidOption', folder, { field: 'options.threads' })
  })

  test('the hub has no registry of its own then', async (t) => {
    const { hub } = await openThreads(t)
    assert.throws(() => hub.app.activity('x', { handler: () => {} }), { code: 'InvalidOption' })
  })

  test('what the store refuses ends the threads', async (t) => {
    const store = tempStore(t)
    await openHub(t, () => {}, { store })
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const opening = df.open({ store: args.store, threads: 2, app: args.app, logger: false })
        say(await opening.catch((error) => error.code))
      },
      { store, app: moduleOf('app.mjs').href },
    )
    assert.equal(await child.next(), 'HubInUse')
    await child.finish()
  })
})

describe('log lines', () => {
  test('come to the logger of the hub, in order', async (t) => {
    const { client, logger } = await openThreads(t)
    await complete(client, 'logs')
    const lines = [0, 1, 2].flatMap((n) => [
      { level: 'info', message: `orchestrator ${n}` },
      { level: 'debug', message: `activity ${n} { of: 'three' }` },
      { level: 'error', message: `activity ${n} ends` },
    ])
    lines.push({ level: 'warn', message: 'end' })
    assert.deepEqual(logger.lines, lines)
  })

  test('that nobody wants are not made, and a logger that fails harms nobody', async (t) => {
    const thrower = () => {
      throw new Error('full')
    }
    const failing = { debug: thrower, info: thrower, warn: thrower, error: thrower }
    for (const logger of [false, failing]) {
      const { client } = await openThreads(t, { logger })
      await complete(client, 'logs')
    }
  })

  test('of the console are those that matter', async (t) => {
    const child = startChild(
      t,
      async ({ df, args }) => {
        const hub = await df.open({ store: 'sqlite::memory:', threads: 1, app: args })
        await hub.client.waitForCompletion(await hub.client.startNew('logs'))
        await hub.close()
      },
      moduleOf('app.mjs').href,
    )
    await child.finish()
    assert.equal(child.stdout, [0, 1, 2].map((n) => `orchestrator ${n}\n`).join(''))
    assert.doesNotMatch(child.stderr, /of: 'three'/)
  })
})

describe('the signal of an activity', () => {
  test('aborts when its orchestration ends', async (t) => {
    const { client, logger } = await openThreads(t)
    const sign = signs(t)
    const id = await client.startNew('raced', { input: { dir: sign.dir } })
    await sign.until('gate-runs')
    await client.raiseEvent(id, 'go')
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'over')
    await sign.until('aborted')
    await until('the log says why', () => logger.find('info', /^aborted: AbortError$/).length === 1)
  })

  test('aborts when the hub closes, after drainTimeoutMs', async (t) => {
    const store = tempStore(t)
    const { hub, client, logger } = await openThreads(t, { store })
    const sign = signs(t)
    const gate = { name: 'gate', input: { dir: sign.dir } }
    const id = await client.startNew('call', { input: gate })
    await sign.until('gate-runs')
    await hub.close({ drainTimeoutMs: 1 })
    assert.ok(sign.has('aborted'))
    assert.equal(logger.find('info', /^aborted: HubClosed$/).length, 1)
    sign.set('gate')
    const again = await openThreads(t, { store })
    const { output } = await again.client.waitForCompletion(id, { timeoutMs })
    assert.equal(output, 'through')
  })
})

describe('close', () => {
  test('waits for what runs, and keeps its result', async (t) => {
    const store = tempStore(t)
    const { hub, client } = await openThreads(t, { store })
    const sign = signs(t)
    const input = { name: 'gate', input: { dir: sign.dir } }
    const id = await client.startNew('call', { input })
    await sign.until('gate-runs')
    const closing = hub.close()
    sign.set('gate')
    await closing
    assert.ok(!sign.has('aborted'))
    const second = await openHub(t, () => {}, { store })
    const { history } = await second.client.getStatus(id, { showHistory: true })
    assert.ok(history.length > 0)
    await second.hub.close()
    const { client: third } = await openThreads(t, { store })
    assert.equal((await third.waitForCompletion(id, { timeoutMs })).output, 'through')
  })

  test('ends threads that an activity holds for good', async (t) => {
    const { hub, client } = await openThreads(t)
    const sign = signs(t)
    await client.startNew('call', { input: { name: 'spin', input: { dir: sign.dir } } })
    await sign.until('spins')
    await Promise.all([hub.close({ drainTimeoutMs: 1 }), hub.close()])
    await refuses('HubClosed', client.count())
  })

  /** Opens a hub with work in its threads, and ends as its arguments say. */
  async function endHub({ df, args, say }) {
    const hub = await df.open({ store: args.store, threads: 2, app: args.app, logger: false })
    const gate = { name: 'gate', input: { dir: args.dir } }
    await hub.client.startMany([
      { name: 'call', input: gate },
      ...Array.from({ length: 10 }, () => ({ name: 'where' })),
    ])
    say('busy')
    if (args.end === 'close') await hub.close({ drainTimeoutMs: 1 })
    if (args.end === 'exit') process.exit(3)
  }

  for (const [end, code] of Object.entries({ close: 0, exit: 3 })) {
    test(`10 processes that end by ${end} end well`, async (t) => {
      const args = { store: tempStore(t), app: moduleOf('app.mjs').href, dir: tempDir(t), end }
      for (let n = 0; n < 10; n++) {
        const child = startChild(t, endHub, args)
        await child.finish({ code })
        assert.deepEqual([child.said, child.stderr], [['busy'], ''])
      }
    })
  }

  test('of hubs opened and closed in one process', async (t) => {
    const store = tempStore(t)
    for (let n = 0; n < 5; n++) {
      const { hub, client } = await openThreads(t, { store, logger: memoryLogger() })
      assert.equal((await complete(client, 'where')).length, 4)
      await hub.close()
    }
  })
})
