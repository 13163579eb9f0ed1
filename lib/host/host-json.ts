/**
 * `host.json` and `local.settings.json`: what an app says of its host.
 *
 * Owns: the settings that this package reads, and their checks.
 * Must never: refuse a setting that it does not know; there are many of Azure's.
 * Proved by: `__test__/host.spec.mjs`, `__test__/host-settings.spec.mjs`.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { CLIENT_SEMANTICS, type ClientSemantics } from '../azure/client-semantics.js'
import { type HttpOptions, httpSettings } from '../call-http/settings.js'
import { FAILURE_STRATEGIES, MATCH_STRATEGIES } from '../hub.js'
import { withSettings } from './app-settings.js'
import { firstLine, isObject, refused } from './binding.js'
import { readObject } from './function-json.js'

/** What `host.json` says, as far as it matters here; undefined where it says nothing. */
export interface HostSettings {
  /** What the routes of http functions begin with. */
  readonly routePrefix: string
  /** How long a call may take; undefined: no bound. */
  readonly functionTimeoutMs: number | undefined
  /** The largest body of a request to an http function. */
  readonly bodyBytesMax: number
  readonly hubName: string | undefined
  readonly maxConcurrentActivities: number | undefined
  readonly unmatchedEvents: 'discard' | 'buffer' | undefined
  readonly clientSemantics: ClientSemantics | undefined
  readonly defaultVersion: string | undefined
  readonly versionMatchStrategy: MatchStrategy | undefined
  readonly versionFailureStrategy: FailureStrategy | undefined
  /** How orchestrators call services by `callHttp`. */
  readonly http: HttpOptions | undefined
  /** What is said of durable tasks, for the parts that read more of it. */
  readonly durableTask: Readonly<Record<string, unknown>>
}

type MatchStrategy = (typeof MATCH_STRATEGIES)[number]
type FailureStrategy = (typeof FAILURE_STRATEGIES)[number]
type Json = Record<string, unknown>

const ROUTE_PREFIX_DEFAULT = 'api'
const BODY_BYTES_MAX_DEFAULT = 64 * 1024 * 1024
/** More than this no text of a batch holds. */
const BODY_BYTES_LIMIT = 256 * 1024 * 1024
const TIME = /^(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})$/

/**
 * Reads `host.json` of an app; without one all has its default.
 *
 * @throws InvalidFunction
 */
export function readHostSettings(directory: string): HostSettings {
  const file = join(directory, 'host.json')
  const host = existsSync(file) ? readObject(file) : {}
  const extensions = isObject(host['extensions']) ? host['extensions'] : {}
  const nested = extensions['durableTask'] ?? host['durableTask']
  const durableTask = isObject(nested) ? nested : {}
  // Before version 2 both stand at the top.
  const http = [extensions['http'], host['http']].find(isObject) ?? {}
  return {
    routePrefix: text(http, 'routePrefix', 'http', file) ?? ROUTE_PREFIX_DEFAULT,
    bodyBytesMax:
      integer(http, 'maxRequestBodyBytes', 'http', file, BODY_BYTES_LIMIT) ??
      BODY_BYTES_MAX_DEFAULT,
    functionTimeoutMs: timeoutOf(host['functionTimeout'], file),
    hubName: hubNameOf(durableTask, file),
    maxConcurrentActivities: integer(
      durableTask,
      'maxConcurrentActivityFunctions',
      'durableTask',
      file,
      1_000_000,
    ),
    unmatchedEvents: unmatchedEventsOf(durableTask, file),
    clientSemantics: oneOf(durableTask, 'clientSemantics', CLIENT_SEMANTICS, file),
    defaultVersion: text(durableTask, 'defaultVersion', 'durableTask', file),
    versionMatchStrategy: oneOf(durableTask, 'versionMatchStrategy', MATCH_STRATEGIES, file),
    versionFailureStrategy: oneOf(durableTask, 'versionFailureStrategy', FAILURE_STRATEGIES, file),
    http: httpOptionsOf(durableTask, file),
    durableTask,
  }
}

/** `hubName`, and before version 2 `HubName`; `%NAME%` is a setting. */
function hubNameOf(durableTask: Json, file: string): string | undefined {
  const key = durableTask['hubName'] === undefined ? 'HubName' : 'hubName'
  const given = text(durableTask, key, 'durableTask', file)
  if (given === undefined) return undefined
  return withSettings(given, (name) =>
    refused(file, `durableTask.${key}`, `names the setting '${name}', which is not set`),
  )
}

