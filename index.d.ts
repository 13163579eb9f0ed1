declare global {
    interface SymbolConstructor {
        readonly dispose: unique symbol;
        readonly asyncDispose: unique symbol;
    }
    interface Disposable {
        [Symbol.dispose](): void;
    }
    interface AsyncDisposable {
        [Symbol.asyncDispose](): PromiseLike<void>;
    }
}

/**
 * The context of an activity function.
 *
 * An activity runs at least once: after a crash it may run again, with the same `idempotencyKey`.
 */
export declare interface ActivityContext extends InvocationContext, FunctionExtras {
    /** The instance that called the activity. */
    readonly instanceId: string;
    /** The number of this attempt, from 1. */
    readonly attempt: number;
    /**
     * Aborts when the result is no longer wanted: the orchestration ended, the activity's `timeoutMs`
     * passed (`signal.reason` is a `TimeoutError`), or the hub closes.
     */
    readonly signal: AbortSignal;
    /** The same for every attempt and every re-run of this task, and for no other task. */
    readonly idempotencyKey: string;
}

/**
 * What `app.activity` gives. Pass it to `context.df.call`, or, in a generator function, call it:
 * `yield hello('x')`, `yield hello('x').withRetry(retryOptions)`.
 */
export declare interface ActivityDefinition<TInput = unknown, TResult = unknown> extends Definition<TInput, TResult> {
    (...args: undefined extends TInput ? [input?: TInput] : [input: TInput]): RegisteredActivityTask<TResult>;
    /** As loose as in durable-functions; `context.df.call` is not. */
    (input?: unknown): RegisteredActivityTask<TResult>;
    readonly kind: 'activity';
    /** The function itself, for tests of it. */
    readonly handler: ActivityHandler<TInput, TResult>;
}

/** An activity function. What it returns must be JSON; it may be a promise. */
export declare type ActivityHandler<TInput = any, TResult = unknown> = (input: TInput, context: ActivityContext) => TResult | PromiseLike<TResult>;

/** What an activity is registered with. */
export declare interface ActivityOptions<TInput = any, TResult = unknown> extends FunctionOptions {
    handler: ActivityHandler<TInput, TResult>;
    /**
     * Milliseconds after which an attempt fails with a `TimeoutError` and its `context.signal` aborts;
     * what it returns later is ignored. Default: no bound.
     */
    timeoutMs?: number | undefined;
    /**
     * How many invocations of this activity the hub runs at a time, on all its workers together. Default:
     * the bounds of the workers alone.
     */
    maxConcurrency?: number | undefined;
    /**
     * The group of workers that run it, of a hub on a PostgreSQL server: those that have it among their
     * `queues`, or name none. 1 to 100 characters. Default 'default'.
     */
    queue?: string | undefined;
}

/** The trigger of an activity. */
export declare interface ActivityTrigger extends FunctionTrigger {
    type: 'activityTrigger';
}

/** `callHttp` does not call a private, loopback, link-local or reserved address that is not allowed. */
export declare class AddressRefused extends DurableError {
    static readonly code: string;
}

/** Several errors as one, for programs that ask for it. `Task.all` fails with the first error instead. */
export declare class AggregatedError extends Error {
    readonly errors: Error[];
    constructor(errors: Error[]);
}

/** How `Task.all` runs its members. */
export declare interface AllOptions {
    /**
     * How many of the members the engine runs at a time. They must all be activities, or all
     * sub-orchestrations, made in this same turn. All are recorded as scheduled at once. Default: all together.
     */
    concurrency?: number | undefined;
}

/** What `Task.all` gives. */
export declare type AllTaskOf<T extends readonly AnyTask[]> = Task<{
    -readonly [K in keyof T]: AwaitedOf<T[K]>;
}, {
    -readonly [K in keyof T]: YieldedOf<T[K]>;
}>;

/** A function of this name is registered already; names match without regard to case. */
export declare class AlreadyRegistered extends DurableError {
    static readonly code: string;
}

/** An orchestrator function of any kind. */
export declare type AnyOrchestrationHandler<TInput = unknown, TResult = unknown> = GeneratorHandler<TInput, TResult> | AsyncHandler<TInput, TResult>;

/** What `await Task.any(tasks)` gives: not the task itself, which `await` would unwrap. */
export declare type AnyResult<TResult = unknown> = {
    index: number;
    isFaulted: false;
    result: TResult;
} | {
    index: number;
    isFaulted: true;
    result: Error;
};

/** A task, whatever it gives. */
export declare type AnyTask = Task<any, any>;

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
export declare class App {
    #private;
    /** Functions with a client as their second argument, in the function host. */
    readonly client: ClientFunctions;
    constructor();
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
    orchestration<TInput = unknown, TResult = unknown>(name: string, handler: GeneratorHandler<TInput, TResult>): OrchestrationDefinition<TInput, TResult>;
    orchestration<TInput = unknown, TResult = unknown>(name: string, options: OrchestrationOptions<GeneratorHandler<TInput, TResult>>): OrchestrationDefinition<TInput, TResult>;
    orchestration<TInput = unknown, TResult = unknown>(name: string, handler: AsyncHandler<TInput, TResult>): OrchestrationDefinition<TInput, TResult>;
    orchestration<TInput = unknown, TResult = unknown>(name: string, options: OrchestrationOptions<AsyncHandler<TInput, TResult>>): OrchestrationDefinition<TInput, TResult>;
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
    activity<TInput = unknown, TResult = unknown>(name: string, options: ActivityOptions<TInput, TResult>): ActivityDefinition<TInput, TResult>;
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
    setTokenProvider(provider: TokenProvider | undefined): void;
    /**
     * Registers who gives errors of activities own fields beside theirs, before they cross to the
     * orchestrator. A provider registered before is replaced; undefined takes it away. What is registered
     * on `df.app` serves the hubs of other registries too, if they have none.
     *
     * @throws InvalidOption
     */
    setExceptionPropertiesProvider(provider: ExceptionPropertiesProvider | undefined): void;
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
    entity<TState = any>(name: string, handler: EntityHandler<TState> | EntityClass | EntityOptions<TState>): void;
}

/** The registry that hubs use unless another is given. */
export declare const app: App;

/** An async function that awaits tasks, or a plain function. */
export declare type AsyncHandler<TInput = unknown, TResult = unknown> = (context: OrchestrationContext<TInput>) => TResult | PromiseLike<TResult>;

/** Who may call a function: all, who has a key, who has the master key. */
export declare type AuthLevel = 'anonymous' | 'function' | 'admin';

/** What `await` gives of a task. */
export declare type AwaitedOf<T> = T extends Task<infer TAwaited, infer _> ? TAwaited : never;

/** A binding, as `function.json` has it. */
export declare interface BindingDefinition {
    readonly name: string;
    readonly type: string;
    readonly direction: 'in' | 'out' | 'inout';
}

/**
 * Takes what a function left for an output binding. The function's call ends when it has ended, and
 * fails if it fails.
 */
export declare type BindingHandler = (value: any, binding: OutputBinding, context: InvocationContext) => unknown;

/** The arguments after the definition: the input may be left out where it may be undefined. */
export declare type CallArguments<TInput> = undefined extends TInput ? [input?: TInput, options?: CallOptions] : [input: TInput, options?: CallOptions];

/** The older form of the arguments. */
export declare type CallHttpArguments = [
method: string,
url: string,
body?: unknown,
headers?: Record<string, string | readonly string[]>,
tokenSource?: TokenSource,
asynchronousPatternEnabled?: boolean
];

/** A request of `context.df.callHttp`, and how it is carried out. */
export declare interface CallHttpOptions {
    /** Such as GET or POST. */
    method: string;
    /** Absolute, of http or https. */
    url: string;
    /** The body; what is no string is sent as its JSON text. Default: none. */
    body?: unknown;
    /** Headers by name. With a body and no `Content-Type`, that is `text/plain`, as in the original. */
    headers?: Record<string, string | readonly string[]> | undefined;
    /** Whose bearer token to send: `new df.ManagedIdentityTokenSource(resource)`. See `App.setTokenProvider`. */
    tokenSource?: TokenSource | undefined;
    /** Whether to follow an answer of 202 by polling its `Location` until it is another. Default true. */
    enablePolling?: boolean | undefined;
    /** The older name of `enablePolling`, which wins. */
    asynchronousPatternEnabled?: boolean | undefined;
    /**
     * A retry policy, for requests that are not answered, and for answers of `retryOnStatus`; if the last
     * attempt fails too, so does the task. Default: one attempt, and every answer is a result.
     */
    retry?: RetryPolicy | undefined;
    /** With `retry`: the statuses to retry. Default: all from 400 on. */
    retryOnStatus?: readonly number[] | undefined;
    /** Milliseconds that each request may take. Default: the hub's `http.timeoutMs`. */
    timeoutMs?: number | undefined;
}

/** Options of `context.df.call`. */
export declare interface CallOptions {
    /** A retry policy. Default: one attempt. */
    retry?: RetryPolicy | undefined;
    /** Of an orchestration: the id of the sub-orchestration. Default: one made from the parent's. */
    instanceId?: string | undefined;
    /** Of an orchestration: its version; '' for none. Default: the hub's `defaultVersion`. */
    version?: string | undefined;
}

/** A generator function in a folder. */
export declare type ClassicOrchestrator<TInput = unknown, TResult = unknown> = (context: IOrchestrationFunctionContext<TInput>) => Generator<unknown, TResult, any>;

/** The request of a classic http function: `context.req`, and the function's first argument. */
export declare interface ClassicRequest {
    readonly method: string;
    readonly url: string;
    readonly originalUrl: string;
    /** By names in lower case. */
    readonly headers: Record<string, string>;
    readonly query: Record<string, string>;
    /** Parameters of the route, and of the query where the route has none of that name. */
    readonly params: Record<string, string>;
    /** Parsed if it is JSON; of binary and multipart requests a Buffer; else the text. */
    readonly body?: any;
    /** As text. */
    readonly rawBody?: string;
    readonly bufferBody?: Buffer;
    readonly user: null;
    /** A header, by its name in any case. */
    get(name: string): string | undefined;
    /** Of multipart and url-encoded forms. */
    parseFormBody(): Form;
}

/** `context.res` of a classic http function. Sending it ends the function, as `context.done` does. */
export declare class ClassicResponse {
    #private;
    statusCode?: number | string;
    headers: Record<string, unknown>;
    cookies: unknown[];
    body?: unknown;
    status(statusCode: number | string): this;
    setHeader(name: string, value: unknown): this;
    getHeader(name: string): unknown;
    removeHeader(name: string): this;
    header(name: string, value: unknown): this;
    set(name: string, value: unknown): this;
    get(name: string): unknown;
    type(contentType: string): this;
    end(body?: unknown): this;
    send(body?: unknown): this;
    sendStatus(statusCode: number | string): this;
    json(body: unknown): void;
}

/**
 * `df.app.client`. Each method registers a function of the app with the function host, by the app's own
 * `@azure/functions`; outside of the host nothing is registered, and a warning says so.
 */
export declare interface ClientFunctions {
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
    http(functionName: string, options: HttpDurableClientOptions): void;
    timer(functionName: string, options: TimerDurableClientOptions): void;
    storageBlob(functionName: string, options: StorageBlobDurableClientOptions): void;
    storageQueue(functionName: string, options: StorageQueueDurableClientOptions): void;
    serviceBusQueue(functionName: string, options: ServiceBusQueueDurableClientOptions): void;
    serviceBusTopic(functionName: string, options: ServiceBusTopicDurableClientOptions): void;
    eventHub(functionName: string, options: EventHubDurableClientOptions): void;
    eventGrid(functionName: string, options: EventGridDurableClientOptions): void;
    cosmosDB(functionName: string, options: CosmosDBDurableClientOptions): void;
    /** Any trigger: `{ trigger: { type, name, … }, handler }`. */
    generic(functionName: string, options: DurableClientOptions): void;
}

/** See `ConnectOptions.clientSemantics`. */
export declare type ClientSemantics = 'durafn' | 'azure';

/** How a hub is closed. */
export declare interface CloseOptions {
    /** How long running activities may take to end, in milliseconds; then they are aborted. Default 10,000. */
    drainTimeoutMs?: number | undefined;
}

/** Options of a trigger of the cloud's, which the host refuses by name. */
export declare interface CloudDurableClientOptions<THandler> extends FunctionOptions {
    handler: THandler;
    [setting: string]: unknown;
}

/**
 * Connects a client to a task hub, from any process, whether or not workers run; the hub is made if
 * there is none. A client alone does not keep the process alive; a call of it that waits does.
 *
 * @throws NotAHub, HubTooNew, StoreReadOnly, StoreFull, StoreUnavailable, InvalidOption,
 * UnsupportedPlatform
 *
 * @example
 * ```ts
 * await using client = await df.connect({ store: 'sqlite:./orders.db' })
 * await client.raiseEvent(id, 'Approve', { by: 'Ada' })
 * ```
 */
