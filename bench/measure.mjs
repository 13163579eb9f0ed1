/**
 * One measurement: a fresh process with a fresh store. run.mjs starts it with a JSON argument
 * `{ engine, job, directory, seconds, quick }` and gets messages over IPC:
 * `{ facts }` once the engine is open, `{ figures }`, `{ failed }` if something fails, `{ late }` if
 * that is the time, and `{ ended }`.
 */

import { engines } from './engines.mjs'
import { fullHub } from './full.mjs'
import { listing } from './listing.mjs'
import * as processes from './processes.mjs'
import * as work from './workloads.mjs'

const LIMIT_MS = 75_000

const shared = {
  W1: (engine, task) => work.throughput(engine, 200, task.seconds),
  'W2-1000': (engine) => work.fanOut(engine, 1_000),
  'W2-10000': (engine) => work.fanOut(engine, 10_000),
  W3: (engine, task) => work.latency(engine, task.seconds),
  W4: (engine, task) => work.events(engine, task.quick ? 2_000 : 20_000),
  W5: (engine) => work.timers(engine, 1_000),
  W7: (engine) => work.sequence(engine, 2_000),
  E: (engine, task) => work.signals(engine, 100, task.seconds),
  CAN: (engine, task) => work.eternal(engine, task.quick ? 10_000 : 1_000_000),
}

/** These open hubs of their own. */
const alone = {
  W6: (task) => processes.recovery(task.directory, 10_000),
  FULL: (task) => fullHub(task.directory, task.quick ? 10_000 : 1_000_000, task.seconds),
  MEM: (task) => processes.memory(task.directory, task.quick ? 10_000 : 100_000),
  LIST: (task) => listing(task.directory, task.quick ? 100_000 : 1_000_000),
}

/** CAN is long on purpose. */
async function limited(job, promise) {
  if (job === 'CAN') return promise
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      process.send({ late: true })
      reject(new Error(`It takes more than ${LIMIT_MS / 1_000} s.`))
    }, LIMIT_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function measure(task) {
  if (alone[task.job]) {
    process.send({ figures: await alone[task.job](task) })
    return
  }
  const { open } = await import(engines[task.engine].file)
  const engine = await open(task.directory)
  const { version, store, durability, notes } = engine
  process.send({ facts: { version, store, durability, notes, node: process.version } })
  try {
    await work.warmUp(engine)
    process.send({ figures: await limited(task.job, shared[task.job](engine, task)) })
  } finally {
    // An engine that is over its limit may not stop either; run.mjs ends the process group.
    await Promise.race([engine.close(), work.delay(10_000)])
  }
}

// Without run.mjs, nobody ends the servers that this process started.
process.on('disconnect', () => process.kill(0, 'SIGKILL'))
try {
  await measure(JSON.parse(process.argv[2]))
} catch (error) {
  process.send({
    failed: String(error?.message ?? error)
      .split('\n')[0]
      .slice(0, 200),
  })
}
process.send({ ended: true }, () => process.exit())
