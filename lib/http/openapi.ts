/**
 * The OpenAPI document of the management API.
 *
 * Owns: what is said of each route, to people and to generators of clients.
 * Must never: say what the server does not do: `__test__/http-openapi.spec.mjs` sends generated requests
 * and holds the answers against it.
 * Proved by: `__test__/http-openapi.spec.mjs`.
 */

import { schemas } from './openapi-schemas.js'

type Json = Record<string, unknown>

/** One operation before it is spelt out. */
interface Operation {
  readonly id: string
  readonly summary: string
  readonly tag: 'instances' | 'entities' | 'hub'
  readonly query?: readonly string[]
  readonly headers?: readonly string[]
  /** The schema of a JSON body. */
  readonly body?: Json
  readonly isBodyRequired?: boolean
  /** Schemas by status; null: no body. */
  readonly answers: Readonly<Record<number, Json | null>>
  /** Headers of answers, by status. */
  readonly answerHeaders?: Readonly<Record<number, readonly string[]>>
  readonly type?: string
}

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })
const any: Json = {}
const text: Json = { type: 'string' }
const error = ref('Error')
const accepted = ['Location', 'Retry-After']

const queries: Readonly<Record<string, readonly [schema: Json, description: string]>> = {
  timeout: [{ type: 'number', minimum: 0 }, 'Seconds to wait for the end of the instance.'],
  pollingInterval: [{ type: 'number' }, 'Taken and not needed: nothing is asked again and again.'],
  showHistory: [{ type: 'boolean', default: false }, 'Whether to give the history.'],
  showHistoryOutput: [{ type: 'boolean', default: false }, 'Whether the history has results.'],
  showInput: [{ type: 'boolean', default: true }, 'Whether to give inputs.'],
  returnInternalServerErrorOnFailure: [
    { type: 'boolean', default: false },
    'Whether a failed instance is answered by 500.',
  ],
  name: [text, 'The name of the orchestrator, without regard to case.'],
  instanceIdPrefix: [text, 'What the id begins with.'],
  createdTimeFrom: [{ type: 'string', format: 'date-time' }, 'Scheduled then or later.'],
  createdTimeTo: [{ type: 'string', format: 'date-time' }, 'Scheduled then or earlier.'],
  runtimeStatus: [text, 'Statuses, separated by commas.'],
  top: [{ type: 'integer', minimum: 1, maximum: 1_000, default: 100 }, 'The length of a page.'],
  version: [text, "The version of the instance. Default: the hub's."],
  reason: [text, 'Why; of a terminated instance it is the output.'],
  restartWithNewInstanceId: [
    { type: 'boolean', default: true },
    'Whether the new instance gets an id of its own.',
  ],
  op: [text, 'The name of the operation.'],
  lastOperationTimeFrom: [{ type: 'string', format: 'date-time' }, 'Last operation then or later.'],
  lastOperationTimeTo: [{ type: 'string', format: 'date-time' }, 'Last operation then or earlier.'],
  fetchState: [{ type: 'boolean', default: false }, 'Whether to give states.'],
}
const listed = [
  'name',
  'instanceIdPrefix',
  'createdTimeFrom',
  'createdTimeTo',
  'runtimeStatus',
] as const
const token = 'x-ms-continuation-token'

const start: Omit<Operation, 'id'> = {
  summary: 'Start an instance; the body is its input.',
  tag: 'instances',
  query: ['version', 'timeout', 'pollingInterval'],
  body: any,
  answers: { 200: any, 202: ref('CheckStatus'), 400: error, 409: error },
  answerHeaders: { 202: accepted },
}

