/**
 * Runs activities.
 *
 * Owns: the invocations that are running, their timeouts and their abort signals.
 * Must never: report a run twice, or one that the core aborted.
 * Proved by: `__test__/activities.spec.mjs`.
 */

import { type ActivityEntry, type App, app as defaultApp } from './app.js'
import type { ExceptionPropertiesProvider } from './azure/task-failed.js'
import { HttpActivity } from './call-http/activity.js'
import { HTTP_ACTIVITY } from './call-http/request.js'
import { queueMicrotask } from './clock.js'
import { stringify } from './codec.js'
import { ActivityInvocation } from './context.js'
import { HubClosed, NotRegistered, TimeoutError } from './errors.js'
import { failureText } from './failure.js'
import type { ActivityStart, RawJson } from './protocol.js'
import { unowned } from './rejections.js'
import type { Surroundings } from './surroundings.js'
import { isThenable } from './thenable.js'
import { Timeout } from './timer.js'

/** Takes a result: `ok` 1 with what the handler gave, or 0 with a `Failure`. */
export type Report = (run: number, ok: 0 | 1, payload: RawJson | null) => void

interface Running {
  readonly context: ActivityInvocation
  readonly timeout: Timeout | null
}

export class Activities {
  private readonly app: App
  private readonly surroundings: Surroundings
  private readonly report: Report
  /** Those that did not end at once, by run. */
  private readonly running: Map<number, Running> = new Map()
  private readonly builtIn: ActivityEntry
  private idle: (() => void) | null = null

  constructor(app: App, surroundings: Surroundings, report: Report) {
    this.app = app
    this.surroundings = surroundings
    this.report = report
    const http = new HttpActivity(surroundings, () => app.tokenProvider ?? defaultApp.tokenProvider)
    this.builtIn = {
      name: HTTP_ACTIVITY,
      handler: (input, context) => http.run(input, context),
      timeoutMs: undefined,
      maxConcurrency: undefined,
      queue: undefined,
    }
  }

  start(starts: ActivityStart[]): void {
    for (const start of starts) this.startOne(start)
    this.surroundings.leaves()
  }

  /** Aborts what the core no longer wants; whatever comes of it is ignored. */
  abort(runs: number[]): void {
    for (const run of runs) this.take(run)?.context.abort()
  }

  /** Resolves when nothing runs, at the latest after `timeoutMs`; what then still runs is aborted. */
  drain(timeoutMs: number): Promise<void> {
    if (this.running.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timeout = new Timeout(timeoutMs, () => this.abortAll())
      this.idle = () => {
        timeout.clear()
        resolve()
      }
    })
  }

  abortAll(): void {
    const reason = new HubClosed('The hub closes.')
    for (const run of [...this.running.keys()]) this.take(run)?.context.abort(reason)
  }

  private startOne(start: ActivityStart): void {
    const entry = this.app.findActivity(start.name) ?? this.findBuiltIn(start.name)
    if (entry === undefined) {
      const message = `No activity named '${start.name}' is registered; register it before the hub is opened.`
      this.failed(start.run, new NotRegistered(message))
      return
    }
    const context = new ActivityInvocation(entry.name, start, this.surroundings)
    let result: unknown
    let isPending: boolean
    this.surroundings.enters(-start.run, entry.timeoutMs)
    try {
      result = unowned(entry.handler, start.input, context)
      isPending = isThenable(result)
    } catch (error) {
      this.failed(start.run, error)
      return
    }
    if (isPending) this.follow(start.run, entry, context, result)
    else this.completed(start.run, entry, result)
  }

  private findBuiltIn(name: string): ActivityEntry | undefined {
    return name.toLowerCase() === HTTP_ACTIVITY.toLowerCase() ? this.builtIn : undefined
  }

  private follow(
    run: number,
    entry: ActivityEntry,
    context: ActivityInvocation,
    result: unknown,
  ): void {
    let promise: Promise<unknown>
    try {
      promise = Promise.resolve(result)
    } catch (error) {
      this.failed(run, error) // a promise whose constructor is a getter that throws
      return
    }
    const { timeoutMs } = entry
    const timeout =
      timeoutMs === undefined ? null : new Timeout(timeoutMs, () => this.expire(run, entry))
    this.running.set(run, { context, timeout })
    promise.then(
      (value) => {
        if (this.take(run) !== undefined) this.completed(run, entry, value)
      },
      (error) => {
        if (this.take(run) !== undefined) this.failed(run, error)
      },
    )
  }

  private expire(run: number, entry: ActivityEntry): void {
    const taken = this.take(run)
    if (taken === undefined) return
    const error = timedOut(entry.name, entry.timeoutMs as number, taken.context.instanceId)
    taken.context.abort(error)
    this.failed(run, error)
  }

  /** Whoever takes a run is the one to settle it. */
  private take(run: number): Running | undefined {
    const taken = this.running.get(run)
    if (taken === undefined) return undefined
    this.running.delete(run)
    taken.timeout?.clear()
    if (this.running.size === 0 && this.idle !== null) {
      // In a microtask of its own, so that the result is queued before the waiter goes on.
      queueMicrotask(this.idle)
      this.idle = null
    }
    return taken
  }

  private completed(run: number, entry: ActivityEntry, value: unknown): void {
    let text: RawJson | null
    try {
      const field = `result of activity '${entry.name}'`
      text = stringify(value, field, this.surroundings.payloadBytes)
    } catch (error) {
      this.failed(run, error)
      return
    }
    this.report(run, 1, text)
  }

  private failed(run: number, error: unknown): void {
    const provider = this.app.propertiesProvider ?? defaultApp.propertiesProvider
    const more = provider === undefined ? undefined : propertiesOf(provider, error)
    this.report(run, 0, failureText(error, this.surroundings.payloadBytes, more))
  }
}

/** What an activity fails with that takes longer than it may. */
export function timedOut(name: string, timeoutMs: number, instanceId: string): TimeoutError {
  return new TimeoutError(`Activity '${name}' did not end within ${timeoutMs} ms.`, { instanceId })
}

/** What a provider says of an error; one that fails says nothing, and hides nothing. */
function propertiesOf(provider: ExceptionPropertiesProvider, error: unknown): object | undefined {
  try {
    const properties: unknown = provider.getExceptionProperties(error)
    return typeof properties === 'object' && properties !== null ? properties : undefined
  } catch {
    return undefined
  }
}
