/**
 * The management API as a handler of requests.
 *
 * Owns: its table of routes, once with keys and once without for the original packages, and its options.
 * Must never: listen.
 * Proved by: `__test__/http.spec.mjs`, `__test__/http-security.spec.mjs`, `__test__/http-mounts.spec.mjs`.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { invalid, optionalInteger, optionalString, optionsOf } from '../check.js'
import { DurableClient } from '../client.js'
import { InvalidOption } from '../errors.js'
import { messageOf } from '../failure.js'
import { type Answer, empty, json } from './answers.js'
import type { HttpManagementPayload } from './binding.js'
import { BASE_PATH, type ClientBinding, clientBinding, managementPayload } from './binding.js'
import { streamChanges } from './changes.js'
import { deleteEntity, getEntity, listEntities, signalEntity } from './entities.js'
import {
  countInstances,
  getInstance,
  listInstances,
  purgeInstance,
  purgeInstances,
} from './instances.js'
import { Keys, type KeyTexts } from './keys.js'
import { type LinkOptions, makeLinks, type SignedLinks, signedLinks } from './link-routes.js'
import { type LinkScope, LinkSigner } from './links.js'
import { openApiDocument } from './openapi.js'
import {
  raiseEvent,
  restart,
  resume,
  rewind,
  startInstance,
  suspend,
  terminate,
} from './operations.js'
import { loopbackNames, type OriginRules } from './origins.js'
import { ApiParts } from './parts.js'
import { rememberWebhooks } from './responses.js'
import { type Access, type BodyKind, type Route, type RouteContext, Router } from './router.js'
import { waitForInstance } from './waiting.js'

/** A client, as `hub.client` and `df.connect` give it; made of what types of both packages have in common. */
export interface ClientLike {
  readonly taskHubName: string
  startNew(...args: never[]): Promise<string>
}

/** A hub, or a client of one. */
export type HubOrClient = ClientLike | { readonly client: ClientLike }

/** How the management API is guarded, and what it takes. */
export interface HttpApiOptions {
  /**
   * Keys of your own (16 characters or more; those left out are made), or `false` to ask for none.
   * Default: those of `keyFile`.
   */
  keys?: KeyTexts | Keys | false | undefined
  /**
   * The file with the keys: JSON that only its owner may read, made at first use. Default: beside the
   * store, `hub.db-keys.json` for `hub.db`; of a hub in a database `.durafn/HUBNAME-keys.json`; of one in
   * memory the keys are made anew each time.
   */
  keyFile?: string | undefined
  /**
   * Names beside `localhost`, `127.0.0.1` and `[::1]` that the server is known by, without ports; '*'
   * lets all pass. A request for another name is refused, as pages of other sites may have had their
   * name point here.
   */
  allowedHosts?: readonly string[] | undefined
  /**
   * Origins of pages that may call and read the answers, such as `https://shop.example`; '*': any.
   * Default: only the server's own.
   */
  allowedOrigins?: readonly string[] | undefined
  /** The longest body that is taken, in bytes. Default 16 MiB. */
  bodyBytesMax?: number | undefined
  /**
   * Where callers reach this server, such as `https://api.example`, if that is not what their requests
   * say: for URLs in answers.
   */
  publicUrl?: string | undefined
  /** The path below which its routes lie, as callers send it. Default `/runtime/webhooks/durabletask`. */
  basePath?: string | undefined
}

/** The management API, ready to be mounted. */
export interface HttpApi {
  /** Answers a request below `basePath`, or of a route that was added. */
  fetch(request: Request): Promise<Response>
  /** The same for `node:http`, Express and Fastify. */
  listener(incoming: IncomingMessage, outgoing: ServerResponse): void
  /** The table of routes; what is added to it is guarded in the same way. */
  readonly router: Router
  /** The keys that are asked for; null: none. */
  readonly keys: Keys | null
  /** The URLs of an instance, for callers that reach the API at `origin`. */
  managementPayload(origin: string, instanceId: string): HttpManagementPayload
  /**
   * Links to an instance for whoever is to have no key: each lets do one thing, until a time.
   *
   * @throws InvalidOption, also with `keys: false`
   *
   * @example
   * ```ts
   * const { sendEventPostUri } = api.signedLinks(server.url, id, { scopes: ['raise'] })
   * ```
   */
  signedLinks(origin: string, instanceId: string, options?: LinkOptions): SignedLinks
  /** Answers those who wait for an instance, as if their time were over: before a server is closed. */
  close(): void
  /** What functions get as their client binding. */
  clientBinding(origin: string, rpcBaseUrl: string): ClientBinding
}

const OPTIONS = [
  'keys',
  'keyFile',
  'allowedHosts',
  'allowedOrigins',
  'bodyBytesMax',
  'publicUrl',
  'basePath',
] as const
const BODY_BYTES_DEFAULT = 16 * 1024 * 1024
/** More than this no single text holds for sure. */
const BODY_BYTES_MAX = 512 * 1024 * 1024

