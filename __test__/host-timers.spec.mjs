/** Timer functions: when they run, and what they make up for. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { link, openApp, writeApp } from './support/app.mjs'
import { refuses, tempStore, until } from './support/hub.mjs'

const timer = (schedule, rest = {}) => {
  return { bindings: [{ name: 'tick', type: 'timerTrigger', direction: 'in', schedule, ...rest }] }
}
const says = `module.exports = async (context, tick) => { context.log(JSON.stringify(tick)) }`
const YEARLY = '0 0 0 1 1 *'

/** What the timer of an app has said so far. */
const ticks = (logger) => logger.find('info', /isPastDue/).map((line) => JSON.parse(line))

test('it runs when it is due, again and again', async (t) => {
  const { logger } = await openApp(t, { Work: [timer('* * * * * *'), says] })
  await until('it ran twice', () => ticks(logger).length >= 2)
  assert.deepEqual(ticks(logger)[0], {
    schedule: { adjustForDST: true },
    scheduleStatus: null,
    isPastDue: false,
  })
})

test('intervals, settings and the newer model', async (t) => {
  process.env.DURAFN_TEST_SCHEDULE = '00:00:01'
  t.after(() => delete process.env.DURAFN_TEST_SCHEDULE)
  const files = {
    'package.json': { main: 'index.js' },
    'index.js': `require('@azure/functions').app.timer('Work', { schedule: '%DURAFN_TEST_SCHEDULE%',
      handler: (tick, context) => context.log(JSON.stringify(tick)) })`,
  }
  const { logger } = await openApp(t, link(writeApp(t, files), '@azure/functions@4'))
  await until('it ran', () => ticks(logger).length > 0)
  assert.equal(ticks(logger)[0].isPastDue, false)
})

test('runOnStartup runs it at once', async (t) => {
  const { logger } = await openApp(t, { Work: [timer(YEARLY, { runOnStartup: true }), says] })
  await until('it ran', () => ticks(logger).length === 1)
  assert.equal(ticks(logger)[0].isPastDue, false)
})

describe('after a pause', () => {
  const files = { Work: [timer(YEARLY), says] }
  const fileOf = (store) => `${store.slice('sqlite:'.length)}-timers.json`
  const statusOf = (store) => JSON.parse(readFileSync(fileOf(store), 'utf8')).work

  /** Opens the app once, and puts what is kept of its timer that far back. */
  async function missed(t, daysBack, json = files.Work[0]) {
    const store = tempStore(t)
    const first = await openApp(t, { Work: [json, says] }, { store })
    await first.app.close()
    const at = new Date(Date.now() - daysBack * 86_400_000).toISOString()
    const kept = { work: { last: at, next: at, lastUpdated: at } }
    writeFileSync(fileOf(store), JSON.stringify(kept))
    return store
  }

  test('all runs that were missed are made up for by one, and not again', async (t) => {
    const store = await missed(t, 3 * 366)
    const { app, logger } = await openApp(t, files, { store })
    await until('it ran', () => ticks(logger).length === 1)
    const [tick] = ticks(logger)
    assert.equal(tick.isPastDue, true)
    assert.deepEqual(Object.keys(tick.scheduleStatus), ['last', 'next', 'lastUpdated'])
    await app.close()
    assert.ok(Date.now() - new Date(statusOf(store).last).getTime() < 60_000)
    assert.ok(new Date(statusOf(store).next).getTime() > Date.now())
    const again = await openApp(t, files, { store })
    await again.app.close()
    assert.deepEqual(ticks(again.logger), [])
  })

  test('what ran never counts from when it was first seen', async (t) => {
    const store = tempStore(t)
    const { app } = await openApp(t, files, { store })
    await app.close()
    assert.equal(statusOf(store).last, '0001-01-01T00:00:00.000Z')
    const at = new Date(Date.now() - 2 * 366 * 86_400_000).toISOString()
    writeFileSync(fileOf(store), JSON.stringify({ work: { ...statusOf(store), lastUpdated: at } }))
    const { logger } = await openApp(t, files, { store })
    await until('it ran', () => ticks(logger).length === 1)
  })

  test('without useMonitor nothing is made up for', async (t) => {
    const json = timer(YEARLY, { useMonitor: false })
    const store = await missed(t, 3 * 366, json)
    const { app, logger } = await openApp(t, { Work: [json, says] }, { store })
    await app.close()
    assert.deepEqual(ticks(logger), [])
  })

  test('a file that is damaged counts as none', async (t) => {
    const store = await missed(t, 3 * 366)
    writeFileSync(fileOf(store), '{"work":')
    const { app, logger } = await openApp(t, files, { store })
    await app.close()
    assert.deepEqual(ticks(logger), [])
  })
})