export declare function connect(options?: ConnectOptions): Promise<ConnectedClient>;

/** A client with a connection of its own, from `df.connect`. */
export declare class ConnectedClient extends DurableClient implements HubClient, AsyncDisposable {
    #private;
    /** The status of an instance; null when there is none, or when it has not begun to run. */
    getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus | null>;
    /** The type that durable-functions has for it. */
    getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus>;
    /** Itself, so that `{ client }` can be taken from a hub and a connection alike. */
    get client(): this;
    /**
     * Copies the hub, while it runs, to a new file.
     *
     * @param file its path; it must not exist
     * @throws StoreUnavailable, StoreFull, StoreReadOnly, InvalidOption
     */
    backup(file: string): Promise<void>;
    /**
     * What the store holds and how it fares: sizes, and for a PostgreSQL server rows and dead rows of each
     * table. `durafn stats` prints it.
     *
     * @throws StoreUnavailable
     *
     * @example
     * ```ts
     * const { tables } = await client.storeStats()
     * const dead = Math.max(...tables.map(({ deadRows }) => deadRows))
     * ```
     */
    storeStats(): Promise<StoreStats>;
    /** Writes what was asked for and releases the store. May be called again. */
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
}

/** Where the hub is, and where its log goes. */
export declare interface ConnectOptions {
    /**
     * `sqlite:PATH`, relative to the current directory; folders are made. Or the URL of a PostgreSQL
     * database, `postgres://USER:PASSWORD@HOST/DATABASE`, where each hub has a schema of its own. Default:
     * the environment's `DURAFN_STORE`, else `sqlite:.durafn/hub.db`.
     */
    store?: string | undefined;
    /**
     * The URL of the same PostgreSQL database, where `store` leads to a pooler in transaction mode: what other
     * processes do is heard on it, and looked for without it. Default: the environment's `DURAFN_LISTEN`.
     */
    listenUrl?: string | undefined;
    /**
     * Use only what PostgreSQL has in common with servers that speak its protocol (docs/scaling.md). Also
     * `?distributed=true` in the URL. All processes of a hub must agree. Default false.
     */
    distributed?: boolean | undefined;
    /** 1 to 64 letters, digits, `.`, `_` or `-`. Default: what the store has, else 'default'. */
    hubName?: string | undefined;
    /**
     * What calls of the client do that can change nothing. 'durafn': `terminate`, `suspend` and `resume` of an
     * instance that has ended reject with `InstanceEnded`, and `raiseEvent` to an unknown one resolves and says
     * that it was discarded. 'azure': as `durable-functions` of every version, the first resolve, and the last
     * rejects with `InstanceNotFound`. Default 'durafn'.
     */
    clientSemantics?: ClientSemantics | undefined;
    /** Where log lines go; false: nowhere. Default: `console`, with the engine's warnings and errors. */
    logger?: Logger | false | undefined;
}

/** A cookie of a response. */
export declare interface Cookie {
    name: string;
    value: string;
    domain?: string;
    path?: string;
    expires?: Date | number;
    secure?: boolean;
    httpOnly?: boolean;
    sameSite?: 'Strict' | 'Lax' | 'None' | undefined;
    maxAge?: number;
}

/** What is stored of the instance cannot be read. */
export declare class CorruptHistory extends DurableError {
    static readonly code: string;
}

export declare type CosmosDBDurableClientHandler = DurableClientHandler<unknown[], void>;

export declare type CosmosDBDurableClientOptions = CosmosDBv3DurableClientOptions | CosmosDBv4DurableClientOptions;

export declare type CosmosDBv3DurableClientOptions = CloudDurableClientOptions<CosmosDBDurableClientHandler>;

export declare type CosmosDBv4DurableClientOptions = CloudDurableClientOptions<CosmosDBDurableClientHandler>;

/** What an activity and an orchestration have in common: the types of input and result. */
export declare interface Definition<TInput = unknown, TResult = unknown> {
    readonly kind: 'activity' | 'orchestration';
    /** The name it is registered by. */
    readonly functionName: string;
    /** Only for the types; there is no such property. */
    readonly [types]?: (input: TInput) => TResult;
}

/** What both have; without a handler its log goes to the console. */
export declare class DummyContext {
    readonly functionName: string;
    readonly invocationId: string;
    readonly log: LogFunction;
    readonly trace: (...args: unknown[]) => void;
    readonly debug: (...args: unknown[]) => void;
    readonly info: (...args: unknown[]) => void;
    readonly warn: (...args: unknown[]) => void;
    readonly error: (...args: unknown[]) => void;
    readonly extraInputs: InvocationContextExtraInputs;
    readonly extraOutputs: InvocationContextExtraOutputs;
    readonly options: EffectiveFunctionOptions;
    constructor(trigger: string, functionName?: string, invocationId?: string, logHandler?: LogHandler);
}

/** The same of no entity. To run an entity, open a hub in memory. */
export declare class DummyEntityContext<TState = any> extends DummyContext implements EntityContext<TState> {
    /** Undefined, until it is assigned. */
    df: DurableEntityContext<TState>;
    /**
     * @param functionName default 'dummyContextFunctionName'
     * @param invocationId default: a random UUID
     * @param logHandler takes what is logged; default: the console
     */
    constructor(functionName?: string, invocationId?: string, logHandler?: LogHandler);
}

/**
 * The context of no orchestrator: `df` is yours to fill with what the code under test calls. To run an
 * orchestrator with its engine, open a hub in memory: `df.open({ store: 'sqlite::memory:' })`.
 *
 * @example
 * ```ts
 * const context = new df.DummyOrchestrationContext()
 * context.df = { callActivity: (name) => ({ name }) } as never
 * const steps = handler(context)
 * console.log(steps.next().value)
 * ```
 */
export declare class DummyOrchestrationContext extends DummyContext implements OrchestrationContext {
    /** Undefined, until it is assigned. */
    df: DurableOrchestrationContext;
    /**
     * @param functionName default 'dummyContextFunctionName'
     * @param invocationId default: a random UUID
     * @param logHandler takes what is logged; default: the console
     */
    constructor(functionName?: string, invocationId?: string, logHandler?: LogHandler);
}

/**
 * Starts, queries, terminates and sends events to instances.
 *
 * A promise of a method that changes something resolves when the change is durable. Every method
 * rejects with `HubClosed` after the hub (or this client) was closed, with `InvalidInstanceId`
 * or `InvalidOption` for arguments of the wrong type, and with `TooManyCalls` while 100,000 calls
 * (`limits.pendingCalls`) wait for their answers.
 */
export declare class DurableClient {
    #private;
    /** The hub's name. */
    readonly taskHubName: string;
    /** The older form. An id of undefined, null or '' means a random one. Stands first, as types of mocks take the last form. */
    startNew<TInput = unknown>(orchestrator: Startable<TInput>, instanceId: string | null | undefined, input?: TInput): Promise<string>;
    /**
     * Starts an orchestration.
     *
     * @returns the id of the instance
     * @throws InstanceAlreadyExists if the id is in use by an instance that has not ended (see
     * `onConflict`), NotRegistered if workers of the hub run and none registers the name, InvalidName,
     * InvalidInstanceId, UnserializableValue, PayloadTooLarge
     *
     * @example
     * ```ts
     * const id = await client.startNew('sayHello', { input: 'Tokyo' })
     * ```
     */
    startNew<TInput = unknown>(orchestrator: Startable<TInput>, options?: StartNewOptions<TInput>): Promise<string>;
    /**
     * Starts several orchestrations, at most 10,000, in one transaction: all or, if one is refused, none.
     * The error then has the `index` of the one.
     *
     * @returns the ids, in the same order
     * @throws as `startNew`
     */
    startMany(starts: readonly StartRequest[]): Promise<string[]>;
    /**
     * The status of an instance; null when there is none, or when it has not begun to run (unless
     * `pending` is set).
     *
     * Its type here is that of durable-functions, which knows no null, so that programs written for that
     * compile; as a `HubClient`, which `hub.client` and `df.connect` give, null is in it.
     *
     * @throws PayloadTooLarge if what is shown of its history has more than 128 MiB
     * @example
     * ```ts
     * const status = await client.getStatus(id, { showHistory: true })
     * console.log(status?.runtimeStatus, status?.waitingFor)
     * ```
     */
    getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus>;
    /** The statuses of all instances. Prefer `list` where there may be many. */
    getStatusAll(): Promise<OrchestrationStatus[]>;
    /** The statuses of all instances that a filter lets pass, as one list. */
    getStatusBy(filter: OrchestrationFilter): Promise<OrchestrationStatus[]>;
    /**
     * One page of the instances that a filter lets pass, pending ones included, in the order in which
     * they were scheduled.
     *
     * @example
     * ```ts
     * let cursor: string | null = null
     * do {
     *   const page = await client.list({ runtimeStatus: 'Failed', top: 100, cursor })
     *   for (const { instanceId } of page.instances) await client.rewind(instanceId, 'fixed')
     *   cursor = page.cursor
     * } while (cursor !== null)
     * ```
     */
    list(options?: ListOptions): Promise<InstancePage>;
    /** How many instances a filter lets pass. */
    count(filter?: OrchestrationFilter): Promise<number>;
    /**
     * Terminates an instance: it stops at its next await point, at once if it is at one. Activities
     * that run are not interrupted, but their `context.signal` aborts and their results are dropped.
     *
     * @param reason logged, and the status's `output`; any JSON value
     * @throws InstanceNotFound, InstanceEnded, UnserializableValue, PayloadTooLarge
     */
    terminate(instanceId: string, reason?: unknown, options?: RecursiveOptions): Promise<void>;
    /**
     * Suspends an instance: messages, timers and results are kept, and none is processed until
     * `resume`.
     *
     * @throws InstanceNotFound, InstanceEnded, UnserializableValue, PayloadTooLarge
     */
    suspend(instanceId: string, reason?: unknown, options?: RecursiveOptions): Promise<void>;
    /**
     * Lets a suspended instance go on, also one that is held because its code no longer matched its
     * history.
     *
     * @throws InstanceNotFound, InstanceEnded, UnserializableValue, PayloadTooLarge
     */
    resume(instanceId: string, reason?: unknown, options?: RecursiveOptions): Promise<void>;
    /**
     * Lets a failed instance run again from where it failed: what succeeded is kept, what failed is
     * tried anew, also in sub-orchestrations. Refused where nothing that failed can be tried anew.
     *
     * @throws InstanceNotFound, NotRewindable, UnserializableValue, PayloadTooLarge
     */
    rewind(instanceId: string, reason?: unknown, options?: TaskHubOptions): Promise<void>;
    /**
     * Starts a new instance with the name and input of this one.
     *
     * @returns the id of the new one
     * @throws InstanceNotFound; InstanceAlreadyExists if the id is to be the same and it has not ended
     */
    restart(instanceId: string, options?: RestartOptions | boolean): Promise<string>;
    /**
     * Deletes an instance that has ended, with its history; or, by its id `@name@key`, an entity for
     * which nothing waits.
     *
     * @returns how many were deleted: 0 if there is none of this id
     * @throws InstanceNotEnded, EntityInUse
     */
    purgeInstanceHistory(instanceId: string): Promise<PurgeHistoryResult>;
    /** Deletes all instances that have ended and that the filter lets pass. */
    purgeInstanceHistoryBy(filter: OrchestrationFilter): Promise<PurgeHistoryResult>;
    /**
     * Sends an event to an instance. Events that one client sends to one instance arrive in the order
     * of the calls, awaited or not.
     *
     * Resolves, once it is durable, to what became of the event; it is never lost silently. What
     * happens to one that the instance does not wait for is the hub's `unmatchedEvents`.
     *
     * @throws InvalidName, UnserializableValue, PayloadTooLarge
     */
    raiseEvent(instanceId: string, eventName: string, eventData?: unknown, options?: TaskHubOptions): Promise<RaiseEventOutcome>;
    /**
     * Sends an operation to an entity. Resolves when that is durable, not when it has been carried out;
     * whether a worker runs does not matter. Signals that one client sends to one entity are carried out
     * in the order of the calls, awaited or not.
     *
     * @throws InvalidEntityId, InvalidName, UnserializableValue, PayloadTooLarge
     *
     * @example
     * ```ts
     * await client.signalEntity(new df.EntityId('counter', 'visits'), 'add', 1)
     * ```
     */
    signalEntity(entityId: EntityId, operationName?: string, operationInput?: unknown, options?: SignalOptions & TaskHubOptions): Promise<void>;
    /**
     * The state of an entity, as its last operation left it. What was signalled and not carried out yet
     * does not show.
     *
     * @throws InvalidEntityId
     */
    readEntityState<TState = unknown>(entityId: EntityId, options?: TaskHubOptions): Promise<EntityStateResponse<TState>>;
    /**
     * One page of the entities that have a state, in the order of their ids.
     *
     * @example
     * ```ts
     * const { entities } = await client.listEntities({ name: 'counter', keyPrefix: 'eu-' })
     * ```
     */
    listEntities(options?: ListEntitiesOptions): Promise<EntityPage>;
    /**
     * Waits until an instance has ended, and gives its status. For one that continues as new that is
     * when the last generation ends.
     *
     * @throws InstanceNotFound, TimeoutError
     */
    waitForCompletion(instanceId: string, options?: WaitForCompletionOptions): Promise<OrchestrationStatus>;
    /**
     * The URLs by which an instance is managed, for whoever is to have no client. They hold the key of the
     * management API.
     *
     * @throws InvalidOption where none is served
     */
    createHttpManagementPayload(instanceId: string): HttpManagementPayload;
    /**
     * The response of an HTTP function that has started an instance: 202, with the URLs by which it is
     * managed.
     *
     * @param request the function's; the URLs lead to where it was sent to
     * @throws InvalidOption where no management API is served
     */
    createCheckStatusResponse(request: WithUrl | null | undefined, instanceId: string): HttpResponse;
    /**
     * The response of an HTTP function that waits a while for an instance: its output if it completes in
     * time, its status if it fails (500) or is terminated (200), else that of `createCheckStatusResponse`.
     *
     * @param waitOptions Default: 10 seconds
     * @throws InstanceNotFound; InvalidOption where no management API is served
     */
    waitForCompletionOrCreateCheckStatusResponse(request: WithUrl | null | undefined, instanceId: string, waitOptions?: WaitForCompletionOptions): Promise<HttpResponse>;
    /** The origins at which the management API is served: one at most. */
    get uniqueWebhookOrigins(): string[];
}

