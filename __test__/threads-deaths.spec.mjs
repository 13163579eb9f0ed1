/** What becomes of a thread that dies, and of what was under way in it. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import workerThreads from 'node:worker_threads'
import { startChild } from './support/child.mjs'
import { complete, PATIENCE_MS, run, startWaiting, tempStore, until } from './support/hub.mjs'
import { moduleOf, openThreads, signs } from './support/threads.mjs'

const timeoutMs = PATIENCE_MS

/** The workers that are alive, so that a test can end them from outside. */
const workers = new Set()
workerThreads.Worker = class extends workerThreads.Worker {
  constructor(...args) {
    super(...args)
    workers.add(this)
    this.once('exit', () => workers.delete(this))
  }
}

const deaths = (logger) => logger.find('error', /^durafn: Thread 'durafn [\da-z]+' died/)

const waitsForEvent = async (client, id) =>
  (await client.getStatus(id))?.waitingFor?.[0]?.kind === 'event'

describe('a thread that dies is replaced, and nothing is lost', () => {
  test('by process.exit in an activity: it runs again, with the same idempotency key', async (t) => {
    const { client, logger } = await openThreads(t)
    const sign = signs(t)
    const call = (name) => ({ name: 'exitOnce', input: { dir: sign.dir, name } })
    const keys = await complete(client, 'callAll', ['a', 'b', 'c'].map(call))
    assert.equal(new Set(keys).size, 3)
    for (const key of keys) assert.ok(sign.has(`key-${key}`), key)
    for (const name of ['a', 'b', 'c']) {
      assert.equal(logger.find('info', new RegExp(`^last words of ${name}$`)).length, 1)
    }
    const said = deaths(logger)
    assert.ok(said.length > 0)
    assert.match(
      said[0],
      /it ended with exit code 1, by process\.exit or because it was terminated/,
    )
  })

  test('by an error that nothing catches, of an activity', async (t) => {
    const { client, logger } = await openThreads(t)
    const { dir } = signs(t)
    const input = { name: 'throwOnce', input: { dir, name: 'a' } }
    assert.equal(await complete(client, 'call', input), 'again')
    assert.match(deaths(logger)[0], /Error: thrown by a\n {4}at /)
  })

  test('by an error of an orchestrator out of the event loop', async (t) => {
    const { client, logger } = await openThreads(t)
    const sign = signs(t)
    const id = await client.startNew('stray', { input: { dir: sign.dir } })
    await until('the thread has died', () => deaths(logger).length === 1)
    assert.match(deaths(logger)[0], /Error: out of the event loop\n/)
    await until('it waits', () => waitsForEvent(client, id))
    await client.raiseEvent(id, 'go')
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'done')
  })

  for (const after of [0, 2]) {
    test(`by an orchestrator, in its turn ${after + 1}, with many beside it`, async (t) => {
      const { client, logger } = await openThreads(t)
      const { dir } = signs(t)
      const others = Array.from({ length: 20 }, () => complete(client, 'where'))
      const input = { dir, after }
      assert.equal(await complete(client, 'killer', input), 2 * after)
      assert.equal((await Promise.all(others)).length, 20)
      assert.equal(deaths(logger).length, 1)
    })
  }

  test('by an orchestrator that is replayed', async (t) => {
    const store = tempStore(t)
    const { dir, set } = signs(t)
    const first = await openThreads(t, { store })
    const id = await startWaiting(first.client, 'replayKiller', { input: { dir } })
    await until('it waits for the event', () => waitsForEvent(first.client, id))
    await first.hub.close()
    set('again')
    const { client, logger } = await openThreads(t, { store })
    await client.raiseEvent(id, 'go', 'on')
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'on')
    assert.equal(deaths(logger).length, 1)
  })

  test('terminated from outside, all of them at the same time', async (t) => {
    const { client, logger } = await openThreads(t)
    const { dir, set, until: seen } = signs(t)
    const gates = Array.from({ length: 4 }, (_, n) => ({
      name: 'gate',
      input: { dir, name: `gate${n}` },
    }))
    const waits = await startWaiting(client, 'events')
    const id = await client.startNew('callAll', { input: gates })
    for (let n = 0; n < 4; n++) await seen(`gate${n}-runs`)
    const ended = [...workers]
    await Promise.all(ended.map((worker) => worker.terminate()))
    await until('both are replaced', () => deaths(logger).length === 2)
    for (let n = 0; n < 4; n++) set(`gate${n}`)
    const { output } = await client.waitForCompletion(id, { timeoutMs })
    assert.deepEqual(output, Array(4).fill('through'))
    await client.raiseEvent(waits, 'a', 1)
    await client.raiseEvent(waits, 'b', 2)
    assert.deepEqual((await client.waitForCompletion(waits, { timeoutMs })).output, [1, 2])
    assert.ok(ended.every((worker) => !workers.has(worker)))
  })

  test('terminated from outside, one after the other, under load', async (t) => {
    const { client } = await openThreads(t, { threads: 3 })
    const calls = Array.from({ length: 20 }, (_, input) => ({ name: 'later', input }))
    const names = ['where', 'callAll', 'parent', 'sequence', 'retriesAsync', 'fanOut']
    let ended = 0
    const ends = []
    const runs = Array.from({ length: 120 }, async (_, n) => {
      const status = await run(client, names[n % names.length], calls)
      ended += 1
      if (ended % 10 === 0) ends.push([...workers][ended % workers.size]?.terminate())
      return status
    })
    for (const { name, runtimeStatus, failure } of await Promise.all(runs)) {
      assert.equal(runtimeStatus, 'Completed', `${name}: ${JSON.stringify(failure)}`)
    }
    await Promise.all(ends)
    assert.equal(ends.length, 12)
  })

  test('by memory: the process lives on', async (t) => {
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const lines = []
        const line = (message) => lines.push(message)
        const logger = { debug: line, info: line, warn: line, error: line }
        const hub = await df.open({ store: 'sqlite::memory:', threads: 2, app: args, logger })
        const input = { name: 'fill' }
        const id = await hub.client.startNew('call', { input })
        const other = await hub.client.startNew('where')
        await hub.client.waitForCompletion(other)
        const { output } = await hub.client.waitForCompletion(id)
        say([output.code, lines.find((message) => / died /.test(message))])
        await hub.close()
      },
      moduleOf('app.mjs').href,
      { env: { NODE_OPTIONS: '--max-old-space-size=48' } },
    )
    const [code, line] = await child.next(60_000)
    assert.equal(code, 'Poison')
    assert.match(line, /ERR_WORKER_OUT_OF_MEMORY|memory limit/)
    await child.finish()
  })
})

