/**
 * Loading the functions of an app, of either model.
 *
 * Owns: which model an app is of, and what is left out when something is wrong with a function.
 * Must never: open a hub.
 * Proved by: `__test__/host.spec.mjs`, `__test__/host-modern.spec.mjs`.
 */

import { join } from 'node:path'
import { AlreadyRegistered, DurableError, NotRegistered } from '../errors.js'
import { type FunctionKind, refused } from './binding.js'
import { ClassicFunction } from './classic.js'
import { type Entry, loadEntry } from './entry.js'
import { findFunction, functionFolders, readFunction } from './function-json.js'
import { type AuthLevel, type HttpFunction, httpFunction, inOrder } from './http-functions.js'
import type { Environment, Invocable } from './invocation.js'
import { ModernFunction } from './modern.js'
import { requireHandlers } from './outputs.js'
import { loadFunction } from './script.js'
import { type TimerFunction, timerFunction } from './timers.js'

/** A function of an app. */
export interface FunctionInfo {
  readonly name: string
  readonly kind: FunctionKind
  /** Its `function.json`, or the module that registered it. */
  readonly file: string
  /** Whether `function.json` or a setting says so; it is not loaded then. */
  readonly isDisabled: boolean
  /** Of an http function: how it is called. */
  readonly http?: HttpInfo
}

/** How an http function is called. */
export interface HttpInfo {
  /** The template of its path, such as `api/orders/{id}`. */
  readonly route: string
  /** In upper case; empty: all. */
  readonly methods: readonly string[]
  /** Who may call it: all, who has a key, who has the master key. */
  readonly authLevel: AuthLevel
}

/** The functions of an app. */
export interface LoadedApp {
  readonly functions: readonly FunctionInfo[]
  readonly invocables: readonly Invocable[]
  readonly http: readonly HttpFunction[]
  readonly timers: readonly TimerFunction[]
  /** Of a v4 app: what its modules said. */
  readonly entry: Entry | undefined
  /** Why functions were left out. */
  readonly problems: readonly DurableError[]
}

/** How an app is loaded. */
export interface LoadOptions {
  readonly environment: Environment
  /** What the routes of http functions begin with. */
  readonly routePrefix: string
  /** Leaves out functions that are at fault, as long as others are left. */
  readonly isLenient: boolean
  /** Takes each function that is in order; what it throws is a fault of the function. */
  readonly register: (func: Invocable) => void
}

/**
 * Loads an app.
 *
 * @throws InvalidFunction, AlreadyRegistered
 */
export async function loadFunctions(directory: string, options: LoadOptions): Promise<LoadedApp> {
  const { environment, isLenient } = options
  const entry = await loadEntry(directory, environment.log)
  const isModern = entry !== undefined && hasFunctions(entry)
  const loading = new Loading(options)
  if (isModern) await loadModern(entry, environment, loading)
  else await loadClassic(directory, environment, loading)
  const { functions, problems, invocables } = loading
  problems.unshift(...(entry?.problems ?? []))
  const [first] = problems
  const isEmpty = isModern ? functions.length === 0 : invocables.length === 0
  if (first !== undefined && (isEmpty || !isLenient)) throw first
  if (functions.length === 0) throw refused(directory, '', `holds no function: ${WHAT_IS_ONE}`)
  return { ...loading.result(), entry: isModern ? entry : undefined }
}

/**
 * Loads one function of an app; of folders only that one.
 *
 * @throws InvalidFunction; NotRegistered if it is disabled
 */
export async function loadOne(
  directory: string,
  name: string,
  environment: Environment,
): Promise<Invocable> {
  const entry = await loadEntry(directory, environment.log)
  if (entry === undefined || !hasFunctions(entry)) {
    const definition = findFunction(directory, name)
    requireEnabled(definition.name, definition.isDisabled, definition.file)
    return new ClassicFunction(await loadFunction(definition), environment)
  }
  const { registrations } = entry.core
  const found = registrations.find((each) => isSameName(each.metadata.name, name))
  if (found !== undefined) {
    requireEnabled(found.metadata.name, false, found.file)
    return new ModernFunction(found, entry.core, environment)
  }
  const names = registrations.map(({ metadata }) => metadata.name).join(', ') || 'none'
  throw refused(directory, '', `registers no function named '${name}'. There are: ${names}`)
}

