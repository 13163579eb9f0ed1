/**
 * The routes of instances: status, listing, purge.
 *
 * Owns: what statuses look like over HTTP, and which status code each has.
 * Must never: change an instance other than by purging it.
 * Proved by: `__test__/http.spec.mjs`.
 */

import { wallMs } from '../clock.js'
import { EntityInUse, InstanceNotEnded } from '../errors.js'
import type { OrchestrationFilter } from '../requests.js'
import { OrchestrationRuntimeStatus, type OrchestrationStatus } from '../status.js'
import { type Answer, empty, json } from './answers.js'
import { historyEvents } from './history.js'
import type { ApiParts } from './parts.js'
import { decoded, type Query } from './query.js'
import type { RouteContext } from './router.js'

/** The status of an instance, as HTTP has it. */
export interface StatusBody {
  readonly name: string
  readonly instanceId: string
  readonly runtimeStatus: string
  readonly input: unknown
  readonly customStatus: unknown
  readonly output: unknown
  /** `yyyy-MM-ddTHH:mm:ssZ`. */
  readonly createdTime: string
  readonly lastUpdatedTime: string
  readonly historyEvents?: readonly Record<string, unknown>[]
}

/** The header that leads from page to page. */
const TOKEN_HEADER = 'x-ms-continuation-token'
const RETRY_AFTER_S = '5'
const TOP_DEFAULT = 100
const TOP_MAX = 1_000
/** By their numbers, as they may be given too. */
const byNumber = [
  'Running',
  'Completed',
  'ContinuedAsNew',
  'Failed',
  'Canceled',
  'Terminated',
  'Pending',
  'Suspended',
]
const known: ReadonlyMap<string, string> = new Map(
  byNumber.flatMap((name, number) => [
    [name.toLowerCase(), name],
    [String(number), name],
  ]),
)

/** `GET instances/{id}` */
export async function getInstance(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const { query, params } = context
  const showHistory = query.boolean('showHistory') ?? false
  const status = await parts.client.getStatus(params['instanceId'] ?? '', {
    pending: true,
    showHistory,
    showHistoryOutput: query.boolean('showHistoryOutput') ?? false,
    showInput: query.boolean('showInput') ?? true,
  })
  if (status === null) return empty(404)
  return statusAnswer(parts, context, status, isErrorOnFailure(query))
}

/** Whether a failed instance is to be answered as an error of the server. */
export function isErrorOnFailure(query: Query): boolean {
  return query.boolean('returnInternalServerErrorOnFailure') ?? false
}

/** The answer that a status is. */
export function statusAnswer(
  parts: ApiParts,
  context: RouteContext,
  status: OrchestrationStatus,
  returnInternalServerErrorOnFailure: boolean,
): Answer {
  const body = statusBody(status, true, context.query.boolean('showHistoryOutput') ?? false)
  if (hasEnded(status)) {
    const isError = returnInternalServerErrorOnFailure && status.runtimeStatus === 'Failed'
    return json(isError ? 500 : 200, body)
  }
  const { url } = context.request
  const location = parts.originOf(context) + url.slice(context.origin.length)
  return json(202, body, { Location: location, 'Retry-After': RETRY_AFTER_S })
}

/** Whether nothing more will happen. */
export function hasEnded({ runtimeStatus }: OrchestrationStatus): boolean {
  return ['Completed', 'Failed', 'Terminated'].includes(runtimeStatus)
}

/** A status as HTTP has it, in the order of the original. */
export function statusBody(
  status: OrchestrationStatus,
  showInput: boolean,
  showHistoryOutput = false,
): StatusBody {
  const { name, instanceId, runtimeStatus, customStatus, output, history } = status
  const body: StatusBody = {
    name,
    instanceId,
    runtimeStatus,
    input: showInput ? status.input : null,
    customStatus,
    output,
    createdTime: seconds(status.createdTime),
    lastUpdatedTime: seconds(status.lastUpdatedTime),
  }
  if (history === undefined || runtimeStatus === 'Pending') return body
  return { ...body, historyEvents: historyEvents(status, showHistoryOutput) }
}

function seconds(time: Date): string {
  return `${time.toISOString().slice(0, -5)}Z`
}

// ------------------------------------------------------------------ many

