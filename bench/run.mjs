/**
 * `npm run bench [-- OPTIONS]`: reads the options, runs the measurements, hands them to report.mjs.
 *
 * Each measurement is a process of its own with a store of its own. In a round, the engines take
 * turns at each workload, so that what else the machine does falls on all of them.
 */

import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { engines, nodeFor, peers } from './engines.mjs'
import { describe } from './environment.mjs'
import { summarize, text, write } from './report.mjs'
import { digits, jobs, rows } from './rows.mjs'

/** After this, a measurement that has begun and does not even answer its own time limit is ended. */
const HARD_LIMIT_MS = 240_000

const HELP = `npm run bench -- OPTIONS
  --peers          measure the other engines too; the first time this installs them
  --engines A,B    only these of ${Object.keys(engines).join(', ')}
  --only W1,W3     only these of ${Object.keys(jobs).join(', ')}; default: W1 to W7
  --rounds N       rounds, of which the median counts; default 3
  --quick          a second of work instead of three, and fewer instances
  --dir DIR        where the stores are made; default: the system's temporary folder
  --prefix CMD     a command to put before each measurement, for example 'taskset -c 0,1'
  --write          writes results.json, chart.svg and the tables of README.md`

const { values: options } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    engines: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
    prefix: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function fail(message) {
  console.error(message)
  process.exit(1)
}

/** The members of `known` that a comma-separated option names; W2 names W2-1000 and W2-10000. */
function chosen(option, known, byDefault) {
  if (option === undefined) return byDefault
  return option.split(',').flatMap((part) => {
    const name = part.trim().toLowerCase()
    const found = known.filter((one) => `${one.toLowerCase()}-`.startsWith(`${name}-`))
    return found.length > 0 ? found : fail(`${name} is none of ${known.join(', ')}.`)
  })
}

function installPeers() {
  const folder = fileURLToPath(new URL('./peers/', import.meta.url))
  if (existsSync(join(folder, 'node_modules'))) return
  console.log('Installing the other engines into bench/peers/node_modules (about 500 MB) …')
  const windows = process.platform === 'win32'
  const npm = spawnSync('npm', ['ci'], { cwd: folder, stdio: 'inherit', shell: windows })
  if (npm.status !== 0) fail('npm ci failed in bench/peers.')
}

/** Ends a measurement's whole process group: its server too, if it has one. */
function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}

/** Runs one measurement; resolves to `{ facts, figures, failed }`. */
async function measure(engine, job, seconds) {
  const result = { facts: undefined, figures: {}, failed: undefined }
  const directory = mkdtempSync(join(options.dir, 'durafn-bench-'))
  const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', remove)
  // PostgreSQL does not run as root; a user of its own must get through to its folder.
  chmodSync(directory, 0o755)
  const task = { engine, job, directory, seconds, quick: options.quick }
  try {
    const script = fileURLToPath(new URL('./measure.mjs', import.meta.url))
    const command = [...options.prefix.split(' ').filter(Boolean), nodeFor(engine), script]
    await child([...command, JSON.stringify(task)], result, jobs[job].onlyOnAsking)
  } catch (error) {
    result.failed = error.message
  } finally {
    process.off('exit', remove)
    remove()
  }
  return result
}

/** Starts a measurement and fills `result` with what it says; resolves when it has ended. */
function child([command, ...args], result, unlimited) {
  return new Promise((resolve, reject) => {
    const started = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
    })
    let errors = ''
    let timer
    const stop = () => {
      endGroup(started)
      process.exit(130)
    }
    process.once('SIGINT', stop).once('SIGTERM', stop)
    started.stderr.setEncoding('utf8').on('data', (chunk) => {
      errors = (errors + chunk).slice(-2_000)
    })
    started.on('message', ({ figures, ...said }) => {
      Object.assign(result.figures, figures)
      Object.assign(result, said)
      if (said.facts && !unlimited) timer = setTimeout(endGroup, HARD_LIMIT_MS, started)
    })
    started.on('error', reject)
    started.on('exit', (code, signal) => {
      clearTimeout(timer)
      process.off('SIGINT', stop).off('SIGTERM', stop)
      endGroup(started)
      if (!result.ended) result.failed ??= `It ended with ${signal ?? code}.`
      if (result.failed) console.error(errors.trimEnd())
      resolve()
    })
  })
}

/** The order of the measurements: round by round, workload by workload, engine by engine. */
function* plan(names, wanted, rounds) {
  for (let round = 1; round <= rounds; round += 1) {
    for (const job of wanted) {
      if (round > 1 && jobs[job].onlyOnAsking) continue
      for (const engine of names) {
        if (engine === 'durafn' || !jobs[job].alone) yield { round, job, engine }
      }
    }
  }
}

if (options.help) {
  console.log(HELP)
  process.exit()
}
const rounds = Number(options.rounds)
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds ${options.rounds} is not a number.`)
const names = chosen(
  options.engines,
  Object.keys(engines),
  options.peers ? Object.keys(engines) : ['durafn'],
)
const byDefault = Object.keys(jobs).filter((job) => !jobs[job].onlyOnAsking)
const wanted = chosen(options.only, Object.keys(jobs), byDefault)
const environment = describe(options.dir)
if (environment.fileSystem === 'tmpfs') {
  fail(`${options.dir} is on tmpfs, which syncs nowhere. Choose a disk with --dir.`)
}
if (names.some((name) => peers.includes(name))) installPeers()

const measurements = []
const late = new Set()
for (const { round, job, engine } of plan(names, wanted, rounds)) {
  // What took too long once is not tried again.
  if (late.has(`${engine} ${job}`)) continue
  const result = await measure(engine, job, options.quick ? 1 : 3)
  if (result.late) late.add(`${engine} ${job}`)
  measurements.push({ round, job, engine, ...result })
  const figures = rows
    .filter(({ name }) => name in result.figures)
    .map(({ name, unit }) => `${name} ${digits(result.figures[name])} ${unit}`)
  if (result.failed) figures.push(`failed: ${result.failed}`)
  console.log(`${round}/${rounds} ${job.padEnd(8)} ${engine.padEnd(12)} ${figures.join(', ')}`)
}
const summary = summarize(environment, names, measurements, { rounds, quick: options.quick })
console.log(`\n${text(summary)}`)
if (options.write) write(summary)
