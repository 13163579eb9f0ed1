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

import type { IncomingMessage } from 'node:http';
import type { ServerResponse } from 'node:http';

/** Who may use a route: all, or who has a key of this level. */
export declare type Access = 'open' | KeyLevel;

/** What a handler of ours gives; a `Response` costs more to make. */
export declare interface Answer {
    readonly status: number;
    /** Several of one name as an array. */
    readonly headers?: Readonly<Record<string, string | readonly string[]>>;
    /** Without one: no body. */
    readonly body?: string | Uint8Array;
}

/** What bodies a route takes: JSON, or any. */
export declare type BodyKind = 'json' | 'any';

/** What a function gets as its client binding: `orchestrationClient` or `durableClient`. */
export declare interface ClientBinding {
    readonly taskHubName: string;
    readonly creationUrls: {
        readonly createNewInstancePostUri: string;
        readonly createAndWaitOnNewInstancePostUri: string;
    };
    readonly managementUrls: HttpManagementPayload;
    readonly baseUrl: string;
    readonly requiredQueryStringParameters: string;
    /** Ends with a slash: the packages resolve relative URLs against it. */
    readonly rpcBaseUrl: string;
}

/** A client, as `hub.client` and `df.connect` give it; made of what types of both packages have in common. */
export declare interface ClientLike {
    readonly taskHubName: string;
    startNew(...args: never[]): Promise<string>;
}

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
export declare function createHttpApi(hubOrClient: HubOrClient, options?: HttpApiOptions): HttpApi;

/** The management API, ready to be mounted. */
export declare interface HttpApi {
    /** Answers a request below `basePath`, or of a route that was added. */
    fetch(request: Request): Promise<Response>;
    /** The same for `node:http`, Express and Fastify. */
    listener(incoming: IncomingMessage, outgoing: ServerResponse): void;
    /** The table of routes; what is added to it is guarded in the same way. */
    readonly router: Router;
    /** The keys that are asked for; null: none. */
    readonly keys: Keys | null;
    /** The URLs of an instance, for callers that reach the API at `origin`. */
    managementPayload(origin: string, instanceId: string): HttpManagementPayload;
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
    signedLinks(origin: string, instanceId: string, options?: LinkOptions): SignedLinks;
    /** Answers those who wait for an instance, as if their time were over: before a server is closed. */
    close(): void;
    /** What functions get as their client binding. */
    clientBinding(origin: string, rpcBaseUrl: string): ClientBinding;
}

