/**
 * The registry of functions.
 *
 * Owns: names and handlers, matched without regard to case, and who is told of late registrations.
 * Must never: run a handler.
 * Proved by: `__test__/api.spec.mjs`.
 */

import { type ClientFunctions, clientFunctions } from './azure/client-functions.js'
import { functionOptions, orchestratorOptions, outputsOf } from './azure/function-options.js'
import { type Outputs, requireHandlersOf, withOutputs } from './azure/outputs.js'
import type { ExceptionPropertiesProvider } from './azure/task-failed.js'
import type { TokenProvider } from './call-http/activity.js'
import { HTTP_ACTIVITY } from './call-http/request.js'
import { invalid, optionalInteger, optionalMs, queueName } from './check.js'
import { checkName } from './codec.js'
import { callInCurrent } from './context.js'
import type { HostedBatch, HostedOutcome } from './entities.js'
import { handlerOfClass, isClass } from './entity-class.js'
import { AlreadyRegistered, Internal, InvalidName } from './errors.js'
import type { Registered } from './protocol.js'
import type { HostedFunction } from './sdk/hosted.js'
import type {
  ActivityDefinition,
  ActivityHandler,
  ActivityOptions,
  AnyOrchestrationHandler,
  AsyncHandler,
  Definition,
  GeneratorHandler,
  OrchestrationDefinition,
  OrchestrationOptions,
} from './types.js'
import type { EntityClass, EntityHandler, EntityOptions } from './types-entity.js'

interface Adopted {
  /** The registry that it was taken over from. */
  readonly origin?: App
}

/** An activity as registered. */
export interface ActivityEntry extends Adopted {
  readonly name: string
  readonly handler: ActivityHandler
  readonly timeoutMs: number | undefined
  readonly maxConcurrency: number | undefined
  readonly queue: string | undefined
  /** Where what it leaves for others goes. */
  readonly outputs?: Outputs | undefined
}

/** An orchestrator as registered. */
export interface OrchestratorEntry extends Adopted {
  readonly name: string
  readonly handler: (context: never) => unknown
  /** Of one that an SDK runs; the handler is not called then. */
  readonly hosted?: HostedFunction
}

/** What is taken over from another registry, and how. */
export interface Adoption {
  isWanted(name: string): boolean
  prepare(entry: ActivityEntry): ActivityEntry
}

/** An entity as registered. */
export interface EntityEntry extends Adopted {
  readonly name: string
  readonly handler: EntityHandler
  /** Runs a whole batch in place of the handler: the entity is of another SDK. */
  readonly runBatch?: (batch: HostedBatch) => Promise<HostedOutcome>
}

// biome-ignore lint/suspicious/noExplicitAny: handlers of any input and result
type AnyHandler = AnyOrchestrationHandler<any, any>

/**
 * A registry of orchestrators, activities and entities. `df.app` is the one that hubs use by default; tests,
 * and processes with several hubs, make their own.
 *
 * @example
 * ```ts
 * const app = new df.App()
 * app.activity('hello', { handler: (name: string) => `Hello ${name}!` })
 * const hub = await df.open({ store: 'sqlite::memory:', app })
 * ```
 */
export class App {
  /** Takes what is registered on `df.app` in its place, while a function app is loaded. */
  static #loading: App | null = null
  readonly #orchestrators: Map<string, OrchestratorEntry> = new Map()
  readonly #activities: Map<string, ActivityEntry> = new Map()
  readonly #entities: Map<string, EntityEntry> = new Map()
  readonly #listeners: Set<(added: Registered) => void> = new Set()
  #tokenProvider: TokenProvider | undefined = undefined
  #propertiesProvider: ExceptionPropertiesProvider | undefined = undefined
  /** Functions with a client as their second argument, in the function host. */
  readonly client: ClientFunctions = clientFunctions

  constructor() {
    // So that they can be taken off, as from the namespace that durable-functions has in this place.
    this.orchestration = this.orchestration.bind(this)
    this.activity = this.activity.bind(this)
    this.entity = this.entity.bind(this)
  }

  /** @internal Who takes what is registered on `df.app`; null: itself. */
  static load(loading: App | null): void {
    App.#loading = loading
  }

  get #target(): App {
    return this === app ? (App.#loading ?? this) : this
  }

