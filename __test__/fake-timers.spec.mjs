/**
 * Fake timers are the user's own: the engine's timers and clocks are real.
 *
 * In processes of their own, as what is faked is also what the test runner goes by.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startChild } from './support/child.mjs'
import { tempStore } from './support/hub.mjs'
import { moduleOf } from './support/threads.mjs'

/** What is put in the place of the globals, and whether Node's own HTTP goes on under it. */
const fakes = {
  'the fakes of sinon, of which vitest and jest make theirs': { of: 'sinon' },
  'a fake Date alone': { of: 'sinon', toFake: ['Date'], withHttp: true },
  'the fakes of node:test': { of: 'node', withHttp: true },
}

/** Opens a hub before the fakes and one under them, and runs what the engine waits for anything in. */
async function program({ df, args, say, hear }) {
  const { mock } = await import('node:test')
  const { default: sinon } = await import('@sinonjs/fake-timers')
  const { serve } = await import('durafn/http')
  const { of, store, threads, withHttp = false, ...config } = args

  const app = new df.App()
  const flaky = async (_, { attempt }) => {
    await null
    if (attempt === 1) throw new Error('once')
    return 1
  }
  app.activity('flaky', { handler: flaky })
  app.activity('endless', { timeoutMs: 2, handler: () => new Promise(() => {}) })
  app.activity('clock', { handler: () => Date.now() })
  app.entity('counter', (context) => {
    context.df.setState(context.df.getState(() => 0) + 1)
    return context.df.getState()
  })
  const retry = { firstRetryIntervalInMilliseconds: 2, maxNumberOfAttempts: 2 }
  const later = (context) => new Date(context.df.currentUtcDateTime.getTime() + 2)
  app.orchestration('generator', function* (context) {
    const first = yield context.df.callActivityWithRetry('flaky', retry)
    yield context.df.createTimer(later(context))
    const second = yield context.df.callEntity(new df.EntityId('counter', 'a'), 'add')
    const third = yield context.df.callSubOrchestrator('child')
    return [first, second, third, yield context.df.callActivity('clock')]
  })
  app.orchestration('child', async (context) => {
    await context.df.createTimer(later(context))
    return await context.df.callActivity('endless').catch((error) => error.code)
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })

  const open = (options) => df.open({ app, logger: false, unmatchedEvents: 'buffer', ...options })
  const before = await open({ store })
  if (of === 'sinon') sinon.install({ now: 5, ...config })
  else mock.timers.enable({ now: 5 })
  const after = await open({ store: 'sqlite::memory:' })

  for (const { client } of [before, after]) {
    const { output } = await client.waitForCompletion(await client.startNew('generator'))
    const waits = client.waitForCompletion(await client.startNew('wait'), { timeoutMs: 2 })
    const late = await waits.catch((error) => error.code)
    const { instancesDeleted } = await client.purgeInstanceHistoryBy()
    say([output, late, instancesDeleted])
  }

  const other = await df.connect({ store, logger: false })
  const id = await other.startNew('wait')
  await other.raiseEvent(id, 'go', 'on')
  say((await other.waitForCompletion(id)).output)
  await other.close()

  const threaded = await open({ store: 'sqlite::memory:', app: threads, threads: 1 })
  const status = await threaded.client.waitForCompletion(
    await threaded.client.startNew('sequenceAsync'),
  )
  say(status.runtimeStatus)
  await threaded.close()

  if (withHttp) {
    const server = await serve(after, { port: 0, keys: { system: 'k'.repeat(32) } })
    const waits = await after.client.startNew('wait')
    say(server.api.signedLinks(server.url, waits, { scopes: ['read', 'raise'] }))
    await hear()
    await server.close()
  }
  await before.close({ drainTimeoutMs: 1 })
  await after.close()
  say('closed')
}

/** From here, where nothing is faked, as `fetch` goes by it too. */
async function raise({ changesGetUri, sendEventPostUri }) {
  const changes = await fetch(changesGetUri)
  const { status } = await fetch(sendEventPostUri.replace('{eventName}', 'go'), {
    method: 'POST',
    body: '"on"',
    headers: { 'content-type': 'application/json' },
  })
  assert.equal(status, 202)
  assert.match(await changes.text(), /"on"[\s\S]*event: end/)
}

describe('an orchestration runs to its end, and its hub opens and closes, under', () => {
  for (const [what, args] of Object.entries(fakes)) {
    test(what, async (t) => {
      const store = tempStore(t)
      const child = startChild(t, program, { ...args, store, threads: moduleOf('app.mjs').href })
      // The clock that user code reads is the fake one.
      for (const _ of ['before', 'after']) {
        assert.deepEqual(await child.next(), [[1, 1, 'Timeout', 5], 'Timeout', 2])
      }
      assert.equal(await child.next(), 'on')
      assert.equal(await child.next(), 'Completed')
      if (args.withHttp) {
        await raise(await child.next())
        child.tell('go on')
      }
      assert.equal(await child.next(), 'closed')
    })
  }
})