/** `GET instances` */
export async function listInstances(parts: ApiParts, context: RouteContext): Promise<Answer> {
  const { query, request } = context
  const filter = filterOf(query)
  if (filter === 'none') return json(200, [])
  const showInput = query.boolean('showInput') ?? true
  const { instances, cursor } = await parts.client.list({
    ...filter,
    top: topOf(query),
    cursor: cursorOf(request),
  })
  const bodies = instances.map((status) => statusBody(status, showInput))
  return pageOf(bodies, cursor)
}

/** A page; its header leads to the next one. */
export function pageOf(bodies: readonly unknown[], cursor: string | null): Answer {
  // A cursor may have letters that no header may.
  const token = cursor === null ? undefined : { [TOKEN_HEADER]: encodeURIComponent(cursor) }
  return json(200, bodies, token)
}

/** The page that is asked for; null: the first. */
export function cursorOf({ headers }: Request): string | null {
  return decoded(headers.get(TOKEN_HEADER) ?? '') || null
}

export function topOf(query: Query): number {
  const top = query.integer('top')
  return top === undefined || top < 1 ? TOP_DEFAULT : Math.min(top, TOP_MAX)
}

/** How many there are of each status. */
export async function countInstances(parts: ApiParts, { query }: RouteContext): Promise<Answer> {
  const filter = filterOf(query)
  const names = Object.values(OrchestrationRuntimeStatus)
  const given = filter === 'none' ? [] : (filter.runtimeStatus ?? [])
  const wanted = given.length === 0 ? names : given
  const counts = await Promise.all(
    names.map(async (runtimeStatus): Promise<[string, number]> => {
      if (filter === 'none' || !wanted.includes(runtimeStatus)) return [runtimeStatus, 0]
      return [runtimeStatus, await parts.client.count({ ...filter, runtimeStatus })]
    }),
  )
  return json(200, Object.fromEntries(counts))
}

/** A filter; 'none' if no instance can be of it. */
function filterOf(query: Query): OrchestrationFilter | 'none' {
  // As in the original, names that there are not are no filter.
  const named = query.list('runtimeStatus').map((name) => known.get(name.toLowerCase()))
  const found = named.filter((name) => name !== undefined)
  const statuses = found.filter((name) => name !== 'Canceled') // which no instance ever is
  if (found.length > 0 && statuses.length === 0) return 'none'
  return {
    name: query.text('name'),
    idPrefix: query.text('instanceIdPrefix'),
    runtimeStatus: statuses as OrchestrationRuntimeStatus[],
    createdTimeFrom: query.time('createdTimeFrom'),
    createdTimeTo: query.time('createdTimeTo'),
  }
}

// ------------------------------------------------------------------ purge

/** `DELETE instances/{id}` */
export async function purgeInstance(parts: ApiParts, { params }: RouteContext): Promise<Answer> {
  const instanceId = params['instanceId'] ?? ''
  try {
    const result = await parts.client.purgeInstanceHistory(instanceId)
    // Of entities the original says how many there were, not whether there was one.
    if (result.instancesDeleted === 0 && !instanceId.startsWith('@')) return empty(404)
    return json(200, result)
  } catch (error) {
    if (!(error instanceof InstanceNotEnded || error instanceof EntityInUse)) throw error
    return json(412, error.message)
  }
}

/** `DELETE instances` */
export async function purgeInstances(parts: ApiParts, { query }: RouteContext): Promise<Answer> {
  const filter = filterOf(query)
  if (filter === 'none') return empty(404)
  if (filter.createdTimeFrom === undefined) {
    return json(400, "Please provide value for 'createdTimeFrom' parameter.")
  }
  // In the original a misspelt status is none, and so purges all; here it purges nothing.
  const isMisspelt = query.list('runtimeStatus').some((name) => !known.has(name.toLowerCase()))
  if (isMisspelt) {
    return json(400, `'runtimeStatus' must hold only ${byNumber.join(', ')}.`)
  }
  // Likewise an end that is no time: in the original that is now.
  if (query.text('createdTimeTo') !== undefined && filter.createdTimeTo === undefined) {
    return json(400, "'createdTimeTo' must be a time.")
  }
  const { createdTimeTo = new Date(wallMs()) } = filter
  const result = await parts.client.purgeInstanceHistoryBy({ ...filter, createdTimeTo })
  return result.instancesDeleted === 0 ? empty(404) : json(200, result)
}
