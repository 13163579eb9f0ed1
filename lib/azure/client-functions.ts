/**
 * `df.app.client`: functions of the function host that get a client as their second argument.
 *
 * Owns: handing them to the app's own `@azure/functions`, which registers them with the host.
 * Must never: serve a trigger; the host does, and refuses those that it does not know by name.
 * Proved by: `__test__/one-import-host.spec.mjs`.
 */

import { createRequire } from 'node:module'
import { invalid } from '../check.js'
import type { DurableClient } from '../client.js'
import { InvalidFunction } from '../errors.js'
import { messageOf } from '../failure.js'
import { loadingModule } from '../host/core-module.js'
import { input, isClientInput } from './bindings.js'
import type {
  EventGridEvent,
  FunctionInput,
  FunctionInvocationContext,
  FunctionOptions,
  FunctionResult,
  FunctionTrigger,
  HttpMethod,
  HttpRequest,
  HttpResponse,
  HttpResponseInit,
  Timer,
} from './functions.js'
import { getClient } from './get-client.js'

/** A function that some trigger starts, with a client as its second argument. */
// biome-ignore lint/suspicious/noExplicitAny: whatever the trigger gives, and takes
export type DurableClientHandler<TTrigger = any, TResult = any> = (
  triggerInput: TTrigger,
  client: DurableClient,
  context: FunctionInvocationContext,
) => FunctionResult<TResult>

/** What a function with a client is registered with. */
export interface DurableClientOptions extends FunctionOptions {
  trigger: FunctionTrigger
  handler: DurableClientHandler
}

/** An http function with a client. */
export type HttpDurableClientHandler = DurableClientHandler<
  HttpRequest,
  HttpResponseInit | HttpResponse
>

/** What an http function is registered with. */
export interface HttpDurableClientOptions extends FunctionOptions {
  handler: HttpDurableClientHandler
  /** Who may call it: anyone, or who has a key. Default 'anonymous', as in `@azure/functions`. */
  authLevel?: 'anonymous' | 'function' | 'admin' | undefined
  /** Default: GET and POST. */
  methods?: HttpMethod[] | undefined
  /** Below the prefix of the app's routes. Default: the function's name. */
  route?: string | undefined
  trigger?: FunctionTrigger | undefined
}

/** A timer function with a client. */
export type TimerDurableClientHandler = DurableClientHandler<Timer, void>

/** What a timer function is registered with. */
export interface TimerDurableClientOptions extends FunctionOptions {
  handler: TimerDurableClientHandler
  /** A cron expression of six fields. */
  schedule: string
  runOnStartup?: boolean | undefined
  useMonitor?: boolean | undefined
  retry?: unknown
  trigger?: FunctionTrigger | undefined
}

/** Options of a trigger of the cloud's, which the host refuses by name. */
export interface CloudDurableClientOptions<THandler> extends FunctionOptions {
  handler: THandler
  [setting: string]: unknown
}

export type StorageBlobDurableClientHandler = DurableClientHandler<unknown, void>
export type StorageBlobDurableClientOptions =
  CloudDurableClientOptions<StorageBlobDurableClientHandler>
export type StorageQueueDurableClientHandler = DurableClientHandler<unknown, void>
export type StorageQueueDurableClientOptions =
  CloudDurableClientOptions<StorageQueueDurableClientHandler>
export type ServiceBusQueueDurableClientHandler = DurableClientHandler<unknown, void>
export type ServiceBusQueueDurableClientOptions =
  CloudDurableClientOptions<ServiceBusQueueDurableClientHandler>
export type ServiceBusTopicDurableClientHandler = DurableClientHandler<unknown, void>
export type ServiceBusTopicDurableClientOptions =
  CloudDurableClientOptions<ServiceBusTopicDurableClientHandler>
export type EventHubDurableClientHandler = DurableClientHandler<unknown, void>
export type EventHubDurableClientOptions = CloudDurableClientOptions<EventHubDurableClientHandler>
export type EventGridDurableClientHandler = DurableClientHandler<EventGridEvent, void>
export type EventGridDurableClientOptions = CloudDurableClientOptions<EventGridDurableClientHandler>
export type CosmosDBDurableClientHandler = DurableClientHandler<unknown[], void>
export type CosmosDBv3DurableClientOptions = CloudDurableClientOptions<CosmosDBDurableClientHandler>
export type CosmosDBv4DurableClientOptions = CloudDurableClientOptions<CosmosDBDurableClientHandler>
export type CosmosDBDurableClientOptions =
  | CosmosDBv3DurableClientOptions
  | CosmosDBv4DurableClientOptions

