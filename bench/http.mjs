/**
 * `node bench/http.mjs [SECONDS] [CALLERS]`: instances of one activity a second over HTTP, each started
 * by POST and asked for by GET until it has ended, over connections that are kept. The server is a
 * process of its own; what is measured is both, as they share the machine.
 */

import { fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const [seconds = 5, callers = 100] = process.argv.slice(2).map(Number)
/** Between two polls, as long as an instance has not ended. */
const PAUSE_MS = 4

if (process.env.BENCH_HTTP_STORE === undefined) await measure()
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

async function measure() {
  const dir = mkdtempSync(join(tmpdir(), 'durafn-bench-'))
  const child = fork(fileURLToPath(import.meta.url), {
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
    `${callers} at a time: ${Math.round(done / passed)} instances/s, ${((counts.polls - polls) / done).toFixed(2)} polls each`,
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
  const start = `POST ${base}/orchestrators/one HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: 5\r\n\r\n"Ada"`
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
