/**
 * openworkflow as the benchmark's engine: its worker in this process, on a SQLite file.
 *
 * Its handle asks for a result once a second. So that this does not hide what the engine does, an
 * instance counts as ended when its function returns.
 */

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { OpenWorkflow } from 'openworkflow'
import { BackendSqlite } from 'openworkflow/sqlite'
import { installed } from './support.mjs'

const inc = (step, name, n) => step.run({ name }, () => n + 1)

const workflows = {
  five: ({ input, step }) => chain(step, input, 5),
  sequence: async ({ input, step }) => ({ n: await chain(step, 0, input) }),
  async fan({ input, step }) {
    const tasks = Array.from({ length: input }, (_, n) => inc(step, `inc-${n}`, n))
    return (await Promise.all(tasks)).length
  },
  async timer({ input, step }) {
    await step.sleep('timer', `${Math.max(1, input - Date.now())}ms`)
    return input
  },
  async wait({ input, step }) {
    const signal = await step.waitForSignal({ signal: input, timeout: '10m' })
    return inc(step, 'inc', signal.data)
  },
}

async function chain(step, first, steps) {
  let n = first
  for (let at = 0; at < steps; at += 1) n = await inc(step, `inc-${at}`, n)
  return n
}

/** SQLite's settings, as a new connection of the same build has them: the engine sets only WAL. */
function settings(file) {
  const database = new DatabaseSync(file)
  const { journal_mode: journal } = database.prepare('PRAGMA journal_mode').get()
  const { synchronous } = database.prepare('PRAGMA synchronous').get()
  database.close()
  return { journal, synchronous: ['OFF', 'NORMAL', 'FULL', 'EXTRA'][synchronous] }
}

/** Runs a workflow's function, and settles `instance` with what came of it. */
async function observe(instance, run) {
  try {
    const output = await run()
    instance.resolve(output)
    return output
  } catch (error) {
    // A sleep, or a wait for a signal, parks the instance by an error of this kind.
    if (error.name === 'SleepSignalError') instance.parked = true
    else instance.reject(error)
    throw error
  }
}

export async function open(directory) {
  const file = join(directory, 'openworkflow.db')
  const backend = BackendSqlite.connect(file)
  const openworkflow = new OpenWorkflow({ backend })
  const instances = new Map()
  const definitions = {}
  for (const [name, run] of Object.entries(workflows)) {
    definitions[name] = openworkflow.defineWorkflow({ name }, ({ input: { id, value }, step }) =>
      observe(instances.get(id), () => run({ input: value, step })),
    )
  }
  const worker = openworkflow.newWorker({ concurrency: 200 })
  await worker.start()

  async function start(name, id, value) {
    const instance = { parked: false }
    instance.end = new Promise((resolve, reject) => Object.assign(instance, { resolve, reject }))
    instances.set(id, instance)
    await definitions[name].run({ id, value })
    return instance
  }

  const { journal, synchronous } = settings(file)
  return {
    version: installed('openworkflow'),
    store: 'SQLite, in the process',
    durability: `${journal.toUpperCase()}, synchronous=${synchronous}: every commit is synced before it is acknowledged`,
    maxSteps: 1_000,
    notes: {
      all: 'The handle of openworkflow asks for a result once a second; measured is until the function returns.',
      W7: 'With 1,000 steps, the most that an instance of openworkflow may have.',
    },
    async run(name, input) {
      const id = randomUUID()
      const instance = await start(name, id, input)
      return instance.end.finally(() => instances.delete(id))
    },
    wait: (id) => start('wait', id, id),
    async settled(ids) {
      while (!ids.every((id) => instances.get(id).parked)) await delay(50)
    },
    async event(id) {
      await openworkflow.sendSignal({ signal: id, data: 1 })
      await instances.get(id).end
    },
    async close() {
      await worker.stop()
      await backend.stop()
    },
  }
}
