/**
 * Restate as the benchmark's engine: its server in a process of its own, started by this one with
 * its defaults; the services in this process, called through its ingress.
 */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import * as restate from '@restatedev/restate-sdk'
import * as clients from '@restatedev/restate-sdk-clients'
import { freePort, installed } from './support.mjs'

const require = createRequire(import.meta.url)
const inc = (n) => n + 1

/** Each call of a handler is an instance; a journaled `run` is an activity. */
const work = restate.service({
  name: 'work',
  handlers: {
    five: (context, n) => chain(context, n, 5),
    sequence: async (context, steps) => ({ n: await chain(context, 0, steps) }),
    async fan(context, width) {
      const tasks = Array.from({ length: width }, (_, n) => context.run('inc', () => inc(n)))
      return (await restate.RestatePromise.all(tasks)).length
    },
    async timer(context, due) {
      await context.sleep(Math.max(1, due - Date.now()))
      return due
    },
  },
})

const waiting = restate.workflow({
  name: 'waiting',
  handlers: {
    async run(context) {
      const n = await context.promise('go')
      return context.run('inc', () => inc(n))
    },
    go: restate.handlers.workflow.shared((context, n) => context.promise('go').resolve(n)),
  },
})

async function chain(context, first, steps) {
  let n = first
  for (let step = 0; step < steps; step += 1) {
    const before = n
    n = await context.run('inc', () => inc(before))
  }
  return n
}

async function until(what, attempt) {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await attempt().catch(() => false)) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${what} did not come up`)
}

async function startServer(directory) {
  const { platform, arch } = process
  const file = require.resolve(`@restatedev/restate-server-${platform}-${arch}/bin/restate-server`)
  const [node, ingress, admin] = [await freePort(), await freePort(), await freePort()]
  const server = spawn(file, ['--base-dir', directory, '--listen-mode', 'tcp', '--no-logo'], {
    env: {
      ...process.env,
      RESTATE_BIND_IP: '127.0.0.1',
      RESTATE_BIND_PORT: String(node),
      RESTATE_INGRESS__BIND_PORT: String(ingress),
      RESTATE_ADMIN__BIND_PORT: String(admin),
      RESTATE_DISABLE_TELEMETRY: 'true',
      RESTATE_LOG_FILTER: 'error',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const adminUrl = `http://127.0.0.1:${admin}`
  const ingressUrl = `http://127.0.0.1:${ingress}`
  await until('Restate', async () => (await fetch(`${adminUrl}/health`)).ok)
  await until('its ingress', async () => (await fetch(`${ingressUrl}/restate/health`)).ok)
  const config = execFileSync(file, ['--dump-config'], { encoding: 'utf8' })
  const unsynced = /\[log-server\][^[]*rocksdb-disable-wal-fsync = true/.test(config)
  return { server, adminUrl, ingressUrl, synced: !unsynced }
}

async function register(adminUrl, port) {
  const response = await fetch(`${adminUrl}/deployments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ uri: `http://127.0.0.1:${port}` }),
  })
  if (!response.ok) throw new Error(`Restate: ${await response.text()}`)
}

export async function open(directory) {
  const { server, adminUrl, ingressUrl, synced } = await startServer(directory)
  const port = await restate.serve({ services: [work, waiting], port: await freePort() })
  await register(adminUrl, port)
  const ingress = clients.connect({ url: ingressUrl })
  const client = ingress.serviceClient(work)
  const workflow = (id) => ingress.workflowClient(waiting, id)
  return {
    version: installed('@restatedev/restate-server'),
    store: 'its own log and RocksDB, in a server process of its own',
    durability: `log written to disk ${synced ? 'and synced' : 'but not synced'} before it is acknowledged`,
    run: (name, input) => client[name](input),
    wait: (id) => workflow(id).workflowSubmit(),
    async settled() {},
    async event(id) {
      await workflow(id).go(1)
      await workflow(id).workflowAttach()
    },
    async close() {
      server.kill('SIGKILL')
      await once(server, 'exit')
    },
  }
}