/**
 * Makes the management API of a hub.
 *
 * @throws InvalidOption, StoreUnavailable for a key file that cannot be used
 *
 * @example
 * ```ts
 * const api = createHttpApi(hub)
 * app.all('/runtime/webhooks/durabletask/*', (context) => api.fetch(context.req.raw)) // hono
 * ```
 */
export function createHttpApi(hubOrClient: HubOrClient, options?: HttpApiOptions): HttpApi {
  const client = clientOf(hubOrClient)
  const settings = apiSettings(options, client)
  const { keys } = settings
  const code = keys?.system ?? null
  const signer = code === null ? null : new LinkSigner(code)
  const { publicUrl, basePath } = settings
  const parts = new ApiParts(client, code, signer, { publicUrl, basePath })
  const router = new Router(settings)
  router.add(...managementRoutes(basePath, 'system', parts))
  rememberWebhooks(client, { publicUrl, basePath, code })
  const { taskHubName } = client
  return {
    fetch: router.fetch,
    listener: listenerOf(router),
    router,
    keys,
    managementPayload: (origin, instanceId) =>
      managementPayload({ baseUrl: origin + basePath, taskHubName, code }, instanceId),
    signedLinks: (origin, instanceId, links) => {
      if (signer !== null) return signedLinks(signer, origin + basePath, instanceId, links)
      throw new InvalidOption('Links are signed by the system key: leave out options.keys.', {
        field: 'options.keys',
      })
    },
    close: () => parts.close(),
    clientBinding: (origin, rpcBaseUrl) =>
      clientBinding({ baseUrl: origin + basePath, taskHubName, code }, rpcBaseUrl),
  }
}

/**
 * The same routes without a key, for the original packages, which send none. They are to be reached
 * on this machine only, below a path that nobody can guess.
 *
 * @param path where they lie, such as `/3f9c…/durabletask`
 * @param payloads made from these keys and this origin are what callers get
 */
export function rpcRouter(
  hubOrClient: HubOrClient,
  path: string,
  { code, publicUrl, basePath = BASE_PATH, bodyBytesMax }: RpcOptions,
): Router {
  const origins = { hosts: new Set(loopbackNames), origins: new Set<string>() }
  const router = new Router({
    keys: null,
    origins,
    bodyBytesMax: bodyBytesMax ?? BODY_BYTES_DEFAULT,
    onError: () => {},
  })
  const parts = new ApiParts(clientOf(hubOrClient), code, null, { publicUrl, basePath })
  router.add(...managementRoutes(path.replace(/\/$/, ''), 'system', parts))
  return router
}

/** What the routes without a key need to know of those with one. */
export interface RpcOptions {
  /** The system key, for URLs in answers; null if none is asked for. */
  code: string | null
  /** Where the management API is reached. */
  publicUrl?: string | undefined
  /** Its path. Default `/runtime/webhooks/durabletask`. */
  basePath?: string | undefined
  bodyBytesMax?: number | undefined
}

/** A router for `node:http`, and whatever stands on it. */
export function listenerOf(
  router: Router,
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  const listener = getRequestListener((request, env) => router.fetch(request, env as object), {
    overrideGlobalObjects: false,
    autoCleanupIncoming: false,
  })
  return (incoming, outgoing) => {
    // Express takes from `url` the path that a handler is mounted at.
    const { originalUrl } = incoming as IncomingMessage & { originalUrl?: string }
    if (originalUrl !== undefined) incoming.url = originalUrl
    void listener(incoming, outgoing)
  }
}

/**
 * The client of what was given.
 *
 * @throws InvalidOption
 */
export function clientOf(hubOrClient: HubOrClient): DurableClient {
  const client: unknown = (hubOrClient as { client?: unknown } | undefined)?.client ?? hubOrClient
  if (client instanceof DurableClient) return client
  throw invalid('hubOrClient', 'must be an open hub, or a client of one')
}

// ------------------------------------------------------------------ routes

type Handler = (
  parts: ApiParts,
  context: RouteContext,
) => Answer | Response | Promise<Answer | Response>

