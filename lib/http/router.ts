/**
 * The one table of routes, and the guard before each of them.
 *
 * Owns: who may reach what: a route that is not in the table is not there, and one that does not say
 * that it is open needs a key. Hosts and origins are checked here, for all routes alike.
 * Must never: know what a route does.
 * Proved by: `__test__/http-security.spec.mjs`, which is made from the table.
 */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { type Answer, answerOf, empty, problem, responseOf } from './answers.js'
import { BodyTooLarge, isJson, readBytes, textOf } from './body.js'
import { corsHeaders, preflight } from './cors.js'
import type { KeyLevel, Keys } from './keys.js'
import { type OriginRules, refusalOfOrigin } from './origins.js'
import { decoded, Query } from './query.js'

/** Who may use a route: all, or who has a key of this level. */
export type Access = 'open' | KeyLevel

/** What bodies a route takes: JSON, or any. */
export type BodyKind = 'json' | 'any'

/** A request, as handlers see it. */
export interface RouteContext {
  readonly request: Request
  /** Decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
  /** Where the routes of the table are: `http://host:port`. */
  readonly origin: string
  /**
   * The body as text, once.
   *
   * @throws BodyTooLarge
   */
  text(): Promise<string>
  /**
   * The same as it was sent.
   *
   * @throws BodyTooLarge
   */
  bytes(): Promise<Buffer>
}

/** One route. */
export interface Route {
  /** `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`; `ALL` for any. */
  readonly method: string
  /**
   * A pattern of hono's, such as `/admin/functions/:name`; its letters match without regard to case.
   * With `match` only the name of the route.
   */
  readonly path: string
  readonly access: Access
  /** For a route that no pattern describes: the decoded parameters, or null if the path is not of it. */
  match?(path: string): Record<string, string> | null
  /** A path of this route, for tests of it. Default: `path` with each parameter replaced by `x`. */
  readonly example?: string
  /** Default 'json': another content type is refused, if there is a body. */
  readonly body?: BodyKind
  /** Another way in than a key, asked only when there is none. */
  admits?(context: RouteContext): boolean
  handle(context: RouteContext): Answer | Response | Promise<Answer | Response>
}

/** How a table is guarded. */
export interface RouterOptions {
  /** Null: no key is asked for. */
  readonly keys: Keys | null
  readonly origins: OriginRules
  readonly bodyBytesMax: number
  /** Told of each error that became a 5xx. */
  onError(error: unknown, route: Route): void
}

/** What `@hono/node-server` gives beside a request. */
interface NodeEnv {
  readonly incoming?: IncomingMessage
  readonly outgoing?: ServerResponse
}

const NOT_FOUND = empty(404)
const NO_KEY = problem(
  401,
  'A key is needed: as ?code=KEY in the URL, or in the header x-functions-key.',
)
const NOT_JSON = problem(400, 'Only application/json request content is supported')

/** A table of routes that answers requests. */
export class Router {
  readonly #hono: Hono<{ Bindings: NodeEnv }>
  readonly #options: RouterOptions
  readonly #routes: Route[] = []
  readonly #matched: Route[] = []

  /** @internal */
  constructor(options: RouterOptions) {
    this.#options = options
    this.#hono = new Hono({ getPath: ({ url }) => pathOf(url).toLowerCase() })
    this.#hono.notFound((context) => this.#byMatch(context))
    this.#hono.onError((error) => this.#respond(answerOf(error), undefined))
  }

  /** All routes, in the order in which they were added. */
  get routes(): readonly Route[] {
    return this.#routes
  }

  /** Adds routes; of two that match the one added first answers. */
  add(...routes: readonly Route[]): void {
    for (const route of routes) {
      this.#routes.push(route)
      if (route.match !== undefined) this.#matched.push(route)
      else this.#addPattern(route)
    }
  }

