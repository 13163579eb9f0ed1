/**
 * The scripts of functions.
 *
 * Owns: loading them, and which of their exports is the function.
 * Must never: call what it has loaded.
 * Proved by: `__test__/host.spec.mjs`.
 */

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { types } from 'node:util'
import { isClass } from '../entity-class.js'
import type { InvalidFunction } from '../errors.js'
import { firstLine, isObject, refused } from './binding.js'
import type { FunctionDefinition } from './function-json.js'
import { hostImports } from './package-require.js'

// biome-ignore lint/suspicious/noExplicitAny: a function of the user's, of any signature
export type UserFunction = (this: unknown, ...args: any[]) => unknown

/** A function ready to be called. */
export interface LoadedFunction extends FunctionDefinition {
  /** Bound to the object that exports it, if it is a member of one. */
  readonly run: UserFunction
  /** Whether it is an orchestrator or entity that an original package made. */
  readonly isHosted: boolean
}

/** Functions that are known to be of this package, whatever they look like. */
const own: WeakSet<object> = new WeakSet()

/** Marks a function as one of this package, for those that cannot be told by their kind. */
export function markOwn(func: object): void {
  own.add(func)
}

/**
 * Loads the script of a function.
 *
 * @throws InvalidFunction
 */
export async function loadFunction(definition: FunctionDefinition): Promise<LoadedFunction> {
  const { scriptFile, kind } = definition
  let exported: unknown
  try {
    if (isEsm(scriptFile)) hostImports(dirname(definition.directory))
    exported = isEsm(scriptFile)
      ? await import(pathToFileURL(scriptFile).href)
      : createRequire(scriptFile)(scriptFile)
  } catch (error) {
    throw refused(scriptFile, '', `cannot be loaded: ${firstLine(error)}`, error)
  }
  const member = functionOf(exported, definition)
  if (kind !== 'orchestration' && types.isGeneratorFunction(member)) {
    throw refused(
      scriptFile,
      '',
      `exports a generator function, which only an orchestrator is, but ${definition.file} has type '${definition.trigger.type}'`,
    )
  }
  // `this` is the module, as it is in the classic model.
  const run = member === exported || isClass(member) ? member : member.bind(exported)
  return { ...definition, run, isHosted: isOriginal(member, definition) }
}

/**
 * What the original packages make of a function is a plain one, whatever it was before. A generator
 * function, an async one, a class, or what this package marked runs natively.
 */
function isOriginal(member: UserFunction, { kind }: FunctionDefinition): boolean {
  if (own.has(member) || types.isAsyncFunction(member)) return false
  if (kind === 'entity') return !isClass(member)
  return kind === 'orchestration' && !types.isGeneratorFunction(member)
}

/** As the worker of the classic model finds it: itself, `entryPoint`, the only member, run, index. */
function functionOf(exported: unknown, definition: FunctionDefinition): UserFunction {
  if (typeof exported === 'function') return exported as UserFunction
  const { entryPoint } = definition
  if (!isObject(exported)) throw noFunction(definition, 'exports no function')
  const member = memberOf(exported, entryPoint)
  if (typeof member === 'function') return member as UserFunction
  if (entryPoint !== undefined) {
    throw refused(
      definition.file,
      'entryPoint',
      `is '${entryPoint}', and ${definition.scriptFile} exports no function of this name`,
    )
  }
  throw noFunction(definition, 'exports several members and none is named run or index')
}

function memberOf(exported: Record<string, unknown>, entryPoint: string | undefined): unknown {
  if (entryPoint !== undefined) return exported[entryPoint]
  if (exported['default'] !== undefined) return exported['default']
  const names = Object.keys(exported)
  return names.length === 1 ? exported[names[0] as string] : (exported['run'] ?? exported['index'])
}

function noFunction(definition: FunctionDefinition, why: string): InvalidFunction {
  return refused(
    definition.scriptFile,
    '',
    `${why}: write module.exports = async function (context, …) { … }, or name a member by entryPoint in function.json`,
  )
}

/** Whether Node takes a file for an ES module. */
export function isEsm(file: string): boolean {
  if (extname(file) === '.mjs') return true
  return extname(file) === '.js' && packageType(dirname(file)) === 'module'
}

/** The `type` of the package that a folder belongs to. */
function packageType(directory: string): unknown {
  const file = join(directory, 'package.json')
  if (!existsSync(file)) {
    const parent = dirname(directory)
    return parent === directory ? undefined : packageType(parent)
  }
  try {
    return JSON.parse(readFileSync(file, 'utf8')).type
  } catch {
    return undefined // Node says so itself when it loads the script.
  }
}
