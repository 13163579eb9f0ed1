/**
 * The schemas of the OpenAPI document.
 *
 * Owns: the shapes of bodies, as a document has them.
 * Must never: differ from the types `StatusBody`, `EntityBody`, `HttpManagementPayload`, `SignedLinks` and `ErrorBody`.
 * Proved by: `__test__/http-openapi.spec.mjs`.
 */

import { linkScopes } from './links.js'

type Json = Record<string, unknown>

const text: Json = { type: 'string' }
const url: Json = { type: 'string', description: 'A URL; `{eventName}` and `{text}` are yours.' }
const seconds: Json = { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$' }
/** Of any type, null too. */
const any: Json = { nullable: true }

function object(properties: Record<string, Json>, optional: readonly string[] = []): Json {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { type: 'object', properties, required, additionalProperties: false }
}

const linkUrls = {
  statusQueryGetUri: url,
  waitGetUri: url,
  changesGetUri: url,
  sendEventPostUri: url,
  terminatePostUri: url,
  suspendPostUri: url,
  resumePostUri: url,
}

export const schemas: Readonly<Record<string, Json>> = {
  Status: object(
    {
      name: text,
      instanceId: text,
      runtimeStatus: {
        type: 'string',
        enum: [
          'Pending',
          'Running',
          'Completed',
          'ContinuedAsNew',
          'Failed',
          'Terminated',
          'Suspended',
        ],
      },
      input: any,
      customStatus: any,
      output: any,
      createdTime: seconds,
      lastUpdatedTime: seconds,
      historyEvents: {
        type: 'array',
        items: {
          type: 'object',
          properties: { EventType: text, Timestamp: { type: 'string', format: 'date-time' } },
          required: ['EventType', 'Timestamp'],
        },
      },
    },
    ['historyEvents'],
  ),
  CheckStatus: object({
    id: text,
    statusQueryGetUri: url,
    sendEventPostUri: url,
    terminatePostUri: url,
    purgeHistoryDeleteUri: url,
    restartPostUri: url,
    suspendPostUri: url,
    resumePostUri: url,
  }),
  Purged: object({ instancesDeleted: { type: 'integer', minimum: 0 } }),
  Entity: object(
    {
      entityId: object({ name: text, key: text }),
      lastOperationTime: { type: 'string', format: 'date-time' },
      state: any,
    },
    ['state'],
  ),
  LinkOptions: object(
    {
      scopes: { type: 'array', minItems: 1, items: { type: 'string', enum: linkScopes } },
      expiresInSeconds: { type: 'integer', minimum: 1, maximum: 31_536_000 },
    },
    ['scopes', 'expiresInSeconds'],
  ),
  Links: object({ id: text, expires: seconds, ...linkUrls }, Object.keys(linkUrls)),
  Error: object(
    {
      Message: text,
      ExceptionMessage: text,
      ExceptionType: text,
      StackTrace: { type: 'string', nullable: true },
    },
    ['ExceptionMessage', 'ExceptionType', 'StackTrace'],
  ),
}
