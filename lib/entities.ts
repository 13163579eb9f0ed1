/**
 * Runs the operations of entities.
 *
 * Owns: which operation runs when, and what one that fails takes back.
 * Must never: run two operations of one entity at the same time; the core sends the next batch when it
 * has stored this one.
 * Proved by: `__test__/entities.spec.mjs`.
 */

import type { App } from './app.js'
import { queueMicrotask } from './clock.js'
import { stringify } from './codec.js'
import { EntityBatch } from './entity-batch.js'
import { EntityInvocation } from './entity-context.js'
import { entityIdFromText } from './entity-id.js'
import { signalText } from './entity-operation.js'
import { nothingRun } from './executor.js'
import { failureText } from './failure.js'
import type { EntityActivation, RawJson } from './protocol.js'
import { owned } from './rejections.js'
import type { Surroundings } from './surroundings.js'
import { isThenable } from './thenable.js'
import { Timeout } from './timer.js'

/** Takes the text of the outcome of an activation. */
export type EmitEntity = (outcome: RawJson, of: EntityActivation) => void

export class Entities {
  private readonly app: App
  private readonly surroundings: Surroundings
  private readonly emit: EmitEntity
  /** Batches that did not end at once. */
  private running = 0
  private idle: (() => void) | null = null

  constructor(app: App, surroundings: Surroundings, emit: EmitEntity) {
    this.app = app
    this.surroundings = surroundings
    this.emit = emit
  }

  run(activations: EntityActivation[]): void {
    for (const activation of activations) {
      try {
        this.begin(activation)
      } catch (error) {
        this.emit(batchFailed(activation, error), activation)
      }
    }
  }

