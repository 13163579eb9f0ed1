/**
 * A process for the host, and what the two say to each other.
 *
 * Owns: the child, that it knows when it is alone, and whether something else would start it again.
 * Must never: decide what follows an end; `watch.ts` and `keep.ts` do. Open a hub.
 * Proved by: `__test__/host-keep.spec.mjs`, `__test__/host-watch.spec.mjs`.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { note } from './output.js'

/** What the environment of the child says; taken from it at once, so that its own children do not have it. */
const MARK = 'DURAFN_HOST_CHILD'

/** How a host ended. */
export interface HostEnd {
  /** Its exit code; of one that a signal ended 1. */
  readonly code: number
  /** In words: 'exit code 1', 'SIGKILL'. */
  readonly how: string
  /** Where it was served, if it got so far as to run. */
  readonly port: number | undefined
}

/** Runs `durafn start` with the arguments of this process in a process of its own, one at a time. */
export class HostProcess {
  #child: ChildProcess | undefined
  readonly #args: readonly string[]

  /** @param without what of the arguments is not for the child */
  constructor(without: readonly string[] = []) {
    this.#args = process.argv.slice(1).filter((arg) => !without.includes(arg))
  }

  /** Resolves when it has ended. */
  run(...more: readonly string[]): Promise<HostEnd> {
    // Of an option that is there twice the last one counts.
    const args = [...process.execArgv, ...this.#args, '--no-restart', ...more]
    const child = spawn(process.execPath, args, {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, [MARK]: '1' },
    })
    this.#child = child
    let port: number | undefined
    child.on('message', (message) => {
      port = (message as { durafnRunsAt?: number }).durafnRunsAt ?? port
    })
    return new Promise((resolve) => {
      const end = (code: number, how: string): void => {
        this.#child = undefined
        resolve({ code, how, port })
      }
      child.once('error', (error) => {
        note(`The host cannot be started: ${error.message}`)
        end(1, error.message)
      })
      child.once('exit', (code, signal) => {
        if (code === null) end(1, signal ?? 'a signal')
        else end(code, `exit code ${code}`)
      })
    })
  }

  /** Asks it to stop. Not by the signal that a terminal may have sent it, which would end it at once. */
  stop(): void {
    this.#child?.kill('SIGTERM')
  }

  /** Calls for the first SIGINT or SIGTERM, and passes every one on. */
  onStop(stopping: () => void): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        stopping()
        this.stop()
      })
    }
  }
}

/** In the child: ends with the process that runs it, however that ends, so that no host is left alone. */
export function followParent(): void {
  const isChild = process.env[MARK] !== undefined
  delete process.env[MARK]
  if (!isChild) return
  const end = (): void => {
    process.kill(process.pid, 'SIGKILL')
  }
  if (!process.connected) end()
  process.once('disconnect', end)
  // What it listens for must not keep it alive.
  process.channel?.unref()
  tellParent = (port) => process.send?.({ durafnRunsAt: port })
}

let tellParent: ((port: number) => void) | undefined

/** In the child: says that the host runs. */
export function tellRunning(url: string | undefined): void {
  if (url !== undefined) tellParent?.(Number(new URL(url).port))
}

/**
 * Whether something is there that starts this process again when it ends: an init system, a process manager, or
 * whoever runs the container that it is all of.
 */
export function isSupervised(
  env: Readonly<NodeJS.ProcessEnv> = process.env,
  pids: readonly number[] = [process.pid, process.ppid],
): boolean {
  // systemd names the process that it has started; a shell below it inherits the name.
  const isOfSystemd = pids.map(String).includes(env['SYSTEMD_EXEC_PID'] ?? '')
  const marks = ['pm_id', 'SUPERVISOR_ENABLED', 'KUBERNETES_SERVICE_HOST']
  return pids.includes(1) || isOfSystemd || marks.some((name) => env[name] !== undefined)
}
