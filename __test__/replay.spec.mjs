/**
 * An orchestration behaves as if it ran once, without faults: `docs/semantics.md` §3.1.
 *
 * Random programs are run by orchestrators of both kinds in a hub that keeps one instance in memory,
 * so that nearly every turn is a replay, and in one that is closed and opened again and again. Each
 * must give what the program gives when it is simply worked out.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as df from 'durafn'
import fc from 'fast-check'
import { openHub, tempStore, until } from './support/hub.mjs'

// ------------------------------------------------------------------ programs

/** Steps by name: what each is made of. `n` is what it gives, or how often it fails first. */
const number = fc.integer({ min: 0, max: 99 })
const { step } = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.record({ kind: fc.constantFrom('sync', 'async', 'child', 'timer', 'event'), n: number }),
    fc.record({ kind: fc.constant('throws'), n: number }),
    fc.record({ kind: fc.constant('retried'), n: fc.integer({ min: 0, max: 3 }) }),
  ),
  list: fc.record({
    kind: fc.constantFrom('all', 'any', 'sequence'),
    of: fc.array(tie('step'), { minLength: 1, maxLength: 4 }),
  }),
  step: fc.oneof({ maxDepth: 2, withCrossShrink: true }, tie('leaf'), tie('list')),
}))
const program = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 6 }),
  /** How often it continues as new with what it has so far. */
  generations: fc.integer({ min: 0, max: 2 }),
})

const RETRIES = 3

/** What a step gives: a value, or `{ error }` in place of what it throws. */
function expected(node) {
  switch (node.kind) {
    case 'throws':
      return { error: `thrown ${node.n}` }
    case 'retried':
      return node.n < RETRIES ? `after ${node.n}` : { error: `failure ${RETRIES}` }
    case 'timer':
      return 'fired'
    case 'sequence':
      return node.of.map(expected)
    case 'all': {
      const results = node.of.map(expected)
      // Which failure comes first depends on time; that one came does not.
      return results.some((result) => result?.error !== undefined) ? { error: 'one' } : results
    }
    case 'any':
      return 'settled'
    default:
      return `${node.kind} ${node.n}`
  }
}

function expectedOutput({ steps, generations }) {
  const once = steps.map(expected)
  return Array.from({ length: generations + 1 }, () => once)
}

// ------------------------------------------------------------------ the code that runs them

const isList = (node) => node.kind === 'all' || node.kind === 'any'

/** The task of a step that is one; the members of lists are made with it. */
function taskOf({ df: durable }, node) {
  switch (node.kind) {
    case 'sync':
    case 'async':
    case 'throws':
      return durable.callActivity(node.kind, node.n)
    case 'retried': {
      const retry = new df.RetryOptions(1, RETRIES)
      retry.retryIf = (error) => error.message.startsWith('failure')
      return durable.callActivityWithRetry('retried', retry, node.n)
    }
    case 'child':
      return durable.callSubOrchestrator('child', node.n)
    case 'timer':
      return durable.createTimer(new Date(durable.currentUtcDateTime.getTime() + (node.n % 3)))
    case 'event':
      return durable.waitForExternalEvent(`event-${node.n}`)
    case 'sequence': // inside of a list there are only tasks
      return durable.Task.all(node.of.map((member) => taskOf({ df: durable }, member)))
    default:
      return durable.Task[node.kind](node.of.map((member) => taskOf({ df: durable }, member)))
  }
}

/** What a list's member gave, brought to the form of `expected`. */
function shape(node, value) {
  if (node.kind === 'any') return 'settled'
  if (node.kind === 'timer') return 'fired'
  if (node.kind === 'all' || node.kind === 'sequence') {
    return node.of.map((member, n) => shape(member, value[n]))
  }
  return value
}

const caught = (node, error) => ({ error: node.kind === 'all' ? 'one' : error.message })

function* generatorStep(context, node) {
  if (node.kind === 'sequence') {
    const values = []
    for (const member of node.of) values.push(yield* generatorStep(context, member))
    return values
  }
  try {
    return shape(node, yield taskOf(context, node))
  } catch (error) {
    return caught(node, error)
  }
}

async function asyncStep(context, node) {
  if (node.kind === 'sequence') {
    const values = []
    for (const member of node.of) values.push(await asyncStep(context, member))
    return values
  }
  try {
    return shape(node, await taskOf(context, node))
  } catch (error) {
    return caught(node, error)
  }
}

/** The end of a generation: the output, or null after `continueAsNew`. */
function endOf(context, input, values) {
  const so = [...(input.so ?? []), values]
  context.df.setCustomStatus(so.length)
  context.df.newGuid()
  if (so.length > input.generations) return so
  context.df.continueAsNew({ ...input, so })
  return null
}