function unmatchedEventsOf(durableTask: Json, file: string): HostSettings['unmatchedEvents'] {
  const { unmatchedEvents } = durableTask
  if (unmatchedEvents === undefined) return undefined
  if (unmatchedEvents === 'discard' || unmatchedEvents === 'buffer') return unmatchedEvents
  throw refused(file, 'durableTask.unmatchedEvents', "must be 'discard' or 'buffer'")
}

/** `httpSettings`: the original's name for the time between polls, and what `options.http` of a hub has. */
function httpOptionsOf(durableTask: Json, file: string): HttpOptions | undefined {
  const given = durableTask['httpSettings'] ?? undefined
  if (given === undefined) return undefined
  const where = 'durableTask.httpSettings'
  if (!isObject(given)) throw refused(file, where, 'must be an object')
  const { defaultAsyncRequestSleepTimeMilliseconds, allowPrivateAddresses, timeoutMs } = given
  const options = {
    allowPrivateAddresses: allowPrivateAddresses ?? undefined,
    pollingIntervalMs: defaultAsyncRequestSleepTimeMilliseconds ?? undefined,
    timeoutMs: timeoutMs ?? undefined,
  }
  try {
    return httpSettings(options, where)
  } catch (error) {
    throw refused(file, where, `is wrong: ${firstLine(error)}`, error)
  }
}

/** `hh:mm:ss` or `d.hh:mm:ss`; '-1' is no bound. */
function timeoutOf(value: unknown, file: string): number | undefined {
  if (value === undefined || value === null || value === '-1' || value === -1) return undefined
  const parts = typeof value === 'string' ? TIME.exec(value) : null
  if (parts === null) {
    throw refused(file, 'functionTimeout', "must be a time, such as '00:05:00', or '-1' for none")
  }
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.slice(1).map((part) => {
    return Number(part ?? 0)
  })
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000
}

function text(json: Json, key: string, where: string, file: string): string | undefined {
  const value = json[key] ?? undefined
  if (value === undefined || typeof value === 'string') return value
  throw refused(file, `${where}.${key}`, 'must be a string')
}

/** One of some names of `durableTask`, without regard to case, as in the original. */
function oneOf<T extends string>(
  json: Json,
  key: string,
  names: readonly T[],
  file: string,
): T | undefined {
  const value = text(json, key, 'durableTask', file)?.toLowerCase()
  if (value === undefined) return undefined
  const name = names.find((each) => each.toLowerCase() === value)
  if (name !== undefined) return name
  throw refused(file, `durableTask.${key}`, `must be one of ${names.join(', ')}`)
}

function integer(
  json: Json,
  key: string,
  where: string,
  file: string,
  max: number,
): number | undefined {
  const value = json[key] ?? undefined
  if (value === undefined) return undefined
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max) {
    return value as number
  }
  throw refused(file, `${where}.${key}`, `must be a whole number from 1 to ${max}`)
}

/** What `local.settings.json` says of the host. */
export interface LocalSettings {
  /** `Host.CORS`. */
  readonly allowedOrigins: readonly string[] | undefined
}

/**
 * Puts `Values` of `local.settings.json` into the environment, where it does not have them already; gives
 * the rest.
 *
 * @throws InvalidFunction
 */
export function applyLocalSettings(directory: string): LocalSettings {
  const file = join(directory, 'local.settings.json')
  const json = existsSync(file) ? readObject(file) : {}
  if (json['IsEncrypted'] === true) {
    throw refused(file, 'IsEncrypted', 'is true; decrypt it first (func settings decrypt)')
  }
  const values = json['Values'] ?? {}
  if (!isObject(values)) throw refused(file, 'Values', 'must be an object')
  for (const [name, value] of Object.entries(values)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      throw refused(file, `Values.${name}`, 'must be a string')
    }
    process.env[name] ??= String(value)
  }
  const host = isObject(json['Host']) ? json['Host'] : {}
  const origins = text(host, 'CORS', 'Host', file)?.split(',')
  return { allowedOrigins: origins?.map((origin) => origin.trim()).filter(Boolean) }
}
