/**
 * `npm run bench [-- --only W1,W3] [-- --quick] [-- --dir DIR]`
 *
 * Prints one table with what the figures depend on. Refuses a file system that syncs nowhere.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as df from 'durafn'
import { register } from './app.mjs'
import { describe } from './environment.mjs'
import * as work from './workloads.mjs'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
  },
})
const only = options.only?.toUpperCase().split(',')
const seconds = options.quick ? 1 : 3
const directory = mkdtempSync(join(options.dir, 'durafn-bench-'))
const rows = []

function row(name, what, figure, goal) {
  rows.push({ name, what, figure, goal })
  console.log(`${name.padEnd(4)} ${what.padEnd(58)} ${figure.padEnd(34)} goal ${goal}`)
}

function ms(value) {
  return `${value < 10 ? value.toFixed(3) : value.toFixed(1)} ms`
}

/** Runs `measure` on a new hub of its own, if the row is wanted. */
async function on(name, measure) {
  if (only && !only.includes(name)) return
  const app = new df.App()
  register(app)
  const store = `sqlite:${join(directory, `${name}.db`)}`
  const hub = await df.open({ store, app, logger: false })
  synchronous = hub.synchronous
  try {
    await measure(hub.client)
  } finally {
    await hub.close()
  }
}

async function child(args, nodeArgs = []) {
  const script = fileURLToPath(new URL('./recovery.mjs', import.meta.url))
  const process_ = spawn(process.execPath, [...nodeArgs, script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  process_.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
    if (args[0] === 'fill' && output.includes('filled')) process_.kill('SIGKILL')
  })
  await once(process_, 'close')
  return args[0] === 'fill' ? null : JSON.parse(output)
}

async function recovery() {
  if (only && !only.includes('W6')) return
  const store = `sqlite:${join(directory, 'W6.db')}`
  await child(['fill', store, '10000'])
  const { firstStepMs } = await child(['resume', store])
  row('W6', 'kill -9 with 10,000 waiting: first new step after the open', ms(firstStepMs), '≤ 1 s')
}

async function memory() {
  if (only && !only.includes('MEM')) return
  const count = options.quick ? '10000' : '100000'
  const store = `sqlite:${join(directory, 'MEM.db')}`
  const { rssMb, idleCpuPercent } = await child(['weigh', store, count], ['--expose-gc'])
  row('MEM', `${count} waiting instances: memory`, `${rssMb.toFixed(0)} MB`, '≤ 200 MB')
  row('CPU', 'the same process when idle', `${idleCpuPercent.toFixed(2)} % of a core`, 'about 0')
}

async function listing() {
  if (only && !only.includes('LIST')) return
  const count = options.quick ? 100_000 : 1_000_000
  const client = await df.connect({ store: `sqlite:${join(directory, 'LIST.db')}`, logger: false })
  const times = await work.listing(client, count)
  await client.close()
  for (const [filter, slowest] of Object.entries(times)) {
    row('LIST', `a page of 1,000 of ${count} instances, by ${filter}`, ms(slowest), '≤ 20 ms')
  }
}

const environment = describe(directory)
if (environment.fileSystem === 'tmpfs') {
  console.error(`${directory} is on tmpfs, which syncs nowhere. Choose a disk with --dir.`)
  process.exit(1)
}
let synchronous = 'unknown'
await on('W1', async (client) => {
  const rate = await work.throughput(client, 200, seconds)
  row(
    'W1',
    'five activities in sequence, 200 instances at a time',
    `${rate.toFixed(0)} /s`,
    '≥ 10,000 /s',
  )
})
await on('W2', async (client) => {
  row('W2', 'one instance, 1,000 activities in parallel', ms(await work.fanOut(client, 1_000)), '—')
  row(
    'W2',
    'one instance, 10,000 activities in parallel',
    ms(await work.fanOut(client, 10_000)),
    '≤ 300 ms',
  )
})
await on('W3', async (client) => {
  const { p50, p99 } = await work.latency(client, seconds)
  row(
    'W3',
    'one instance at a time, five activities',
    `p50 ${ms(p50)}, p99 ${ms(p99)}`,
    'p50 ≤ 1.6 ms',
  )
})
await on('W4', async (client) => {
  const rate = await work.events(client, options.quick ? 2_000 : 20_000)
  row('W4', 'waiting instances, an event each', `${rate.toFixed(0)} /s`, '≥ 20,000 /s')
})
await on('W5', async (client) => {
  const { all, p99 } = await work.timers(client, 1_000)
  row('W5', '1,000 one-second timers', `${ms(all)}, p99 ${ms(p99)} late`, '≤ 1.1 s, 20 ms')
})
await recovery()
await on('W7', async (client) => {
  const { step, middle, last } = await work.sequence(client, 2_000)
  const figure = `${ms(step)} (last 100: ${(last / middle).toFixed(2)}×)`
  row('W7', 'a step of one instance with 2,000', figure, '≤ 0.25 ms')
})
await on('ETERNAL', async (client) => {
  const generations = options.quick ? 10_000 : 1_000_000
  const { ms: each, grownMb } = await work.eternal(client, generations)
  const figure = `${ms(each)} each, memory +${grownMb.toFixed(0)} MB`
  row('CAN', `continueAsNew, ${generations} generations`, figure, 'flat memory')
})
await memory()
await listing()
rmSync(directory, { recursive: true, force: true })

console.log(
  `\n${environment.date}, commit ${environment.commit}, Node ${environment.node}, ${environment.cpu}, ` +
    `${environment.fileSystem}, a synced 4 KiB write takes ${ms(environment.syncMs)}, ` +
    `PRAGMA synchronous ${synchronous}`,
)