/** A function that some trigger starts, with a client as its second argument. */
export declare type DurableClientHandler<TTrigger = any, TResult = any> = (triggerInput: TTrigger, client: DurableClient, context: FunctionInvocationContext) => FunctionResult<TResult>;

/** The input that is a client of the hub. */
export declare interface DurableClientInput extends FunctionInput {
    type: 'durableClient';
}

/** What a function with a client is registered with. */
export declare interface DurableClientOptions extends FunctionOptions {
    trigger: FunctionTrigger;
    handler: DurableClientHandler;
}

/**
 * The durable part of an entity's context, for one operation. What an operation changes and sends is
 * stored at once when it has ended, and not at all if it fails.
 */
export declare interface DurableEntityContext<TState = any> {
    /** The entity's name, in lower case. */
    readonly entityName: string;
    readonly entityKey: string;
    readonly entityId: EntityId;
    /** The operation that is to be carried out. */
    readonly operationName: string;
    /** Whether the entity has no state yet. */
    readonly isNewlyConstructed: boolean;
    /** The operation's input; undefined when there is none. */
    getInput<TInput = TState>(): TInput | undefined;
    /**
     * A copy of the state; to change it, call `setState`.
     *
     * @param initializer gives what is returned while there is no state
     */
    getState(initializer: () => TState): TState;
    getState(): TState | undefined;
    /**
     * Replaces the state. Undefined means none, which is the same as `destructOnExit`.
     *
     * @throws UnserializableValue, PayloadTooLarge
     */
    setState(state: TState): void;
    /** What the caller of the operation gets. Without it, that is what the function returns. */
    return<TResult = unknown>(result: TResult): void;
    /** Deletes the entity's state when the operation has ended. */
    destructOnExit(): void;
    /**
     * Sends an operation to an entity, and does not wait for it.
     *
     * @throws InvalidEntityId, InvalidName, UnserializableValue, PayloadTooLarge
     */
    signalEntity(entity: EntityId, operationName: string, operationInput?: unknown, options?: SignalOptions): void;
}

/**
 * The base of every error that this package makes. Programs tell them apart by `code` (or by class).
 *
 * @example
 * ```ts
 * try {
 *   await client.startNew('order', { instanceId: 'order-1' })
 * } catch (error) {
 *   if (error instanceof df.DurableError && error.code === 'InstanceAlreadyExists') return
 *   throw error
 * }
 * ```
 */
export declare class DurableError extends Error {
    static readonly code: string;
    /** Stable: never renamed, never given another meaning. */
    readonly code: string;
    /** The argument, option or field that was refused. */
    readonly field?: string;
    /** Of several starts in one call, the one that was refused, from 0. */
    readonly index?: number;
    /** The instance that the error is about. */
    readonly instanceId?: string;
    constructor(message?: string, details?: ErrorDetails);
}

/** The input of `BuiltIn::HttpActivity`. */
export declare class DurableHttpRequest {
    method: string;
    uri: string;
    content?: string;
    headers?: Record<string, string | readonly string[]>;
    tokenSource?: TokenSource;
    /** Whether an answer of 202 is followed; the activity itself makes one request and ignores it. */
    asynchronousPatternEnabled?: boolean;
    /** Milliseconds that the request may take. Default: the hub's. */
    timeoutMs?: number;
    /** Statuses that are failures of the activity; an empty list: all from 400 on. Absent: none. */
    failOnStatus?: readonly number[];
    constructor(method: string, uri: string, content?: string, headers?: Record<string, string | readonly string[]>, tokenSource?: TokenSource, asynchronousPatternEnabled?: boolean);
}

/** The answer to `context.df.callHttp`. */
export declare class DurableHttpResponse {
    /** The status of the answer; whichever it is, the call has succeeded. */
    readonly statusCode: number;
    /** The body, as text. */
    readonly content: string;
    /** By name; an array where there were several of one name. */
    readonly headers: Readonly<Record<string, string | string[]>>;
    constructor(statusCode: number, content?: string, headers?: Readonly<Record<string, string | string[]>>);
    /** A header by its name in any case; of several of one name, all with commas between. */
    getHeader(name: string): string | undefined;
}

/**
 * A critical section, as `yield context.df.lock(…)` gives it. While it lasts, only this orchestration's
 * operations are carried out by its entities. It ends with `release()`, and by itself when the
 * orchestration ends, is terminated or continues as new.
 */
export declare class DurableLock implements Disposable {
    #private;
    /** The entities, in the order in which they were locked. */
    readonly ownedLocks: readonly EntityId[];
    /** Gives the entities back. Does nothing when it was called before. */
    release(): void;
    [Symbol.dispose](): void;
}

/**
 * The client that functions of a folder get: as its binding, and by `df.getClient(context)`. It takes its
 * arguments one after the other too.
 */
export declare interface DurableOrchestrationClient extends DurableClient {
    getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus>;
    getStatus(instanceId: string, showHistory?: boolean, showHistoryOutput?: boolean, showInput?: boolean): Promise<OrchestrationStatus>;
    getStatusBy(filter: OrchestrationFilter): Promise<OrchestrationStatus[]>;
    getStatusBy(createdTimeFrom: Date | undefined, createdTimeTo: Date | undefined, runtimeStatus?: OrchestrationRuntimeStatus[]): Promise<OrchestrationStatus[]>;
    purgeInstanceHistoryBy(filter: OrchestrationFilter): Promise<PurgeHistoryResult>;
    purgeInstanceHistoryBy(createdTimeFrom: Date, createdTimeTo?: Date, runtimeStatus?: OrchestrationRuntimeStatus[]): Promise<PurgeHistoryResult>;
    raiseEvent(instanceId: string, eventName: string, eventData?: unknown, options?: TaskHubOptions): Promise<RaiseEventOutcome>;
    raiseEvent(instanceId: string, eventName: string, eventData: unknown, taskHubName?: string, connectionName?: string): Promise<RaiseEventOutcome>;
    rewind(instanceId: string, reason?: unknown, options?: TaskHubOptions): Promise<void>;
    rewind(instanceId: string, reason: string, taskHubName?: string, connectionName?: string): Promise<void>;
    signalEntity(entityId: EntityId, operationName?: string, operationInput?: unknown, options?: SignalOptions & TaskHubOptions): Promise<void>;
    signalEntity(entityId: EntityId, operationName?: string, operationContent?: unknown, taskHubName?: string, connectionName?: string): Promise<void>;
    readEntityState<TState = unknown>(entityId: EntityId, options?: TaskHubOptions): Promise<EntityStateResponse<TState>>;
    readEntityState<TState = unknown>(entityId: EntityId, taskHubName?: string, connectionName?: string): Promise<EntityStateResponse<TState>>;
    waitForCompletionOrCreateCheckStatusResponse(request: WithUrl | null | undefined, instanceId: string, waitOptions?: WaitForCompletionOptions): Promise<HttpResponse>;
    waitForCompletionOrCreateCheckStatusResponse(request: WithUrl | null | undefined, instanceId: string, timeoutInMilliseconds?: number, retryIntervalInMilliseconds?: number): Promise<HttpResponse>;
}

/**
 * The durable part of an orchestrator's context. Every method that makes a task or changes
 * something must be called inside a turn, that is: from the orchestrator itself, after a task it
 * waited for, not from a callback of the event loop; else it throws `OutsideTurn`.
 */
export declare interface DurableOrchestrationContext<TInput = unknown> {
    readonly instanceId: string;
    /** Of a sub-orchestration: the id of the instance that called it. */
    readonly parentInstanceId: string | undefined;
    /** The version that the instance was started with; undefined when it has none. It never changes. */
    readonly version: string | undefined;
    /** Whether the code that runs now ran before and only repeats what history holds. */
    readonly isReplaying: boolean;
    /** The time of the turn, the same in every replay; never runs back. */
    readonly currentUtcDateTime: Date;
    /** The custom status as last set in this execution. */
    readonly customStatus: unknown;
    /** `Task.all` and `Task.any`. */
    readonly Task: TaskCombinators;
    /** The input; undefined when there is none. */
    getInput<T = TInput>(): T;
    /**
     * Calls an activity or a sub-orchestration by its definition, with its types, in both kinds of
     * orchestrators.
     *
     * @example
     * ```ts
     * const hello = df.app.activity('hello', { handler: (name: string) => `Hello ${name}!` })
     * df.app.orchestration('greet', async (context) => {
     *   const text = await context.df.call(hello, 'Ada') // string
     *   return text.length
     * })
     * ```
     *
     * @throws InvalidOption, UnserializableValue, PayloadTooLarge, OutsideTurn
     */
    call<TCalled, TResult>(definition: Definition<TCalled, TResult>, ...args: CallArguments<TCalled>): Task<TResult>;
    /**
     * Calls the activity of this name. The task fails with what the activity threw, or with
     * `NotRegistered`.
     *
     * @throws InvalidName, UnserializableValue, PayloadTooLarge, OutsideTurn
     */
    callActivity<TResult = unknown>(name: string, input?: unknown): Task<TResult>;
    /** The same with a retry policy. */
    callActivityWithRetry<TResult = unknown>(name: string, retryOptions: RetryPolicy, input?: unknown): Task<TResult>;
    /**
     * Runs another orchestration and waits for its result. The task fails with the error that it
     * failed with, with `OrchestrationTerminated`, or with why it could not start.
     *
     * @param instanceId its id; by default one is made from the caller's
     * @param version its version; '' for none; by default the hub's `defaultVersion`
     * @throws InvalidName, InvalidInstanceId, UnserializableValue, PayloadTooLarge, OutsideTurn
     */
    callSubOrchestrator<TResult = unknown>(name: string, input?: unknown, instanceId?: string, version?: string): Task<TResult>;
    /** The same with a retry policy. */
    callSubOrchestratorWithRetry<TResult = unknown>(name: string, retryOptions: RetryPolicy, input?: unknown, instanceId?: string, version?: string): Task<TResult>;
    /**
     * Waits for an event, sent by `client.raiseEvent`. Names match without regard to case; of several
     * open waits of one name the newest is served first. A wait that has lost its race stays open until
     * `cancel()`: its event is there when the code waits for it again, or else goes to the next wait of
     * that name.
     *
     * @throws InvalidName, OutsideTurn
     */
    waitForExternalEvent<TResult = unknown>(name: string): ExternalEventTask<TResult>;
    /**
     * Has an entity carry out an operation. The task gives what the operation returned, or fails with
     * what it threw. The operations of one entity are carried out one after the other; those that one
     * orchestration sends, in the order of the sending.
     *
     * @throws InvalidEntityId, InvalidName, UnserializableValue, PayloadTooLarge, OutsideTurn,
     * LockingRulesViolationError
     */
    callEntity<TResult = unknown>(entityId: EntityId, operationName: string, operationInput?: unknown): Task<TResult>;
    /**
     * The same, and does not wait for it.
     *
     * @throws InvalidEntityId, InvalidName, UnserializableValue, PayloadTooLarge, OutsideTurn,
     * LockingRulesViolationError
     */
    signalEntity(entityId: EntityId, operationName: string, operationInput?: unknown, options?: SignalOptions): void;
    /**
     * Begins a critical section: the task gives a lock once all of the entities are this orchestration's
     * own, and until `lock.release()` no other one's operations are carried out by them. Entities are
     * locked in one order by everyone, so that two sections never wait for each other.
     *
     * Inside a section only its entities are called, one call of each at a time; they are not signalled;
     * there are no sub-orchestrations, and no further section.
     *
     * @throws InvalidEntityId, InvalidOption, OutsideTurn, LockingRulesViolationError
     *
     * @example
     * ```ts
     * const lock = yield context.df.lock(from, to)
     * try {
     *   yield context.df.callEntity(from, 'withdraw', 10)
     *   yield context.df.callEntity(to, 'deposit', 10)
     * } finally {
     *   lock.release()
     * }
     * ```
     */
    lock(...entities: EntityId[]): Task<DurableLock>;
    lock(entities: readonly EntityId[]): Task<DurableLock>;
    /** Whether there is a critical section, asked for or begun, and of which entities. */
    isLocked(): LockState;
    /**
     * A timer that fires when wall time has reached `fireAt`, never early; one in the past fires at
     * once. Timers that are left when the orchestrator returns are cancelled.
     *
     * @throws InvalidOption, OutsideTurn
     */
    createTimer(fireAt: Date): TimerTask;
    /**
     * Calls an HTTP service. The task gives the answer, whatever its status, and fails where there is none:
     * with `HttpRequestFailed`, `TimeoutError`, `AddressRefused` (a private address, unless the hub's option
     * `http.allowPrivateAddresses` has it) or `PayloadTooLarge`.
     *
     * An answer of 202 with a `Location` is followed: that is polled, with durable timers between, until it
     * answers otherwise. Requests are made at least once, as activities are.
     *
     * @throws InvalidOption, PayloadTooLarge, OutsideTurn
     *
     * @example
     * ```ts
     * const answer = yield* context.df.callHttp({ method: 'POST', url: 'https://example.com/jobs', body: job })
     * if (answer.statusCode !== 200) throw new Error(answer.content)
     * ```
     */
    callHttp(options: CallHttpOptions): Task<DurableHttpResponse>;
    /** The older form. */
    callHttp(...args: CallHttpArguments): Task<DurableHttpResponse>;
    /**
     * Starts the orchestrator anew with this input and an empty history, when it returns, or at its
     * next `yield` or `await` at the latest.
     *
     * @throws UnserializableValue, PayloadTooLarge, OutsideTurn
     */
    continueAsNew(input?: unknown): void;
    /**
     * Sets what `getStatus` shows as `customStatus`, as of the end of this turn.
     *
     * @throws UnserializableValue, PayloadTooLarge, OutsideTurn
     */
    setCustomStatus(customStatus: unknown): void;
    /**
     * A UUID that is the same in every replay, and another one at every call.
     *
     * @param seed goes into the UUID; it is never needed
     */
    newGuid(seed?: string): string;
}