  /**
   * Registers an orchestrator: a generator function that yields tasks, or an async function that
   * awaits them.
   *
   * @param name matched without regard to case; must not begin with `@`
   * @returns a definition, for `context.df.call` and `client.startNew`
   * @throws AlreadyRegistered, InvalidName, InvalidOption
   *
   * @example
   * ```ts
   * df.app.orchestration('sayHello', function* (context) {
   *   return [yield context.df.callActivity('hello', 'Tokyo')]
   * })
   * ```
   */
  orchestration<TInput = unknown, TResult = unknown>(
    name: string,
    handler: GeneratorHandler<TInput, TResult>,
  ): OrchestrationDefinition<TInput, TResult>
  orchestration<TInput = unknown, TResult = unknown>(
    name: string,
    options: OrchestrationOptions<GeneratorHandler<TInput, TResult>>,
  ): OrchestrationDefinition<TInput, TResult>
  orchestration<TInput = unknown, TResult = unknown>(
    name: string,
    handler: AsyncHandler<TInput, TResult>,
  ): OrchestrationDefinition<TInput, TResult>
  orchestration<TInput = unknown, TResult = unknown>(
    name: string,
    options: OrchestrationOptions<AsyncHandler<TInput, TResult>>,
  ): OrchestrationDefinition<TInput, TResult>
  orchestration(
    name: string,
    handlerOrOptions: AnyHandler | OrchestrationOptions<AnyHandler>,
  ): OrchestrationDefinition {
    const handler =
      typeof handlerOrOptions === 'function'
        ? handlerOrOptions
        : orchestratorOptions(handlerOrOptions, `orchestrator '${name}'`)['handler']
    checkFunctionName(name, 'orchestrator name')
    checkHandler(handler, `orchestrator '${name}'`)
    this.#target.#addOrchestrator({ name, handler: handler as AnyHandler })
    const definition = (input?: unknown, instanceId?: string): unknown =>
      callInCurrent(definition as unknown as Definition, input, instanceId)
    return define(definition, 'orchestration', name, handler) as OrchestrationDefinition
  }

  /**
   * Registers an activity: a function of a JSON value that may do anything, sync or async.
   *
   * @param name matched without regard to case
   * @returns a definition, for `context.df.call`
   * @throws AlreadyRegistered, InvalidName, InvalidOption
   *
   * @example
   * ```ts
   * const charge = df.app.activity('charge', {
   *   handler: async (order: Order, context) => pay(order, context.idempotencyKey, context.signal),
   *   timeoutMs: 30_000,
   *   maxConcurrency: 10,
   * })
   * ```
   */
  activity<TInput = unknown, TResult = unknown>(
    name: string,
    options: ActivityOptions<TInput, TResult>,
  ): ActivityDefinition<TInput, TResult> {
    checkFunctionName(name, 'activity name')
    refuseBuiltIn(name)
    if (typeof options === 'function') {
      throw invalid('options', 'must be an object: { handler }', options)
    }
    const keys = ['handler', 'timeoutMs', 'maxConcurrency', 'queue']
    const known = functionOptions(options, keys, `activity '${name}'`)
    checkHandler(known['handler'], `activity '${name}'`)
    const handler = known['handler'] as ActivityHandler
    const outputs = outputsOf(known)
    const entry: ActivityEntry = {
      name,
      handler: withOutputs(name, handler, outputs),
      outputs,
      timeoutMs: optionalMs(known, 'timeoutMs', 'options'),
      maxConcurrency: optionalInteger(known, 'maxConcurrency', 'options', 1, 1_000_000),
      queue: known['queue'] === undefined ? undefined : queueName(known['queue'], 'options.queue'),
    }
    this.#target.#addActivity(entry)
    const definition = (input?: unknown): unknown =>
      callInCurrent(definition as unknown as Definition, input)
    return define(definition, 'activity', name, handler) as ActivityDefinition<TInput, TResult>
  }

  /**
   * Registers who gives the tokens for `tokenSource` of `context.df.callHttp`, in place of a managed
   * identity. A provider registered before is replaced; undefined takes it away. What is registered on
   * `df.app` serves the hubs of other registries too, if they have none.
   *
   * @throws InvalidOption
   *
   * @example
   * ```ts
   * df.app.setTokenProvider(async ({ resource }) => await tokenFor(resource))
   * ```
   */
  setTokenProvider(provider: TokenProvider | undefined): void {
    if (provider !== undefined && typeof provider !== 'function') {
      throw invalid('provider', 'must be a function', provider)
    }
    this.#tokenProvider = provider
  }

