/**
 * What a function app answers over HTTP.
 *
 * Owns: the paths of the host itself, and which of the rest goes where.
 * Must never: listen.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

import { Hono } from 'hono'
import { messageOf } from '../failure.js'
import type { Keys } from '../http/keys.js'
import type { Log } from '../log.js'
import { howToRun } from './binding.js'
import { problem, readBody, tooLong } from './body.js'
import {
  callHttpFunction,
  findHttp,
  type HttpFunction,
  type HttpMatch,
  logFailure,
} from './http-functions.js'
import type { Invocable } from './invocation.js'
import { callStreaming } from './streaming.js'
import { timerInput } from './timers.js'

/** What the paths of an app need. */
export interface WebParts {
  readonly invocables: readonly Invocable[]
  readonly http: readonly HttpFunction[]
  readonly keys: Keys
  readonly bodyBytesMax: number
  /** Where `@azure/functions` 4 wants requests, if the app streams. */
  readonly streamTo: string | undefined
  readonly log: Log
}

/** The paths of an app that has started. */
export function makeWeb(parts: WebParts): Hono {
  const web = new Hono({ strict: false })
  web.get('/admin/host/status', () => Response.json({ state: 'Running' }))
  web.use('/admin/*', async (context, next) => {
    if (!parts.keys.allows(context.req.raw, 'admin')) return unauthorized()
    return next()
  })
  web.get('/admin/functions', () => Response.json(parts.invocables.map(describe)))
  web.get('/admin/functions/:name', ({ req }) => {
    const func = findByName(parts, req.param('name'))
    return func === undefined
      ? problem(404, noSuch(req.param('name')))
      : Response.json(describe(func))
  })
  web.post('/admin/functions/:name', ({ req }) => runByName(parts, req.param('name'), req.raw))
  web.all('/admin/*', ({ req }) => problem(404, `The host has no path ${req.path}.`))
  web.all('*', ({ req }) => toFunction(parts, req.raw))
  web.onError((error) => {
    parts.log.engine('error', `A request failed: ${error.stack ?? messageOf(error)}`)
    return new Response(null, { status: 500 })
  })
  return web
}

function unauthorized(): Response {
  return problem(401, 'A key is needed: as ?code=KEY, or in the header x-functions-key.')
}

// ------------------------------------------------------------------ http functions

async function toFunction(parts: WebParts, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  const match = findHttp(parts.http, request.method, pathname)
  if (match === undefined) return new Response(null, { status: 404 })
  const { authLevel } = match
  if (authLevel !== 'anonymous' && !parts.keys.allows(request, authLevel)) return unauthorized()
  return callMatch(parts, match, request)
}

async function callMatch(parts: WebParts, match: HttpMatch, request: Request): Promise<Response> {
  const { streamTo, bodyBytesMax, log } = parts
  if (streamTo !== undefined && match.func.model === 'v4') {
    return callStreaming(match, request, streamTo, log)
  }
  const body = await readBody(request, bodyBytesMax)
  return body === null ? tooLong(bodyBytesMax) : callHttpFunction(match, request, body, log)
}

// ------------------------------------------------------------------ functions by name

/** Runs a function that nothing else would run now: a manual one, or a timer's. */
async function runByName(parts: WebParts, name: string, request: Request): Promise<Response> {
  const func = findByName(parts, name)
  if (func === undefined) return problem(404, noSuch(name))
  if (func.kind !== 'manual' && func.kind !== 'timer') {
    return problem(400, `Function '${func.name}' is of kind ${func.kind}. ${howToRun[func.kind]}.`)
  }
  const body = await readBody(request, parts.bodyBytesMax)
  if (body === null) return tooLong(parts.bodyBytesMax)
  const input = inputOf(body)
  if (input instanceof Response) return input
  const value = func.kind === 'timer' ? timerInput(undefined, false) : input.value
  // As in the original, the caller does not wait for it.
  func.invoke({ trigger: { value } }).catch((error) => logFailure(func.name, error, parts.log))
  return new Response(null, { status: 202 })
}

/** `{ "input": … }`, whose text is JSON if it can be read as such. */
function inputOf(body: Buffer): { value: unknown } | Response {
  if (body.length === 0) return { value: undefined }
  let json: unknown
  try {
    json = JSON.parse(body.toString('utf8'))
  } catch (error) {
    return problem(400, `The body must be JSON, such as {"input":"text"}: ${messageOf(error)}`)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    return problem(400, 'The body must be an object: {"input":"text"}.')
  }
  const { input } = json as { input?: unknown }
  if (typeof input !== 'string') return { value: input }
  try {
    return { value: JSON.parse(input) }
  } catch {
    return { value: input }
  }
}

function findByName({ invocables }: WebParts, name: string): Invocable | undefined {
  return invocables.find((func) => func.name.toLowerCase() === name.toLowerCase())
}

function noSuch(name: string): string {
  return `There is no function named '${name}'.`
}

function describe({ name, kind, model, file, bindings }: Invocable): Record<string, unknown> {
  const all = bindings.map(({ settings, ...binding }) => ({ ...settings, ...binding }))
  return { name, kind, model, file, config: { bindings: all } }
}