/** The name durable-functions has for it. */
export declare type DurableOrchestrationStatus = OrchestrationStatus;

/** What a function was registered with. */
export declare interface EffectiveFunctionOptions {
    trigger: FunctionTrigger;
    return?: FunctionOutput;
    extraInputs: FunctionInput[];
    extraOutputs: FunctionOutput[];
}

/**
 * Marks the function, or the class, that an entity's folder exports; it gives it back.
 *
 * @throws InvalidOption
 *
 * @example
 * ```js
 * const df = require('durafn')
 * module.exports = df.entity((context) => {
 *   const count = context.df.getState(() => 0)
 *   if (context.df.operationName === 'add') context.df.setState(count + context.df.getInput())
 * })
 * ```
 */
export declare function entity<TState = any>(handler: (context: IEntityFunctionContext<TState>) => unknown): EntityHandler<TState>;

export declare function entity<TClass extends EntityClass>(entityClass: TClass): TClass;

/** An entity that is written as a class, see `App.entity`. */
export declare type EntityClass = new () => object;

/** The context of an entity function. */
export declare interface EntityContext<TState = any> extends InvocationContext, FunctionExtras {
    /** Everything that is durable. */
    readonly df: DurableEntityContext<TState>;
}

/**
 * An entity function: called once for each operation, sync or async, one operation of an entity at a
 * time. It may do anything, as an activity may, and like one it may run again after a crash.
 */
export declare type EntityHandler<TState = any> = (context: EntityContext<TState>) => unknown;

/**
 * Ids of entities.
 *
 * Owns: the class, and the one text that stands for an id.
 * Must never: let an id through that the core refuses.
 * Proved by: `__test__/entities.spec.mjs`, `__test__/bad-input.spec.mjs`.
 */
/**
 * Names an entity: the name it is registered by, which matches without regard to case, and a key.
 *
 * @example
 * ```ts
 * const id = new df.EntityId('counter', 'visits')
 * await client.signalEntity(id, 'add', 1)
 * ```
 */
export declare class EntityId {
    #private;
    /** The name of the entity function. */
    readonly name: string;
    /** Which of the entities of that name: up to 256 characters, none of `/ \ # ?`. */
    readonly key: string;
    /** @throws InvalidEntityId */
    constructor(name: string, key: string);
    /** `@name@key`, the name in lower case. */
    toString(): string;
}

/** Operations wait for the entity, or an orchestration has it for itself. */
export declare class EntityInUse extends DurableError {
    static readonly code: string;
}

/** What an entity is registered with, if not the handler alone. */
export declare interface EntityOptions<TState = any> extends FunctionOptions {
    handler: EntityHandler<TState> | EntityClass;
}

/** One page of a listing of entities. */
export declare interface EntityPage {
    entities: EntityStatus[];
    /** Pass it to get the next page; null: this is the last. */
    cursor: string | null;
}

/** The orchestration had failed before the entity answered, so it is not known what it did. */
export declare class EntityReplyLost extends DurableError {
    static readonly code: string;
}

/** What `readEntityState` gives. */
export declare class EntityStateResponse<TState = unknown> {
    /** Whether the entity has a state. */
    entityExists: boolean;
    /** The state; undefined if there is none. */
    entityState?: TState;
    constructor(entityExists: boolean, entityState?: TState);
}

/** An entity in a listing. */
export declare interface EntityStatus<TState = unknown> {
    entityId: EntityId;
    /** When it last carried out an operation. */
    lastOperationTime: Date;
    /** Only with `includeState`. */
    state?: TState;
    /** Whether an orchestration has it for itself. */
    isLocked: boolean;
    /** Why its operations wait: its function is not registered. */
    problem?: StatusProblem;
}

/** The trigger of an entity. */
export declare interface EntityTrigger extends FunctionTrigger {
    type: 'entityTrigger';
}

/** What an error of this package says beside its message. */
export declare interface ErrorDetails {
    /** Only for a code that has no class of its own. */
    code?: string | undefined;
    /** The argument, option or field that was refused. */
    field?: string | undefined;
    /** Of several starts in one call, the one that was refused, from 0. */
    index?: number | undefined;
    /** The instance that the error is about. */
    instanceId?: string | undefined;
    /** The error behind this one. */
    cause?: unknown;
}

export declare type EventGridDurableClientHandler = DurableClientHandler<EventGridEvent, void>;

export declare type EventGridDurableClientOptions = CloudDurableClientOptions<EventGridDurableClientHandler>;

/** What an event grid function gets. */
export declare interface EventGridEvent {
    id: string;
    topic: string;
    subject: string;
    data: Record<string, unknown>;
    eventType: string;
    dataVersion: string;
    eventTime: string;
    metadataVersion: string;
}

export declare type EventHubDurableClientHandler = DurableClientHandler<unknown, void>;

export declare type EventHubDurableClientOptions = CloudDurableClientOptions<EventHubDurableClientHandler>;

/** Gives own fields for the errors that activities throw. */
export declare interface ExceptionPropertiesProvider {
    /** The fields to add; undefined for none. What it throws is ignored. */
    getExceptionProperties(error: unknown): Record<string, unknown> | undefined;
}

/** What Azure's `context.executionContext` has. */
export declare interface ExecutionContext {
    readonly invocationId: string;
    readonly functionName: string;
    /** The folder of the function. */
    readonly functionDirectory: string;
    /** Of a function that is tried again: which attempt it is. */
    readonly retryContext: RetryContext | null;
}

/** A wait for an external event. */
export declare interface ExternalEventTask<TResult = unknown> extends Task<TResult> {
    /** Whether `cancel` was called before its event came. */
    readonly isCanceled: boolean;
    /**
     * Waits no more: the task then never completes, and an event of that name is treated as one that is not
     * waited for. Does nothing once its event has come.
     */
    cancel(): void;
}

/**
 * `df.TaskFailedError`: what an error of a failed task says of its cause, for programs that ask for it so.
 *
 * Owns: which errors count as one, and their details.
 * Must never: change an error: it stays of the class, and has the message and the fields, that it was
 * thrown with.
 * Proved by: `__test__/one-import.spec.mjs`.
 */
/** What is known of a failure of an activity, an orchestration or an entity. */
export declare interface FailureDetails {
    /** The error's name. */
    errorType: string;
    errorMessage: string;
    stackTrace?: string;
    /** Always false: whether to try again is for the retry policy to say. */
    isNonRetriable: boolean;
    /** The error's own fields, with what the provider of `setExceptionPropertiesProvider` has added. */
    properties?: Record<string, unknown>;
    /** The error's cause, if that is an error. */
    innerFailure?: FailureDetails;
    /** Whether this failure, or one behind it, is of this type. */
    isCausedBy(errorType: string): boolean;
}

/** What the context of every function in a folder has beside what the engine gives it. */
export declare interface FolderContext extends InvocationContext {
    readonly executionContext: ExecutionContext;
    /**
     * By the names of `function.json`: the trigger's input; and a starter, which is a client, and to
     * which starts can be assigned.
     */
    bindings: Record<string, any>;
    /**
     * `invocationId`, `instanceId`, the trigger's input as `data` and by its name, and the fields of a trigger
     * that is a JSON object, each name with its first letter in lower case. Of an orchestrator `input`,
     * `instanceId`, `parentInstanceId` and `isReplaying`.
     */
    readonly bindingData: {
        readonly invocationId: string;
        readonly [name: string]: any;
    };
    readonly bindingDefinitions: BindingDefinition[];
    readonly traceContext: {
        readonly traceparent: null;
        readonly tracestate: null;
        readonly attributes: Record<string, string>;
    };
}

/** What `req.parseFormBody()` gives: the parts, in order. */
export declare class Form implements Iterable<[string, FormPart]> {
    #private;
    /** The first part of this name. */
    get(name: string): FormPart | null;
    getAll(name: string): FormPart[];
    has(name: string): boolean;
    get length(): number;
    [Symbol.iterator](): Iterator<[string, FormPart]>;
}

/** A part of a form. */
export declare interface FormPart {
    readonly value: Buffer;
    readonly fileName?: string;
    readonly contentType?: string;
}

/** A function app whose hub is open. */
export declare class FunctionApp implements AsyncDisposable {
    #private;
    /** Its folder. */
    readonly directory: string;
    readonly hub: TaskHub;
    /** The client of the hub. */
    readonly client: HubClient;
    /** All functions of the folder, by name. */
    readonly functions: readonly FunctionInfo[];
    /** Why functions were left out (`onInvalidFunction: 'skip'`). */
    readonly problems: readonly DurableError[];
    /** Where it is served: `http://127.0.0.1:7071`; undefined without the option `port`. */
    readonly url: string | undefined;
    /** All that is served, in the order in which it is tried, and who may reach it. */
    get routes(): readonly ServedRoute[];
    /** The file that holds the keys; undefined for a hub in memory, whose keys end with it, and with `auth: false`. */
    get keyFile(): string | undefined;
    /** The key that opens all that is served, '' with `auth: false`. Keep it as a password. */
    get masterKey(): string;
    /** The key that opens http functions of `authLevel` 'function'; '' with `auth: false`. */
    get functionKey(): string;
    /**
     * Answers a request as the server of the app would, for an app that is mounted into another server.
     *
     * @example
     * ```ts
     * const response = await app.fetch(new Request('http://localhost/api/hello'))
     * ```
     */
    fetch(request: Request): Promise<Response>;
    /**
     * Calls a manual function, and then starts all that it assigned to its starters, in one
     * transaction; if one start is refused, none is made and the call fails.
     *
     * @returns what the function gave
     * @throws what the function throws; NotRegistered; of a start that was refused its error, with the
     * `index` of the start
     */
    invoke(name: string, input?: unknown): Promise<unknown>;
    /**
     * Answers the requests that are under way and no others, starts no timer any more, and closes the
     * hub, as `hub.close` does.
     */
    close(options?: CloseOptions): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
}

