/**
 * Statuses as people read them.
 *
 * Owns: the columns and the wording.
 * Must never: shorten an id.
 * Proved by: `__test__/cli.spec.mjs`.
 */

import type { OrchestrationStatus, StatusHistoryEvent, StatusWaitingFor } from '../status.js'
import { print, printPairs, printTable } from './output.js'

const time = new Intl.DateTimeFormat('sv-SE', { dateStyle: 'short', timeStyle: 'medium' })

export function printInstances(instances: readonly OrchestrationStatus[]): void {
  printTable(
    ['INSTANCE', 'FUNCTION', 'STATUS', 'CREATED', 'UPDATED', 'RESULT'],
    instances.map((status) => [
      status.instanceId,
      status.name,
      status.runtimeStatus,
      time.format(status.createdTime),
      time.format(status.lastUpdatedTime),
      oneLine(resultOf(status)),
    ]),
  )
}

export function printInstance(status: OrchestrationStatus): void {
  const pairs: [string, unknown][] = [
    ['Instance', status.instanceId],
    ['Function', status.name],
    ['Version', status.version],
    ['Status', status.runtimeStatus],
    ['Created', time.format(status.createdTime)],
    ['Updated', time.format(status.lastUpdatedTime)],
    ['Parent', status.parentInstanceId],
    ['Input', status.input],
    ['Custom status', status.customStatus],
    ['Waiting for', status.waitingFor?.map(waitText).join('\n')],
    ['Problem', status.problem && `${status.problem.code}: ${status.problem.message}`],
    ['Output', status.output],
    ['Stack', status.failure?.stack],
  ]
  const shown = pairs.filter(([, value]) => value !== undefined && value !== null && value !== '')
  printPairs(shown.map(([name, value]) => [name, text(value)]))
  if (status.history === undefined) return
  print()
  printTable(['TIME', 'EVENT', 'TASK', 'DETAIL'], status.history.map(historyRow))
}

function historyRow(event: StatusHistoryEvent): string[] {
  const { eventType, timestamp, taskId, name, input, result, failure, reason, fireAt } = event
  const detail = [
    name,
    input !== undefined && `input ${text(input)}`,
    result !== undefined && `result ${text(result)}`,
    failure && `${failure.name}: ${failure.message}`,
    reason !== undefined && text(reason),
    fireAt && `at ${time.format(fireAt)}`,
  ]
  const words = detail.filter((word) => typeof word === 'string').join(', ')
  return [
    time.format(timestamp),
    eventType,
    taskId === undefined ? '' : `${taskId}`,
    oneLine(words),
  ]
}

/** What a list shows of an instance beside its status. */
function resultOf(status: OrchestrationStatus): string {
  if (status.problem !== undefined) return `${status.problem.code}: ${status.problem.message}`
  const value = status.output ?? status.customStatus
  return value === null ? '' : text(value)
}

function waitText(waiting: StatusWaitingFor): string {
  switch (waiting.kind) {
    case 'event':
      return `event '${waiting.name}', since ${time.format(waiting.since)}`
    case 'timer':
      return `a timer that fires at ${time.format(waiting.fireAt)}`
    case 'activity':
      return `activity '${waiting.name}', attempt ${waiting.attempt}, since ${time.format(waiting.since)}`
    case 'orchestration':
      return `orchestration '${waiting.name}', instance '${waiting.instanceId}'`
    case 'entity':
      return `operation '${waiting.operation}' of entity '${waiting.entityId}', since ${time.format(waiting.since)}`
    case 'lock':
      return `the lock of ${waiting.entityIds.join(', ')}, since ${time.format(waiting.since)}`
  }
}

/** A string as it is, anything else as JSON. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function oneLine(value: string): string {
  return value.replace(/\s+/g, ' ')
}
