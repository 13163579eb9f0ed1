/**
 * `function.json`: what a function's folder says about it.
 *
 * Owns: finding the folders, and the checks of every field that this package reads.
 * Must never: load a script.
 * Proved by: `__test__/host.spec.mjs`.
 */

import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import {
  type Binding,
  bindingsOf,
  type FunctionKind,
  firstLine,
  isObject,
  kindOf,
  refused,
  triggerOf,
} from './binding.js'

/** A function as its folder describes it. */
export interface FunctionDefinition {
  /** The name of its folder. */
  readonly name: string
  readonly kind: FunctionKind
  /** Its folder, absolute. */
  readonly directory: string
  /** Its `function.json`, absolute. */
  readonly file: string
  /** Its script, absolute. */
  readonly scriptFile: string
  readonly entryPoint: string | undefined
  /** In the order of the file. */
  readonly bindings: readonly Binding[]
  readonly trigger: Binding
  readonly isDisabled: boolean
  /** `retry`, unread. */
  readonly retry: unknown
}

type Json = Record<string, unknown>

const FILE = 'function.json'
/** A function may leave out `scriptFile` if it is one of these, or the only script of the folder. */
const scriptsByDefault: readonly string[] = ['index.js', 'index.cjs', 'index.mjs']

/** The folder of an app as a real path, since that is what modules loaded from it are known by. */
export function appDirectory(directory: string): string {
  const path = resolve(directory)
  const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  if (!isDirectory) throw refused(path, '', 'is not a folder')
  return realpathSync(path)
}

/**
 * The one function of this name, matched without regard to case.
 *
 * @throws InvalidFunction
 */
export function findFunction(directory: string, name: string): FunctionDefinition {
  const names = functionFolders(directory)
  const found = names.find((each) => each.toLowerCase() === name.toLowerCase())
  if (found !== undefined) return readFunction(directory, found)
  const list = names.length === 0 ? 'There are none.' : `There are: ${names.join(', ')}.`
  throw refused(directory, '', `holds no function named '${name}'. ${list}`)
}

/** The folders of an app that hold a `function.json`, by name. */
export function functionFolders(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => existsSync(join(directory, name, FILE)))
    .sort()
}

/**
 * What the `function.json` of a folder says.
 *
 * @throws InvalidFunction
 */
export function readFunction(parent: string, name: string): FunctionDefinition {
  const directory = join(parent, name)
  const file = join(directory, FILE)
  const json = readObject(file)
  const bindings = bindingsOf(json['bindings'], file)
  const trigger = triggerOf(bindings, file)
  return {
    name,
    kind: kindOf(trigger),
    directory,
    file,
    scriptFile: scriptOf(json, directory, file),
    entryPoint: optionalText(json, 'entryPoint', file),
    bindings,
    trigger,
    isDisabled: disabledOf(json, file),
    retry: json['retry'],
  }
}

/** A JSON file that must hold an object. */
export function readObject(file: string): Json {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, ''))
  } catch (error) {
    throw refused(file, '', `cannot be read: ${firstLine(error)}`, error)
  }
  if (isObject(value)) return value
  throw refused(file, '', 'must hold a JSON object')
}

function scriptOf(json: Json, directory: string, file: string): string {
  const given = optionalText(json, 'scriptFile', file)
  if (given !== undefined) {
    const path = resolve(directory, given)
    if (existsSync(path)) return path
    throw refused(file, 'scriptFile', `names '${given}', which does not exist`)
  }
  const scripts = readdirSync(directory).filter((name) => /\.[cm]?js$/.test(name))
  const script = scriptsByDefault.find((name) => scripts.includes(name)) ?? scripts[0]
  if (script !== undefined && (scriptsByDefault.includes(script) || scripts.length === 1)) {
    return join(directory, script)
  }
  const found = scripts.length === 0 ? 'no script' : scripts.join(', ')
  throw refused(
    file,
    'scriptFile',
    `must name the script, as there is no index.js in '${basename(directory)}', but ${found}`,
  )
}

function disabledOf(json: Json, file: string): boolean {
  const value = json['disabled'] ?? false
  if (typeof value === 'boolean') return value
  throw refused(file, 'disabled', 'must be true or false')
}

function optionalText(json: Json, field: string, file: string): string | undefined {
  const value = json[field] ?? undefined
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw refused(file, field, 'must be a string that is not empty')
}
