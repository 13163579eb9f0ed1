/**
 * `node bench/cluster.mjs [--rounds N] [--seconds S] [--engines postgres,dbos] [--processes 1,2,4]`: W1 of one
 * database by several processes, durafn beside DBOS on the same PostgreSQL server.
 *
 * Each process has 200 instances of its own under way at a time. In a round the
 * engines take turns, so that what else the machine does falls on all of them. Each measurement has a server
 * of its own.
 */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { engines } from './engines.mjs'
import { describe } from './environment.mjs'
import { startPostgres } from './postgres.mjs'
import { digits } from './rows.mjs'
import { percentile, throughput, warmUp } from './workloads.mjs'

const UNDER_WAY = 200
/** By then every process has its share. */
const SETTLED_MS = 2_000

if (process.send) await measure()
else await compare()

/** In a process of its own: opens, tells so, measures when it is told to. */
async function measure() {
  process.on('disconnect', () => process.exit())
  const [key, count, seconds] = process.argv.slice(2)
  const { open } = await import(engines[key].file)
  const engine = await open()
  await warmUp(engine)
  process.send('ready')
  await once(process, 'message')
  const { W1 } = await throughput(engine, Number(count), Number(seconds))
  process.send(W1)
  await once(process, 'message')
  await engine.close()
  process.exit()
}

/** Instances a second that so many processes end together. */
async function total(key, processes, seconds) {
  const directory = mkdtempSync(join(tmpdir(), 'durafn-bench-'))
  chmodSync(directory, 0o755)
  const server = await startPostgres(directory)
  const children = []
  try {
    for (let n = 0; n < processes; n += 1) {
      const env = { ...process.env, DURAFN_BENCH_POSTGRES: server.url, DBOS__VMID: `bench-${n}` }
      const args = [key, String(UNDER_WAY), String(seconds)]
      children.push(fork(fileURLToPath(import.meta.url), args, { env }))
      await said(children.at(-1))
    }
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
    const rates = children.map(said)
    for (const child of children) child.send('go')
    const sum = (await Promise.all(rates)).reduce((all, rate) => all + rate, 0)
    for (const child of children) child.send('end')
    await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')))
    return sum
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await server.stop()
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function said(child) {
  const first = await Promise.race([once(child, 'message'), once(child, 'exit')])
  if (child.exitCode !== null) throw new Error(`A process ended: ${child.exitCode}`)
  return first[0]
}

async function compare() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      engines: { type: 'string', default: 'postgres,dbos' },
      processes: { type: 'string', default: '1,2,4' },
    },
  })
  const { date, commit, node, cpu } = describe(tmpdir())
  console.log(`${date}, ${commit}, Node ${node}, ${cpu}`)
  const rates = new Map()
  for (let round = 1; round <= Number(values.rounds); round += 1) {
    for (const processes of values.processes.split(',')) {
      for (const key of values.engines.split(',')) {
        const name = `${engines[key].label}, ${processes} ${processes === '1' ? 'process' : 'processes'}`
        const rate = await total(key, Number(processes), Number(values.seconds))
        rates.set(name, [...(rates.get(name) ?? []), rate])
        console.log(`round ${round}: ${name}: ${digits(rate)} /s`)
      }
    }
  }
  console.log('\nW1, medians:')
  for (const [name, all] of rates) {
    const range = `${digits(Math.min(...all))} to ${digits(Math.max(...all))}`
    console.log(`${name}: ${digits(percentile(all, 0.5))} /s (${range})`)
  }
}
