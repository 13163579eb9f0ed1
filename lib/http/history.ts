/**
 * `showHistory`: the history of an instance in the words of the original.
 *
 * Owns: folding what was scheduled into what came of it, and the names of fields.
 * Must never: leave out an event that the original shows.
 * Proved by: `__test__/http-history.spec.mjs`.
 */

import type { Failure } from '../protocol.js'
import { activityFault, childFault } from '../sdk/faults.js'
import type { OrchestrationStatus, StatusHistoryEvent } from '../status.js'

/** An event as HTTP has it. */
export type HistoryItem = Record<string, unknown>

/** What is known of a task while it is open. */
interface Open {
  readonly name: string | undefined
  readonly scheduled: Date
  readonly input: unknown
  readonly item: HistoryItem
}

/**
 * The events of a status that was asked for with its history.
 *
 * @param showOutput whether results are shown; those of tasks are there only if they were asked for
 */
export function historyEvents(status: OrchestrationStatus, showOutput: boolean): HistoryItem[] {
  const view = new View(showOutput ? status.output : undefined)
  for (const event of status.history ?? []) view.items.push(...view.itemsOf(event))
  return view.items.filter((item) => !view.folded.has(item))
}

class View {
  readonly items: HistoryItem[] = []
  /** What has become part of a later event. */
  readonly folded: Set<HistoryItem> = new Set()
  readonly #output: unknown
  readonly #open: Map<number, Open> = new Map()
  readonly #fireAt: Map<number, Date> = new Map()

  constructor(output: unknown) {
    this.#output = output
  }

  /** What an event becomes, in order. */
  itemsOf(event: StatusHistoryEvent): HistoryItem[] {
    const { taskId = -1, timestamp } = event
    switch (event.eventType) {
      case 'TaskScheduled':
      case 'SubOrchestrationInstanceCreated':
        return [this.#scheduled(event)]
      case 'TaskRetried':
        return this.#retried(taskId, timestamp)
      case 'TaskCompleted':
      case 'SubOrchestrationInstanceCompleted':
        return [item(event, withResult(event), this.#fold(taskId))]
      case 'TaskFailed':
      case 'SubOrchestrationInstanceFailed':
        return this.#failed(event)
      case 'TimerCreated':
        if (event.fireAt !== undefined) this.#fireAt.set(taskId, event.fireAt)
        return [item(event, { FireAt: event.fireAt })]
      case 'TimerFired':
        return [item(event, { FireAt: this.#fireAt.get(taskId) })]
      case 'ExecutionFailed':
        return [this.#ended(event, 'Failed')]
      case 'ExecutionTerminated':
        return [item(event), this.#ended(event, 'Terminated')]
      default:
        return plainItems(event)
    }
  }

  /** In the original an execution always ends by one kind of event. */
  #ended({ timestamp }: StatusHistoryEvent, status: string): HistoryItem {
    const event = { eventType: 'ExecutionCompleted', timestamp }
    const shown = this.#output === undefined ? {} : { Result: this.#output }
    return item(event, { OrchestrationStatus: status, ...shown })
  }

  #scheduled(event: StatusHistoryEvent): HistoryItem {
    const { taskId = -1, name, timestamp, input, instanceId } = event
    const child = instanceId === undefined ? {} : { InstanceId: instanceId }
    const made = item(event, { Name: name, ...withInput(event), ...child })
    this.#open.set(taskId, { name, scheduled: timestamp, input, item: made })
    return made
  }

  /** What the original does by a timer and a new task. */
  #retried(taskId: number, timestamp: Date): HistoryItem[] {
    const task = this.#open.get(taskId)
    if (task === undefined) return []
    const fireAt = this.#fireAt.get(taskId)
    const fired = { EventType: 'TimerFired', FireAt: fireAt, Timestamp: timestamp }
    const again = { ...task.item, Timestamp: timestamp }
    this.#open.set(taskId, { ...task, scheduled: timestamp, item: again })
    return fireAt === undefined ? [again] : [fired, again]
  }

  #failed(event: StatusHistoryEvent): HistoryItem[] {
    const { taskId = -1, timestamp, fireAt } = event
    const name = this.#open.get(taskId)?.name ?? ''
    const failed = item(event, faultOf(event, name), this.#fold(taskId))
    if (fireAt === undefined) return [failed]
    this.#fireAt.set(taskId, fireAt)
    return [failed, { EventType: 'TimerCreated', FireAt: fireAt, Timestamp: timestamp }]
  }

  /** What an end says of the beginning, which is no event of its own then. */
  #fold(taskId: number): HistoryItem {
    const task = this.#open.get(taskId)
    if (task === undefined) return {}
    this.folded.add(task.item)
    const last: HistoryItem = { ScheduledTime: task.scheduled, FunctionName: task.name }
    return task.input === undefined ? last : { ...last, Input: task.input }
  }
}

/** What the others become. */
function plainItems(event: StatusHistoryEvent): HistoryItem[] {
  switch (event.eventType) {
    case 'ExecutionStarted':
      return [item(event, withInput(event), { FunctionName: event.name })]
    case 'ExecutionCompleted':
      return [item(event, { OrchestrationStatus: 'Completed', ...withResult(event) })]
    case 'ExecutionSuspended':
    case 'ExecutionResumed':
    case 'ExecutionRewound':
      return [item(event, { Reason: event.reason ?? null })]
    case 'EventAwaited':
    case 'EventWaitCanceled':
    case 'TimerCanceled':
      return [] // the original has no event for it
    default:
      return [item(event, { Name: event.name, ...withInput(event) })]
  }
}

function item(
  { eventType, timestamp }: Pick<StatusHistoryEvent, 'eventType' | 'timestamp'>,
  own?: HistoryItem,
  last?: HistoryItem,
): HistoryItem {
  return { EventType: eventType, ...own, Timestamp: timestamp, ...last }
}

function withInput({ input }: StatusHistoryEvent): HistoryItem {
  return input === undefined ? {} : { Input: input }
}

function withResult({ result }: StatusHistoryEvent): HistoryItem {
  return result === undefined ? {} : { Result: result }
}

function faultOf(event: StatusHistoryEvent, name: string): HistoryItem {
  const failure = event.failure as Failure | undefined
  const isChild = event.eventType === 'SubOrchestrationInstanceFailed'
  const child = {
    name,
    instanceId: event.instanceId ?? '',
    status: failure === undefined ? ('Terminated' as const) : ('Failed' as const),
    ...(failure === undefined ? { reason: event.reason } : { failure }),
  }
  const { reason, details } = isChild
    ? childFault(name, child)
    : activityFault(name, { fail: { task: 0, failure: failure ?? { name: 'Error', message: '' } } })
  return { Reason: reason, Details: details }
}