/**
 * `df.app.client`. Each method registers a function of the app with the function host, by the app's own
 * `@azure/functions`; outside of the host nothing is registered, and a warning says so.
 */
export interface ClientFunctions {
  /**
   * @throws InvalidOption, InvalidFunction
   *
   * @example
   * ```ts
   * df.app.client.http('start', {
   *   route: 'orchestrators/{name}',
   *   handler: async (request, client) => {
   *     const id = await client.startNew(request.params.name, { input: await request.json() })
   *     return client.createCheckStatusResponse(request, id)
   *   },
   * })
   * ```
   */
  http(functionName: string, options: HttpDurableClientOptions): void
  timer(functionName: string, options: TimerDurableClientOptions): void
  storageBlob(functionName: string, options: StorageBlobDurableClientOptions): void
  storageQueue(functionName: string, options: StorageQueueDurableClientOptions): void
  serviceBusQueue(functionName: string, options: ServiceBusQueueDurableClientOptions): void
  serviceBusTopic(functionName: string, options: ServiceBusTopicDurableClientOptions): void
  eventHub(functionName: string, options: EventHubDurableClientOptions): void
  eventGrid(functionName: string, options: EventGridDurableClientOptions): void
  cosmosDB(functionName: string, options: CosmosDBDurableClientOptions): void
  /** Any trigger: `{ trigger: { type, name, … }, handler }`. */
  generic(functionName: string, options: DurableClientOptions): void
}

type Kind = keyof ClientFunctions
type Register = (functionName: string, options: { handler: unknown }) => void

/** What `@azure/functions` registers by. */
type FunctionsApp = Record<Kind, (name: string, options: object) => void>

let isWarned = false

function registerBy(kind: Kind): Register {
  return (functionName, options) => {
    const handler = options?.handler
    if (typeof handler !== 'function') {
      throw invalid('options.handler', `of function '${functionName}' must be a function`, handler)
    }
    const file = loadingModule()
    if (file === null) {
      warnOfNoHost(functionName)
      return
    }
    const extraInputs = [...((options as FunctionOptions).extraInputs ?? [])]
    if (!extraInputs.some(isClientInput)) extraInputs.push(input.durableClient() as FunctionInput)
    functionsOf(file, functionName)[kind](functionName, {
      ...options,
      extraInputs,
      handler: (triggerInput: unknown, context: object): unknown =>
        handler(triggerInput, getClient(context), context),
    })
  }
}

/** `df.app.client`. */
export const clientFunctions: ClientFunctions = {
  http: registerBy('http'),
  timer: registerBy('timer'),
  storageBlob: registerBy('storageBlob'),
  storageQueue: registerBy('storageQueue'),
  serviceBusQueue: registerBy('serviceBusQueue'),
  serviceBusTopic: registerBy('serviceBusTopic'),
  eventHub: registerBy('eventHub'),
  eventGrid: registerBy('eventGrid'),
  cosmosDB: registerBy('cosmosDB'),
  generic: registerBy('generic'),
}

/** The copy that the app has, as a host has none of its own. */
function functionsOf(file: string, functionName: string): FunctionsApp {
  try {
    return (createRequire(file)('@azure/functions') as { app: FunctionsApp }).app
  } catch (error) {
    throw new InvalidFunction(
      `${file}: function '${functionName}' needs the package '@azure/functions' 4 beside 'durafn'; install it in the app: npm install @azure/functions. (${messageOf(error).split('\n', 1)[0]})`,
      { cause: error },
    )
  }
}

/** As with the original's packages a module can be loaded without a host, for tests of what is in it. */
function warnOfNoHost(functionName: string): void {
  if (isWarned) return
  isWarned = true
  process.emitWarning(
    `df.app.client registers functions with the function host, and this process is none: '${functionName}' is not registered, nor are others like it. Run the app with 'npx durafn start', or open it by df.openFunctionApp; with df.open serve requests yourself and call hub.client.`,
    { code: 'DURAFN_NO_HOST' },
  )
}