  /**
   * Registers who gives errors of activities own fields beside theirs, before they cross to the
   * orchestrator. A provider registered before is replaced; undefined takes it away. What is registered
   * on `df.app` serves the hubs of other registries too, if they have none.
   *
   * @throws InvalidOption
   */
  setExceptionPropertiesProvider(provider: ExceptionPropertiesProvider | undefined): void {
    if (provider !== undefined && typeof provider?.getExceptionProperties !== 'function') {
      throw invalid('provider', 'must have the method getExceptionProperties', provider)
    }
    this.#propertiesProvider = provider
  }

  /** @internal */
  get propertiesProvider(): ExceptionPropertiesProvider | undefined {
    return this.#propertiesProvider
  }

  /** @internal */
  get tokenProvider(): TokenProvider | undefined {
    return this.#tokenProvider
  }

  /** @internal Whether nothing is registered. */
  get isEmpty(): boolean {
    return this.#orchestrators.size + this.#activities.size + this.#entities.size === 0
  }

  /** @internal Registers an orchestrator that an SDK runs. */
  addHosted(hosted: HostedFunction): void {
    const { name } = hosted
    checkFunctionName(name, 'orchestrator name')
    const handler = (): never => {
      throw new Internal(`Orchestrator '${name}' is run by its SDK.`)
    }
    this.#addOrchestrator({ name, handler, hosted })
  }

  /**
   * Registers an entity: a function that is called for each operation, or a class whose methods are
   * the operations and whose fields are the state.
   *
   * An operation of a class is run on a new object that gets the stored fields; what the object holds
   * afterwards, as JSON, is the new state. The method gets the operation's input and the context. A
   * class without a method `delete` has that operation all the same: it deletes the entity.
   *
   * @param name matched without regard to case; must hold no `@`
   * @throws AlreadyRegistered, InvalidName, InvalidOption
   *
   * @example
   * ```ts
   * df.app.entity('counter', (context) => {
   *   const count = context.df.getState(() => 0)
   *   if (context.df.operationName === 'add') context.df.setState(count + context.df.getInput())
   *   return context.df.getState()
   * })
   *
   * df.app.entity('account', class {
   *   balance = 0
   *   deposit(amount: number) {
   *     this.balance += amount
   *     return this.balance
   *   }
   * })
   * ```
   */
  // biome-ignore lint/suspicious/noExplicitAny: of any state unless it is said
  entity<TState = any>(
    name: string,
    handler: EntityHandler<TState> | EntityClass | EntityOptions<TState>,
  ): void {
    checkEntityName(name)
    const given =
      typeof handler === 'function'
        ? handler
        : functionOptions(handler, ['handler'], `entity '${name}'`)['handler']
    checkHandler(given, `entity '${name}'`)
    const run = isClass(given) ? handlerOfClass(name, given) : (given as EntityHandler)
    this.#target.#addEntity({ name, handler: run })
  }

  /** @internal Registers an entity of another SDK, which runs whole batches. */
  hostedEntity(name: string, runBatch: (batch: HostedBatch) => Promise<HostedOutcome>): void {
    checkEntityName(name)
    this.#addEntity({ name, handler: () => undefined, runBatch })
  }

  #addOrchestrator(entry: OrchestratorEntry): void {
    add(this.#orchestrators, entry, 'orchestrator')
    this.#tell({ orchestrators: [entry.name], activities: [], entities: [] })
  }

  #addActivity(entry: ActivityEntry): void {
    add(this.#activities, entry, 'activity')
    this.#tell({ orchestrators: [], activities: [registeredActivity(entry)], entities: [] })
  }

  #addEntity(entry: EntityEntry): void {
    add(this.#entities, entry, 'entity')
    this.#tell({ orchestrators: [], activities: [], entities: [entry.name] })
  }

