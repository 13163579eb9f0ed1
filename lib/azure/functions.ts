/**
 * The types of `@azure/functions` 4 that code written against `durable-functions` meets.
 *
 * Owns: their shape, so that a program compiles with this package in place of the other, whether or not
 * `@azure/functions` is installed: what is of a type here fits the type of that name there, and the other
 * way round.
 * Must never: hold code, or import that package.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

/** What a function gives: a value, or a promise of one. */
export type FunctionResult<T = unknown> = T | Promise<T>

/** What starts a function. */
export interface FunctionTrigger {
  type: string
  name: string
  [setting: string]: unknown
}

/** What a function reads beside its trigger. */
export interface FunctionInput {
  type: string
  name: string
  [setting: string]: unknown
}

/** What a function writes beside its result. */
export interface FunctionOutput {
  type: string
  name: string
  [setting: string]: unknown
}

/** What a function was registered with. */
export interface EffectiveFunctionOptions {
  trigger: FunctionTrigger
  return?: FunctionOutput
  extraInputs: FunctionInput[]
  extraOutputs: FunctionOutput[]
}

/** Values of the inputs beside the trigger. */
export interface InvocationContextExtraInputs {
  get(inputOrName: FunctionInput | string): unknown
  set(inputOrName: FunctionInput | string, value: unknown): void
}

/** Values for the outputs beside the result. */
export interface InvocationContextExtraOutputs {
  get(outputOrName: FunctionOutput | string): unknown
  set(outputOrName: FunctionOutput | string, value: unknown): void
}

/** What the contexts of `@azure/functions` 4 have beside names and logs. */
export interface FunctionExtras {
  /** Empty where the engine made the context; `df.getClient(context)` gives the client. */
  readonly extraInputs: InvocationContextExtraInputs
  /** What is left here for an activity's `extraOutputs` goes to their handlers, see `df.registerBinding`. */
  readonly extraOutputs: InvocationContextExtraOutputs
  readonly options: EffectiveFunctionOptions
  readonly retryContext?: { retryCount: number; maxRetryCount: number }
  readonly traceContext?: {
    traceParent?: string | undefined
    traceState?: string | undefined
    attributes?: Record<string, string>
  }
  /**
   * What is known of the trigger: of an activity `instanceId`, its input as `data`, and the input's fields; of an
   * orchestrator `input`, `instanceId`, `parentInstanceId`, `isReplaying`. Names begin in lower case.
   */
  readonly triggerMetadata?: Record<string, unknown>
}

/** The context of a function that the host calls through `@azure/functions` 4. */
export interface FunctionInvocationContext extends FunctionExtras {
  readonly invocationId: string
  readonly functionName: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever is to be logged
  log(...args: any[]): void
  // biome-ignore lint/suspicious/noExplicitAny: whatever is to be logged
  trace(...args: any[]): void
  // biome-ignore lint/suspicious/noExplicitAny: whatever is to be logged
  debug(...args: any[]): void
  // biome-ignore lint/suspicious/noExplicitAny: whatever is to be logged
  info(...args: any[]): void
  // biome-ignore lint/suspicious/noExplicitAny: whatever is to be logged
  warn(...args: any[]): void
  // biome-ignore lint/suspicious/noExplicitAny: whatever is to be logged
  error(...args: any[]): void
}

/** Takes a line of the log of a dummy context. */
export type LogHandler = (
  level: 'trace' | 'debug' | 'information' | 'warning' | 'error' | 'critical' | 'none',
  ...args: unknown[]
) => void

/** What a function's options have beside the trigger and the handler. */
export interface FunctionOptions {
  return?: FunctionOutput | undefined
  extraInputs?: FunctionInput[] | undefined
  extraOutputs?: FunctionOutput[] | undefined
}

// ------------------------------------------------------------------ http

/** A request, as an http function of `@azure/functions` 4 gets it. */
export interface HttpRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly query: URLSearchParams
  readonly params: Record<string, string>
  // biome-ignore lint/suspicious/noExplicitAny: a user of the platform's own sign-in
  readonly user: any
  // biome-ignore lint/suspicious/noExplicitAny: a stream, which libraries type in several ways
  readonly body: any
  readonly bodyUsed: boolean
  readonly arrayBuffer: () => Promise<ArrayBuffer>
  // biome-ignore lint/suspicious/noExplicitAny: a Blob, which libraries type in several ways
  readonly blob: () => Promise<any>
  readonly formData: () => Promise<FormData>
  readonly json: () => Promise<unknown>
  readonly text: () => Promise<string>
  readonly clone: () => HttpRequest
}

/** A response, as an http function of `@azure/functions` 4 may give it. */
export interface HttpResponse {
  readonly status: number
  readonly headers: Headers
  readonly cookies: Cookie[]
  readonly enableContentNegotiation: boolean
  // biome-ignore lint/suspicious/noExplicitAny: a stream, which libraries type in several ways
  readonly body: any
  readonly bodyUsed: boolean
  readonly arrayBuffer: () => Promise<ArrayBuffer>
  // biome-ignore lint/suspicious/noExplicitAny: a Blob, which libraries type in several ways
  readonly blob: () => Promise<any>
  readonly formData: () => Promise<FormData>
  readonly json: () => Promise<unknown>
  readonly text: () => Promise<string>
  readonly clone: () => HttpResponse
}

/** What an http function may give in place of a response. */
export interface HttpResponseInit {
  // biome-ignore lint/suspicious/noExplicitAny: text, bytes or a stream
  body?: any
  // biome-ignore lint/suspicious/noExplicitAny: whatever becomes JSON
  jsonBody?: any
  status?: number
  headers?: Headers | Record<string, string> | [string, string][]
  cookies?: Cookie[]
  enableContentNegotiation?: boolean
}

/** A cookie of a response. */
export interface Cookie {
  name: string
  value: string
  domain?: string
  path?: string
  expires?: Date | number
  secure?: boolean
  httpOnly?: boolean
  sameSite?: 'Strict' | 'Lax' | 'None' | undefined
  maxAge?: number
}

/** Methods of http functions. */
export type HttpMethod =
  | 'GET'
  | 'POST'
  | 'DELETE'
  | 'HEAD'
  | 'PATCH'
  | 'PUT'
  | 'OPTIONS'
  | 'TRACE'
  | 'CONNECT'

// ------------------------------------------------------------------ other triggers

/** What a timer function gets. */
export interface Timer {
  isPastDue: boolean
  schedule: { adjustForDST: boolean }
  scheduleStatus: { last: string; next: string; lastUpdated: string }
}

/** What an event grid function gets. */
export interface EventGridEvent {
  id: string
  topic: string
  subject: string
  data: Record<string, unknown>
  eventType: string
  dataVersion: string
  eventTime: string
  metadataVersion: string
}