function register(app) {
  app.activity('sync', { handler: (n) => `sync ${n}` })
  app.activity('async', {
    handler: async (n) => {
      await new Promise((resolve) => setTimeout(resolve, n % 3))
      return `async ${n}`
    },
  })
  app.activity('throws', {
    handler: (n) => {
      throw new Error(`thrown ${n}`)
    },
  })
  app.activity('retried', {
    handler: (n, { attempt }) => {
      if (attempt <= n) throw new Error(`failure ${attempt}`)
      return `after ${n}`
    },
  })
  app.orchestration('child', function* (context) {
    const n = context.df.getInput()
    yield context.df.callActivity('sync', n)
    return `child ${n}`
  })
  app.orchestration('generator', function* (context) {
    const input = context.df.getInput()
    const values = []
    for (const node of input.steps) values.push(yield* generatorStep(context, node))
    return endOf(context, input, values)
  })
  app.orchestration('async', async (context) => {
    const input = context.df.getInput()
    const values = []
    for (const node of input.steps) values.push(await asyncStep(context, node))
    return endOf(context, input, values)
  })
}

// ------------------------------------------------------------------ the tests

/** A list of `sequence` inside of `all` and `any` runs at once, so it counts as an `all`. */
function normalized(node, inList = false) {
  if (node.of === undefined) return node
  const kind = inList && node.kind === 'sequence' ? 'all' : node.kind
  return { kind, of: node.of.map((member) => normalized(member, inList || isList(node))) }
}

function samples(count, seed) {
  return fc.sample(program, { numRuns: count, seed }).map(({ steps, generations }) => ({
    generations,
    steps: steps.map((node) => normalized(node)),
  }))
}

/** Sends every event that an instance waits for; whether it has ended. */
async function sendEvents(client, id) {
  const status = await client.getStatus(id)
  for (const wait of status?.waitingFor ?? []) {
    const [, n] = /^event-(\d+)$/.exec(wait.name ?? '') ?? []
    if (n !== undefined) await client.raiseEvent(id, wait.name, `event ${n}`)
  }
  return status?.runtimeStatus === 'Completed' || status?.runtimeStatus === 'Failed'
}

/** Does so for all of them until all have ended. */
async function drive(client, ids, isOver = () => false) {
  const open = new Set(ids)
  const round = async () => {
    for (const id of open) {
      if (isOver()) return true
      if (await sendEvents(client, id)) open.delete(id)
    }
    return open.size === 0
  }
  await until('all have ended', round, { timeoutMs: 60_000, pauseMs: 1 })
}

async function check(client, ids, programs) {
  for (const [n, id] of ids.entries()) {
    const status = await client.getStatus(id)
    const what = JSON.stringify(programs[n])
    assert.equal(status.runtimeStatus, 'Completed', `${what}: ${JSON.stringify(status)}`)
    assert.deepEqual(status.output, expectedOutput(programs[n]), what)
    assert.equal(status.customStatus, programs[n].generations + 1)
  }
}

const startAll = (client, programs) =>
  client.startMany(
    programs.map((input, n) => ({ name: n % 2 === 0 ? 'generator' : 'async', input })),
  )

test('random programs give what they should when every turn is a replay', async (t) => {
  const programs = samples(600, 1)
  const { client } = await openHub(t, register, { limits: { cachedInstances: 1 } })
  const ids = await startAll(client, programs)
  await drive(client, ids)
  await check(client, ids, programs)
})

test('random programs give what they should when the hub is closed and opened all the time', async (t) => {
  const programs = samples(300, 2)
  const options = { store: tempStore(t), durability: 'relaxed' }
  let hub = await openHub(t, register, options)
  const ids = await startAll(hub.client, programs)
  for (let round = 0; round < 30; round++) {
    let isOver = false
    const driving = drive(hub.client, ids, () => isOver).catch((error) => {
      if (error.code !== 'HubClosed') throw error
    })
    await new Promise((resolve) => setTimeout(resolve, round))
    isOver = true
    await hub.close()
    await driving
    hub = await openHub(t, register, options)
  }
  await drive(hub.client, ids)
  await check(hub.client, ids, programs)
})

for (const kind of ['generator', 'async']) {
  test(`a history of 2,500 turns is replayed to ${kind} code, and nothing of it runs again`, async (t) => {
    const options = { store: tempStore(t), durability: 'relaxed' }
    const open = async () => {
      const ran = []
      const hub = await openHub(
        t,
        (app) => {
          app.activity('step', { handler: (n) => ran.push(n) && n })
          app.orchestration('generator', function* (context) {
            let sum = 0
            for (let n = 0; n < 2_500; n++) sum += yield context.df.callActivity('step', n)
            return [sum, yield context.df.waitForExternalEvent('event-1')]
          })
          app.orchestration('async', async (context) => {
            let sum = 0
            for (let n = 0; n < 2_500; n++) sum += await context.df.callActivity('step', n)
            return [sum, await context.df.waitForExternalEvent('event-1')]
          })
        },
        options,
      )
      return { ...hub, ran }
    }
    const first = await open()
    const id = await first.client.startNew(kind)
    await until('it waits', async () => {
      return (await first.client.getStatus(id))?.waitingFor[0]?.kind === 'event'
    })
    assert.equal(first.ran.length, 2_500)
    await first.close()
    const { client, ran } = await open()
    await client.raiseEvent(id, 'event-1', 'event')
    const { output } = await client.waitForCompletion(id, { timeoutMs: 30_000 })
    assert.deepEqual(output, [(2_499 * 2_500) / 2, 'event'])
    assert.deepEqual(ran, [])
  })
}
