/**
 * `node bench/http.mjs [SECONDS] [CALLERS] [host]`: instances of one activity a second over HTTP, each
 * started by POST and asked for by GET until it has ended, over connections that are kept. The server is a
 * process of its own; what is measured is both, as they share the machine. With `host` it is a function app
 * in folders, and an http function starts the instances and answers with createCheckStatusResponse.
 */

import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const [seconds = 5, callers = 100] = process.argv.slice(2, 4).map(Number)
const isHosted = process.argv[4] === 'host'
/** Between two polls, as long as an instance has not ended. */
const PAUSE_MS = 4

if (process.env.BENCH_HTTP_STORE === undefined) await measure()
else if (isHosted) await serveApp(process.env.BENCH_HTTP_STORE)
else await serveHub(process.env.BENCH_HTTP_STORE)

async function serveHub(store) {
  const df = await import('durafn')
  const { serve } = await import('durafn/http')
  df.app.activity('hello', { handler: (name) => `Hello ${name}!` })
  df.app.orchestration('one', function* (context) {
    return yield context.df.callActivity('hello', context.df.getInput())
  })
  const hub = await df.open({ store: `sqlite:${store}`, logger: false })
  const server = await serve(hub, { port: 0 })
  process.once('message', async () => {
    await server.close(0)
    await hub.close({ drainTimeoutMs: 0 })
    process.disconnect()
  })
  process.send({ port: server.port, key: server.api.keys.system })
}

async function serveApp(store) {
  const df = await import('durafn')
  const app = await df.openFunctionApp(writeApp(join(dirname(store), 'app')), {
    store: `sqlite:${store}`,
    logger: false,
    port: 0,
  })
  process.once('message', async () => {
    await app.close({ drainTimeoutMs: 0 })
    process.disconnect()
  })
  const { system } = JSON.parse(readFileSync(app.keyFile, 'utf8'))
  process.send({ port: Number(new URL(app.url).port), key: system })
}

/** A folder with a starter, an orchestrator and an activity. */
function writeApp(dir) {
  const write = (name, bindings, script) => {
    mkdirSync(join(dir, name), { recursive: true })
    writeFileSync(join(dir, name, 'function.json'), JSON.stringify({ bindings }))
    writeFileSync(join(dir, name, 'index.js'), `module.exports = ${script}`)
  }
  write('hello', [{ name: 'name', type: 'activityTrigger' }], "async (_, name) => 'Hello ' + name")
  write(
    'one',
    [{ name: 'context', type: 'orchestrationTrigger' }],
    "function* (context) { return yield context.df.callActivity('hello', context.df.getInput()) }",
  )
  write(
    'start',
    [
      { name: 'req', type: 'httpTrigger', authLevel: 'anonymous' },
      { name: 'res', type: 'http', direction: 'out' },
      { name: 'starter', type: 'orchestrationClient', direction: 'in' },
    ],
    `async (context, req, starter) => {
      const id = await starter.startNew('one', { input: req.body })
      context.res = starter.createCheckStatusResponse(req, id)
    }`,
  )
  return dir
}

async function measure() {
  const dir = mkdtempSync(join(tmpdir(), 'durafn-bench-'))
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
    env: { ...process.env, BENCH_HTTP_STORE: join(dir, 'hub.db') },
  })
  const { port, key } = await new Promise((resolve) => child.once('message', resolve))
  const counts = { ended: 0, polls: 0 }
  const run = { on: true }
  const all = Promise.all(Array.from({ length: callers }, () => call(port, key, counts, run)))
  await delay(2_000) // warm
  const [ended, polls, start] = [counts.ended, counts.polls, performance.now()]
  await delay(seconds * 1_000)
  const passed = (performance.now() - start) / 1_000
  const done = counts.ended - ended
  console.log(
    `${callers} at a time${isHosted ? ', through a function' : ''}: ${Math.round(done / passed)} instances/s, ${((counts.polls - polls) / done).toFixed(2)} polls each`,
  )
  run.on = false
  await all
  child.send('end')
  await new Promise((resolve) => child.once('exit', resolve))
  rmSync(dir, { recursive: true, force: true })
}

/** One caller: an instance after another, by one connection. */
async function call(port, key, counts, run) {
  const ask = await connection(port)
  const head = `Host: localhost\r\nx-functions-key: ${key}\r\n`
  const base = '/runtime/webhooks/durabletask'
  const path = isHosted ? '/api/start' : `${base}/orchestrators/one`
  const start = `POST ${path} HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: 5\r\n\r\n"Ada"`
  while (run.on) {
    const started = await ask(start)
    const id = /"id":"([^"]+)"/.exec(started)?.[1]
    if (id === undefined) throw new Error(started)
    const look = `GET ${base}/instances/${id} HTTP/1.1\r\n${head}\r\n`
    for (;;) {
      counts.polls += 1
      const status = await ask(look)
      if (status.startsWith('HTTP/1.1 200')) break
      if (!status.startsWith('HTTP/1.1 202')) throw new Error(status)
      await delay(PAUSE_MS)
    }
    counts.ended += 1
  }
  ask.end()
}

/** Sends requests one after another and gives each answer whole: less work than any client of HTTP. */
async function connection(port) {
  const socket = connect(port, '127.0.0.1')
  socket.setEncoding('utf8').setNoDelay(true)
  let text = ''
  let answered
  socket.on('data', (chunk) => {
    text += chunk
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1])
    if (text.length < end + 4 + length) return
    const whole = text
    text = ''
    answered(whole)
  })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const ask = (request) =>
    new Promise((resolve) => {
      answered = resolve
      socket.write(request)
    })
  return Object.assign(ask, { end: () => socket.end() })
}
