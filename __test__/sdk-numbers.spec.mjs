/**
 * The numbers of tasks, which are all that versions 2 and 3 of the SDK know them by, in turns with any
 * results in any order: random programs, without a hub.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CrossingBounds } from '../dist/outgoing.js'
import { HostedExecution } from '../dist/sdk/execution.js'
import { seeded } from './support/random.mjs'
import { sdks } from './support/sdk.mjs'

const STEPS = 25
const PROGRAMS = 40

const url = 'http://example.com/'

/** What makes a task of each kind. */
function makers({ df, version }, { df: durable }, { integer }) {
  let made = 0
  const name = () => `f${made++}`
  const retry = () => new df.RetryOptions(5, integer(1, 3))
  const soon = () => new Date(durable.currentUtcDateTime.getTime() + integer(1, 9) * 1e4)
  const all = [
    () => durable.callActivity(name(), 1),
    () => durable.callSubOrchestrator(name(), 1),
    () => durable.callActivityWithRetry(name(), retry(), 1),
    () => durable.createTimer(soon()),
    () => durable.waitForExternalEvent(`e${integer(1, 3)}`),
    () => durable.callHttp(...(version === 3 ? [{ method: 'GET', url }] : ['GET', url])),
    () => durable.callSubOrchestratorWithRetry(name(), retry(), 1),
  ]
  // Version 1 takes one sub-orchestration that is tried again for any other.
  return version === 1 ? all.slice(0, -1) : all
}

const isOpen = (task) => !task.isCompleted && !task.isFaulted

/**
 * Makes tasks and waits for some of them, in ways that its seed tells. Version 1 knows its tasks by name
 * and order, so all have names of their own and are waited for in their order; and there a task that is
 * replayed is completed from its creation on.
 */
function program(sdk, seed) {
  const isFirst = sdk.version === 1
  return function* (context) {
    const random = seeded({ diagnostic() {} }, seed)
    const make = makers(sdk, context, random)
    let open = []
    for (let step = 0; step < STEPS; step += 1) {
      const fresh = Array.from({ length: random.integer(1, 3) }, () => {
        return make[random.integer(0, make.length - 1)]()
      })
      open.push(...fresh)
      const one = random.integer(0, 3) === 0 ? open[random.integer(0, open.length - 1)] : null
      let winner
      try {
        winner = yield one === null || isFirst ? context.df.Task.any(open) : one
      } catch {
        // The one failed.
      }
      open = open.filter((task) => (isFirst ? task !== winner : isOpen(task)))
    }
    return 'done'
  }
}

/** An execution of a program, driven by hand. */
class Driven {
  time = Date.UTC(2030, 0, 1)
  nextTask = 0
  /** The engine's open tasks, by kind. */
  open = new Map()
  ended = null
  turns = []
  outcomes = []

  constructor(sdk, fn) {
    let func
    sdk.register(
      {
        addHosted: (hosted) => {
          func = hosted
        },
      },
      'program',
      fn,
    )
    const log = { engine: (_level, message) => assert.fail(message) }
    const http = { pollingIntervalMs: 10 }
    const surroundings = { payloadBytes: 1e6, crossing: new CrossingBounds(), log, http }
    const started = { instanceId: 'i', name: 'program', exec: 0 }
    this.makeExecution = () => new HostedExecution(started, func, surroundings)
    this.execution = this.makeExecution()
  }

  async turn(resolutions, start) {
    this.time += 1_000
    const activation = {
      token: 1,
      iid: 1,
      replayed: 0,
      turns: [{ time: this.time, resolutions }],
      start,
    }
    this.turns.push(...activation.turns)
    const [outcome] = JSON.parse(`[${await this.execution.run(activation)}]`)
    this.outcomes.push(outcome)
    this.ended = outcome.end ?? null
    for (const action of outcome.actions ?? []) {
      const [kind] = Object.keys(action)
      if (kind !== 'cancelTimer') this.open.set(this.nextTask++, [kind, action[kind]])
    }
  }

  /** What a new execution makes of the turns, as after a restart. */
  async replayed() {
    const { turns } = this
    const activation = { token: 1, iid: 1, replayed: turns.length, turns, start: {} }
    return JSON.parse(`[${await this.makeExecution().run(activation)}]`)
  }

  /** Some of the open tasks, each settled in a way of its kind. */
  resolutions({ integer }) {
    const failure = { name: 'Error', message: 'no', stack: 'Error: no' }
    const tasks = [...this.open.keys()]
    const count = integer(1, Math.min(4, tasks.length))
    return Array.from({ length: count }, () => {
      const [task] = tasks.splice(integer(0, tasks.length - 1), 1)
      const [kind, { name }] = this.open.get(task)
      this.open.delete(task)
      const fails = integer(0, 2) === 0
      if (name?.startsWith('BuiltIn')) {
        const statusCode = fails ? 202 : 200
        return { ok: { task, value: { statusCode, headers: { Location: '/next' }, content: '' } } }
      }
      if (kind === 'callActivity' && fails) return { fail: { task, failure } }
      if (kind === 'callSubOrchestrator' && fails) {
        return { child: { task, child: { name, instanceId: 'c', status: 'Failed', failure } } }
      }
      return { ok: { task, value: 1 } }
    })
  }
}

for (const sdk of sdks) {
  describe(`durable-functions ${sdk.version}`, () => {
    test('numbers what is asked for as history does', async (t) => {
      const random = seeded(t)
      for (let n = 0; n < PROGRAMS; n += 1) {
        const driven = new Driven(sdk, program(sdk, random.integer(1, 1e9)))
        sdk.numbers.clear()
        await driven.turn([], {})
        while (driven.ended === null) {
          const [given] = sdk.numbers.values()
          if (given !== undefined) assert.equal(driven.execution.schedule.nextId, given)
          assert.ok(driven.open.size > 0, 'nothing is open, and it has not ended')
          await driven.turn(driven.resolutions(random))
        }
        assert.deepEqual(driven.ended, { complete: { result: 'done' } })
        assert.deepEqual(await driven.replayed(), driven.outcomes)
        assert.deepEqual(sdk.misnumbered, [])
      }
    })
  })
}
