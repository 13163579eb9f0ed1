/**
 * All tests, after scripts/bootstrap.mjs: the Rust ones, then the Node ones. Both run even if the
 * first fails, and each runner's closing lines are printed.
 *
 *   npm test                               everything
 *   npm test -- --rust                     only the Rust tests
 *   npm test -- --node                     only the Node tests
 *   npm test -- __test__/api.spec.mjs      only these files
 */

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const args = process.argv.slice(2)
const named = args.filter((arg) => !arg.startsWith('--'))

function run(command, commandArgs) {
  console.log(`\n> ${command === process.execPath ? 'node' : command} ${commandArgs.join(' ')}`)
  const { status } = spawnSync(command, commandArgs, { cwd: root, stdio: 'inherit' })
  return status === 0
}

/** Without the default feature `node`: outside Node there is no N-API to link with. */
function rustTests() {
  const options = ['--no-default-features']
  const nextest = spawnSync('cargo', ['nextest', '--version'], { stdio: 'ignore' }).status === 0
  if (!nextest) return run('cargo', ['test', ...options])
  // nextest leaves the examples in doc comments to cargo.
  const passed = run('cargo', ['nextest', 'run', ...options])
  return run('cargo', ['test', '--doc', ...options]) && passed
}

/** The files are listed here because Node 20 does not expand globs. */
function nodeTests() {
  const found = readdirSync(join(root, '__test__'), { recursive: true })
    .filter((file) => file.endsWith('.spec.mjs'))
    .map((file) => join('__test__', file))
    .sort()
  return run(process.execPath, [
    '--test',
    '--test-reporter=spec',
    ...(named.length ? named : found),
  ])
}

const results = []
if (!args.includes('--node') && named.length === 0) results.push(rustTests())
if (!args.includes('--rust')) results.push(nodeTests())
process.exit(results.every(Boolean) ? 0 : 1)
