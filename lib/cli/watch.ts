/**
 * `durafn start --watch`: a process for the host, started anew when a file changes.
 *
 * Owns: the child, and which changes count.
 * Must never: open a hub.
 * Proved by: `__test__/host-watch.spec.mjs`.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { type FSWatcher, watch as watchFiles } from 'node:fs'
import { appDirectory } from '../host/function-json.js'
import { note, print } from './output.js'

/** Editors write a file in several steps, and a build many files. */
const CALM_MS = 200
/** Code and settings; not what is written while the host runs, such as its hub. */
const COUNTS = /\.([cm]?js|json|node|wasm)$/
const IGNORED = /(^|[\\/])(node_modules|\..*)[\\/]|-(keys|timers)\.json$/

/** Runs `durafn start` with the arguments of this process, except for `--watch`. */
export async function watch(dir: string): Promise<void> {
  const directory = appDirectory(dir)
  const restarts = new Restarts()
  const watcher = watchTree(directory, () => restarts.changed())
  const code = await restarts.run()
  watcher.close()
  process.exitCode = code
}

class Restarts {
  #child: ChildProcess | undefined
  #calm: NodeJS.Timeout | undefined
  #isStopping = false
  #isStale = false
  #wake: (() => void) | undefined

  /** Resolves to the exit code when the user has stopped it. */
  async run(): Promise<number> {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        this.#isStopping = true
        // Not a second time what a terminal has sent it, which would end it at once.
        this.#child?.kill('SIGTERM')
        this.#wake?.()
      })
    }
    for (;;) {
      this.#isStale = false
      const code = await this.#runOnce()
      if (this.#isStopping) return code
      // What ended by itself, for a fault of the code for example, waits for a change of it.
      if (!this.#isStale) await this.#change()
      if (this.#isStopping) return code
      print('A file has changed: starting anew ...')
    }
  }

  changed(): void {
    clearTimeout(this.#calm)
    this.#calm = setTimeout(() => {
      this.#isStale = true
      this.#child?.kill('SIGTERM')
      this.#wake?.()
    }, CALM_MS)
  }

  #runOnce(): Promise<number> {
    const args = process.argv.slice(1).filter((arg) => arg !== '--watch')
    const child = spawn(process.execPath, [...process.execArgv, ...args], { stdio: 'inherit' })
    this.#child = child
    return new Promise((resolve) => {
      child.once('error', (error) => {
        note(`The host cannot be started: ${error.message}`)
        resolve(1)
      })
      child.once('exit', (code, signal) => {
        this.#child = undefined
        resolve(code ?? (signal === null ? 0 : 1))
      })
    })
  }

  #change(): Promise<void> {
    note('The host has ended; waiting for a file to change ...')
    return new Promise((resolve) => {
      // Something must hold the process while it waits.
      const hold = setInterval(() => {}, 60_000)
      this.#wake = () => {
        clearInterval(hold)
        this.#wake = undefined
        resolve()
      }
    })
  }
}

function watchTree(directory: string, changed: () => void): FSWatcher {
  return watchFiles(directory, { recursive: true }, (_event, name) => {
    if (name !== null && COUNTS.test(name) && !IGNORED.test(name)) changed()
  })
}
