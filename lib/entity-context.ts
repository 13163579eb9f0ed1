/**
 * The context that an entity function is called with, once for each operation.
 *
 * Owns: what one operation may do with the state. Must never: keep anything for the next operation;
 * that is in the batch.
 * Proved by: `__test__/entities.spec.mjs`.
 */

import { randomUUID } from 'node:crypto'
import { bareOptions } from './azure/extras.js'
import type { EffectiveFunctionOptions } from './azure/functions.js'
import { bindMethods } from './bound.js'
import { optionalTime, optionsOf } from './check.js'
import { stringify } from './codec.js'
import { LoggingContext } from './context.js'
import type { EntityBatch } from './entity-batch.js'
import { type EntityId, entityIdOf } from './entity-id.js'
import { operationOf, signalText } from './entity-operation.js'
import { OutsideTurn } from './errors.js'
import type { LogLevel } from './log.js'
import type { DurableEntityContext, EntityContext, SignalOptions } from './types-entity.js'

export class EntityInvocation extends LoggingContext implements EntityContext {
  readonly df: EntityOperation
  private readonly batch: EntityBatch

  constructor(batch: EntityBatch) {
    super(batch.entry.name)
    this.batch = batch
    this.df = new EntityOperation(batch)
  }

  get options(): EffectiveFunctionOptions {
    return bareOptions('entityTrigger')
  }

  get triggerMetadata(): Record<string, unknown> {
    const { df } = this
    const self = { name: df.entityName, key: df.entityKey }
    return { self, exists: !df.isNewlyConstructed, state: df.getState() ?? null }
  }

  /** The operation is over: what it still does has no effect, and it is told so. */
  close(): void {
    this.df.isOver = true
  }

  /** What the operation gave by `return`, or else what its function returned. */
  resultOr(returned: unknown): unknown {
    return this.df.hasResult ? this.df.result : returned
  }

  protected write(level: LogLevel, args: unknown[]): void {
    this.batch.surroundings.log.user(level, args)
  }

  protected makeId(): string {
    return randomUUID()
  }
}

class EntityOperation implements DurableEntityContext {
  readonly operationName: string
  readonly isNewlyConstructed: boolean
  isOver = false
  isDestroyed = false
  hasResult = false
  result: unknown = undefined
  private readonly batch: EntityBatch
  private readonly input: unknown

  constructor(batch: EntityBatch) {
    this.batch = batch
    this.isNewlyConstructed = batch.stateText === null
    const operation = batch.activation.operations[batch.index] as [string, 0 | 1, unknown?]
    this.operationName = operation[0]
    this.input = operation[2]
  }

  get entityId(): EntityId {
    return this.batch.id
  }

  get entityName(): string {
    return this.batch.id.name
  }

  get entityKey(): string {
    return this.batch.id.key
  }

  getInput<T>(): T | undefined {
    return this.input as T | undefined
  }

  getState(initializer?: () => unknown): never {
    const { stateText } = this.batch
    if (stateText !== null) return JSON.parse(stateText) as never
    return (initializer === undefined ? undefined : initializer()) as never
  }

  setState(state: unknown): void {
    this.require('setState')
    const { batch } = this
    const field = `state of entity '${batch.id.name}'`
    batch.stateText = stringify(state, field, batch.surroundings.payloadBytes)
  }

  return(result: unknown): void {
    this.require('return')
    this.hasResult = true
    this.result = result
  }

  destructOnExit(): void {
    this.require('destructOnExit')
    this.batch.stateText = null
    this.isDestroyed = true
  }

  signalEntity(
    entity: EntityId,
    operationName: string,
    operationInput?: unknown,
    options?: SignalOptions,
  ): void {
    this.require('signalEntity')
    const id = entityIdOf(entity)
    const operation = operationOf(operationName)
    const known = optionsOf(options, 'options', ['scheduledTime'])
    const fireAt = optionalTime(known, 'scheduledTime', 'options')
    const field = `input of operation '${operation}' of entity '${id.name}'`
    const input = stringify(operationInput, field, this.batch.surroundings.payloadBytes)
    this.batch.addSignal(signalText(id, operation, input, fireAt))
  }

  private require(what: string): void {
    if (!this.isOver) return
    throw new OutsideTurn(
      `Entity '${this.batch.id.name}' called ${what} after its operation '${this.operationName}' had ended. Await what the operation starts.`,
    )
  }
}

bindMethods(EntityOperation)