  /** @internal The entity of this name. */
  findEntity(name: string): EntityEntry | undefined {
    return find(this.#entities, name)
  }

  /** @internal The orchestrator of this name. */
  findOrchestrator(name: string): OrchestratorEntry | undefined {
    return find(this.#orchestrators, name)
  }

  /** @internal The activity of this name. */
  findActivity(name: string): ActivityEntry | undefined {
    return find(this.#activities, name)
  }

  /** @internal Refuses an activity with an output that nobody takes. */
  requireHandler(name: string, file?: string): void {
    requireHandlersOf(name, this.findActivity(name)?.outputs, file)
  }

  /** @internal All that is registered now, with what every registry has. */
  registered(): Registered {
    return {
      orchestrators: [...this.#orchestrators.values()].map((entry) => entry.name),
      activities: [
        ...[...this.#activities.values()].map(registeredActivity),
        { name: HTTP_ACTIVITY },
      ],
      entities: [...this.#entities.values()].map((entry) => entry.name),
    }
  }

  /**
   * @internal Takes over what a function app has registered, as far as it is wanted; what it took of
   * the same app before is replaced.
   */
  adopt(origin: App, { isWanted, prepare }: Adoption): void {
    const wanted = <TEntry extends { name: string }>(entries: Map<string, TEntry>): TEntry[] =>
      [...entries.values()].filter(({ name }) => isWanted(name))
    const orchestrators = wanted(origin.#orchestrators)
    const activities = wanted(origin.#activities).map(prepare)
    const entities = wanted(origin.#entities)
    for (const entry of orchestrators)
      put(this.#orchestrators, { ...entry, origin }, 'orchestrator')
    for (const entry of activities) put(this.#activities, { ...entry, origin }, 'activity')
    for (const entry of entities) put(this.#entities, { ...entry, origin }, 'entity')
    this.#tell({
      orchestrators: orchestrators.map(({ name }) => name),
      activities: activities.map(registeredActivity),
      entities: entities.map(({ name }) => name),
    })
  }

  /** @internal Tells of what is registered from now on, until the function given back is called. */
  onRegister(listener: (added: Registered) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(added: Registered): void {
    for (const listener of this.#listeners) listener(added)
  }
}

/** The registry that hubs use unless another is given. */
export const app: App = new App()

function registeredActivity(entry: ActivityEntry): Registered['activities'][number] {
  const { name, maxConcurrency, queue } = entry
  return {
    name,
    ...(maxConcurrency === undefined ? {} : { maxConcurrency }),
    ...(queue === undefined ? {} : { queue }),
  }
}

/** As spelt when the name is known by that spelling, which spares the folding of case. */
function find<TEntry>(entries: Map<string, TEntry>, name: string): TEntry | undefined {
  return entries.get(name) ?? entries.get(name.toLowerCase())
}

function add<TEntry extends { name: string }>(
  entries: Map<string, TEntry>,
  entry: TEntry,
  what: string,
): void {
  const key = entry.name.toLowerCase()
  const before = entries.get(key)
  if (before !== undefined) {
    const spelt = before.name === entry.name ? '' : ` as '${before.name}'`
    throw new AlreadyRegistered(
      `An ${what} named '${entry.name}' is registered already${spelt}. Names match without regard to case; use another name, or another App.`,
      { field: 'name' },
    )
  }
  entries.set(key, entry)
}

/** The same for what is taken over from another registry, which may be again. */
function put<TEntry extends Adopted & { name: string }>(
  entries: Map<string, TEntry>,
  entry: TEntry,
  what: string,
): void {
  const key = entry.name.toLowerCase()
  if (entries.get(key)?.origin === entry.origin) entries.delete(key)
  add(entries, entry, what)
}

function checkFunctionName(name: unknown, field: string): void {
  checkName(name, field)
  if (name.startsWith('@')) {
    throw new InvalidName(`The ${field} must not begin with '@', which marks entities.`, { field })
  }
}

/** What it does is for the hub to say, see `call-http/`. */
function refuseBuiltIn(name: string): void {
  if (name.toLowerCase() !== HTTP_ACTIVITY.toLowerCase()) return
  throw new AlreadyRegistered(`The activity '${HTTP_ACTIVITY}' is built in.`, { field: 'name' })
}

function checkEntityName(name: unknown): void {
  checkName(name, 'entity name')
  if (!/[@/\\#?]/.test(name)) return
  throw new InvalidName('The entity name must hold none of @ / \\ # ?, as it is part of ids.', {
    field: 'entity name',
  })
}

function checkHandler(handler: unknown, what: string): void {
  if (typeof handler !== 'function') {
    throw invalid('handler', `of ${what} must be a function`, handler ?? null)
  }
}

function define(definition: object, kind: string, name: string, handler: unknown): unknown {
  Object.defineProperties(definition, {
    name: { value: name, configurable: true },
    kind: { value: kind, enumerable: true },
    functionName: { value: name, enumerable: true },
    handler: { value: handler, enumerable: true },
  })
  return definition
}
