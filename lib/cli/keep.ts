/**
 * `durafn start --restart`: a host that ended by itself is started again.
 *
 * Owns: when, and when no more.
 * Must never: open a hub; start again what was asked to stop, or what never ran.
 * Proved by: `__test__/host-keep.spec.mjs`.
 */

import { monotonicMs } from '../clock.js'
import { Timeout } from '../timer.js'
import { HostProcess } from './host-process.js'
import { note } from './output.js'

/** The pause before the second start in a row; it doubles from one to the next. */
const PAUSE_MS = 1_000
const PAUSE_MS_MAX = 30_000
/** After this time of running the next end counts as a first one. */
const CALM_MS = 60_000

/** How long to wait before a start, by how many ends came shortly before it. */
export function restartPauseMs(ends: number): number {
  return ends === 0 ? 0 : Math.min(PAUSE_MS * 2 ** (ends - 1), PAUSE_MS_MAX)
}

/** Runs the host until it is stopped. */
export async function keep(): Promise<void> {
  const host = new HostProcess(['--restart'])
  let isStopping = false
  let wake = (): void => {}
  host.onStop(() => {
    isStopping = true
    wake()
  })
  let port: number | undefined
  let ends = 0
  for (;;) {
    const since = monotonicMs()
    // At the port of before, as URLs that were handed out lead there.
    const end = await host.run(...(port === undefined ? [] : ['--port', String(port)]))
    port = end.port ?? port
    if (isStopping || end.code === 0 || port === undefined) {
      process.exitCode = end.code
      return
    }
    if (monotonicMs() - since >= CALM_MS) ends = 0
    const ms = restartPauseMs(ends)
    ends += 1
    const when = ms === 0 ? 'at once' : `in ${ms / 1_000} s`
    note(`The host has ended by itself (${end.how}). It starts again ${when} ...`)
    await new Promise<void>((resolve) => {
      const timeout = new Timeout(ms, resolve)
      wake = () => {
        timeout.clear()
        resolve()
      }
    })
    if (isStopping) return
  }
}