/** How the management API is guarded, and what it takes. */
export declare interface HttpApiOptions {
    /**
     * Keys of your own (16 characters or more; those left out are made), or `false` to ask for none.
     * Default: those of `keyFile`.
     */
    keys?: KeyTexts | Keys | false | undefined;
    /**
     * The file with the keys: JSON that only its owner may read, made at first use. Default: beside the
     * store, `hub.db-keys.json` for `hub.db`; of a hub in a database `.durafn/HUBNAME-keys.json`; of one in
     * memory the keys are made anew each time.
     */
    keyFile?: string | undefined;
    /**
     * Names beside `localhost`, `127.0.0.1` and `[::1]` that the server is known by, without ports; '*'
     * lets all pass. A request for another name is refused, as pages of other sites may have had their
     * name point here.
     */
    allowedHosts?: readonly string[] | undefined;
    /**
     * Origins of pages that may call and read the answers, such as `https://shop.example`; '*': any.
     * Default: only the server's own.
     */
    allowedOrigins?: readonly string[] | undefined;
    /** The longest body that is taken, in bytes. Default 16 MiB. */
    bodyBytesMax?: number | undefined;
    /**
     * Where callers reach this server, such as `https://api.example`, if that is not what their requests
     * say: for URLs in answers.
     */
    publicUrl?: string | undefined;
    /** The path below which its routes lie, as callers send it. Default `/runtime/webhooks/durabletask`. */
    basePath?: string | undefined;
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

/** A hub, or a client of one. */
export declare type HubOrClient = ClientLike | {
    readonly client: ClientLike;
};

/**
 * What a key opens: http functions; the management API; all, `/admin` included. The master key opens
 * every level.
 */
export declare type KeyLevel = 'function' | 'system' | 'admin';

/** The keys of one hub. */
export declare class Keys {
    #private;
    readonly master: string;
    readonly function: string;
    readonly system: string;
    private constructor();
    /**
     * Those given; the others are made, for as long as this process lives.
     *
     * @throws InvalidOption
     */
    static generate(given?: KeyTexts, where?: string): Keys;
    /**
     * Those of a file, which only its owner may read; it is made if there is none.
     *
     * @throws StoreUnavailable
     */
    static load(file: string): Keys;
    /** Whether a request may do what needs this level: by `code=` or the header `x-functions-key`. */
    allows(request: {
        readonly url: string;
        readonly headers: Headers;
    }, level: KeyLevel, query?: Query): boolean;
    /** Whether a key opens this level. */
    opens(key: string, level: KeyLevel): boolean;
}

/** Keys of one's own; one that is left out is made. */
export declare interface KeyTexts {
    /** Opens all. */
    master?: string | undefined;
    /** Opens http functions of `authLevel` 'function'. */
    function?: string | undefined;
    /** Opens the management API; check-status URLs carry it. */
    system?: string | undefined;
}

/** What links let do, and for how long. */
export declare interface LinkOptions {
    /** Default: `['read']`. */
    scopes?: readonly LinkScope[] | undefined;
    /** Seconds until they are void, up to 31,536,000 (a year). Default 3,600. */
    expiresInSeconds?: number | undefined;
}

/** What a link lets its holder do. */
export declare type LinkScope = 'read' | 'raise' | 'terminate' | 'suspend' | 'resume';

/** A server of the management API. */
export declare interface ManagementServer extends AsyncDisposable {
    /** `http://host:port`. */
    readonly url: string;
    readonly port: number;
    readonly api: HttpApi;
    /** Takes no more requests; resolves when those under way are answered, or after `timeoutMs` (10,000). */
    close(timeoutMs?: number): Promise<void>;
}

/**
 * The query of a request, and what its values stand for.
 *
 * Owns: names that match without regard to case, and the reading of booleans, numbers and times.
 * Must never: throw; a value that cannot be read is one that was not given.
 * Proved by: `__test__/http-errors.spec.mjs`.
 */
/** The query of a URL. */
export declare class Query {
    #private;
    constructor(url: string);
    /** All values of a name. */
    all(name: string): readonly string[];
    /** The first value of a name. */
    get(name: string): string | undefined;
    /** The first value of a name that is not empty. */
    text(name: string): string | undefined;
    boolean(name: string): boolean | undefined;
    integer(name: string): number | undefined;
    /** Any finite number. */
    number(name: string): number | undefined;
    /** A time; one without an offset is of UTC. */
    time(name: string): Date | undefined;
    /** The values of a list: `name=A,B&name=C`. */
    list(name: string): readonly string[];
}

/** One route. */
export declare interface Route {
    /** `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`; `ALL` for any. */
    readonly method: string;
    /**
     * A pattern of hono's, such as `/admin/functions/:name`; its letters match without regard to case.
     * With `match` only the name of the route.
     */
    readonly path: string;
    readonly access: Access;
    /** For a route that no pattern describes: the decoded parameters, or null if the path is not of it. */
    match?(path: string): Record<string, string> | null;
    /** A path of this route, for tests of it. Default: `path` with each parameter replaced by `x`. */
    readonly example?: string;
    /** Default 'json': another content type is refused, if there is a body. */
    readonly body?: BodyKind;
    /** Another way in than a key, asked only when there is none. */
    admits?(context: RouteContext): boolean;
    handle(context: RouteContext): Answer | Response | Promise<Answer | Response>;
}

/** A request, as handlers see it. */
export declare interface RouteContext {
    readonly request: Request;
    /** Decoded. */
    readonly params: Readonly<Record<string, string>>;
    readonly query: Query;
    /** Where the routes of the table are: `http://host:port`. */
    readonly origin: string;
    /**
     * The body as text, once.
     *
     * @throws BodyTooLarge
     */
    text(): Promise<string>;
    /**
     * The same as it was sent.
     *
     * @throws BodyTooLarge
     */
    bytes(): Promise<Buffer>;
}

/** A table of routes that answers requests. */
export declare class Router {
    #private;
    /** All routes, in the order in which they were added. */
    get routes(): readonly Route[];
    /** Adds routes; of two that match the one added first answers. */
    add(...routes: readonly Route[]): void;
    /**
     * Answers a request.
     *
     * @param env what `@hono/node-server` gives beside it, if it comes from there
     */
    readonly fetch: (request: Request, env?: object) => Promise<Response>;
}

/** What the routes without a key need to know of those with one. */
export declare interface RpcOptions {
    /** The system key, for URLs in answers; null if none is asked for. */
    code: string | null;
    /** Where the management API is reached. */
    publicUrl?: string | undefined;
    /** Its path. Default `/runtime/webhooks/durabletask`. */
    basePath?: string | undefined;
    bodyBytesMax?: number | undefined;
}

/** Where the original packages reach the API: on this machine, without a key, below a secret path. */
export declare interface RpcServer extends AsyncDisposable {
    /** Ends with a slash. */
    readonly rpcBaseUrl: string;
    close(timeoutMs?: number): Promise<void>;
}

/**
 * Serves the management API of a hub, to this machine only unless `hostname` says otherwise.
 *
 * @throws PortUnavailable; InvalidOption, also for an address beyond this machine with `keys: false`;
 * StoreUnavailable for a key file that cannot be used
 *
 * @example
 * ```ts
 * await using server = await serve(hub, { port: 7071 })
 * console.log(server.api.managementPayload(server.url, id).statusQueryGetUri)
 * ```
 */
export declare function serve(hubOrClient: HubOrClient, options?: ServeOptions): Promise<ManagementServer>;

/** How the management API is served. */
export declare interface ServeOptions extends HttpApiOptions {
    /** Default 7071; 0: any that is free. */
    port?: number | undefined;
    /**
     * The address to listen to. Default `127.0.0.1`, which only this machine reaches. Another one needs
     * keys; put TLS before it.
     */
    hostname?: string | undefined;
}

/**
 * Serves the routes that the original packages call without a key.
 *
 * @throws PortUnavailable
 */
export declare function serveRpc(hubOrClient: HubOrClient, options: RpcOptions): Promise<RpcServer>;

/** Links to one instance; of each only what it lets do. */
export declare interface SignedLinks {
    readonly id: string;
    /** When they are void: `yyyy-MM-ddTHH:mm:ssZ`. */
    readonly expires: string;
    /** GET: the status. With `read`. */
    readonly statusQueryGetUri?: string;
    /** GET: the status, once it has ended; takes `timeout` (seconds). With `read`. */
    readonly waitGetUri?: string;
    /** GET: server-sent events of its changes. With `read`. */
    readonly changesGetUri?: string;
    /** POST: an event. With `raise`. */
    readonly sendEventPostUri?: string;
    readonly terminatePostUri?: string;
    readonly suspendPostUri?: string;
    readonly resumePostUri?: string;
}

export { }
