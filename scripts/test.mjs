/**
 * All tests, after scripts/bootstrap.mjs: the Rust ones, then the Node ones. Both run even if the
 * first fails, and each runner's closing lines are printed.
 *
 *   npm test                               everything
 *   npm test -- --rust                     only the Rust tests
 *   npm test -- --node                     only the Node tests
 *   npm test -- __test__/api.spec.mjs      only these files
 */

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startPostgres } from './postgres.mjs'

/** What every hub does, which is also run on a PostgreSQL server: each hub has a schema of its own there. */
const EVERY_STORE = [
  'activities',
  'api',
  'async',
  'call',
  'client',
  'entities',
  'errors',
  'events',
  'locks',
  'lost-waits',
  'nondeterminism',
  'orchestrators',
  'replay',
  'retry',
  'rewind',
  'sdk-calls',
  'starter',
  'status',
  'sub-orchestrations',
  'tasks',
  'versions',
]

const root = fileURLToPath(new URL('..', import.meta.url))
const args = process.argv.slice(2)
const named = args.filter((arg) => !arg.startsWith('--'))

// Not spawnSync: the server's output is read meanwhile.
async function run(command, commandArgs) {
  console.log(`\n> ${command === process.execPath ? 'node' : command} ${commandArgs.join(' ')}`)
  const child = spawn(command, commandArgs, { cwd: root, stdio: 'inherit' })
  const [status] = await once(child, 'exit')
  return status === 0
}

/** Without the default feature `node`: outside Node there is no N-API to link with. */
async function rustTests() {
  const options = ['--no-default-features']
  const nextest = spawnSync('cargo', ['nextest', '--version'], { stdio: 'ignore' }).status === 0
  if (!nextest) return run('cargo', ['test', ...options])
  // nextest leaves the examples in doc comments to cargo.
  const passed = await run('cargo', ['nextest', 'run', ...options])
  return (await run('cargo', ['test', '--doc', ...options])) && passed
}

/** The files are listed here because Node 20 does not expand globs. */
async function nodeTests() {
  const found = readdirSync(join(root, '__test__'), { recursive: true })
    .filter((file) => file.endsWith('.spec.mjs'))
    .map((file) => join('__test__', file))
    .sort()
  const options = ['--test', '--test-reporter=spec']
  const passed = await run(process.execPath, [...options, ...(named.length ? named : found)])
  if (named.length > 0) return passed
  process.env.DURAFN_TEST_STORE = 'postgres'
  console.log('\nThe same on PostgreSQL:')
  const files = EVERY_STORE.map((name) => join('__test__', `${name}.spec.mjs`))
  return (await run(process.execPath, [...options, ...files])) && passed
}

const postgres = await startPostgres()
process.env.DURAFN_TEST_POSTGRES = postgres.url
const results = []
try {
  if (!args.includes('--node') && named.length === 0) results.push(await rustTests())
  if (!args.includes('--rust')) results.push(await nodeTests())
} finally {
  await postgres.stop()
}
process.exit(results.every(Boolean) ? 0 : 1)
