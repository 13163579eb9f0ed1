/**
 * One live execution of an orchestrator that an SDK runs.
 *
 * Owns: the SDK's history of it, the calls of the code, one for each turn, and the text of a turn's
 * outcome. A turn ends when the call has settled, whatever that takes; no other turn of the execution
 * begins before.
 * Must never: run a turn beside another of the same execution, or take over anything from a call after
 * it was dropped.
 * Proved by: `__test__/sdk.spec.mjs`.
 */

import { clearTimeout, macrotask, monotonicMs, setTimeout } from '../clock.js'
import { stringify } from '../codec.js'
import { NonDurableAwait, Nondeterminism } from '../errors.js'
import { failureText } from '../failure.js'
import type { Activation, ActivationTurn, ExecutionStart, RawJson } from '../protocol.js'
import { owned, Rejections } from '../rejections.js'
import type { Surroundings } from '../surroundings.js'
import { executionStarted, type HistoryEvent, orchestratorStarted } from './history.js'
import type { HostedFunction, OrchestrationTriggerValue } from './hosted.js'
import { Schedule } from './schedule.js'
import { type Action, type Answer, actionsOf, answerOf, answerOfError } from './state.js'
import { settling } from './stray.js'

/** A call that takes longer is warned of: an orchestrator does no I/O. */
const SLOW_MS = 30_000

/** A replay calls the code once for each turn; after this long the event loop has its turn. */
const BLOCKING_MS = 10

/** What no `Date` exceeds, so that the SDK cuts no timer in pieces. */
const LONGEST = '200000000.00:00:00'

export class HostedExecution extends Rejections {
  readonly instanceId: string
  hasEnded = false
  /** Forgotten by the core; nothing it does matters any more. */
  isDropped = false

  private readonly func: HostedFunction
  private readonly surroundings: Surroundings
  private readonly start: ExecutionStart
  private readonly inputText: RawJson | null
  private readonly history: HistoryEvent[] = []
  /** Where the events of the last turn begin. */
  private fresh = 0
  private readonly schedule: Schedule
  /** How many entries of the SDK's list of actions were taken over. */
  private entriesTaken = 0
  private statusText: RawJson | null = null
  /** It was made from history, and no turn has been new yet. */
  private isMadeAgain = false
  /** Its code did something else than in an earlier call. */
  private deviation: Action | 'nothing' | null = null
  private end: RawJson | null = null

  constructor(start: ExecutionStart, func: HostedFunction, surroundings: Surroundings) {
    super()
    this.instanceId = start.instanceId
    this.func = func
    this.surroundings = surroundings
    this.start = start
    this.inputText = start.input === undefined ? null : JSON.stringify(start.input)
    this.schedule = new Schedule(
      func.name,
      `${start.instanceId}:${start.salt ?? start.exec}`,
      func.model === 'classic',
      surroundings.http.pollingIntervalMs,
    )
  }

  /** Forgets the execution: whatever its code still gives has no effect. */
  drop(): void {
    this.isDropped = true
  }

  override rejected(promise: object, reason: unknown): void {
    if (!this.isDropped) super.rejected(promise, reason)
  }

  protected warn(does: string): void {
    const message = `Orchestrator '${this.func.name}' (instance '${this.instanceId}') ${does}`
    this.surroundings.log.engine('warn', message)
  }

  /**
   * Runs all turns of an activation, and gives the text of their outcomes; null if the execution must
   * be made again from history.
   */
  async run(activation: Activation): Promise<RawJson | null> {
    let outcomes = ''
    let since = monotonicMs()
    if (activation.start !== undefined) this.isMadeAgain = activation.replayed > 0
    for (let n = 0; n < activation.turns.length; n += 1) {
      if (n > 0 && monotonicMs() - since > BLOCKING_MS) {
        await macrotask()
        since = monotonicMs()
      }
      const turn = activation.turns[n] as ActivationTurn
      const outcome = await this.turn(turn, n < activation.replayed)
      if (outcome === null || this.isDropped) return null
      outcomes += n === 0 ? outcome : `,${outcome}`
    }
    return outcomes
  }

