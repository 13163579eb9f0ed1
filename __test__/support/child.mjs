/**
 * Child processes whose program is a function written in the test.
 *
 * The function is sent as text, so it must use nothing from around it but its one argument:
 *
 *   df         the package
 *   args       what the test passed (JSON)
 *   say        tells the test something (JSON), durably in the pipe before it returns
 *   hear       waits for the next thing that the test tells; the process stays alive meanwhile
 *   until      as in `hub.mjs`
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { PATIENCE_MS } from './hub.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const mark = '\u0001'

const prelude = `
import * as df from 'durafn'
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'

function say(message) {
  const bytes = Buffer.from('${mark}' + JSON.stringify(message) + '\\n')
  for (let from = 0; from < bytes.length; ) {
    try { from += writeSync(1, bytes, from) } catch (error) { if (error.code !== 'EAGAIN') throw error }
  }
}
let input
async function hear() {
  input ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  process.stdin.ref()
  const { value, done } = await input.next()
  process.stdin.unref()
  return done ? undefined : JSON.parse(value)
}
async function until(ask) {
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
const args = JSON.parse(process.env.DURAFN_TEST_ARGS)
`

/**
 * Starts a child; it is killed after the test if it still runs.
 *
 * @param {(tools: object) => unknown} main its program
 * @param {unknown} args what the program gets as `args`
 * @param {{ wrapper?: string[], env?: object }} options `wrapper`: a command line to run node by
 */
export function startChild(t, main, args = null, { wrapper = [], env = {} } = {}) {
  const program = `${prelude}\n;(${main})({ df, args, say, hear, until })`
  const command = [...wrapper, process.execPath, '--input-type=module', '-e', program]
  const process_ = spawn(command[0], command.slice(1), {
    cwd: root,
    env: { ...process.env, ...env, DURAFN_TEST_ARGS: JSON.stringify(args) },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const child = new Child(process_)
  t.after(() => child.kill())
  return child
}

class Child {
  #process
  #said = []
  #listener = null
  stderr = ''
  stdout = ''
  /** Resolves, when the process is gone and its pipes are read, to `{ code, signal }`. */
  ended

  constructor(process_) {
    this.#process = process_
    process_.stdin.on('error', () => {}) // it may be gone when it is told something
    process_.stderr.setEncoding('utf8').on('data', (text) => {
      this.stderr += text
    })
    createInterface({ input: process_.stdout }).on('line', (line) => this.#take(line))
    this.ended = new Promise((resolve, reject) => {
      process_.on('error', reject)
      process_.on('close', (code, signal) => {
        resolve({ code, signal })
        this.#listener?.()
      })
    })
  }

  get pid() {
    return this.#process.pid
  }

  get hasEnded() {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  /** All that it said and nobody has taken. */
  get said() {
    return this.#said
  }

  #take(line) {
    if (line.startsWith(mark)) this.#said.push(JSON.parse(line.slice(1)))
    else this.stdout += `${line}\n`
    this.#listener?.()
  }

  /** The next thing that it says; fails when it ends or takes too long. */
  async next(timeoutMs = PATIENCE_MS) {
    let timer
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, timeoutMs, 'late')
    })
    try {
      while (this.#said.length === 0) {
        const news = new Promise((resolve) => {
          this.#listener = () => resolve('news')
        })
        const first = await Promise.race([news, late, this.ended])
        if (this.#said.length > 0) break
        if (first === 'late') assert.fail(`child said nothing for ${timeoutMs} ms\n${this.stderr}`)
        if (first !== 'news') assert.fail(`child ended: ${JSON.stringify(first)}\n${this.stderr}`)
      }
      return this.#said.shift()
    } finally {
      clearTimeout(timer)
    }
  }

  tell(message) {
    this.#process.stdin.write(`${JSON.stringify(message)}\n`)
  }

  /** SIGKILL, and waits until it is gone. */
  async kill() {
    if (!this.hasEnded) this.#process.kill('SIGKILL')
    return await this.ended
  }

  /** Sends a signal. */
  signal(name) {
    this.#process.kill(name)
  }

  /** Waits until it ends by itself, and checks that it did so well. */
  async finish({ code = 0, timeoutMs = PATIENCE_MS } = {}) {
    let timer
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, timeoutMs, null)
    })
    const end = await Promise.race([this.ended, late])
    clearTimeout(timer)
    if (end === null) assert.fail(`child still runs after ${timeoutMs} ms\n${this.stderr}`)
    assert.deepEqual(end, { code, signal: null }, this.stderr)
    return this
  }
}