describe('what ends its thread each time', () => {
  test('fails as Poison if it is an activity, and harms nobody beside it', async (t) => {
    const { client, logger } = await openThreads(t)
    const sign = signs(t)
    const gate = { name: 'gate', input: { dir: sign.dir } }
    const beside = await client.startNew('call', { input: gate })
    await sign.until('gate-runs')
    const others = Array.from({ length: 10 }, () => complete(client, 'where'))
    const { code, message } = await complete(client, 'call', { name: 'exitAlways' })
    assert.equal(code, 'Poison')
    assert.match(message, /'exitAlways' was under way each of 5 times .* by process\.exit/)
    await Promise.all(others)
    sign.set('gate')
    assert.equal((await client.waitForCompletion(beside, { timeoutMs })).output, 'through')
    assert.ok(deaths(logger).length >= 5)
    assert.equal((await complete(client, 'where')).length, 4)
  })

  for (const after of [0, 1]) {
    test(`is parked as Poison if it is an orchestrator, in turn ${after + 1}`, async (t) => {
      const { client, logger } = await openThreads(t)
      const { dir, set } = signs(t)
      const input = { dir, after, always: true }
      const others = Array.from({ length: 10 }, () => run(client, 'where'))
      const id = await client.startNew('killer', { input })
      const status = await until('it is parked', async () => {
        const found = await client.getStatus(id, { pending: true })
        return found?.runtimeStatus === 'Suspended' && found
      })
      assert.equal(status.problem.code, 'Poison')
      assert.match(status.problem.message, /thread .* died under it 5 times.*resume the instance/)
      for (const other of await Promise.all(others)) assert.equal(other.runtimeStatus, 'Completed')
      const before = deaths(logger).length
      assert.ok(before >= 5)
      set('mended')
      await client.resume(id)
      assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 2 * after)
      assert.equal(deaths(logger).length, before)
    })
  }

  test('is parked as Poison if it is an orchestrator that is replayed', async (t) => {
    const store = tempStore(t)
    const { dir, set } = signs(t)
    const first = await openThreads(t, { store })
    const id = await first.client.startNew('replayKiller', { input: { dir, always: true } })
    await until('it waits for the event', () => waitsForEvent(first.client, id))
    await first.hub.close()
    const { client, logger } = await openThreads(t, { store })
    await client.raiseEvent(id, 'go', 'on')
    const status = await until('it is parked', async () => {
      const found = await client.getStatus(id)
      return found.runtimeStatus === 'Suspended' && found
    })
    assert.equal(status.problem.code, 'Poison')
    assert.equal(deaths(logger).length, 5)
    set('mended')
    await client.resume(id)
    assert.equal((await client.waitForCompletion(id, { timeoutMs })).output, 'on')
  })
})