/** What is reached below a path. */
function managementRoutes(base: string, access: Access, parts: ApiParts): Route[] {
  const route = (method: string, path: string, handler: Handler, more: Extra = {}): Route => ({
    method,
    path: `${base}${path}`,
    access,
    ...(more.body === undefined ? {} : { body: more.body }),
    ...(more.scope === undefined ? {} : { admits: admission(parts, more.scope) }),
    handle: (context) => handler(parts, context),
  })
  const instance = '/instances/:instanceId'
  return [
    route('POST', '/orchestrators/:functionName', startInstance),
    route('POST', '/orchestrators/:functionName/:instanceId', startInstance),
    route('GET', '/instances', listInstances),
    route('DELETE', '/instances', purgeInstances),
    route('GET', instance, getInstance, { scope: 'read' }),
    route('DELETE', instance, purgeInstance),
    route('POST', `${instance}/raiseEvent/:eventName`, raiseEvent, { body: 'any', scope: 'raise' }),
    route('POST', `${instance}/terminate`, terminate, { scope: 'terminate' }),
    route('POST', `${instance}/suspend`, suspend, { scope: 'suspend' }),
    route('POST', `${instance}/resume`, resume, { scope: 'resume' }),
    route('POST', `${instance}/rewind`, rewind),
    route('POST', `${instance}/restart`, restart),
    route('GET', `${instance}/wait`, waitForInstance, { scope: 'read' }),
    route('GET', `${instance}/changes`, streamChanges, { scope: 'read' }),
    route('POST', `${instance}/links`, makeLinks),
    route('GET', '/counts', countInstances),
    route('GET', '/entities', listEntities),
    route('GET', '/entities/:entityName', listEntities),
    route('GET', '/entities/:entityName/:entityKey', getEntity),
    route('POST', '/entities/:entityName', signalEntity, { body: 'any' }),
    route('POST', '/entities/:entityName/:entityKey', signalEntity, { body: 'any' }),
    route('DELETE', '/entities/:entityName/:entityKey', deleteEntity),
    route('GET', '/openapi.json', (_, context) =>
      json(200, openApiDocument(parts.originOf(context) + base)),
    ),
    route('POST', '/makeprimary', () => empty(200)),
    // What is not in the table is not there, and that is told only to those who have a key.
    route('ALL', '', notThere),
    route('ALL', '/*', notThere, { body: 'any' }),
  ]
}

interface Extra {
  readonly body?: BodyKind
  /** What of it a signed link may open. */
  readonly scope?: LinkScope
}

function notThere(): Answer {
  return empty(404)
}

function admission({ links }: ApiParts, scope: LinkScope): (context: RouteContext) => boolean {
  return ({ query, params }) => links?.admits(query, params['instanceId'] ?? '', scope) ?? false
}

// ------------------------------------------------------------------ options

/** Options, checked and complete. */
export interface ApiSettings {
  readonly keys: Keys | null
  readonly origins: OriginRules
  readonly bodyBytesMax: number
  readonly publicUrl: string | undefined
  readonly basePath: string
  onError(error: unknown, route: Route): void
}

function apiSettings(given: HttpApiOptions | undefined, client: DurableClient): ApiSettings {
  const options = optionsOf(given, 'options', OPTIONS)
  const hosts = namesOf(options['allowedHosts'], 'options.allowedHosts')
  const origins = namesOf(options['allowedOrigins'], 'options.allowedOrigins')
  return {
    keys: keysOf(options, client),
    origins: {
      hosts: hosts.includes('*') ? null : new Set([...loopbackNames, ...hosts]),
      origins: new Set(origins),
    },
    bodyBytesMax:
      optionalInteger(options, 'bodyBytesMax', 'options', 1, BODY_BYTES_MAX) ?? BODY_BYTES_DEFAULT,
    publicUrl: publicUrlOf(optionalString(options, 'publicUrl', 'options')),
    basePath: basePathOf(optionalString(options, 'basePath', 'options') ?? BASE_PATH),
    onError: (error, { method, path }) =>
      client.log.engine('error', `${method} ${path} failed: ${messageOf(error)}`),
  }
}

function keysOf(options: Record<string, unknown>, client: DurableClient): Keys | null {
  const keys = options['keys']
  const { filePrefix } = client
  const beside = filePrefix === null ? undefined : `${filePrefix}-keys.json`
  const file = optionalString(options, 'keyFile', 'options') ?? beside
  if (keys === false) return null
  if (keys instanceof Keys) return keys
  if (keys !== undefined) return Keys.generate(keys as KeyTexts, 'options.keys')
  return file === undefined ? Keys.generate() : Keys.load(file)
}

function namesOf(value: unknown, where: string): string[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string')) {
    throw invalid(where, 'must be an array of strings', value)
  }
  return value.map((name) => name.toLowerCase().replace(/\/$/, ''))
}

function publicUrlOf(value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  if (!URL.canParse(value) || !/^https?:/i.test(value)) {
    throw new InvalidOption('options.publicUrl must be a URL, such as https://api.example.', {
      field: 'options.publicUrl',
    })
  }
  return value.replace(/\/+$/, '')
}

function basePathOf(value: string): string {
  const path = value.replace(/\/+$/, '')
  if (/^(\/[\w.~-]+)*$/.test(path)) return path
  throw invalid('options.basePath', 'must be a path, such as /durable', value)
}
