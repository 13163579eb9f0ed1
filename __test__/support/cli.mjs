/** The command line as users run it: a process for each command, and hosts that run beside. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { PATIENCE_MS, until } from './hub.mjs'

const packageFile = createRequire(import.meta.url).resolve('durafn/package.json')
const root = dirname(packageFile)
const script = join(root, createRequire(import.meta.url)(packageFile).bin.durafn)

/** The environment of a command: that of the tests without what the command reads. */
function environment(env) {
  const all = { ...process.env, ...env }
  if (env?.DURAFN_STORE === undefined) delete all.DURAFN_STORE
  delete all.NODE_TEST_CONTEXT
  return all
}

function start(file, args, { cwd = root, env } = {}) {
  const child = spawn(process.execPath, [file, ...args], {
    cwd,
    env: environment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const seen = { child, stdout: '', stderr: '', ended: once(child, 'close') }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    seen.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    seen.stderr += text
  })
  return seen
}

/** Runs a script to its end: `{ code, stdout, stderr }`. */
export async function runScript(file, args, options) {
  const seen = start(file, args, options)
  const timeout = setTimeout(() => seen.child.kill('SIGKILL'), 3 * PATIENCE_MS)
  const [code, signal] = await seen.ended
  clearTimeout(timeout)
  assert.equal(signal, null, `${file} was killed after ${3 * PATIENCE_MS} ms\n${seen.stdout}`)
  return { code, stdout: seen.stdout, stderr: seen.stderr }
}

/** Runs a command of durafn. */
export function durafn(args, options) {
  return runScript(script, args, options)
}

/** Runs a command that must succeed; gives what it printed. */
export async function succeed(args, options) {
  const { code, stdout, stderr } = await durafn(args, options)
  assert.equal(code, 0, `durafn ${args.join(' ')}\n${stdout}\n${stderr}`)
  return stdout
}

/** The same with --json: the value that it printed. */
export async function json(args, options) {
  return JSON.parse(await succeed([...args, '--json'], options))
}

/** Runs a command that must fail with one line that names this code; gives the line. */
export async function refuse(code, args, options) {
  const result = await durafn(args, options)
  assert.equal(result.code, 1, `durafn ${args.join(' ')}\n${result.stdout}\n${result.stderr}`)
  assert.match(result.stderr, new RegExp(`^durafn: ${code}: [^\n]+\n$`))
  return result.stderr
}

/** `durafn start`, once it runs, on a free port unless one is given; killed after the test. */
export async function startHost(t, args, options) {
  const port = args.includes('--port') ? [] : ['--port', '0']
  // Tests that kill it kill the worker, and nobody starts that again.
  const isAlone = !args.includes('--restart') && !args.includes('--watch')
  const restart = isAlone ? ['--no-restart'] : []
  const host = start(script, ['start', ...args, ...port, ...restart], options)
  t.after(() => host.child.kill('SIGKILL'))
  await says(host, /Running\. Stop with Ctrl-C\./)
  return host
}

/** Where a host of `startHost` is served. */
export function addressOf(host) {
  return /^Address +(http:\S+)$/m.exec(host.stdout)[1]
}

/** Waits until a process has printed what matches. */
export function says(seen, pattern) {
  return until(`it says ${pattern}`, () => {
    const { exitCode, signalCode } = seen.child
    const isOver = exitCode !== null || signalCode !== null
    if (pattern.test(seen.stdout + seen.stderr)) return true
    assert.ok(!isOver, `it ended before it said ${pattern}:\n${seen.stdout}\n${seen.stderr}`)
    return false
  })
}

/** Sends a signal and waits for the end: the exit code. */
export async function stop(seen, signal = 'SIGTERM') {
  seen.child.kill(signal)
  const [code] = await seen.ended
  return code
}
