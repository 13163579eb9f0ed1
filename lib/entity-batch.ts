/**
 * A batch of operations of one entity.
 *
 * Owns: the state of the entity while they run, and the text of what has come of them.
 * Must never: run one.
 * Proved by: `__test__/entities.spec.mjs`.
 */

import type { EntityEntry } from './app.js'
import { monotonicMs } from './clock.js'
import { type EntityId, entityIdFromText } from './entity-id.js'
import type { EntityActivation, RawJson } from './protocol.js'
import { Rejections } from './rejections.js'
import type { Surroundings } from './surroundings.js'

/** After so long a batch ends with the operation that runs: its callers wait, and so do others. */
const BATCH_MS = 50

/** The operations of one entity that are carried out, and what has come of them so far. */
export class EntityBatch extends Rejections {
  readonly id: EntityId
  readonly entry: EntityEntry
  readonly activation: EntityActivation
  readonly surroundings: Surroundings
  /** The JSON text of the state; null if there is none. */
  stateText: RawJson | null
  /** What the operations have sent, as JSON text. */
  signals: RawJson[] = []
  /** The operation that runs, or is next. */
  index = 0
  results = ''
  private signalChars = 0
  private readonly textBefore: RawJson | null
  private readonly began = monotonicMs()

  constructor(activation: EntityActivation, entry: EntityEntry, surroundings: Surroundings) {
    super()
    this.activation = activation
    this.entry = entry
    this.surroundings = surroundings
    this.id = entityIdFromText(activation.entityId)
    const { state } = activation
    this.stateText = state === undefined ? null : JSON.stringify(state)
    this.textBefore = this.stateText
  }

  get isDone(): boolean {
    const { operations } = this.activation
    const { batchChars } = this.surroundings.crossing
    const isFull = this.results.length > batchChars || this.signalChars > batchChars
    return this.index >= operations.length || isFull || monotonicMs() - this.began > BATCH_MS
  }

  add(result: RawJson): void {
    this.results += this.results === '' ? result : `,${result}`
    this.index += 1
  }

  /** Keeps the first of the signals. */
  keepSignals(count: number): void {
    if (count === this.signals.length) return
    this.signals.length = count
    this.signalChars = this.signals.reduce((sum, signal) => sum + signal.length, 0)
  }

  addSignal(signal: RawJson): void {
    this.signals.push(signal)
    this.signalChars += signal.length
  }

  /**
   * Whether the batch can be handed over with a result beside.
   *
   * @throws PayloadTooLarge
   */
  checkSize(result: RawJson | null): void {
    const chars = this.results.length + this.signalChars
    const what = `What operations of entity '${this.id.name}' give and signal`
    const state = this.stateText === this.textBefore ? 0 : (this.stateText?.length ?? 0)
    this.surroundings.crossing.check(chars + state + (result?.length ?? 0), what)
  }

  protected warn(does: string): void {
    this.surroundings.log.engine('warn', `Entity '${this.id}' ${does}`)
  }

  /** No operation runs any more; gives the text of what has come of them. */
  end(): RawJson {
    this.returned()
    return this.outcome()
  }

  private outcome(): RawJson {
    let text = `{"token":${this.activation.token},"results":[${this.results}]`
    if (this.stateText !== this.textBefore) {
      text += this.stateText === null ? ',"deleted":true' : `,"state":${this.stateText}`
    }
    if (this.signals.length > 0) text += `,"signals":[${this.signals.join(',')}]`
    return `${text}}`
  }
}
