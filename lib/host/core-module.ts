/**
 * `@azure/functions-core`: the module that `@azure/functions` 4 finds only inside a host.
 *
 * Owns: the hook that supplies it, and what an app registers through it while it is loaded.
 * Must never: supply any other module, or call a function.
 * Proved by: `__test__/host-modern.spec.mjs`.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import Module from 'node:module'
import { AlreadyRegistered, InvalidFunction } from '../errors.js'
import type { Log, LogLevel } from '../log.js'

/** A binding as `@azure/functions` 4 registers it, by its name. */
export type CoreBindings = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** What `registerFunction` is told. */
export interface CoreMetadata {
  readonly name: string
  readonly functionId?: string
  readonly bindings: CoreBindings
  readonly retryOptions?: unknown
}

// biome-ignore lint/suspicious/noExplicitAny: a function of the user's, of any signature
export type CoreCallback = (...args: any[]) => unknown

/** How `@azure/functions` 4 runs a function: the part of the model that a host calls. */
export interface CoreInvocationModel {
  getArguments(): Promise<{ context: object; inputs: unknown[] }>
  invokeFunction(context: object, inputs: unknown[], callback: CoreCallback): Promise<unknown>
  getResponse(context: object, result: unknown): Promise<CoreResponse>
}

export interface CoreResponse {
  readonly outputData?: readonly { readonly name: string; readonly data: unknown }[] | null
  readonly returnValue?: unknown
}

export interface ProgrammingModel {
  readonly name: string
  readonly version: string
  getInvocationModel(context: object): CoreInvocationModel | Promise<CoreInvocationModel>
  getCapabilities?(capabilities: Record<string, string>): unknown
}

/** A function that an app has registered. */
export interface Registration {
  readonly metadata: CoreMetadata
  readonly callback: CoreCallback
  /** The module that did. */
  readonly file: string
}

// biome-ignore lint/suspicious/noExplicitAny: each hook has a context of its own
export type HookCallback = (context: any) => unknown

const HOOKS = ['preInvocation', 'postInvocation', 'appStart', 'appTerminate', 'log']
const MODULE = '@azure/functions-core'
const levels: Record<string, LogLevel> = {
  trace: 'debug',
  debug: 'debug',
  information: 'info',
  warning: 'warn',
  error: 'error',
  critical: 'error',
}

/** What one app says through the module. */
export class CoreApp {
  readonly registrations: Registration[] = []
  readonly hooks: Map<string, HookCallback[]> = new Map()
  /** Shared by all hooks of the app, as theirs to fill. */
  readonly hookData: Record<string, unknown> = {}
  programmingModel: ProgrammingModel | undefined
  /** The module that is loaded right now; null when the app has started. */
  loading: string | null = null
  log: Log

  constructor(log: Log) {
    this.log = log
  }

  register(metadata: CoreMetadata, callback: CoreCallback): Disposable {
    const { name } = metadata
    if (this.loading === null) {
      throw new InvalidFunction(
        `Function '${name}' is registered after the app has started; register it while its modules are loaded.`,
        { field: 'name' },
      )
    }
    const before = this.registrations.find((each) => isSameName(each.metadata.name, name))
    if (before !== undefined) {
      throw new AlreadyRegistered(
        `${this.loading}: '${name}' and '${before.metadata.name}' of ${before.file} are one name, as names match without regard to case. Rename one of the functions.`,
        { field: 'name' },
      )
    }
    const registration = { metadata, callback, file: this.loading }
    this.registrations.push(registration)
    return new Disposable(() => remove(this.registrations, registration))
  }

  addHook(name: string, callback: HookCallback): Disposable {
    if (!HOOKS.includes(name)) {
      throw new RangeError(`There is no hook '${name}'. There are: ${HOOKS.join(', ')}.`)
    }
    const list = this.hooks.get(name) ?? []
    this.hooks.set(name, list)
    list.push(callback)
    return new Disposable(() => remove(list, callback))
  }

  get hasInvocationHooks(): boolean {
    return ['preInvocation', 'postInvocation'].some((name) => this.hooks.get(name)?.length)
  }

  /** Runs the hooks of a name, in the order of their registration; what one throws ends it. */
  async runHooks(name: string, context: object): Promise<void> {
    for (const callback of this.hooks.get(name) ?? []) await callback(context)
  }

  /** Writes a line, as the hooks for logs leave it. */
  write(level: string, category: string, message: string, invocationContext?: object): void {
    const entry = {
      level,
      message,
      category,
      invocationContext,
      hookData: {},
      appHookData: this.hookData,
    }
    for (const callback of this.hooks.get('log') ?? []) callback(entry)
    if (entry.level === 'none') return
    const at = levels[entry.level] ?? 'info'
    if (category === 'user') this.log.user(at, [entry.message])
    else this.log.engine(at, entry.message)
  }
}

/** What the registrations give back; the original has this very class. */
export class Disposable {
  #call: (() => unknown) | undefined

  constructor(call: () => unknown) {
    this.#call = call
  }

  static from(...parts: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => {
      for (const part of parts) part.dispose()
    })
  }

  dispose(): unknown {
    const call = this.#call
    this.#call = undefined
    return call?.()
  }
}

// ------------------------------------------------------------------ the module

/** Whose call it is, where several apps share the process and one copy of `@azure/functions`. */
const current = new AsyncLocalStorage<CoreApp>()
/** The last app that was loaded, for what comes from no call. */
let latest: CoreApp | undefined
let isSupplied = false

/** How many apps were loaded. */
let count = 0

/**
 * Runs something as an app: what it says through the module is that app's. With one app in the process
 * there is nothing to tell apart, and nothing to pay for: from its first use on, the storage slows down
 * every promise of the process.
 */
export function runAs<T>(app: CoreApp, action: () => T): T {
  return count > 1 ? current.run(app, action) : action()
}

/** Makes the module known to Node, and an app the one that is loaded from now on. */
export function supplyCoreModule(app: CoreApp): void {
  if (latest !== app) count += 1
  latest = app
  if (isSupplied) return
  isSupplied = true
  const prototype = Module.prototype as { require: (id: string) => unknown }
  const original = prototype.require
  prototype.require = function (this: unknown, id: string): unknown {
    return id === MODULE ? core : original.call(this, id)
  }
}

/** The module of an app that is loaded right now; null outside of a host. */
export function loadingModule(): string | null {
  return (current.getStore() ?? latest)?.loading ?? null
}

function appOfCaller(): CoreApp {
  const app = current.getStore() ?? latest
  if (app === undefined) throw new InvalidFunction('No function app is loaded.')
  return app
}

const core = {
  version: '3.10.1',
  hostVersion: '4.1037.0.0',
  registerFunction: (metadata: CoreMetadata, callback: CoreCallback): Disposable =>
    appOfCaller().register(metadata, callback),
  registerHook: (name: string, callback: HookCallback): Disposable =>
    appOfCaller().addHook(name, callback),
  setProgrammingModel: (model: ProgrammingModel): void => {
    programmingModel = model
    appOfCaller().programmingModel = model
  },
  getProgrammingModel: (): ProgrammingModel | undefined => modelOf(appOfCaller()),
  log: (level: string, category: string, message: string): void =>
    appOfCaller().write(level, category, message),
  Disposable,
}

/** A copy of `@azure/functions` sets its model once in a process, whichever app it was for. */
let programmingModel: ProgrammingModel | undefined

/** The model that the functions of an app are called by. */
export function modelOf(app: CoreApp): ProgrammingModel | undefined {
  return app.programmingModel ?? programmingModel
}

function isSameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item)
  if (index >= 0) list.splice(index, 1)
}
