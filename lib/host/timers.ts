/**
 * Timer functions: when they run.
 *
 * Owns: waiting, runs that were missed, and the file that remembers the last ones.
 * Must never: run a function twice at a time, or more than once for all that it missed.
 * Proved by: `__test__/host-timers.spec.mjs`.
 */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { wallMs } from '../clock.js'
import { messageOf } from '../failure.js'
import type { Log } from '../log.js'
import { Timeout } from '../timer.js'
import { isObject, refused } from './binding.js'
import { logFailure } from './http-functions.js'
import type { Invocable } from './invocation.js'
import { type FunctionRetry, parseRetry } from './retry-policy.js'
import { parseSchedule, type Schedule } from './schedule.js'

/** What is kept of a timer, as times in ISO 8601. */
interface Status {
  readonly last: string
  readonly next: string
  readonly lastUpdated: string
}

/** A timer function with what its trigger says. */
export interface TimerFunction {
  readonly func: Invocable
  readonly schedule: Schedule
  readonly runsOnStartup: boolean
  readonly isMonitored: boolean
  /** Undefined: a run that fails is not tried again. */
  readonly retry: FunctionRetry | undefined
}

/** Schedules that come more often than this are not monitored: what was missed is soon made up for. */
const MONITORED_MS_MIN = 60_000
/** A clock that is set back, or a machine that sleeps, is seen after this at the latest. */
const WAIT_MS_MAX = 60_000
/** What `last` says before the first run. */
const NEVER = new Date('0001-01-01T00:00:00Z')

/**
 * A timer function.
 *
 * @throws InvalidFunction
 */
export function timerFunction(func: Invocable): TimerFunction {
  const { name, file, trigger, model } = func
  const where = model === 'v4' ? `${file}: function '${name}'` : file
  const { schedule: given, runOnStartup, useMonitor } = trigger.settings
  const schedule = parseSchedule(given, where)
  return {
    func,
    schedule,
    runsOnStartup: booleanOf(runOnStartup, 'runOnStartup', where) ?? false,
    isMonitored: booleanOf(useMonitor, 'useMonitor', where) !== false && !isQuick(schedule),
    retry: parseRetry(func.retry, where),
  }
}

function booleanOf(value: unknown, field: string, where: string): boolean | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'boolean') return value
  if (/^(true|false)$/i.test(String(value))) return String(value).toLowerCase() === 'true'
  throw refused(where, field, 'must be true or false')
}

function isQuick(schedule: Schedule): boolean {
  const first = schedule.next(new Date(wallMs()))
  const second = first === null ? null : schedule.next(first)
  if (first === null || second === null) return false
  return second.getTime() - first.getTime() < MONITORED_MS_MIN
}

/** The timers of an app, from its start to its close. */
export class Timers {
  readonly #timers: readonly TimerFunction[]
  readonly #log: Log
  readonly #statuses: Statuses
  readonly #waits: Map<TimerFunction, Timeout> = new Map()
  readonly #runs: Set<Promise<void>> = new Set()
  /** Ends of waits before another attempt. */
  readonly #pauses: Set<() => void> = new Set()
  #isStopped = false

  /** @param file where the last runs are kept; undefined for a hub in memory, which keeps nothing */
  constructor(timers: readonly TimerFunction[], file: string | undefined, log: Log) {
    this.#timers = timers
    this.#log = log
    this.#statuses = new Statuses(file)
  }