/** As `OpenOptions`, with defaults of the folder. */
export declare interface FunctionAppOptions extends Omit<OpenOptions, 'threads'> {
    /** `sqlite:PATH`. Default: the environment's `DURAFN_STORE`, else `.durafn/hub.db` in the folder. */
    store?: string | undefined;
    /** A registry to add the functions to. Default: a new one. */
    app?: App | undefined;
    /** Default: 'discard'; in an app with a `durableClient` binding, or with the package
     * `durable-functions`, 'buffer', unless `host.json` says. */
    unmatchedEvents?: 'discard' | 'buffer' | undefined;
    /**
     * As `ConnectOptions` has it. Default: 'durafn'; the clients that functions get have 'azure' in an app with a
     * `durableClient` binding, of modules, or with the package `durable-functions`, unless `host.json` says.
     */
    clientSemantics?: ClientSemantics | undefined;
    /**
     * What to do with a function that cannot be loaded: 'refuse' the app, or 'skip' the function, with an
     * error in the log, as long as others are left. Default 'refuse'; `durafn start` skips.
     */
    onInvalidFunction?: 'refuse' | 'skip' | undefined;
    /**
     * Serves the http functions, and the paths of the host, on this port; 0 is any that is free.
     * Default: nothing is served. `durafn start` serves on 7071.
     */
    port?: number | undefined;
    /** Where it listens, with `port`. Default '127.0.0.1', which is reached from this machine alone. */
    host?: string | undefined;
    /**
     * Names beside `localhost`, `127.0.0.1` and `[::1]` that the app is reached by, without ports; '*' is
     * any. Others are refused, as pages of other sites may have had their name point here. Default: with
     * a `host` beyond this machine any, else none.
     */
    allowedHosts?: readonly string[] | undefined;
    /**
     * Origins of pages that may send requests that need a key, and read answers, such as
     * `https://shop.example`; '*': any. Default: `Host.CORS` of `local.settings.json`.
     */
    allowedOrigins?: readonly string[] | undefined;
    /**
     * Whether http functions, the management API and `/admin` ask for their keys. False is for the development on
     * this machine, as `func start` has it: with `port`, `host` must be reached from this machine alone; pages of
     * other sites are refused all the same. Default true.
     */
    auth?: boolean | undefined;
    /** Where callers reach the app, if not where it is served: for the URLs that they are given. */
    publicUrl?: string | undefined;
}

/** The context of a function in a folder, except for an orchestrator. */
export declare interface FunctionContext extends FolderContext {
    /** Ends the function, if it is not one that returns a promise. */
    done(error?: unknown, result?: unknown): void;
    /** Of an http function: the request. */
    readonly req?: ClassicRequest;
    /** Of an http function: the response, unless it is returned or assigned to its binding. */
    res?: ClassicResponse | Record<string, unknown>;
}

/** What the contexts of `@azure/functions` 4 have beside names and logs. */
export declare interface FunctionExtras {
    /** Empty where the engine made the context; `df.getClient(context)` gives the client. */
    readonly extraInputs: InvocationContextExtraInputs;
    /** What is left here for an activity's `extraOutputs` goes to their handlers, see `df.registerBinding`. */
    readonly extraOutputs: InvocationContextExtraOutputs;
    readonly options: EffectiveFunctionOptions;
    readonly retryContext?: {
        retryCount: number;
        maxRetryCount: number;
    };
    readonly traceContext?: {
        traceParent?: string | undefined;
        traceState?: string | undefined;
        attributes?: Record<string, string>;
    };
    /**
     * What is known of the trigger: of an activity `instanceId`, its input as `data`, and the input's fields; of an
     * orchestrator `input`, `instanceId`, `parentInstanceId`, `isReplaying`. Names begin in lower case.
     */
    readonly triggerMetadata?: Record<string, unknown>;
}

/** A function of an app. */
export declare interface FunctionInfo {
    readonly name: string;
    readonly kind: FunctionKind;
    /** Its `function.json`, or the module that registered it. */
    readonly file: string;
    /** Whether `function.json` or a setting says so; it is not loaded then. */
    readonly isDisabled: boolean;
    /** Of an http function: how it is called. */
    readonly http?: HttpInfo;
}

/** What a function reads beside its trigger. */
export declare interface FunctionInput {
    type: string;
    name: string;
    [setting: string]: unknown;
}

/** The context of a function that the host calls through `@azure/functions` 4. */
export declare interface FunctionInvocationContext extends FunctionExtras {
    readonly invocationId: string;
    readonly functionName: string;
    log(...args: any[]): void;
    trace(...args: any[]): void;
    debug(...args: any[]): void;
    info(...args: any[]): void;
    warn(...args: any[]): void;
    error(...args: any[]): void;
}

/** What starts a function. */
export declare type FunctionKind = 'orchestration' | 'activity' | 'entity' | 'http' | 'timer' | 'manual';

/** What a function's options have beside the trigger and the handler. */
export declare interface FunctionOptions {
    return?: FunctionOutput | undefined;
    extraInputs?: FunctionInput[] | undefined;
    extraOutputs?: FunctionOutput[] | undefined;
}

/** What a function writes beside its result. */
export declare interface FunctionOutput {
    type: string;
    name: string;
    [setting: string]: unknown;
}

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
export declare type FunctionResult<T = unknown> = T | Promise<T>;

/** What starts a function. */
export declare interface FunctionTrigger {
    type: string;
    name: string;
    [setting: string]: unknown;
}

/** A generator function that yields tasks: `function* (context) { … }`. */
export declare type GeneratorHandler<TInput = unknown, TResult = unknown> = (context: OrchestrationContext<TInput>) => Generator<Task<any, any>, TResult, any>;

/**
 * The client of the hub that the function with this context runs in: an activity, in any process; in the
 * function host also http, timer and manual functions, classic ones too.
 *
 * @throws InvalidOption where there is none: in an orchestrator, in a worker thread, in a context that no
 * hub made
 *
 * @example
 * ```ts
 * df.app.activity('escalate', {
 *   handler: async (id: string, context) => {
 *     await df.getClient(context).raiseEvent(id, 'Escalated')
 *   },
 * })
 * ```
 */
export declare function getClient(context: {
    bindings: Record<string, unknown>;
}): DurableOrchestrationClient;

export declare function getClient(context: object): DurableClient;

/** What a status shows. */
export declare interface GetStatusOptions {
    /** Whether to show an instance that has not begun to run. Default false: null for one. */
    pending?: boolean | undefined;
    /** Whether to give the history. Default false. */
    showHistory?: boolean | undefined;
    /** Whether the events of the history have their results. Default false. */
    showHistoryOutput?: boolean | undefined;
    /** Whether to give the input, of the instance and of the events of the history. Default true. */
    showInput?: boolean | undefined;
}

/** An http function with a client. */
export declare type HttpDurableClientHandler = DurableClientHandler<HttpRequest, HttpResponseInit | HttpResponse>;

/** What an http function is registered with. */
export declare interface HttpDurableClientOptions extends FunctionOptions {
    handler: HttpDurableClientHandler;
    /** Who may call it: anyone, or who has a key. Default 'anonymous', as in `@azure/functions`. */
    authLevel?: 'anonymous' | 'function' | 'admin' | undefined;
    /** Default: GET and POST. */
    methods?: HttpMethod[] | undefined;
    /** Below the prefix of the app's routes. Default: the function's name. */
    route?: string | undefined;
    trigger?: FunctionTrigger | undefined;
}

/** How an http function is called. */
export declare interface HttpInfo {
    /** The template of its path, such as `api/orders/{id}`. */
    readonly route: string;
    /** In upper case; empty: all. */
    readonly methods: readonly string[];
    /** Who may call it: all, who has a key, who has the master key. */
    readonly authLevel: AuthLevel;
}

/** The URLs by which one instance is managed. `{eventName}` and `{text}` are the caller's to replace. */
export declare interface HttpManagementPayload {
    /** The instance's id. */
    readonly id: string;
    /** GET: its status. */
    readonly statusQueryGetUri: string;
    /** POST: sends it an event. */
    readonly sendEventPostUri: string;
    /** POST: terminates it. */
    readonly terminatePostUri: string;
    /** POST: lets it run again from where it failed. */
    readonly rewindPostUri: string;
    /** DELETE: purges it. */
    readonly purgeHistoryDeleteUri: string;
    /** POST: starts another one with its name and input. */
    readonly restartPostUri: string;
    /** POST: suspends it. */
    readonly suspendPostUri: string;
    /** POST: resumes it. */
    readonly resumePostUri: string;
}

/** Methods of http functions. */
export declare type HttpMethod = 'GET' | 'POST' | 'DELETE' | 'HEAD' | 'PATCH' | 'PUT' | 'OPTIONS' | 'TRACE' | 'CONNECT';

/** How orchestrators call HTTP services by `context.df.callHttp`. */
export declare interface HttpOptions {
    /**
     * Whether hosts may be called whose address is private, loopback, link-local or reserved, such as
     * `127.0.0.1` or a metadata service: `true` for all, or a list of host names, addresses and ranges
     * (`['orders.internal', '10.1.0.0/16', '::1']`). Checked on the address that is connected to, anew
     * for each redirect and each poll. Default: none.
     */
    allowPrivateAddresses?: boolean | readonly string[] | undefined;
    /**
     * Milliseconds between two polls of a call that was answered by 202, where the answer has no
     * `Retry-After`; 1 or more. Default 30,000.
     */
    pollingIntervalMs?: number | undefined;
    /**
     * Milliseconds that one request may take, with its redirects and its answer's body, unless the call
     * says; 1 or more. Default 100,000.
     */
    timeoutMs?: number | undefined;
}

/** A request, as an http function of `@azure/functions` 4 gets it. */
export declare interface HttpRequest {
    readonly method: string;
    readonly url: string;
    readonly headers: Headers;
    readonly query: URLSearchParams;
    readonly params: Record<string, string>;
    readonly user: any;
    readonly body: any;
    readonly bodyUsed: boolean;
    readonly arrayBuffer: () => Promise<ArrayBuffer>;
    readonly blob: () => Promise<any>;
    readonly formData: () => Promise<FormData>;
    readonly json: () => Promise<unknown>;
    readonly text: () => Promise<string>;
    readonly clone: () => HttpRequest;
}

/** An HTTP request was not answered: no address, no connection, or an answer that breaks off. */
export declare class HttpRequestFailed extends DurableError {
    static readonly code: string;
}

/** A response, as an http function of `@azure/functions` 4 may give it. */
export declare interface HttpResponse {
    readonly status: number;
    readonly headers: Headers;
    readonly cookies: Cookie[];
    readonly enableContentNegotiation: boolean;
    readonly body: any;
    readonly bodyUsed: boolean;
    readonly arrayBuffer: () => Promise<ArrayBuffer>;
    readonly blob: () => Promise<any>;
    readonly formData: () => Promise<FormData>;
    readonly json: () => Promise<unknown>;
    readonly text: () => Promise<string>;
    readonly clone: () => HttpResponse;
}

/** What an http function may give in place of a response. */
export declare interface HttpResponseInit {
    body?: any;
    jsonBody?: any;
    status?: number;
    headers?: Headers | Record<string, string> | [string, string][];
    cookies?: Cookie[];
    enableContentNegotiation?: boolean;
}

/** With a retry policy: an HTTP request was answered by a status that is retried, to the last. */
export declare class HttpStatusError extends DurableError {
    static readonly code: string;
    /** The status of the answer. */
    readonly statusCode?: number;
}

/** A client whose `getStatus` says by its type that there may be no status. */
export declare interface HubClient extends DurableClient {
    /** The status of an instance; null when there is none, or when it has not begun to run. */
    getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus | null>;
    /** The type that durable-functions has for it; a `HubClient` is a `DurableClient` by it. */
    getStatus(instanceId: string, options?: GetStatusOptions): Promise<OrchestrationStatus>;
}

/** The hub or client was closed. */
export declare class HubClosed extends DurableError {
    static readonly code: string;
}

/** Another process (or another hub of this one) runs the workers of this store. */
export declare class HubInUse extends DurableError {
    static readonly code: string;
}

/** The task hub was written by a newer version of this package. */
export declare class HubTooNew extends DurableError {
    static readonly code: string;
}

/** The context of an entity function in a folder. */
export declare interface IEntityFunctionContext<TState = any> extends EntityContext<TState>, FolderContext {
    readonly traceContext: FolderContext['traceContext'];
    /** Does nothing: the function ends when it returns. */
    done(error?: unknown, result?: unknown): void;
}