  /** Resolves when nothing runs, at the latest after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void> {
    if (this.running === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timeout = new Timeout(timeoutMs, resolve)
      this.idle = () => {
        timeout.clear()
        resolve()
      }
    })
  }

  private begin(activation: EntityActivation): void {
    const id = entityIdFromText(activation.entityId)
    const entry = this.app.findEntity(id.name)
    if (entry === undefined) {
      this.emit(nothingRun(activation.token), activation)
      return
    }
    const batch = new EntityBatch(activation, entry, this.surroundings)
    const pending = entry.runBatch === undefined ? runAll(batch) : runHosted(batch)
    if (pending === null) {
      this.emit(batch.end(), activation)
      return
    }
    this.running += 1
    const ended = (outcome: RawJson): void => {
      this.running -= 1
      this.emit(outcome, activation)
      if (this.running > 0 || this.idle === null) return
      // In a microtask of its own, so that the outcome is queued before the waiter goes on.
      queueMicrotask(this.idle)
      this.idle = null
    }
    pending.then(ended, (error: unknown) => ended(batchFailed(activation, error)))
  }
}

/** The outcome of a batch that came to nothing: each of its operations, or so many of them, have failed. */
export function batchFailed(
  { token, operations }: EntityActivation,
  error: unknown,
  count: number = operations.length,
): RawJson {
  const failure = failureText(error, 0) // small, as there may be many
  return `{"token":${token},"results":[${Array(count).fill(`[0,${failure}]`)}]}`
}

/** Runs operations until one is not done at once; null: none was. */
function runAll(batch: EntityBatch): Promise<RawJson> | null {
  const { surroundings, activation } = batch
  while (!batch.isDone) {
    const before = saved(batch)
    let result: unknown
    const invocation = new EntityInvocation(batch)
    surroundings.enters(activation.token)
    try {
      result = owned(batch, batch.entry.handler, invocation as never)
      if (isThenable(result)) {
        surroundings.leaves()
        return goOn(batch, before, invocation, result)
      }
    } catch (error) {
      failed(batch, before, error)
      continue
    }
    completed(batch, before, invocation, result)
  }
  surroundings.leaves()
  return null
}

async function goOn(
  batch: EntityBatch,
  before: Saved,
  invocation: EntityInvocation,
  result: PromiseLike<unknown>,
): Promise<RawJson> {
  try {
    completed(batch, before, invocation, await result)
  } catch (error) {
    failed(batch, before, error)
  }
  return (await runAll(batch)) ?? batch.end()
}

/** What an operation that fails has not changed. */
interface Saved {
  readonly stateText: RawJson | null
  readonly signals: number
}

function saved(batch: EntityBatch): Saved {
  return { stateText: batch.stateText, signals: batch.signals.length }
}

function completed(
  batch: EntityBatch,
  before: Saved,
  invocation: EntityInvocation,
  returned: unknown,
): void {
  let text: RawJson | null
  try {
    const limit = batch.surroundings.payloadBytes
    invocation.close()
    const field = `result of operation '${invocation.df.operationName}' of entity '${batch.id.name}'`
    text = stringify(invocation.resultOr(returned), field, limit)
    batch.checkSize(text)
  } catch (error) {
    failed(batch, before, error)
    return
  }
  batch.add(text === null ? '[1]' : `[1,${text}]`)
}

/** The operation has not been: its state and what it sent are taken back. */
function failed(batch: EntityBatch, before: Saved, error: unknown): void {
  batch.stateText = before.stateText
  batch.keepSignals(before.signals)
  batch.add(`[0,${failureText(error, batch.surroundings.payloadBytes)}]`)
}

// ------------------------------------------------------------------ entities of another SDK

/** A batch as the out-of-process protocol has it. All texts are JSON. */
export interface HostedBatch {
  self: { name: string; key: string }
  exists: boolean
  state: string | null
  batch: { name: string; input: string | null; isSignal: boolean }[]
}

/** What such an entity makes of it. */
export interface HostedOutcome {
  entityExists: boolean
  entityState?: string | null
  results: { isError: boolean; result?: string }[]
  signals: { target: { name: string; key: string }; name: string; input?: string | null }[]
}

async function runHosted(batch: EntityBatch): Promise<RawJson> {
  const { activation, id, stateText } = batch
  const operations: HostedBatch['batch'] = []
  for (const [name, isSignal, ...rest] of activation.operations) {
    try {
      const input = rest.length === 0 ? null : JSON.stringify(rest[0])
      operations.push({ name, input, isSignal: isSignal === 1 })
    } catch (error) {
      // Nested as deeply as only the parser can go. Those before it run, and it is the first of the next.
      if (operations.length === 0) return batchFailed(activation, error, 1)
      break
    }
  }
  const { name, key } = id
  const hosted = { self: { name, key }, exists: stateText !== null, state: stateText }
  const run = batch.entry.runBatch as (batch: HostedBatch) => Promise<HostedOutcome>
  batch.surroundings.enters(activation.token)
  const pending = owned(batch, run, { ...hosted, batch: operations })
  batch.surroundings.leaves()
  takeHosted(batch, await pending, operations.length)
  return batch.end()
}

function takeHosted(batch: EntityBatch, outcome: HostedOutcome, operations: number): void {
  const { entityExists, entityState, results, signals } = outcome
  if (results.length !== operations) {
    throw new TypeError(`it gave ${results.length} results for ${operations} operations`)
  }
  // What exists without a state has been returned from and never set: it has none.
  batch.stateText = entityExists ? checkedText(entityState ?? null) : null
  for (const { target, name, input } of signals) {
    const id = entityIdFromText(`@${target.name}@${target.key}`)
    batch.addSignal(signalText(id, name, checkedText(input === '' ? null : (input ?? null))))
  }
  batch.checkSize(null)
  for (const { isError, result } of results) {
    if (isError) batch.add(`[0,${hostedFailure(result)}]`)
    else batch.add(result === undefined ? '[1]' : `[1,${checkedText(result)}]`)
    batch.checkSize(null)
  }
}

/** Text that another SDK says is JSON. */
function checkedText(text: string | null): RawJson | null {
  return text === null ? null : JSON.stringify(JSON.parse(text))
}

function hostedFailure(result: string | undefined): RawJson {
  const shown = result ?? '{}'
  return JSON.stringify({ name: 'Error', message: shown, stack: `Error: ${shown}`, result: shown })
}