  private async turn(turn: ActivationTurn, isReplaying: boolean): Promise<RawJson | null> {
    if (this.hasEnded) return '{}'
    if (this.deviation !== null) return this.deviated('nothing', isReplaying)
    if (!this.begin(turn, isReplaying)) return this.outcome(null)
    let answer: Answer
    try {
      answer = answerOf(await this.call(isReplaying))
    } catch (error) {
      answer = answerOfError(error)
    }
    if (this.isDropped) return null
    let status: RawJson | null = null
    try {
      status = this.status(answer)
      this.take(answer)
      if (this.deviation !== null) return this.deviated(this.deviation, isReplaying)
      this.conclude(answer)
    } catch (error) {
      this.fail(error)
    }
    if (!isReplaying) this.isMadeAgain = false
    return this.outcome(status)
  }

  // ---------------------------------------------------------------- before the call

  /** Adds what the turn brings to the history; false if the code is not to be called for it. */
  private begin({ time, resolutions }: ActivationTurn, isReplaying: boolean): boolean {
    const { history, schedule } = this
    this.markPlayed()
    this.fresh = history.length
    const at = new Date(time).toISOString()
    // What history holds already is not measured again.
    const limit = isReplaying ? Number.POSITIVE_INFINITY : this.surroundings.payloadBytes
    schedule.begin(time, at, limit)
    const first: HistoryEvent[] = []
    const last: HistoryEvent[] = []
    for (const resolution of resolutions) {
      const settled = schedule.settle(resolution)
      if (settled === null) continue
      first.push(...settled.first)
      last.push(settled.last)
    }
    const begins = history.length === 0
    if (!begins && last.length === 0) return false
    history.push(orchestratorStarted(at))
    if (begins) {
      const { name, instanceId, exec, version } = this.start
      history.push(executionStarted(at, name, instanceId, exec, version, this.inputText))
    }
    history.push(...first, ...last)
    if (isReplaying) this.markPlayed()
    return true
  }

  private markPlayed(): void {
    const { history } = this
    for (let n = this.fresh; n < history.length; n += 1) {
      ;(history[n] as HistoryEvent).IsPlayed = true
    }
  }

  private async call(isReplaying: boolean): Promise<unknown> {
    const { history, func } = this
    // Version 1 marks what it has matched, in each call anew.
    for (const event of history) if (event.IsProcessed) event.IsProcessed = false
    // Version 3 replays what stands before the last turn's beginning.
    if (isReplaying)
      history.push(orchestratorStarted((history[this.fresh] as HistoryEvent).Timestamp as string))
    const value = this.trigger()
    const slow = setTimeout(() => this.warnSlow(), SLOW_MS).unref()
    try {
      const call = { trigger: { value }, data: { instanceId: this.instanceId } }
      const isClassic = func.model === 'classic'
      this.forget() // each call makes all promises anew
      const invoke = (): ReturnType<HostedFunction['invoke']> => func.invoke(call)
      return (await (isClassic ? settling(this, invoke) : owned(this, invoke))).returnValue
    } finally {
      clearTimeout(slow)
      if (isReplaying) history.pop()
    }
  }

  private trigger(): OrchestrationTriggerValue {
    return {
      history: this.history,
      // Of each call its own, as code may change what it gets.
      input: this.inputText === null ? null : JSON.parse(this.inputText),
      instanceId: this.instanceId,
      // Whether the beginning is: version 1 finds out the rest by itself.
      isReplaying: this.history[0]?.IsPlayed === true,
      parentInstanceId: this.start.parentInstanceId ?? null,
      upperSchemaVersion: 1,
      upperSchemaVersionNew: 3,
      longRunningTimerIntervalDuration: LONGEST,
      maximumShortTimerDuration: LONGEST,
      defaultHttpAsyncRequestSleepTimeMillseconds: 30_000,
    }
  }

  private warnSlow(): void {
    if (this.isDropped) return
    this.surroundings.log.engine(
      'warn',
      `Orchestrator '${this.func.name}' (instance '${this.instanceId}') has not given its state for ${SLOW_MS / 1_000} s. Its turn waits for it. Orchestrators must do input and output in activities.`,
    )
  }