/** A request, as check-status responses are made for one. */
export declare interface IHttpRequest {
    http: {
        url: string;
    };
}

/** A response, as far as programs of folders look at it. */
export declare interface IHttpResponse {
    status: number;
    body: unknown;
    headers?: object;
}

/** Inputs of functions, for `extraInputs`. */
export declare const input: Inputs;

/** `df.input`. */
export declare interface Inputs {
    /** For `extraInputs`; `df.getClient(context)` then gives the client. */
    durableClient(): DurableClientInput;
}

/** The id is in use by an instance that has not ended. */
export declare class InstanceAlreadyExists extends DurableError {
    static readonly code: string;
}

/** The instance has ended already. */
export declare class InstanceEnded extends DurableError {
    static readonly code: string;
}

/** The instance has not ended yet, which the call needs. */
export declare class InstanceNotEnded extends DurableError {
    static readonly code: string;
}

/** No instance has this id. */
export declare class InstanceNotFound extends DurableError {
    static readonly code: string;
}

/** A page of instances. */
export declare interface InstancePage {
    /** In the order in which they were scheduled; may be fewer than `top` though more pages follow. */
    instances: OrchestrationStatus[];
    /** Pass it to get the next page; null: this is the last. */
    cursor: string | null;
}

/** A defect of this package. */
export declare class Internal extends DurableError {
    static readonly code: string;
}

/** An id of an entity that breaks the rules for those. */
export declare class InvalidEntityId extends DurableError {
    static readonly code: string;
}

/** Functions cannot be loaded: a `function.json`, a script, or the module of an app is at fault. */
export declare class InvalidFunction extends DurableError {
    static readonly code: string;
}

/** Ids have 1 to 256 characters, no leading `@`, none of `/ \ # ?`, no control characters. */
export declare class InvalidInstanceId extends DurableError {
    static readonly code: string;
}

/** The name of a function or an event is not one. */
export declare class InvalidName extends DurableError {
    static readonly code: string;
}

/** An argument or option has the wrong type or value; `field` names it. */
export declare class InvalidOption extends DurableError {
    static readonly code: string;
}

/** What every function's context has. */
export declare interface InvocationContext {
    /** The name the function is registered by. */
    readonly functionName: string;
    /** A UUID of this invocation. Of an orchestrator it stays the same in replays. */
    readonly invocationId: string;
    /** Writes to the hub's logger; of an orchestrator it is silent while it replays. */
    readonly log: LogFunction;
    trace(...args: unknown[]): void;
    debug(...args: unknown[]): void;
    info(...args: unknown[]): void;
    warn(...args: unknown[]): void;
    error(...args: unknown[]): void;
}

/** Values of the inputs beside the trigger. */
export declare interface InvocationContextExtraInputs {
    get(inputOrName: FunctionInput | string): unknown;
    set(inputOrName: FunctionInput | string, value: unknown): void;
}

/** Values for the outputs beside the result. */
export declare interface InvocationContextExtraOutputs {
    get(outputOrName: FunctionOutput | string): unknown;
    set(outputOrName: FunctionOutput | string, value: unknown): void;
}

/** The context of an orchestrator in a folder. */
export declare interface IOrchestrationFunctionContext<TInput = unknown> extends OrchestrationContext<TInput>, FolderContext {
    readonly traceContext: FolderContext['traceContext'];
    /** Does nothing: the function ends when it returns. */
    done(error?: unknown, result?: unknown): void;
}

/** Bounds of size. */
export declare interface LimitOptions {
    /** The largest JSON text of one value, in bytes of UTF-8, 1,024 or more. Default 16 MiB. */
    payloadBytes?: number | undefined;
    /** How many instances stay in memory between their turns. Default 10,000. */
    cachedInstances?: number | undefined;
    /**
     * How many instances are under way at a time: in a turn, or with activities that run or are due. The
     * others wait in the store, those that something came for before those that start, and cost no memory.
     * Never fewer than twice `maxConcurrentActivities`. Default 10,000.
     */
    activeInstances?: number | undefined;
    /**
     * How many calls of this process may wait for their answers (beside `waitForCompletion`). The first
     * 10,000 are with the engine, the others wait in line; one more is refused with `TooManyCalls`.
     * Default 100,000, which is also what `connect` has.
     */
    pendingCalls?: number | undefined;
    /**
     * How long a turn of an orchestrator, or an operation of an entity until its first `await`, may hold its
     * thread, in milliseconds, 100 to 600,000. One that takes longer is told of while it runs: in the log (by a line
     * on stderr while the calling thread stands still) and by `problem.code` 'TurnOverdue' in its status. With `threads` its thread is then
     * ended and replaced, and what has ended its thread so five times is parked as `Poison`. Activities may
     * compute for longer, which is told of as well; one with `timeoutMs` is ended at that with its thread.
     * Default 10,000.
     */
    turnMs?: number | undefined;
}

/** Which entities, and which page of them. */
export declare interface ListEntitiesOptions {
    /** The entities' name, matched without regard to case. Default: all. */
    name?: string | undefined;
    /** What the key begins with; case counts. Only with a name. */
    keyPrefix?: string | undefined;
    /** The last operation was then or later. */
    lastOperationFrom?: Date | undefined;
    /** The last operation was then or earlier. */
    lastOperationTo?: Date | undefined;
    /** Whether to give the states. Default true. */
    includeState?: boolean | undefined;
    /** Whether to give those that have no state, but operations or an orchestration before them. Default false. */
    includeTransient?: boolean | undefined;
    /** How many at most, 1 to 1,000. Default 100. */
    top?: number | undefined;
    /** The `cursor` of the page before. */
    cursor?: string | null | undefined;
}

/** Which instances, and which page of them. */
export declare interface ListOptions extends OrchestrationFilter {
    /** How many at most, 1 to 1,000. Default 100. */
    top?: number | undefined;
    /** The `cursor` of the page before. */
    cursor?: string | null | undefined;
}

/** An orchestrator does what is not allowed inside a critical section. */
export declare class LockingRulesViolationError extends DurableError {
    static readonly code: string;
}

/** Whether an orchestrator is inside a critical section, and of which entities. */
export declare class LockState {
    readonly isLocked: boolean;
    readonly ownedLocks: EntityId[];
    constructor(isLocked: boolean, ownedLocks: EntityId[]);
}

/**
 * `context.log`: writes at level info when called, and at a level by name. Takes what
 * `console.log` takes.
 */
export declare interface LogFunction {
    (...args: unknown[]): void;
    error(...args: unknown[]): void;
    warn(...args: unknown[]): void;
    info(...args: unknown[]): void;
    debug(...args: unknown[]): void;
    /** The same as `debug`. */
    trace(...args: unknown[]): void;
    /** The same as `debug`. */
    verbose(...args: unknown[]): void;
}

/** What a logger of the user's must have; `console` and pino both fit. */
export declare interface Logger {
    debug(message: string): void;
    info(message: string): void;
    warn(message: string): void;
    error(message: string): void;
}

/** Takes a line of the log of a dummy context. */
export declare type LogHandler = (level: 'trace' | 'debug' | 'information' | 'warning' | 'error' | 'critical' | 'none', ...args: unknown[]) => void;

/** The token of an Azure managed identity; see `App.setTokenProvider` for who gives it here. */
export declare class ManagedIdentityTokenSource implements TokenSource {
    readonly resource: string;
    readonly kind: string;
    /** @param resource such as `https://management.core.windows.net/` */
    constructor(resource: string);
}

/** The code of an orchestrator no longer does what its history says. */
export declare class Nondeterminism extends DurableError {
    static readonly code: string;
}

/** An orchestrator waits for something that is not a durable task, so it could never be replayed. */
export declare class NonDurableAwait extends DurableError {
    static readonly code: string;
}

/** The file is not a task hub. */
export declare class NotAHub extends DurableError {
    static readonly code: string;
}

/** An orchestrator yielded, or combined, something that is not a task of its own. */
export declare class NotATask extends DurableError {
    static readonly code: string;
}

/** No function of this name is registered. */
export declare class NotRegistered extends DurableError {
    static readonly code: string;
}

/**
 * Only a failed instance can be rewound, and only where something that failed can be tried anew; the message says
 * what cannot.
 */
export declare class NotRewindable extends DurableError {
    static readonly code: string;
}

/**
 * What to do when the id is in use by an instance that has not ended: refuse, give the running one,
 * or end it and start anew. An instance that has ended is always replaced.
 */
export declare type OnConflict = 'error' | 'return' | 'terminate';

/**
 * Opens a task hub and runs its workers in this process. An open hub keeps the process alive until
 * `close()`.
 *
 * @throws HubInUse, NotAHub, HubTooNew, StoreReadOnly, StoreFull, StoreUnavailable, InvalidOption,
 * UnsupportedPlatform; InvalidFunction for a module that cannot be loaded
 *
 * @example
 * ```ts
 * await using hub = await df.open({ store: 'sqlite:./orders.db' })
 * const id = await hub.client.startNew('order', { input: { total: 12 } })
 * console.log(await hub.client.waitForCompletion(id, { timeoutMs: 10_000 }))
 * ```
 */
export declare function open(options?: OpenOptions): Promise<TaskHub>;

/**
 * Opens a function app: a folder with a folder for each function, which holds `function.json` and
 * the script; or one whose `main` registers its functions with `app` of `@azure/functions` 4. Loads all
 * of it, opens the hub and runs its workers.
 *
 * @throws InvalidFunction, AlreadyRegistered, and what `open` throws
 *
 * @example
 * ```ts
 * await using app = await df.openFunctionApp('./functions')
 * await app.invoke('startBackup', { folder: 'photos' })
 * ```
 */
export declare function openFunctionApp(directory: string, options?: FunctionAppOptions): Promise<FunctionApp>;

/** How a hub runs. `unmatchedEvents` and `limits.payloadBytes` hold for clients in other processes too. */
export declare interface OpenOptions extends ConnectOptions {
    /** As for `ConnectOptions`; also `sqlite::memory:`, which ends with the hub. */
    store?: string | undefined;
    /**
     * The functions: an App, or the module that registers them, by its `file:` URL or its path (relative
     * to the current directory). Of a module its default export or its export `app` counts if it is an
     * App, else what it registers on `df.app`. Default: `df.app`.
     */
    app?: App | URL | string | undefined;
    /**
     * How many worker threads run orchestrators and activities, 0 to 256. With 1 or more, `app` must be a
     * module; each thread loads it. The client stays in the calling thread, and a thread that dies is
     * replaced. Default 0: all runs in the calling thread.
     *
     * @example
     * ```ts
     * const hub = await df.open({ threads: 4, app: new URL('./app.js', import.meta.url) })
     * ```
     */
    threads?: number | undefined;
    /**
     * What to do with an event that an instance does not wait for: 'discard' it, and say so, or
     * 'buffer' it until it does. Default 'discard'.
     */
    unmatchedEvents?: 'discard' | 'buffer' | undefined;
    /**
     * What to do with an instance whose code no longer does what its history says: 'hold' it until the
     * code is put right, or 'fail' it. Default 'hold'.
     */
    onNondeterminism?: 'hold' | 'fail' | undefined;
    /**
     * The version of this worker, as `defaultVersion` of Azure's `host.json`: `context.df.version` of every
     * instance and sub-orchestration that is started without one, by clients in other processes too. An
     * instance keeps the version that it was started with. Default: none.
     */
    defaultVersion?: string | undefined;
    /**
     * Which instances this worker runs, by their version and its own: 'CurrentOrOlder', those of its version
     * and of older ones, or none; 'Strict', those of its version alone; 'None', all. Default 'CurrentOrOlder'
     * with a `defaultVersion`, else 'None'.
     */
    versionMatchStrategy?: 'None' | 'Strict' | 'CurrentOrOlder' | undefined;
    /**
     * What to do with an instance that this worker does not run: 'Reject' leaves it as it is, for a worker
     * that does; 'Fail' fails it. Default 'Reject'.
     */
    versionFailureStrategy?: 'Reject' | 'Fail' | undefined;
    /**
     * 'full': what is acknowledged survives a power failure. 'relaxed': it survives the death of the
     * process, and may be lost, never half, in a power failure. On PostgreSQL 'full' sets `synchronous_commit`
     * to `on` where the server, the database or the role have it weaker, and 'relaxed' to `off`; what was
     * acknowledged with 'relaxed' may be lost when the server crashes. Default 'full'.
     */
    durability?: 'full' | 'relaxed' | undefined;
    /** How many activities run at a time. Default 256. */
    maxConcurrentActivities?: number | undefined;
    /**
     * Of a hub on a PostgreSQL server: after how many milliseconds of silence a worker has lost it to
     * another one, 1,000 to 600,000. Default 10,000. Silent is also one whose event loop stands still: code that
     * holds it for longer has its worker lose what it runs. A hub in a file has no lease: its worker has it
     * while the process lives.
     */
    leaseMs?: number | undefined;
    /**
     * Of a hub on a PostgreSQL server: this worker runs only activities of these queues; those registered
     * without one are of 'default'. Instances are not bound to queues. Default: activities of all queues.
     */
    queues?: string[] | undefined;
    /** How long ended instances are kept. Default: for ever. */
    retention?: RetentionOptions | undefined;
    /** Bounds of size. */
    limits?: LimitOptions | undefined;
    /** How `context.df.callHttp` calls services. */
    http?: HttpOptions | undefined;
}

