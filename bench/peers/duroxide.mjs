/**
 * duroxide as the benchmark's engine: its runtime in this process, on a SQLite file.
 *
 * The registry has the native part of the package and not the part in JavaScript that drives
 * generators, so a small driver stands here: it answers the runtime's calls with what a generator
 * yields.
 */

import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { installed } from './support.mjs'

const require = createRequire(import.meta.url)
const inc = (n) => ({ type: 'activity', name: 'inc', input: JSON.stringify(n) })
const parsed = (value) => (typeof value === 'string' ? JSON.parse(value) : value)

const orchestrations = {
  *five(n) {
    return yield* chain(n, 5)
  },
  *sequence(steps) {
    return { n: yield* chain(0, steps) }
  },
  *fan(width) {
    const results = yield { type: 'join', tasks: Array.from({ length: width }, (_, n) => inc(n)) }
    return results.length
  },
  *timer(due) {
    yield { type: 'timer', delayMs: Math.max(1, due - Date.now()) }
    return due
  },
  *wait() {
    const n = parsed(yield { type: 'waitEvent', name: 'go' })
    return parsed(yield inc(n))
  },
}

function* chain(first, steps) {
  let n = first
  for (let step = 0; step < steps; step += 1) n = parsed(yield inc(n))
  return n
}

/** The three functions that the runtime calls: to begin, advance and drop a generator. */
function driver() {
  const generators = new Map()
  let last = 0

  function advance(generatorId, take) {
    try {
      const { value, done } = take(generators.get(generatorId))
      if (!done) return JSON.stringify({ status: 'yielded', generatorId, task: value })
      generators.delete(generatorId)
      return JSON.stringify({ status: 'completed', output: JSON.stringify(value ?? null) })
    } catch (error) {
      generators.delete(generatorId)
      return JSON.stringify({ status: 'error', message: String(error) })
    }
  }

  const begin = (call) => {
    const { ctxInfo, input } = JSON.parse(call)
    last += 1
    generators.set(last, orchestrations[ctxInfo.orchestrationName](parsed(input)))
    return advance(last, (generator) => generator.next())
  }
  const next = (call) => {
    const { generatorId, result, isError } = JSON.parse(call)
    return advance(generatorId, (generator) =>
      isError ? generator.throw(new Error(result)) : generator.next(parsed(result)),
    )
  }
  const drop = (id) => {
    generators.delete(Number(id))
    return 'ok'
  }
  return [begin, next, drop]
}

export async function open(directory) {
  const native = require('duroxide-linux-x64-gnu')
  const provider = await native.JsSqliteProvider.open(`sqlite:${join(directory, 'duroxide.db')}`)
  const client = new native.JsClient(provider)
  const runtime = new native.JsRuntime(provider, { logLevel: 'error' })
  runtime.setGeneratorDriver(...driver())
  // What an activity is called with: a line about the call, then its input.
  runtime.registerActivity('inc', async (call) =>
    JSON.stringify(JSON.parse(call.slice(call.indexOf('\n') + 1)) + 1),
  )
  for (const name of Object.keys(orchestrations)) runtime.registerOrchestration(name)
  await runtime.start()

  async function ended(id, name) {
    const { status, output, error } = await client.waitForOrchestration(id, 600_000)
    if (status !== 'Completed') throw new Error(`${name} ${status}: ${error ?? ''}`)
    return parsed(output)
  }

  return {
    version: installed('duroxide-linux-x64-gnu'),
    store: 'SQLite, in the process',
    durability: 'WAL, synchronous=NORMAL: a commit is not synced by itself',
    notes: { all: 'duroxide is driven by a few lines of our own: see peers/duroxide.mjs.' },
    async run(name, input) {
      const id = randomUUID()
      await client.startOrchestration(id, name, JSON.stringify(input))
      return ended(id, name)
    },
    wait: (id) => client.startOrchestration(id, 'wait', 'null'),
    async settled() {
      while ((await client.getQueueDepths()).orchestratorQueue > 0) await delay(20)
    },
    async event(id) {
      await client.raiseEvent(id, 'go', '1')
      await ended(id, 'wait')
    },
    close: () => runtime.shutdown(1_000),
  }
}