  // ---------------------------------------------------------------- after the call

  /** Takes over the actions that are new, in their order. */
  private take({ entries, hasIdentity }: Answer): void {
    const { schedule } = this
    // Without the SDK's own objects one that is listed twice is not known; such a call has failed,
    // and nothing will wait for what it asked for.
    const actions = actionsOf(entries, hasIdentity ? 0 : this.entriesTaken)
    if (hasIdentity) {
      this.deviation = schedule.deviation(actions)
      if (this.deviation !== null) return
    }
    for (let n = hasIdentity ? schedule.knownCount : 0; n < actions.length; n += 1) {
      schedule.take(actions[n] as Action)
    }
    this.entriesTaken = entries.length
    if (hasIdentity) schedule.cancelTimers(actions)
    this.history.push(...schedule.created)
  }

  private conclude({ error, isDone, output }: Answer): void {
    const { continuation, openCount } = this.schedule
    if (error !== null) {
      this.fail(error)
    } else if (isDone && continuation !== undefined) {
      const input = continuation === null ? '' : `"input":${continuation}`
      this.finish(`{"continueAsNew":{${input}}}`)
    } else if (isDone) {
      const field = `result of orchestrator '${this.func.name}'`
      const result = stringify(output, field, this.surroundings.payloadBytes)
      this.finish(result === null ? '{"complete":{}}' : `{"complete":{"result":${result}}}`)
    } else if (openCount === 0) {
      this.fail(
        new NonDurableAwait(
          `Orchestrator '${this.func.name}' waits for something that can never complete: a cancelled timer, or what the version of durable-functions does not see complete (Task.all of tasks that have all completed, in 3.5).`,
        ),
      )
    }
  }

  private fail(error: unknown): void {
    this.finish(`{"fail":{"failure":${failureText(error, this.surroundings.payloadBytes)}}}`)
  }

  private finish(end: RawJson): void {
    this.end = end
    this.hasEnded = true
    this.returned()
  }

  /** The custom status, if it is another than before. The SDK gives none where none was set. */
  private status({ customStatus }: Answer): RawJson | null {
    if (customStatus === undefined) return null
    const field = `custom status of orchestrator '${this.func.name}'`
    const text = stringify(customStatus, field, this.surroundings.payloadBytes)
    if (text === null || text === this.statusText) return null
    this.statusText = text
    return text
  }

  private outcome(status: RawJson | null): RawJson {
    const parts: string[] = []
    const { texts } = this.schedule
    const chars = texts.reduce((sum, text) => sum + text.length, this.end?.length ?? 0)
    const what = `What orchestrator '${this.func.name}' (instance '${this.instanceId}') asks for in one turn`
    this.surroundings.crossing.check(chars + (status?.length ?? 0), what)
    if (texts.length > 0) parts.push(`"actions":[${texts.join(',')}]`)
    if (status !== null) parts.push(`"customStatus":${status}`)
    if (this.end !== null) parts.push(`"end":${this.end}`)
    return `{${parts.join(',')}}`
  }

  /**
   * Code that asked for other actions than in an earlier call is not deterministic, and no number is
   * right any more. In a replay the core is shown what it did instead, and holds the instance. Else
   * the execution is made again from history, which shows it to the core if the code does it again;
   * and fails if it does so only after that.
   */
  private deviated(action: Action | 'nothing', isReplaying: boolean): RawJson | null {
    if (!isReplaying && !this.isMadeAgain) return null
    this.schedule.texts = []
    if (isReplaying && action !== 'nothing') {
      try {
        this.schedule.take(action)
      } catch {
        // It cannot even be asked for; that nothing is will do.
      }
    }
    if (!isReplaying) {
      const message = `Orchestrator '${this.func.name}' does not ask for the same in each call, so it cannot be replayed. It depends on something that differs between runs: the clock, random numbers, the environment, input or output. Use context.df.currentUtcDateTime and context.df.newGuid, and activities for the rest.`
      this.fail(new Nondeterminism(message, { instanceId: this.instanceId }))
    }
    return this.outcome(null)
  }
}