/** The context of an orchestrator function. */
export declare interface OrchestrationContext<TInput = unknown> extends InvocationContext, FunctionExtras {
    /** Everything that is durable. */
    readonly df: DurableOrchestrationContext<TInput>;
}

/** What `app.orchestration` gives: for `context.df.call`, `client.startNew`, and to be called. */
export declare interface OrchestrationDefinition<TInput = unknown, TResult = unknown> extends Definition<TInput, TResult> {
    (...args: undefined extends TInput ? [input?: TInput, instanceId?: string] : [input: TInput, instanceId?: string]): RegisteredOrchestrationTask<TResult>;
    /** As loose as in durable-functions; `context.df.call` is not. */
    (input?: unknown, instanceId?: string): RegisteredOrchestrationTask<TResult>;
    readonly kind: 'orchestration';
    /** The function itself, for tests of it. */
    readonly handler: AnyOrchestrationHandler<TInput, TResult>;
}

/** Which instances; a filter that is left out lets all pass. */
export declare interface OrchestrationFilter {
    /** The orchestrator's name, matched without regard to case. */
    name?: string | undefined;
    /** What the id begins with; case counts. */
    idPrefix?: string | undefined;
    /** One status or several; an empty list lets all pass. */
    runtimeStatus?: OrchestrationRuntimeStatus | readonly OrchestrationRuntimeStatus[] | undefined;
    /** Scheduled then or later. */
    createdFrom?: Date | undefined;
    /** Scheduled then or earlier. */
    createdTo?: Date | undefined;
    /** The name durable-functions has for `createdFrom`. */
    createdTimeFrom?: Date | undefined;
    /** The name durable-functions has for `createdTo`. */
    createdTimeTo?: Date | undefined;
}

/** The name durable-functions has for a generator function, to annotate one with. */
export declare type OrchestrationHandler<TInput = unknown, TResult = unknown> = GeneratorHandler<TInput, TResult>;

/** What an orchestration is registered with, if not the handler alone. */
export declare interface OrchestrationOptions<THandler = AnyOrchestrationHandler> extends FunctionOptions {
    handler: THandler;
}

/**
 * Where an instance stands. `Pending`: scheduled, its orchestrator function has not begun. `Canceled` is
 * never where one stands, as in durable-functions, which has it too.
 */
export declare type OrchestrationRuntimeStatus = 'Pending' | 'Running' | 'Completed' | 'ContinuedAsNew' | 'Failed' | 'Terminated' | 'Suspended' | 'Canceled';

/** The statuses by name, for code that was written against the enum of durable-functions. */
export declare const OrchestrationRuntimeStatus: {
    readonly [TStatus in OrchestrationRuntimeStatus]: TStatus;
};

/** The status of an instance. As JSON its times are ISO 8601. */
export declare interface OrchestrationStatus {
    /** The name of the orchestrator function. */
    name: string;
    instanceId: string;
    /** As it was started with; absent when it has none. */
    version?: string;
    /** When the orchestrator function began; of a pending instance, when it was scheduled. */
    createdTime: Date;
    /** The last checkpoint. */
    lastUpdatedTime: Date;
    runtimeStatus: OrchestrationRuntimeStatus;
    /** Null when there is none, or with `showInput: false`. */
    input: unknown;
    /**
     * When completed the result, when failed `Orchestrator function 'NAME' failed: MESSAGE`, when
     * terminated the reason; else null.
     */
    output: unknown;
    /** As last set by the orchestrator, or null. */
    customStatus: unknown;
    /** When failed: the error. */
    failure?: StatusFailure;
    /** Why it does not move, if it is held or no worker has its function in its version. */
    problem?: StatusProblem;
    /** What an open instance waits for; from `getStatus` only. */
    waitingFor?: StatusWaitingFor[];
    /** Of a sub-orchestration: who called it. */
    parentInstanceId?: string;
    /** Oldest first; only with `showHistory`. */
    history?: StatusHistoryEvent[];
}

/** A sub-orchestration was terminated; `cause` is the reason given. */
export declare class OrchestrationTerminated extends DurableError {
    static readonly code: string;
}

/** The trigger of an orchestrator. */
export declare interface OrchestrationTrigger extends FunctionTrigger {
    type: 'orchestrationTrigger';
}

/** What `context.bindings` holds for an orchestrator's trigger. */
export declare interface OrchestrationTriggerInput {
    readonly input: unknown;
    readonly instanceId: string;
    readonly parentInstanceId: string | null;
    readonly isReplaying: boolean;
}

/**
 * Marks the function that an orchestrator's folder exports; it gives the function back, with its
 * types.
 *
 * @throws InvalidOption
 *
 * @example
 * ```js
 * const df = require('durafn')
 * module.exports = df.orchestrator(function* (context) {
 *   return yield context.df.callActivity('hello', context.df.getInput())
 * })
 * ```
 */
export declare function orchestrator<TInput = unknown, TResult = unknown>(handler: ClassicOrchestrator<TInput, TResult>): GeneratorHandler<TInput, TResult>;

export declare function orchestrator<TInput = unknown, TResult = unknown>(handler: (context: IOrchestrationFunctionContext<TInput>) => TResult | PromiseLike<TResult>): AsyncHandler<TInput, TResult>;

/**
 * What a handler is told of the binding: its fields in `function.json`, or of `output.…()`. Of expressions in
 * them, such as `{name}` or `%SETTING%`, it gets what they stand for in this call.
 */
export declare interface OutputBinding extends BindingDefinition {
    readonly [setting: string]: unknown;
}

/** An orchestrator returned, threw or used `context.df` when no turn of it was running. */
export declare class OutsideTurn extends DurableError {
    static readonly code: string;
}

/** The JSON of a value is larger than the hub allows; `field` says which. */
export declare class PayloadTooLarge extends DurableError {
    static readonly code: string;
}

/** An instance, or an activity, took the process or its thread down too often. */
export declare class Poison extends DurableError {
    static readonly code: string;
}

/** A port is in use, or may not be listened to. */
export declare class PortUnavailable extends DurableError {
    static readonly code: string;
}

/** What a purge did. */
export declare interface PurgeHistoryResult {
    readonly instancesDeleted: number;
}

/** What became of an event. */
export declare type RaiseEventOutcome = 
/** The instance waited for it, and will see it. */
    {
    outcome: 'delivered';
}
/** Kept until the instance waits for it (`unmatchedEvents: 'buffer'`). */
| {
    outcome: 'buffered';
}
/** Lost; a warning in the log says so. */
| {
    outcome: 'discarded';
    reason: 'NotFound' | 'Ended' | 'NotWaiting';
};

/** How far `terminate`, `suspend` and `resume` reach. */
export declare interface RecursiveOptions {
    /** Whether to reach the sub-orchestrations too. Default false. */
    recursive?: boolean | undefined;
}

/**
 * Registers a handler for the output bindings of a type, for all function apps of the process. Call it
 * before the app is opened, or in a module of the app. A second one for a type replaces the first.
 *
 * @param type as in `function.json` ('blob') or as `@azure/functions` names it ('storageBlob')
 * @throws InvalidOption
 *
 * @example
 * ```js
 * df.registerBinding('storageBlob', async (value, { path }) => fs.promises.writeFile(path, value))
 * ```
 */
export declare function registerBinding(type: string, handler: BindingHandler): void;

/** The name durable-functions has for it. */
export declare type RegisteredActivity<TInput = any, TResult = any> = ActivityDefinition<TInput, TResult>;

/** What a definition called in a generator gives: `hello('x')`, `hello('x').withRetry(options)`. */
export declare interface RegisteredActivityTask<TResult = unknown> extends Task<TResult> {
    /**
     * Gives the task a retry policy. Only before the end of the turn that made it.
     *
     * @throws InvalidOption
     */
    withRetry(retryOptions: RetryPolicy): Task<TResult>;
}

/** The name durable-functions has for it. */
export declare type RegisteredOrchestration<TInput = any, TResult = any> = OrchestrationDefinition<TInput, TResult>;

/** The same for an orchestration's definition. */
export declare interface RegisteredOrchestrationTask<TResult = unknown> extends RegisteredActivityTask<TResult> {
}

/** How an instance is restarted; a boolean in its place is its `withNewInstanceId`. */
export declare interface RestartOptions {
    /** Whether the new instance gets an id of its own. Default true; false needs the old one ended. */
    withNewInstanceId?: boolean | undefined;
}

/** After how many milliseconds from its end an instance is purged; one left out: never. */
export declare interface RetentionOptions {
    completedMs?: number | undefined;
    failedMs?: number | undefined;
    terminatedMs?: number | undefined;
}

/**
 * Retry policies of functions: `retry` in `function.json`, or in the options of `@azure/functions` 4.
 *
 * Owns: reading one, and how long to wait before each attempt.
 * Must never: be asked for orchestrators or activities; what calls them says how they are retried.
 * Proved by: `__test__/host-timers.spec.mjs`.
 */
/** What a function may know of its attempts. */
export declare interface RetryContext {
    /** How often it was tried before. */
    readonly retryCount: number;
    /** -1: without end. */
    readonly maxRetryCount: number;
}

/**
 * A retry policy, with the constructor of durable-functions.
 *
 * @example
 * ```ts
 * const retry = new df.RetryOptions(1_000, 5)
 * retry.backoffCoefficient = 2
 * retry.retryIf = (error) => error.name !== 'CardDeclined'
 * yield context.df.callActivityWithRetry('charge', retry, order)
 * ```
 */
export declare class RetryOptions implements RetryPolicy {
    readonly firstRetryIntervalInMilliseconds: number;
    readonly maxNumberOfAttempts: number;
    backoffCoefficient?: number | undefined;
    maxRetryIntervalInMilliseconds?: number | undefined;
    retryTimeoutInMilliseconds?: number | undefined;
    jitter?: number | undefined;
    retryIf?: ((error: Error) => boolean) | undefined;
    /**
     * @param firstRetryIntervalInMilliseconds the pause before the second attempt, more than 0
     * @param maxNumberOfAttempts all attempts, the first one included, 1 or more
     * @throws InvalidOption
     */
    constructor(firstRetryIntervalInMilliseconds: number, maxNumberOfAttempts: number);
}

/** A retry policy, as a `RetryOptions` or as a plain object with its fields. Times in milliseconds. */
export declare interface RetryPolicy {
    /** The pause before the second attempt; more than 0. */
    readonly firstRetryIntervalInMilliseconds: number;
    /** All attempts, the first one included; 1 or more. */
    readonly maxNumberOfAttempts: number;
    /** Each pause is the one before times this. Default 1. */
    backoffCoefficient?: number | undefined;
    /** No pause is longer. Default: six days, as in durable-functions. */
    maxRetryIntervalInMilliseconds?: number | undefined;
    /** No attempt is made after this much time from the first. Default: no bound. */
    retryTimeoutInMilliseconds?: number | undefined;
    /**
     * 0 to 1: each pause is drawn from `[pause * (1 - jitter), pause]`, once; a replay uses the pause
     * that was drawn. Default 0.
     */
    jitter?: number | undefined;
    /**
     * Whether this failure is worth another attempt. Asked before each retry, with the error that the
     * activity threw; the answer is recorded. Throwing counts as false. Default: always.
     */
    retryIf?: ((error: Error) => boolean) | undefined;
}

/** A route of a function app's server. */
export declare interface ServedRoute {
    /** In upper case; `ALL`: any. */
    readonly method: string;
    /** With parameters as `:name`, of http functions as `{name}`. */
    readonly path: string;
    /** Who may reach it: all, or who has the function key, the management API's, or the master key. */
    readonly access: 'open' | 'function' | 'system' | 'admin';
}

export declare type ServiceBusQueueDurableClientHandler = DurableClientHandler<unknown, void>;

export declare type ServiceBusQueueDurableClientOptions = CloudDurableClientOptions<ServiceBusQueueDurableClientHandler>;

export declare type ServiceBusTopicDurableClientHandler = DurableClientHandler<unknown, void>;

export declare type ServiceBusTopicDurableClientOptions = CloudDurableClientOptions<ServiceBusTopicDurableClientHandler>;

/** How a signal is sent. */
export declare interface SignalOptions {
    /** The operation is not carried out before this time. Default: at once. */
    scheduledTime?: Date | undefined;
}

