/** Threads that are held by what does not return. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { complete, fail, PATIENCE_MS, until } from './support/hub.mjs'
import { moduleOf, openThreads, signs } from './support/threads.mjs'

const timeoutMs = PATIENCE_MS
const app = moduleOf('hung.mjs')
/** No turn is taken for endless in the test. */
const PATIENT = { app, limits: { turnMs: 600_000 } }
const STRICT = { app, limits: { turnMs: 300 } }
/** What a busy machine takes for a turn is no reason. */
const FAIR = { app, limits: { turnMs: 2_000 } }

const good = (n) => ({ name: 'good', instanceId: `good-${n}` })
const many = Array.from({ length: 20 }, (_, n) => n)
const problemOf = async (client, id) => (await client.getStatus(id))?.problem

describe('a thread that is held', () => {
  test('by a turn keeps no start from being stored', async (t) => {
    const { client } = await openThreads(t, PATIENT)
    const { dir, set, until: seen } = signs(t)
    const input = { begun: join(dir, 'begun'), until: join(dir, 'go') }
    const held = await client.startNew('loop', { input })
    await seen('begun')
    await Promise.all(many.map((n) => client.startNew('good', { instanceId: good(n).instanceId })))
    await client.startMany(many.map((n) => ({ name: 'good', instanceId: `many-${n}` })))
    assert.equal(await client.count({ name: 'good' }), 40)
    // It comes again, and then they all have their turn.
    set('go')
    await client.waitForCompletion(held, { timeoutMs })
    await until('all have completed', async () => {
      const done = await client.count({ name: 'good', runtimeStatus: 'Completed' })
      return done === 40
    })
  })

  test('by the first turn of a start does not keep that one from being stored', async (t) => {
    const { client } = await openThreads(t, PATIENT)
    const id = await client.startNew('loopAtOnce')
    assert.equal(await client.count({ name: 'loopAtOnce' }), 1)
    await client.terminate(id, 'it never ends')
  })

  test('is free again when the instance is terminated', async (t) => {
    const { client, logger } = await openThreads(t, { ...PATIENT, threads: 1 })
    const { dir, until: seen } = signs(t)
    const id = await client.startNew('loop', { input: { begun: join(dir, 'begun') } })
    await seen('begun')
    await client.terminate(id, 'it never ends')
    assert.equal(await complete(client, 'good'), 1)
    assert.match(
      logger.find('error', /was ended and is replaced/)[0],
      /given up, and did not return/,
    )
  })

  test('by an activity is free again when its instance is terminated', async (t) => {
    for (const activity of ['spin', 'spinLater']) {
      const { client } = await openThreads(t, { ...PATIENT, threads: 1 })
      const { dir, until: seen } = signs(t)
      const input = { activity, input: { begun: join(dir, 'begun') } }
      const id = await client.startNew('calls', { input })
      await seen('begun')
      await client.terminate(id, 'it never ends')
      assert.equal(await complete(client, 'good'), 1)
    }
  })

  for (const name of ['loop', 'loopAsync']) {
    test(`by a turn for too long is told of and replaced, and its instance is parked: ${name}`, async (t) => {
      const { client, logger } = await openThreads(t, STRICT)
      const id = await client.startNew(name)
      await until(
        'it is told of',
        async () => (await problemOf(client, id))?.code === 'TurnOverdue',
      )
      const others = many.map(() => complete(client, 'good'))
      await until('it is parked', async () => (await problemOf(client, id))?.code === 'Poison')
      const { runtimeStatus, problem } = await client.getStatus(id)
      assert.equal(runtimeStatus, 'Suspended')
      assert.match(problem.message, /was ended for it 5 times, the last time as it did not return/)
      await Promise.all(others)
      const told = new RegExp(`orchestrator '${name}', instance '${id}', has held its thread for`)
      assert.equal(logger.find('error', told).length, 5)
      assert.equal(await complete(client, 'good'), 1)
    })
  }

  test('by an operation of an entity for too long fails that one', async (t) => {
    const { client, logger } = await openThreads(t, STRICT)
    const entity = new df.EntityId('counter', 'a')
    await client.signalEntity(entity, 'spin')
    await client.signalEntity(entity, 'add')
    await until('the other one is carried out', async () => {
      return (await client.readEntityState(entity)).entityState === 1
    })
    assert.equal(logger.find('error', /was ended and is replaced/).length, 5)
  })

  test('by an activity beyond its timeoutMs: that one fails, as if it waited', async (t) => {
    const { client, logger } = await openThreads(t, PATIENT)
    const input = { activity: 'spinBriefly' }
    const failure = await fail(client, 'calls', input)
    assert.match(JSON.stringify(failure), /Activity 'spinBriefly' did not end within 300 ms\./)
    assert.equal(logger.find('error', /was ended and is replaced/).length, 1)
  })

  test('by an activity for long is told of, and goes on', async (t) => {
    for (const activity of ['spin', 'spinLater']) {
      const { client, logger } = await openThreads(t, FAIR)
      const { dir, set } = signs(t)
      const input = { activity, input: { until: join(dir, 'go') } }
      const id = await client.startNew('calls', { input })
      await until(
        'it is told of',
        async () => (await problemOf(client, id))?.code === 'TurnOverdue',
      )
      set('go')
      const { runtimeStatus, problem } = await client.waitForCompletion(id, { timeoutMs })
      assert.equal(runtimeStatus, 'Completed')
      assert.equal(problem ?? null, null)
      assert.match(
        logger.find('error', /has held/)[0],
        new RegExp(`Activity '${activity}', instance`),
      )
      assert.equal(logger.find('error', /was ended and is replaced/).length, 0)
    }
  })
})