  /** Waits for what comes next, and makes up for what was missed. */
  start(): void {
    for (const timer of this.#timers) this.#begin(timer)
  }

  /** Starts no more runs; resolves when those under way have ended, or after `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    this.#isStopped = true
    for (const wait of this.#waits.values()) wait.clear()
    for (const end of [...this.#pauses]) end()
    if (this.#runs.size === 0) return
    await new Promise<void>((resolve) => {
      const timeout = new Timeout(timeoutMs, resolve)
      void Promise.all(this.#runs).then(() => {
        timeout.clear()
        resolve()
      })
    })
  }

  #begin(timer: TimerFunction): void {
    const now = new Date(wallMs())
    const status = timer.isMonitored ? this.#statuses.get(timer.func.name) : undefined
    const due = status === undefined ? null : dueOf(timer.schedule, status)
    if (due !== null && due.getTime() <= now.getTime()) this.#run(timer, due, true)
    else if (timer.runsOnStartup) this.#run(timer, now, false)
    else {
      const next = timer.schedule.next(now)
      if (timer.isMonitored && status === undefined) this.#keep(timer.func.name, NEVER, next ?? now)
      this.#wait(timer, next)
    }
  }

  #wait(timer: TimerFunction, due: Date | null): void {
    if (due === null || this.#isStopped) return
    const left = due.getTime() - wallMs()
    const wake = (): void => {
      this.#waits.delete(timer)
      if (wallMs() >= due.getTime()) this.#run(timer, due, false)
      else this.#wait(timer, due)
    }
    this.#waits.set(timer, new Timeout(Math.min(Math.max(left, 0), WAIT_MS_MAX), wake))
  }

  #run(timer: TimerFunction, due: Date, isPastDue: boolean): void {
    const run = this.#call(timer, isPastDue).then(() => {
      this.#runs.delete(run)
      if (this.#isStopped) return
      // Times that passed while it ran are not made up for.
      const now = new Date(Math.max(wallMs(), due.getTime()))
      this.#wait(timer, timer.schedule.next(now))
    })
    this.#runs.add(run)
  }

  async #call(timer: TimerFunction, isPastDue: boolean): Promise<void> {
    const { func, schedule, isMonitored } = timer
    const now = new Date(wallMs())
    const next = schedule.next(now)
    const value = timerInput(isMonitored ? this.#statuses.get(func.name) : undefined, isPastDue)
    await this.#attempt(timer, value)
    // After the run: one that a crash cut short is made up for.
    if (isMonitored) this.#keep(func.name, now, next ?? now)
  }

  /** Runs a function, and again while it fails and its policy says so. */
  async #attempt({ func, retry }: TimerFunction, value: unknown): Promise<void> {
    const maxRetryCount = retry?.maxRetryCount ?? 0
    for (let retryCount = 0; ; retryCount++) {
      try {
        const context = retry === undefined ? {} : { retry: { retryCount, maxRetryCount } }
        await func.invoke({ trigger: { value }, ...context })
        return
      } catch (error) {
        logFailure(func.name, error, this.#log)
        const isLast = maxRetryCount >= 0 && retryCount >= maxRetryCount
        if (retry === undefined || isLast) return
        await this.#pause(retry.delayMs(retryCount + 1))
        if (this.#isStopped) return
      }
    }
  }

  /** Waits, but not beyond the stop. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timeout.clear()
        this.#pauses.delete(end)
        resolve()
      }
      const timeout = new Timeout(ms, end)
      this.#pauses.add(end)
    })
  }

  #keep(name: string, last: Date, next: Date): void {
    const lastUpdated = new Date(wallMs()).toISOString()
    try {
      this.#statuses.set(name, {
        last: last.toISOString(),
        next: next.toISOString(),
        lastUpdated,
      })
    } catch (error) {
      const text = `The last run of timer '${name}' cannot be kept: ${messageOf(error)}`
      this.#log.engine('warn', text)
    }
  }
}

/** What a timer function gets. */
export function timerInput(status: unknown, isPastDue: boolean): Record<string, unknown> {
  return {
    schedule: { adjustForDST: true },
    scheduleStatus: status ?? null,
    isPastDue,
  }
}

/** By the schedule as it is now, so that a change of it counts at once. */
function dueOf(schedule: Schedule, { lastUpdated }: Status): Date | null {
  return schedule.next(new Date(lastUpdated))
}

/** The last runs, in a file beside the hub. */
class Statuses {
  readonly #file: string | undefined
  readonly #all: Map<string, Status>

  constructor(file: string | undefined) {
    this.#file = file
    this.#all = new Map(Object.entries(file === undefined ? {} : readStatuses(file)))
  }

  get(name: string): Status | undefined {
    return this.#all.get(name.toLowerCase())
  }

  set(name: string, status: Status): void {
    this.#all.set(name.toLowerCase(), status)
    if (this.#file === undefined) return
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 })
    const text = JSON.stringify(Object.fromEntries(this.#all), null, 2)
    // Whole or not at all, whatever happens meanwhile.
    writeFileSync(`${this.#file}.new`, text, { mode: 0o600, flush: true })
    renameSync(`${this.#file}.new`, this.#file)
  }
}

/** One that is damaged counts as none: the worst of it is a run that is not made up for. */
function readStatuses(file: string): Record<string, Status> {
  try {
    const all: unknown = JSON.parse(readFileSync(file, 'utf8'))
    const isStatus = (value: unknown): boolean =>
      isObject(value) && !Number.isNaN(Date.parse(String(value['lastUpdated'])))
    if (!isObject(all)) return {}
    return Object.fromEntries(
      Object.entries(all).filter(([, value]) => isStatus(value)),
    ) as unknown as Record<string, Status>
  } catch {
    return {}
  }
}