function requireEnabled(name: string, isDisabled: boolean, file: string): void {
  if (!isDisabled && !isDisabledBySetting(name)) return
  throw new NotRegistered(`Function '${name}' is disabled by a setting, or by ${file}.`, {
    field: 'name',
  })
}

function isSameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

const WHAT_IS_ONE =
  'a function is a folder with a function.json in it, or is registered with app of @azure/functions by the main of package.json'

function hasFunctions({ core, app }: Entry): boolean {
  return core.registrations.length > 0 || !app.isEmpty
}

/** What is loaded so far. */
class Loading {
  readonly functions: FunctionInfo[] = []
  readonly invocables: Invocable[] = []
  readonly problems: DurableError[] = []
  readonly #http: HttpFunction[] = []
  readonly #timers: TimerFunction[] = []
  readonly #options: LoadOptions

  constructor(options: LoadOptions) {
    this.#options = options
  }

  /** Tries to load something; a fault of the user's is kept. */
  async attempt(action: () => void | Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      if (!(error instanceof DurableError)) throw error
      this.problems.push(error)
    }
  }

  /** Takes a function that is in order, or throws. */
  add(func: Invocable): void {
    const { name, kind, file, bindings } = func
    requireHandlers(bindings, file)
    const http = kind === 'http' ? [httpFunction(func, this.#options.routePrefix)] : []
    const timers = kind === 'timer' ? [timerFunction(func)] : []
    this.#options.register(func)
    this.#http.push(...http)
    this.#timers.push(...timers)
    this.invocables.push(func)
    const info = { name, kind, file, isDisabled: false }
    const [route] = http.map(({ methods, authLevel, route: { template } }) => {
      return { methods, authLevel, route: template }
    })
    this.functions.push(route === undefined ? info : { ...info, http: route })
  }

  result(): Omit<LoadedApp, 'entry'> {
    const { functions, invocables, problems } = this
    return { functions, invocables, problems, http: inOrder(this.#http), timers: this.#timers }
  }
}

async function loadModern(
  { core, app, sources }: Entry,
  environment: Environment,
  loading: Loading,
): Promise<void> {
  for (const { orchestrators, activities, entities, file } of sources) {
    for (const name of orchestrators) loading.functions.push(native(name, 'orchestration', file))
    for (const name of entities) loading.functions.push(native(name, 'entity', file))
    for (const { name } of activities) {
      loading.functions.push(native(name, 'activity', file))
      await loading.attempt(() => app.requireHandler(name, file))
    }
  }
  for (const registration of core.registrations) {
    await loading.attempt(() => {
      const func = new ModernFunction(registration, core, environment)
      const { name, kind, file } = func
      if (!isDisabledBySetting(name)) loading.add(func)
      else loading.functions.push({ name, kind, file, isDisabled: true })
    })
  }
}

/** Of this package: they stand in the registry. */
function native(name: string, kind: FunctionKind, file: string): FunctionInfo {
  return { name, kind, file, isDisabled: isDisabledBySetting(name) }
}

async function loadClassic(
  directory: string,
  environment: Environment,
  loading: Loading,
): Promise<void> {
  const spelt = new Map<string, string>()
  for (const folder of functionFolders(directory)) {
    await loading.attempt(async () => {
      requireOtherName(directory, folder, spelt)
      const definition = readFunction(directory, folder)
      const { name, kind, file } = definition
      if (!definition.isDisabled && !isDisabledBySetting(name)) {
        loading.add(new ClassicFunction(await loadFunction(definition), environment))
      } else loading.functions.push({ name, kind, file, isDisabled: true })
    })
  }
}

function requireOtherName(directory: string, name: string, spelt: Map<string, string>): void {
  const key = name.toLowerCase()
  const other = spelt.get(key)
  if (other !== undefined) {
    throw new AlreadyRegistered(
      `${join(directory, name, 'function.json')}: '${name}' and '${other}' are one name, as names match without regard to case. Rename one of the folders.`,
      { field: 'name' },
    )
  }
  spelt.set(key, name)
}

/** `AzureWebJobs.NAME.Disabled`, also with underscores, as some shells know no full stops. */
export function isDisabledBySetting(name: string): boolean {
  const value =
    process.env[`AzureWebJobs.${name}.Disabled`] ?? process.env[`AzureWebJobs_${name}_Disabled`]
  return value === '1' || value?.toLowerCase() === 'true'
}
