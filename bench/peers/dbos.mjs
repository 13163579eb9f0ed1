/** DBOS as the benchmark's engine: in this process, on a PostgreSQL server that it starts. */

import { DBOS } from '@dbos-inc/dbos-sdk'
import { startPostgres } from '../postgres.mjs'
import { installed } from './support.mjs'

const inc = (n) => DBOS.runStep(async () => n + 1, { name: 'inc' })

const workflows = {
  five: (n) => chain(n, 5),
  sequence: async (steps) => ({ n: await chain(0, steps) }),
  fan: async (width) => (await Promise.all(Array.from({ length: width }, (_, n) => inc(n)))).length,
  async timer(due) {
    await DBOS.sleepms(Math.max(1, due - Date.now()))
    return due
  },
  wait: async () => inc(await DBOS.recv('go', { timeoutSeconds: 600 })),
}

async function chain(first, steps) {
  let n = first
  for (let step = 0; step < steps; step += 1) n = await inc(n)
  return n
}

export async function open(directory) {
  const { stop, version, durability, url } = await startPostgres(directory)
  const registered = Object.fromEntries(
    Object.entries(workflows).map(([name, run]) => [name, DBOS.registerWorkflow(run, { name })]),
  )
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, logLevel: 'error' })
  await DBOS.launch()
  const handles = new Map()
  return {
    version: installed('@dbos-inc/dbos-sdk'),
    store: `PostgreSQL ${version}, a server on the same machine`,
    durability: `${durability}: every commit is synced before it is acknowledged`,
    run(name, input) {
      const workflow = registered[name]
      return workflow(input)
    },
    async wait(id) {
      handles.set(id, await DBOS.startWorkflow(registered.wait, { workflowID: id })())
    },
    async settled() {},
    async event(id) {
      await DBOS.send(id, 1, 'go')
      await handles.get(id).getResult()
    },
    async close() {
      await DBOS.shutdown()
      await stop()
    },
  }
}
