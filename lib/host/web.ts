/**
 * What a function app answers over HTTP, beside the management API.
 *
 * Owns: the routes of the host itself, and those of the app's http functions.
 * Must never: listen, or let anybody in; the table of routes says who is.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

import { messageOf } from '../failure.js'
import { type Answer, empty, json, problem } from '../http/answers.js'
import type { Access, Route, RouteContext } from '../http/router.js'
import { parseJson } from '../json.js'
import type { Log } from '../log.js'
import { howToRun } from './binding.js'
import { callHttpFunction, type HttpFunction, logFailure } from './http-functions.js'
import type { Invocable } from './invocation.js'
import { callStreaming } from './streaming.js'
import { timerInput } from './timers.js'

/** What the routes of an app need. */
export interface WebParts {
  readonly invocables: readonly Invocable[]
  readonly http: readonly HttpFunction[]
  /** Where `@azure/functions` 4 wants requests, if the app streams. */
  readonly streamTo: string | undefined
  readonly log: Log
}

/** The routes of an app that has started. */
export function hostRoutes(parts: WebParts): Route[] {
  const named = '/admin/functions/:name'
  return [
    route('GET', '/admin/host/status', 'open', () => json(200, { state: 'Running' })),
    route('GET', '/admin/functions', 'admin', () => json(200, parts.invocables.map(describe))),
    route('GET', named, 'admin', ({ params }) => {
      const func = findByName(parts, params['name'])
      return func === undefined ? noSuch(params['name']) : json(200, describe(func))
    }),
    route('POST', named, 'admin', (context) => runByName(parts, context)),
    { ...route('ALL', '/admin/*', 'admin', () => empty(404)), body: 'any' },
    ...parts.http.flatMap((each) => functionRoutes(parts, each)),
  ]
}

function route(method: string, path: string, access: Access, handle: Route['handle']): Route {
  return { method, path, access, handle }
}

// ------------------------------------------------------------------ http functions

function functionRoutes(parts: WebParts, func: HttpFunction): Route[] {
  const methods = func.methods.length === 0 ? ['ALL'] : func.methods
  return methods.map((method) => ({
    method,
    path: `/${func.route.template}`,
    access: func.authLevel === 'anonymous' ? 'open' : func.authLevel,
    body: 'any',
    match: (path) => func.route.match(path),
    handle: (context) => callFunction(parts, func.func, context),
  }))
}

async function callFunction(
  { streamTo, log }: WebParts,
  func: Invocable,
  { request, params, bytes }: RouteContext,
): Promise<Answer | Response> {
  if (streamTo !== undefined && func.model === 'v4') {
    return callStreaming(func, params, request, streamTo, log)
  }
  return callHttpFunction(func, params, request, await bytes(), log)
}

// ------------------------------------------------------------------ functions by name

/** Runs a function that nothing else would run now: a manual one, or a timer's. */
async function runByName(parts: WebParts, { params, text }: RouteContext): Promise<Answer> {
  const func = findByName(parts, params['name'])
  if (func === undefined) return noSuch(params['name'])
  const { name, kind } = func
  if (kind !== 'manual' && kind !== 'timer') {
    return problem(400, `Function '${name}' is of kind ${kind}. ${howToRun[kind]}.`)
  }
  const input = inputOf(await text())
  if ('refusal' in input) return problem(400, input.refusal)
  const value = kind === 'timer' ? timerInput(undefined, false) : input.value
  // As in the original, the caller does not wait for it.
  func.invoke({ trigger: { value } }).catch((error) => logFailure(name, error, parts.log))
  return empty(202)
}

/** `{ "input": … }`, whose text is JSON if it can be read as such. */
function inputOf(body: string): { value: unknown } | { refusal: string } {
  if (body === '') return { value: undefined }
  let given: unknown
  try {
    given = parseJson(body, 'body')
  } catch (error) {
    return { refusal: `The body must be JSON, such as {"input":"text"}: ${messageOf(error)}` }
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return { refusal: 'The body must be an object: {"input":"text"}.' }
  }
  const { input } = given as { input?: unknown }
  if (typeof input !== 'string') return { value: input }
  try {
    return { value: parseJson(input, 'input') }
  } catch {
    return { value: input }
  }
}

function findByName({ invocables }: WebParts, name = ''): Invocable | undefined {
  return invocables.find((func) => func.name.toLowerCase() === name.toLowerCase())
}

function noSuch(name = ''): Answer {
  return problem(404, `There is no function named '${name}'.`)
}

function describe({ name, kind, model, file, bindings }: Invocable): Record<string, unknown> {
  const all = bindings.map(({ settings, ...binding }) => ({ ...settings, ...binding }))
  return { name, kind, model, file, config: { bindings: all } }
}
