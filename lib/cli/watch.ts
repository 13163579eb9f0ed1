/**
 * `durafn start --watch`: a process for the host, started anew when a file changes.
 *
 * Owns: which changes count.
 * Must never: open a hub.
 * Proved by: `__test__/host-watch.spec.mjs`.
 */

import { type FSWatcher, watch as watchFiles } from 'node:fs'
import { clearInterval, clearTimeout, setInterval, setTimeout } from '../clock.js'
import { appDirectory } from '../host/function-json.js'
import { HostProcess } from './host-process.js'
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
  readonly #host: HostProcess = new HostProcess(['--watch'])
  #calm: NodeJS.Timeout | undefined
  #isStopping = false
  #isStale = false
  #wake: (() => void) | undefined

  /** Resolves to the exit code when the user has stopped it. */
  async run(): Promise<number> {
    this.#host.onStop(() => {
      this.#isStopping = true
      this.#wake?.()
    })
    for (;;) {
      this.#isStale = false
      const { code } = await this.#host.run()
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
      this.#host.stop()
      this.#wake?.()
    }, CALM_MS)
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