/** An orchestrator to start: its name or its definition. */
export declare type Startable<TInput = unknown> = string | OrchestrationDefinition<TInput, any>;

/** How an instance is started. */
export declare interface StartNewOptions<TInput = unknown> {
    /** 1 to 256 characters, no leading `@`, none of `/ \ # ?`, no control characters, not `.` or `..`. Default: random. */
    instanceId?: string | undefined;
    /** Any JSON value; undefined for none. */
    input?: TInput | undefined;
    /** Default 'error'. */
    onConflict?: OnConflict | undefined;
    /**
     * `context.df.version` of the instance, for its whole life; '' for none. Default: the hub's
     * `defaultVersion`.
     */
    version?: string | undefined;
}

/** One of several starts. */
export declare interface StartRequest extends StartNewOptions {
    name: Startable;
}

/** An error as it is stored: what it was, with its own fields beside. */
export declare interface StatusFailure {
    name: string;
    message: string;
    stack?: string;
    cause?: unknown;
    [field: string]: unknown;
}

/** One event of an instance's history. */
export declare interface StatusHistoryEvent {
    /** Such as `ExecutionStarted`, `TaskScheduled`, `TaskCompleted`, `TimerFired`, `EventRaised`. */
    eventType: string;
    timestamp: Date;
    /** What a task's events have in common. */
    taskId?: number;
    /** Of the function or of the event. */
    name?: string;
    /** Only with `showInput`. */
    input?: unknown;
    /** Only with `showHistoryOutput`. */
    result?: unknown;
    failure?: StatusFailure;
    /** Of `terminate`, `suspend`, `resume` or `rewind`. */
    reason?: unknown;
    /** Of a sub-orchestration, or of an entity: `@name@key`. */
    instanceId?: string;
    /** Of a timer. */
    fireAt?: Date;
    /** Which attempt it was, from 1. */
    attempt?: number;
}

/** Why an instance is held, or what it lacks. */
export declare interface StatusProblem {
    /** Such as `NotRegistered`, `VersionMismatch` or `Nondeterminism`. */
    code: string;
    /** For people. */
    message: string;
    /** Of a `Nondeterminism`: the event of the history that the code does not match. */
    historyEvent?: string;
    /** What that event says was asked for. */
    expected?: string;
    /** What the code asks for now. */
    actual?: string;
}

/** What a running instance waits for. */
export declare type StatusWaitingFor = {
    kind: 'event';
    name: string;
    since: Date;
} | {
    kind: 'timer';
    fireAt: Date;
} | {
    kind: 'activity';
    name: string;
    attempt: number;
    since: Date;
} | {
    kind: 'orchestration';
    name: string;
    instanceId: string;
}
/** An operation that was called. */
| {
    kind: 'entity';
    entityId: string;
    operation: string;
    since: Date;
}
/** Entities that it wants to have for itself. */
| {
    kind: 'lock';
    entityIds: string[];
    since: Date;
};

export declare type StorageBlobDurableClientHandler = DurableClientHandler<unknown, void>;

export declare type StorageBlobDurableClientOptions = CloudDurableClientOptions<StorageBlobDurableClientHandler>;

export declare type StorageQueueDurableClientHandler = DurableClientHandler<unknown, void>;

export declare type StorageQueueDurableClientOptions = CloudDurableClientOptions<StorageQueueDurableClientHandler>;

/** The disk that holds the store is full. */
export declare class StoreFull extends DurableError {
    static readonly code: string;
}

/**
 * The files of the store were removed, renamed or replaced, or given a second name (a hard link), while it was
 * open. The hub or client that had it is given up: nothing more is acknowledged, as nobody would find it.
 */
export declare class StoreGone extends DurableError {
    static readonly code: string;
}

/** The store cannot be written: a read-only file, folder or file system. */
export declare class StoreReadOnly extends DurableError {
    static readonly code: string;
}

/** What a store holds and how it fares, see `hub.storeStats`. */
export declare interface StoreStats {
    /** Bytes that it takes, indexes included; of a file, without its write-ahead log. */
    readonly bytes: number;
    /** Bytes of the file that are free for what comes. Not known of a server. */
    readonly freeBytes?: number;
    /** The tables of a hub on a PostgreSQL server, by name; none of a file. */
    readonly tables: readonly TableStats[];
}

/** The store cannot be opened, read or written. */
export declare class StoreUnavailable extends DurableError {
    static readonly code: string;
}

/** A table of a hub on a PostgreSQL server, as the server's statistics have it. */
export declare interface TableStats {
    readonly name: string;
    /** About how many rows it has. */
    readonly rows: number;
    /**
     * About how many more were changed or removed and take room until the table is vacuumed. If they are
     * many and do not go, something keeps the server from vacuuming: most often an old transaction.
     */
    readonly deadRows: number;
    /** Bytes that it takes, indexes included. */
    readonly bytes: number;
    /** When it was last vacuumed, if it ever was. */
    readonly vacuumed?: Date;
}

/**
 * Something that an orchestrator waits for: `yield` it (or `yield*`, which keeps its type) in a
 * generator function, `await` it in an async function.
 *
 * A task exists from its creation: it is scheduled at the end of the turn that made it, in the
 * order of creation, whether or not anyone waits for it. One that fails unawaited raises no
 * `unhandledRejection`.
 *
 * `TAwaited` is what `await` gives, `TYielded` what `yield*` gives; they differ for `Task.any`.
 */
export declare interface Task<TAwaited = unknown, TYielded = TAwaited> extends PromiseLike<TAwaited> {
    /** Whether it has succeeded or failed. */
    readonly isCompleted: boolean;
    /** Whether it has failed. */
    readonly isFaulted: boolean;
    /** What it gave, or the error if it failed; undefined before. */
    readonly result?: unknown;
    catch<TCaught = never>(onRejected?: ((error: unknown) => TCaught | PromiseLike<TCaught>) | null): Promise<TAwaited | TCaught>;
    finally(onFinally?: (() => void) | null): Promise<TAwaited>;
    [Symbol.iterator](): Iterator<Task<any, any>, TYielded, any>;
}

/** Combines tasks; the same as `context.df.Task`. */
export declare const Task: TaskCombinators;

/** `Task.all` and `Task.any`, also found as `context.df.Task`. */
export declare interface TaskCombinators {
    /**
     * Completes with the results, in the order of the list, when all have completed; fails with the
     * first failure as soon as there is one. An empty list completes at once.
     *
     * @throws NotATask, InvalidOption
     */
    all<T extends readonly AnyTask[] | readonly []>(tasks: T, options?: AllOptions): AllTaskOf<T>;
    /**
     * Completes with the first of the tasks that completes, failed or not. In a generator function
     * the result is that task; in an async function it is `{ index, isFaulted, result }`. The others
     * go on; cancel a timer that is no longer needed.
     *
     * @throws NotATask
     */
    any<T extends readonly AnyTask[] | readonly []>(tasks: T): Task<AnyResult<AwaitedOf<T[number]>>, T[number]>;
}

/**
 * The error of a failed task. Such an error is of the class that it was thrown with (`RangeError`); it
 * is an instance of this class too, and has `failureDetails`.
 *
 * @example
 * ```ts
 * try {
 *   yield context.df.callActivity('charge', order)
 * } catch (error) {
 *   if (!(error instanceof df.TaskFailedError)) throw error
 *   if (error.failureDetails.isCausedBy('CardDeclined')) return 'declined'
 * }
 * ```
 */
export declare class TaskFailedError extends Error {
    readonly failureDetails: FailureDetails;
    /** The name of what failed, if it is known. */
    readonly taskName?: string;
    /** The number of the task, if it is known. */
    readonly taskId?: number;
    constructor(failureDetails: FailureDetails);
}

/** An open task hub. */
export declare class TaskHub implements AsyncDisposable {
    #private;
    /** The client to this hub, in this process. */
    readonly client: HubClient;
    /** The functions that it runs. With `threads` those are in the threads, and nothing registers here. */
    readonly app: App;
    /**
     * What the store says, read back when it was opened, of how it syncs: for SQLite the value of
     * `PRAGMA synchronous`, 'FULL', or 'NORMAL' with `durability: 'relaxed'`; 'in memory' for a hub in memory;
     * on PostgreSQL `synchronous_commit=…, fsync=…, full_page_writes=…`: the first as the hub's transactions
     * have it, the others as the server has them. What is not as it should be is a warning in the log.
     */
    readonly synchronous: string;
    /**
     * Closes the hub: no activity starts from now on, those that run get time to end, what is queued
     * is written, and the store is released. Calls that then still wait reject with `HubClosed`. May
     * be called again; instances go on at the next `open`.
     */
    close(options?: CloseOptions): Promise<void>;
    /**
     * Copies the hub, while it runs, to a new file. The store's write-ahead log grows meanwhile by what is
     * written.
     *
     * @param file its path; it must not exist
     * @throws StoreUnavailable, StoreFull, StoreReadOnly, InvalidOption
     */
    backup(file: string): Promise<void>;
    /** As that of a connected client. */
    storeStats(): Promise<StoreStats>;
    [Symbol.asyncDispose](): Promise<void>;
}

/**
 * The options by which durable-functions names a hub with a call.
 *
 * Owns: that they name the client's own hub, or nothing.
 * Must never: look for another hub.
 * Proved by: `__test__/one-import.spec.mjs`.
 */
/** Which hub a call is for: only the client's own, as a client has one hub. */
export declare interface TaskHubOptions {
    /** Refused unless it is the client's `taskHubName`. */
    taskHubName?: string | undefined;
    /** Not looked at: there are no connections. */
    connectionName?: string | undefined;
}

/** The time given has passed: a `timeoutMs` of `waitForCompletion` or of an activity. */
export declare class TimeoutError extends DurableError {
    static readonly code: string;
}

/** What a timer function gets. */
export declare interface Timer {
    isPastDue: boolean;
    schedule: {
        adjustForDST: boolean;
    };
    scheduleStatus: {
        last: string;
        next: string;
        lastUpdated: string;
    };
}

/** A timer function with a client. */
export declare type TimerDurableClientHandler = DurableClientHandler<Timer, void>;

/** What a timer function is registered with. */
export declare interface TimerDurableClientOptions extends FunctionOptions {
    handler: TimerDurableClientHandler;
    /** A cron expression of six fields. */
    schedule: string;
    runOnStartup?: boolean | undefined;
    useMonitor?: boolean | undefined;
    retry?: unknown;
    trigger?: FunctionTrigger | undefined;
}

/** A durable timer. */
export declare interface TimerTask extends Task<void> {
    /** Whether `cancel` was called before it fired. */
    readonly isCanceled: boolean;
    /** Cancels the timer; it then never completes. Does nothing once it has fired. */
    cancel(): void;
}

/** Gives a bearer token for a resource. */
export declare type TokenProvider = (source: TokenSource) => string | PromiseLike<string>;

/** Where the bearer token of a request comes from. */
export declare interface TokenSource {
    /** The resource that the token is for, such as `https://management.core.windows.net/`. */
    readonly resource: string;
    /** Only 'AzureManagedIdentity' is known. */
    readonly kind?: string;
}

/** More calls wait for their answers than the client may have; await earlier ones. */
export declare class TooManyCalls extends DurableError {
    static readonly code: string;
}

/** Triggers of durable functions, for `app.generic` of `@azure/functions`. */
export declare const trigger: Triggers;

/** `df.trigger`. */
export declare interface Triggers {
    activity(): ActivityTrigger;
    orchestration(): OrchestrationTrigger;
    entity(): EntityTrigger;
}

declare const types: unique symbol;

/** A value cannot be written as JSON; `field` says which. */
export declare class UnserializableValue extends DurableError {
    static readonly code: string;
}

/** There is no binary of this package for this platform. */
export declare class UnsupportedPlatform extends DurableError {
    static readonly code: string;
}

/** The version of the instance is not this worker's to run (`versionMatchStrategy`). */
export declare class VersionMismatch extends DurableError {
    static readonly code: string;
}

/** How long to wait. */
export declare interface WaitForCompletionOptions {
    /** Milliseconds to wait, of any length. Default: no end. */
    timeoutMs?: number | undefined;
    /** The name durable-functions has for `timeoutMs`. */
    timeoutInMilliseconds?: number | undefined;
    /** Only for durable-functions: here nothing is asked again and again. */
    retryIntervalInMilliseconds?: number | undefined;
    /** Ends the wait when it aborts; the promise rejects with its reason. */
    signal?: AbortSignal | undefined;
}

/** A request, as any model has it. */
export declare interface WithUrl {
    readonly url?: string | undefined;
}

/** What `yield*` gives of a task. */
export declare type YieldedOf<T> = T extends Task<infer _, infer TYielded> ? TYielded : never;

export { }
