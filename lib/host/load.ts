/**
 * Loading the functions of an app, of either model.
 *
 * Owns: which model an app is of, and what is left out when something is wrong with a function.
 * Must never: open a hub.
 * Proved by: `__test__/host.spec.mjs`, `__test__/host-modern.spec.mjs`.
 */

import { join } from 'node:path'
import { AlreadyRegistered, DurableError } from '../errors.js'
import { type FunctionKind, refused } from './binding.js'
import { ClassicFunction } from './classic.js'
import { type Entry, loadEntry } from './entry.js'
import { functionFolders, readFunction } from './function-json.js'
import type { Environment, Invocable } from './invocation.js'
import { ModernFunction } from './modern.js'
import { requireHandlers } from './outputs.js'
import { loadFunction } from './script.js'

/** A function of an app. */
export interface FunctionInfo {
  readonly name: string
  readonly kind: FunctionKind
  /** Its `function.json`, or the module that registered it. */
  readonly file: string
  /** Whether `function.json` or a setting says so; it is not loaded then. */
  readonly isDisabled: boolean
}

/** The functions of an app. */
export interface LoadedApp {
  readonly functions: readonly FunctionInfo[]
  readonly invocables: readonly Invocable[]
  /** Of a v4 app: what its modules said. */
  readonly entry: Entry | undefined
  /** Why functions were left out. */
  readonly problems: readonly DurableError[]
}

/**
 * Loads an app.
 *
 * @param isLenient leaves out functions that are at fault, as long as others are left
 * @throws InvalidFunction, AlreadyRegistered
 */
export async function loadFunctions(
  directory: string,
  environment: Environment,
  isLenient: boolean,
): Promise<LoadedApp> {
  const entry = await loadEntry(directory, environment.log)
  const isModern = entry !== undefined && hasFunctions(entry)
  const loaded = isModern
    ? loadModern(entry, environment)
    : await loadClassic(directory, environment)
  const problems = [...(entry?.problems ?? []), ...loaded.problems]
  const isEmpty = loaded.invocables.length === 0 && !isModern
  const isBare = loaded.functions.length === 0 && !isModern && problems.length === 0
  if (isBare) throw refused(directory, '', `holds no function: ${WHAT_IS_ONE}`)
  const [first] = problems
  if (first !== undefined && (isEmpty || !isLenient)) throw first
  return { ...loaded, entry: isModern ? entry : undefined, problems }
}

const WHAT_IS_ONE =
  'a function is a folder with a function.json in it, or is registered with app of @azure/functions by the main of package.json'

function hasFunctions({ core, registered }: Entry): boolean {
  return core.registrations.length + registered.length > 0
}

type Loaded = Omit<LoadedApp, 'entry'>

function loadModern({ core, registered }: Entry, environment: Environment): Loaded {
  const problems: DurableError[] = []
  const invocables: Invocable[] = []
  const functions: FunctionInfo[] = []
  const modules = [...new Set(core.registrations.map(({ file }) => file))].join(', ')
  for (const { orchestrators, activities } of registered) {
    for (const name of orchestrators) functions.push(native(name, 'orchestration', modules))
    for (const { name } of activities) functions.push(native(name, 'activity', modules))
  }
  for (const registration of core.registrations) {
    try {
      const func = new ModernFunction(registration, core, environment)
      requireHandlers(func.bindings, func.file)
      const isDisabled = isDisabledBySetting(func.name)
      functions.push({ name: func.name, kind: func.kind, file: func.file, isDisabled })
      if (!isDisabled) invocables.push(func)
    } catch (error) {
      problems.push(problemOf(error))
    }
  }
  return { functions, invocables, problems }
}

function native(name: string, kind: FunctionKind, file: string): FunctionInfo {
  return { name, kind, file, isDisabled: false }
}

async function loadClassic(directory: string, environment: Environment): Promise<Loaded> {
  const problems: DurableError[] = []
  const invocables: Invocable[] = []
  const functions: FunctionInfo[] = []
  const spelt = new Map<string, string>()
  for (const folder of functionFolders(directory)) {
    try {
      requireOtherName(directory, folder, spelt)
      const definition = readFunction(directory, folder)
      const { name, kind, file } = definition
      const isDisabled = definition.isDisabled || isDisabledBySetting(name)
      if (!isDisabled) {
        const func = new ClassicFunction(await loadFunction(definition), environment)
        requireHandlers(func.bindings, file)
        invocables.push(func)
      }
      functions.push({ name, kind, file, isDisabled })
    } catch (error) {
      problems.push(problemOf(error))
    }
  }
  return { functions, invocables, problems }
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
function isDisabledBySetting(name: string): boolean {
  const value =
    process.env[`AzureWebJobs.${name}.Disabled`] ?? process.env[`AzureWebJobs_${name}_Disabled`]
  return value === '1' || value?.toLowerCase() === 'true'
}

function problemOf(error: unknown): DurableError {
  if (error instanceof DurableError) return error
  throw error
}