  #addPattern(route: Route): void {
    const segments = route.path.split('/')
    const handler = (context: Context): Promise<Response> =>
      this.#run(route, context, paramsOf(segments, context.req.raw.url))
    // Parameters are taken from the path as it is spelt, so that here case need not count.
    const path = segments
      .map((part) => (part.startsWith(':') ? part : part.toLowerCase()))
      .join('/')
    if (route.method === 'ALL') this.#hono.all(path, handler)
    else this.#hono.on(route.method, path, handler)
  }

  /**
   * Answers a request.
   *
   * @param env what `@hono/node-server` gives beside it, if it comes from there
   */
  readonly fetch = async (request: Request, env: object = {}): Promise<Response> => {
    const answer = preflight(request, this.#options.origins)
    if (answer !== undefined) return this.#respond(answer, env)
    return await this.#hono.fetch(request, env)
  }

  /** The routes that no pattern describes come after all others. */
  async #byMatch(context: Context): Promise<Response> {
    const path = pathOf(context.req.raw.url)
    const method = context.req.method
    for (const route of this.#matched) {
      if (route.method !== 'ALL' && route.method !== method) continue
      const params = route.match?.(path) ?? null
      if (params !== null) return await this.#run(route, context, params)
    }
    return this.#respond(NOT_FOUND, context.env)
  }

  async #run(route: Route, context: Context, params: Record<string, string>): Promise<Response> {
    const { raw } = context.req
    const origin = raw.url.slice(0, raw.url.indexOf('/', raw.url.indexOf('//') + 2))
    const bytes = (): Promise<Buffer> =>
      readBytes(raw, context.env?.incoming, this.#options.bodyBytesMax)
    const given: RouteContext = {
      request: raw,
      params,
      query: new Query(raw.url),
      origin,
      text: async () => textOf(await bytes()),
      bytes,
    }
    let answer: Answer | Response
    try {
      answer = this.#refusal(route, given) ?? (await route.handle(given))
    } catch (error) {
      answer = error instanceof BodyTooLarge ? problem(413, error.message) : answerOf(error)
      if (answer.status >= 500) this.#options.onError(error, route)
    }
    const cors = corsHeaders(raw, this.#options.origins)
    if (answer instanceof Response) return cors === undefined ? answer : withHeaders(answer, cors)
    const all = cors === undefined ? answer : { ...answer, headers: { ...answer.headers, ...cors } }
    return this.#respond(all, context.env)
  }

  /** Why a request may not go on; undefined if it may. */
  #refusal(route: Route, context: RouteContext): Answer | undefined {
    const { keys, origins, bodyBytesMax } = this.#options
    const { request, query } = context
    const why = refusalOfOrigin(request, origins, route.access !== 'open')
    if (why !== undefined) return problem(403, why)
    if (route.access !== 'open' && keys !== null) {
      const isAdmitted =
        keys.allows(request, route.access, query) || route.admits?.(context) === true
      if (!isAdmitted) return NO_KEY
    }
    const { headers } = request
    const length = headers.get('content-length')
    if (length !== null && Number(length) > bodyBytesMax) {
      return problem(413, new BodyTooLarge(bodyBytesMax).message)
    }
    const hasBody = (length !== null && length !== '0') || headers.get('transfer-encoding') !== null
    if (hasBody && route.body !== 'any' && !isJson(headers.get('content-type'))) return NOT_JSON
    return undefined
  }

  /** To a server's own response directly, which spares the making of a `Response`. */
  #respond(answer: Answer, env: NodeEnv | undefined): Response {
    const outgoing = env?.outgoing
    if (outgoing === undefined) return responseOf(answer)
    outgoing.writeHead(answer.status, lengthened(answer))
    outgoing.end(answer.body)
    return RESPONSE_ALREADY_SENT
  }
}

/** As a new one, since the headers of some cannot be changed. */
function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  const { body, status } = response
  const all = new Headers(response.headers)
  for (const [name, value] of Object.entries(headers)) all.set(name, value)
  return new Response(body, { status, headers: all })
}

function lengthened({ status, headers, body }: Answer): OutgoingHttpHeaders {
  const all = { ...headers } as OutgoingHttpHeaders
  if (body !== undefined) all['Content-Length'] = Buffer.byteLength(body)
  else if (status !== 204 && status !== 304) all['Content-Length'] = 0
  return all
}

// ------------------------------------------------------------------ paths

/** The path of an absolute URL as it is spelt, without slashes at its end. */
function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('//') + 2)
  if (start < 0) return '/'
  let end = start
  while (end < url.length && url[end] !== '?' && url[end] !== '#') end += 1
  while (end > start + 1 && url[end - 1] === '/') end -= 1
  return url.slice(start, end)
}

/** The parameters of a pattern, each decoded once; one that is no encoding stands for itself. */
function paramsOf(segments: readonly string[], url: string): Record<string, string> {
  const params: Record<string, string> = {}
  const parts = pathOf(url).split('/')
  for (const [index, segment] of segments.entries()) {
    if (segment.startsWith(':')) params[segment.slice(1)] = decoded(parts[index] ?? '')
  }
  return params
}