/** By method and path. */
const operations: Readonly<Record<string, Operation>> = {
  'POST /orchestrators/{functionName}': {
    ...start,
    id: 'start',
    headers: ['Idempotency-Key'],
    answers: { ...start.answers, 422: error },
  },
  'POST /orchestrators/{functionName}/{instanceId}': { ...start, id: 'startWithId' },
  'GET /instances': {
    id: 'list',
    summary: 'Statuses, a page at a time.',
    tag: 'instances',
    query: [...listed, 'top', 'showInput'],
    headers: [token],
    answers: { 200: { type: 'array', items: ref('Status') }, 400: error },
    answerHeaders: { 200: [token] },
  },
  'DELETE /instances': {
    id: 'purgeMany',
    summary: 'Delete ended instances; createdTimeFrom must be given.',
    tag: 'instances',
    query: listed,
    answers: { 200: ref('Purged'), 400: text, 404: null },
  },
  'GET /instances/{instanceId}': {
    id: 'status',
    summary: 'The status of an instance: 202 while it is open.',
    tag: 'instances',
    query: ['showHistory', 'showHistoryOutput', 'showInput', 'returnInternalServerErrorOnFailure'],
    answers: { 200: ref('Status'), 202: ref('Status'), 404: null, 500: ref('Status') },
    answerHeaders: { 202: accepted },
  },
  'DELETE /instances/{instanceId}': {
    id: 'purge',
    summary: 'Delete an instance that has ended.',
    tag: 'instances',
    answers: { 200: ref('Purged'), 404: null, 412: text },
  },
  'POST /instances/{instanceId}/raiseEvent/{eventName}': {
    id: 'raiseEvent',
    summary: 'Send an event; the body is its data.',
    tag: 'instances',
    body: any,
    isBodyRequired: true,
    answers: { 202: null, 400: error, 404: null, 410: null },
  },
  'POST /instances/{instanceId}/terminate': changing('terminate', 'Terminate an instance.', {}),
  'POST /instances/{instanceId}/suspend': changing('suspend', 'Suspend an instance.', {
    500: error,
  }),
  'POST /instances/{instanceId}/resume': changing('resume', 'Let a suspended instance go on.', {
    500: error,
  }),
  'POST /instances/{instanceId}/rewind': changing(
    'rewind',
    'Let a failed instance run again from where it failed.',
    { 410: text, 412: text },
  ),
  'POST /instances/{instanceId}/restart': {
    id: 'restart',
    summary: 'Start an instance with the name and input of this one.',
    tag: 'instances',
    query: ['restartWithNewInstanceId', 'timeout', 'pollingInterval'],
    answers: { 200: any, 202: ref('CheckStatus'), 400: error, 409: error },
    answerHeaders: { 202: accepted },
  },
  'GET /instances/{instanceId}/wait': {
    id: 'wait',
    summary: 'The status once the instance has ended, or as it is after `timeout` (30 seconds).',
    tag: 'instances',
    query: ['timeout', 'returnInternalServerErrorOnFailure'],
    answers: { 200: ref('Status'), 202: ref('Status'), 404: null, 500: ref('Status') },
  },
  'GET /instances/{instanceId}/changes': {
    id: 'changes',
    summary: 'Server-sent events: `status` for each change, and `end` after the last.',
    tag: 'instances',
    query: ['showInput'],
    answers: { 200: text, 404: null },
    type: 'text/event-stream',
  },
  'POST /instances/{instanceId}/links': {
    id: 'links',
    summary: 'Links to one instance, for one purpose each, until a time.',
    tag: 'instances',
    body: ref('LinkOptions'),
    answers: { 200: ref('Links'), 400: error },
  },
  'GET /counts': {
    id: 'counts',
    summary: 'How many instances there are of each status.',
    tag: 'instances',
    query: listed,
    answers: { 200: { type: 'object', additionalProperties: { type: 'integer' } } },
  },
  'GET /entities': entityListing('listEntities', 'Entities that have a state, a page at a time.'),
  'GET /entities/{entityName}': entityListing('listEntitiesByName', 'The same of one name.'),
  'GET /entities/{entityName}/{entityKey}': {
    id: 'entityState',
    summary: 'The state of an entity; `$` is the key that is empty.',
    tag: 'entities',
    answers: { 200: any, 404: null },
  },
  'POST /entities/{entityName}': signalling('signalEntityWithoutKey'),
  'POST /entities/{entityName}/{entityKey}': signalling('signalEntity'),
  'DELETE /entities/{entityName}/{entityKey}': {
    id: 'deleteEntity',
    summary: 'Send an entity the operation `delete`.',
    tag: 'entities',
    answers: { 202: null },
  },
  'GET /openapi.json': {
    id: 'document',
    summary: 'This document.',
    tag: 'hub',
    answers: { 200: { type: 'object' } },
  },
  'POST /makeprimary': {
    id: 'makePrimary',
    summary: 'Does nothing: there is one app.',
    tag: 'hub',
    answers: { 200: null },
  },
}

