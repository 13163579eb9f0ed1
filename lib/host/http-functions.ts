/**
 * The http functions of an app: requests in, responses out.
 *
 * Owns: their routes, and what of a request each model sees.
 * Must never: listen, or know a key.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

import { messageOf } from '../failure.js'
import type { Answer } from '../http/answers.js'
import type { Log } from '../log.js'
import { type Binding, RETURN, refused } from './binding.js'
import type { HttpInput } from './http-input.js'
import { answerOf } from './http-output.js'
import type { Invocable, Outcome } from './invocation.js'
import { compareRoutes, parseRoute, type Route } from './route.js'

/** Who may call a function: all, who has a key, who has the master key. */
export type AuthLevel = 'anonymous' | 'function' | 'admin'

/** An http function at its route. */
export interface HttpFunction {
  readonly func: Invocable
  readonly route: Route
  /** In upper case; empty: all. */
  readonly methods: readonly string[]
  readonly authLevel: AuthLevel
}

const LEVELS: readonly string[] = ['anonymous', 'function', 'admin']
/** What an app may not take for itself. */
const RESERVED = /^(admin|runtime)(\/|$)/i

/** Http functions in the order in which their routes are tried. */
export function inOrder(functions: readonly HttpFunction[]): HttpFunction[] {
  return [...functions].sort((one, other) => compareRoutes(one.route, other.route))
}

/**
 * An http function with what its trigger says.
 *
 * @throws InvalidFunction
 */
export function httpFunction(func: Invocable, prefix: string): HttpFunction {
  const { name, file, trigger } = func
  const { route: given, methods, authLevel } = trigger.settings
  const where = func.model === 'v4' ? `${file}: function '${name}'` : file
  if (given !== undefined && given !== null && typeof given !== 'string') {
    throw refused(where, 'route', 'must be a string')
  }
  const route = parseRoute(prefix, typeof given === 'string' ? given : name, where)
  if (RESERVED.test(route.template)) {
    throw refused(where, 'route', `is '${route.template}', and what begins so is the host's own`)
  }
  return { func, route, methods: methodsOf(methods, where), authLevel: levelOf(authLevel, where) }
}

function methodsOf(value: unknown, where: string): string[] {
  if (value === undefined || value === null) return []
  const isFine = Array.isArray(value) && value.every((method) => typeof method === 'string')
  if (!isFine) throw refused(where, 'methods', "must be an array of methods, such as ['get']")
  return value.map((method: string) => method.toUpperCase())
}

function levelOf(value: unknown, where: string): AuthLevel {
  const level = String(value ?? 'function').toLowerCase()
  if (LEVELS.includes(level)) return level as AuthLevel
  throw refused(where, 'authLevel', "must be 'anonymous', 'function' or 'admin'")
}

/** Calls an http function; one that fails gives 500, and the log says why. */
export async function callHttpFunction(
  func: Invocable,
  params: Readonly<Record<string, string>>,
  request: Request,
  body: Buffer,
  log: Log,
): Promise<Answer | Response> {
  const http = inputOf(request, params, body)
  try {
    const outcome = await func.invoke({ trigger: { http } })
    return answerOf(outputOf(func, outcome), func.model === 'v4')
  } catch (error) {
    logFailure(func.name, error, log)
    return { status: 500 }
  }
}

/** Says in the log why a call failed whose caller is not told. */
export function logFailure(name: string, error: unknown, log: Log): void {
  const stack = (error as { stack?: unknown } | null)?.stack
  const text = typeof stack === 'string' ? stack : messageOf(error)
  log.engine('error', `Function '${name}' failed:`, text)
}

/** A request as triggers see it. */
export function inputOf(
  request: Request,
  params: Readonly<Record<string, string>>,
  body: Buffer,
): HttpInput {
  const query = queryOf(request.url)
  return {
    method: request.method,
    url: request.url,
    headers: Object.fromEntries(request.headers),
    query,
    params: { ...query, ...params },
    body,
  }
}

function queryOf(url: string): Record<string, string> {
  const query = new Map<string, string>()
  if (url.includes('?')) {
    for (const [name, value] of new URL(url).searchParams) {
      const before = query.get(name)
      query.set(name, before === undefined ? value : `${before},${value}`)
    }
  }
  return Object.fromEntries(query)
}

/** What a function gives as its response; undefined if it has no output for one. */
function outputOf({ bindings }: Invocable, { outputs }: Outcome): unknown {
  const binding = bindings.find(isHttpOutput)
  return binding === undefined ? undefined : outputs[binding.name]
}

function isHttpOutput({ type, name, direction }: Binding): boolean {
  return type === 'http' || (name === RETURN && direction === 'out')
}
