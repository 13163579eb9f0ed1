/** What fails is in the log: one line for each attempt, operation and orchestration. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EntityId } from 'durafn'
import { complete, fail, openHub, tempStore, until } from './support/hub.mjs'

const retry = { firstRetryIntervalInMilliseconds: 1, maxNumberOfAttempts: 3 }

function register(app) {
  const breaks = () => {
    throw new RangeError('out of\nstock')
  }
  app.activity('Charge', { handler: breaks })
  app.entity('Stock', breaks)
  app.orchestration('Order', function* (context) {
    yield context.df.callActivityWithRetry('Charge', retry)
  })
  app.orchestration('Catches', function* (context) {
    try {
      yield context.df.callActivity('Charge')
    } catch (error) {
      return error.message
    }
  })
  app.orchestration('Calls', function* (context) {
    try {
      yield context.df.callEntity(new EntityId('Stock', 'a'), 'take')
    } catch {
      return yield context.df.waitForExternalEvent('go')
    }
  })
}

const why = 'RangeError: out of\\nstock'

test('attempts, the last of them, and the orchestration that fails of it', async (t) => {
  const { client, logger } = await openHub(t, register)
  await fail(client, 'Order', undefined, { instanceId: 'o-1' })
  const of = "(instance 'o-1')"
  assert.deepEqual(
    logger.lines.filter(({ message }) => message.includes('o-1')),
    [
      {
        level: 'debug',
        message: `durafn: Activity 'Charge' failed at attempt 1 and is tried again: ${why} ${of}`,
      },
      {
        level: 'debug',
        message: `durafn: Activity 'Charge' failed at attempt 2 and is tried again: ${why} ${of}`,
      },
      {
        level: 'warn',
        message: `durafn: Activity 'Charge' failed at attempt 3 and is not tried again: ${why} ${of}`,
      },
      { level: 'error', message: `durafn: Orchestration 'Order' failed: ${why} ${of}` },
    ],
  )
})

test('an operation of an entity, and nothing twice when it is replayed', async (t) => {
  const store = tempStore(t)
  const first = await openHub(t, register, { store })
  assert.equal(await complete(first.client, 'Catches'), 'out of\nstock')
  assert.equal(first.logger.find('warn', /Activity 'Charge' failed at attempt 1/).length, 1)
  assert.equal(first.logger.find('error', /./).length, 0)
  const id = await first.client.startNew('Calls')
  await until('the operation has failed', () => {
    return (
      first.logger.find('warn', /Operation 'take' of entity '@stock@a' failed: Range/).length === 1
    )
  })
  await until('it waits', async () => (await first.client.getStatus(id)).waitingFor?.length === 1)
  await first.close()
  const second = await openHub(t, register, { store })
  await second.client.raiseEvent(id, 'go', 1)
  assert.equal((await second.client.waitForCompletion(id)).output, 1)
  assert.equal(second.logger.find('warn', /./).length, 0)
})