test('one that fails is run again at its next time', async (t) => {
  const script = `let n = 0
    module.exports = async (context) => { n += 1; context.log('run ' + n); if (n === 1) throw new Error('no') }`
  const { logger } = await openApp(t, { Work: [timer('* * * * * *'), script] })
  await until('it ran twice', () => logger.find('info', /run 2/).length === 1)
  assert.equal(logger.find('error', /'Work' failed: Error: no/).length, 1)
})

describe('with a retry policy', () => {
  const script = `let n = 0
    module.exports = async (context) => {
      n += 1
      context.log('attempt ' + JSON.stringify(context.executionContext.retryContext))
      if (n < 3) throw new Error('not yet')
    }`
  const policy = { strategy: 'fixedDelay', maxRetryCount: 2, delayInterval: '00:00:00.010' }
  const attempts = (logger) => logger.find('info', /^attempt/)

  test('a run that fails is tried again, and knows which attempt it is', async (t) => {
    const json = { ...timer(YEARLY, { runOnStartup: true }), retry: policy }
    const { logger } = await openApp(t, { Work: [json, script] })
    await until('it was tried three times', () => attempts(logger).length === 3)
    assert.equal(attempts(logger)[2], 'attempt {"retryCount":2,"maxRetryCount":2}')
    assert.equal(logger.find('error', /not yet/).length, 2)
  })

  test('of the newer model too', async (t) => {
    const files = {
      'package.json': { main: 'index.js' },
      'index.js': `let n = 0
        require('@azure/functions').app.timer('Work', { schedule: '${YEARLY}', runOnStartup: true,
          retry: { strategy: 'exponentialBackoff', maxRetryCount: -1,
            minimumInterval: { milliseconds: 10 }, maximumInterval: { milliseconds: 20 } },
          handler: (tick, context) => {
            context.log('attempt ' + JSON.stringify(context.retryContext))
            n += 1
            if (n < 3) throw new Error('not yet')
          } })`,
    }
    const { logger } = await openApp(t, link(writeApp(t, files), '@azure/functions@4'))
    await until('it was tried three times', () => attempts(logger).length === 3)
    assert.equal(attempts(logger)[1], 'attempt {"retryCount":1,"maxRetryCount":-1}')
  })

  test('a stop does not wait for the next attempt', async (t) => {
    const retry = { strategy: 'fixedDelay', maxRetryCount: -1, delayInterval: '1.00:00:00' }
    const json = { ...timer(YEARLY, { runOnStartup: true }), retry }
    const { app, logger } = await openApp(t, { Work: [json, script] })
    await until('it failed', () => logger.find('error', /not yet/).length === 1)
    await app.close()
    assert.equal(attempts(logger).length, 1)
  })

  const wrong = [
    ['retry', 5, /an object/],
    ['retry.strategy', { maxRetryCount: 1 }, /'fixedDelay' or/],
    ['retry.maxRetryCount', { ...policy, maxRetryCount: -2 }, /whole number/],
    ['retry.delayInterval', { ...policy, delayInterval: 'soon' }, /must be a time/],
  ]
  for (const [field, retry, message] of wrong) {
    test(`a wrong ${field} is refused with the file`, async (t) => {
      const dir = writeApp(t, { Work: [{ ...timer(YEARLY), retry }, script] })
      const opening = df.openFunctionApp(dir, { store: 'sqlite::memory:' })
      await refuses('InvalidFunction', opening, { field, message })
    })
  }
})

test('/admin/functions runs it', async (t) => {
  const { app, logger } = await openApp(t, { Work: [timer(YEARLY), says] })
  const url = `http://localhost/admin/functions/work?code=${app.masterKey}`
  assert.equal((await app.fetch(new Request(url, { method: 'POST' }))).status, 202)
  await until('it ran', () => ticks(logger).length === 1)
})

describe('bad triggers are refused with field and file', () => {
  const cases = [
    ['schedule', undefined, /must be a text/],
    ['schedule', '* * *', /is '\* \* \*', which is none/],
    ['schedule', '99 * * * * *', /which is none/],
    ['schedule', '00:00:00', /no time at all/],
    ['schedule', '999999999.00:00:00', /too long/],
    ['schedule', '%DURAFN_TEST_NONE%', /setting 'DURAFN_TEST_NONE', which is not set/],
    ['runOnStartup', 'maybe', /true or false/],
  ]
  for (const [field, value, message] of cases) {
    test(`${field}: ${value}`, async (t) => {
      const dir = writeApp(t, { Work: [timer(YEARLY, { [field]: value }), says] })
      const opening = df.openFunctionApp(dir, { store: 'sqlite::memory:' })
      const error = await refuses('InvalidFunction', opening, { field, message })
      assert.match(error.message, /Work.function\.json/)
    })
  }
})