function changing(id: string, summary: string, more: Readonly<Record<number, Json>>): Operation {
  const answers = { 202: null, 404: null, 410: null, ...more }
  return { id, summary, tag: 'instances', query: ['reason'], answers }
}

function entityListing(id: string, summary: string): Operation {
  return {
    id,
    summary,
    tag: 'entities',
    query: ['lastOperationTimeFrom', 'lastOperationTimeTo', 'fetchState', 'top'],
    headers: [token],
    answers: { 200: { type: 'array', items: ref('Entity') }, 400: error },
    answerHeaders: { 200: [token] },
  }
}

function signalling(id: string): Operation {
  const summary = 'Send an entity an operation; the body is its input.'
  return { id, summary, tag: 'entities', query: ['op'], body: any, answers: { 202: null } }
}

/** The document, for a server at this URL. */
export function openApiDocument(serverUrl: string): Json {
  const paths: Record<string, Json> = {}
  for (const [key, operation] of Object.entries(operations)) {
    const [method = '', path = ''] = key.split(' ')
    paths[path] = { ...paths[path], [method.toLowerCase()]: operationOf(path, operation) }
  }
  return {
    openapi: '3.0.3',
    info: {
      title: 'Durable Functions management API',
      version: '1',
      description: 'Names in queries match without regard to case.',
    },
    servers: [{ url: serverUrl }],
    security: [{ code: [] }, { header: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        code: { type: 'apiKey', in: 'query', name: 'code' },
        header: { type: 'apiKey', in: 'header', name: 'x-functions-key' },
      },
    },
  }
}

function operationOf(path: string, operation: Operation): Json {
  const { id, summary, tag, body, isBodyRequired = false } = operation
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => parameter('path', name ?? ''))
  const inQuery = (operation.query ?? []).map((name) => parameter('query', name))
  const inHeader = (operation.headers ?? []).map((name) => parameter('header', name))
  const content = { 'application/json': { schema: body } }
  return {
    operationId: id,
    summary,
    tags: [tag],
    parameters: [...inPath, ...inQuery, ...inHeader],
    ...(body === undefined ? {} : { requestBody: { required: isBodyRequired, content } }),
    responses: responsesOf(operation),
  }
}

function parameter(where: 'path' | 'query' | 'header', name: string): Json {
  if (where === 'query') {
    const [schema, description] = queries[name] ?? [text, '']
    return { name, in: where, schema, description }
  }
  const schema = where === 'path' ? { type: 'string', minLength: 1 } : text
  return { name, in: where, required: where === 'path', schema }
}

function responsesOf({ answers, answerHeaders = {}, type }: Operation): Json {
  const all: Readonly<Record<number, Json | null>> = {
    401: error,
    403: error,
    413: error,
    ...(answers[400] === undefined ? { 400: error } : {}),
    ...answers,
  }
  const responses: Record<string, Json> = {}
  for (const [status, schema] of Object.entries(all)) {
    const names = answerHeaders[Number(status)] ?? []
    const headers = Object.fromEntries(names.map((name) => [name, { schema: text }]))
    const media = status === '200' && type !== undefined ? type : 'application/json'
    responses[status] = {
      description: descriptions[status] ?? 'Refused.',
      ...(names.length === 0 ? {} : { headers }),
      ...(schema === null ? {} : { content: { [media]: { schema } } }),
    }
  }
  return responses
}

const descriptions: Readonly<Record<string, string>> = {
  200: 'Done.',
  202: 'Accepted, or not ended yet.',
  400: 'The request is not right.',
  401: 'A key is needed.',
  403: 'The host or the origin is foreign.',
  404: 'There is none.',
  409: 'The id is in use.',
  410: 'The instance has ended.',
  412: 'The status of the instance does not allow it.',
  413: 'The body is too long.',
  422: 'The key was sent before with another input.',
  500: 'The instance failed, or its status does not allow it.',
}
