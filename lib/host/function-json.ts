/**
 * `function.json`: what a function's folder says about it.
 *
 * Owns: finding the folders, and the checks of every field that this package reads.
 * Must never: load a script.
 * Proved by: `__test__/host.spec.mjs`.
 */

import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { AlreadyRegistered, InvalidFunction } from '../errors.js'
import { messageOf } from '../failure.js'

/** What starts a function. */
export type FunctionKind = 'orchestration' | 'activity' | 'manual'

/** A binding, as `function.json` has it. */
export interface BindingDefinition {
  readonly name: string
  readonly type: string
  readonly direction: 'in' | 'out' | 'inout'
}

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
  readonly bindings: readonly BindingDefinition[]
  readonly trigger: BindingDefinition
  /** The bindings that are a client: starters. */
  readonly clients: readonly BindingDefinition[]
  readonly isDisabled: boolean
}

type Json = Record<string, unknown>

const FILE = 'function.json'
const triggers: readonly string[] = ['orchestrationTrigger', 'activityTrigger', 'manualTrigger']
const clients: readonly string[] = ['orchestrationClient', 'durableClient']
const kinds: Record<string, FunctionKind> = {
  orchestrationTrigger: 'orchestration',
  activityTrigger: 'activity',
  manualTrigger: 'manual',
}
const directions: readonly unknown[] = ['in', 'out', 'inout']
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
 * The functions of an app, by name: each folder in it that holds a `function.json`.
 *
 * @throws InvalidFunction, AlreadyRegistered
 */
export function readFunctions(directory: string): FunctionDefinition[] {
  const definitions = functionFolders(directory).map((name) => readFunction(directory, name))
  if (definitions.length > 0) return definitions
  throw refused(directory, '', `holds no function: a function is a folder with a ${FILE} in it`)
}

/**
 * The one function of this name, matched without regard to case.
 *
 * @throws InvalidFunction, AlreadyRegistered
 */
export function findFunction(directory: string, name: string): FunctionDefinition {
  const names = functionFolders(directory)
  const found = names.find((each) => each.toLowerCase() === name.toLowerCase())
  if (found !== undefined) return readFunction(directory, found)
  const list = names.length === 0 ? 'There are none.' : `There are: ${names.join(', ')}.`
  throw refused(directory, '', `holds no function named '${name}'. ${list}`)
}

function functionFolders(directory: string): string[] {
  const names = readdirSync(directory)
    .filter((name) => existsSync(join(directory, name, FILE)))
    .sort()
  const spelt = new Map<string, string>()
  for (const name of names) {
    const other = spelt.get(name.toLowerCase())
    if (other !== undefined) {
      throw new AlreadyRegistered(
        `${join(directory, name, FILE)}: '${name}' and '${other}' are one name, as names match without regard to case. Rename one of the folders.`,
        { field: 'name' },
      )
    }
    spelt.set(name.toLowerCase(), name)
  }
  return names
}

function readFunction(parent: string, name: string): FunctionDefinition {
  const directory = join(parent, name)
  const file = join(directory, FILE)
  const json = readObject(file)
  const bindings = bindingsOf(json, file)
  const trigger = triggerOf(bindings, file)
  const others = bindings.filter((binding) => binding !== trigger)
  const kind = kinds[trigger.type] as FunctionKind
  if (kind === 'orchestration' && others[0] !== undefined) {
    const { name: other, type } = others[0]
    throw refused(
      file,
      'bindings',
      `binding '${other}' (${type}): an orchestrator has no binding but its trigger; let an activity or a manual function do it`,
    )
  }
  return {
    name,
    kind,
    directory,
    file,
    scriptFile: scriptOf(json, directory, file),
    entryPoint: optionalText(json, 'entryPoint', file),
    bindings,
    trigger,
    clients: others,
    isDisabled: disabledOf(json, file),
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

function bindingsOf(json: Json, file: string): BindingDefinition[] {
  const list = json['bindings']
  if (!Array.isArray(list) || list.length === 0) {
    throw refused(file, 'bindings', 'must be an array with a trigger in it')
  }
  const names = new Set<string>()
  return list.map((value: unknown, index) => {
    const field = `bindings[${index}]`
    const binding = bindingOf(value, field, file)
    if (names.has(binding.name)) {
      throw refused(file, `${field}.name`, `'${binding.name}' is the name of two bindings`)
    }
    names.add(binding.name)
    return binding
  })
}

function bindingOf(value: unknown, field: string, file: string): BindingDefinition {
  if (!isObject(value)) throw refused(file, field, 'must be an object')
  const { name, type, direction } = value
  if (typeof name !== 'string' || name === '') {
    throw refused(file, `${field}.name`, 'must be a string that is not empty')
  }
  const known = [...triggers, ...clients]
  const spelt = known.find((each) => each.toLowerCase() === String(type).toLowerCase())
  if (spelt === undefined) {
    const what = typeof type === 'string' ? `type '${type}'` : 'no type'
    throw refused(
      file,
      `${field}.type`,
      `binding '${name}' has ${what}, which this version does not support. It supports: ${known.join(', ')}`,
    )
  }
  if (direction !== undefined && !directions.includes(direction)) {
    throw refused(file, `${field}.direction`, "must be 'in' or 'out'")
  }
  if (!triggers.includes(spelt)) {
    return { name, type: spelt, direction: (direction ?? 'in') as BindingDefinition['direction'] }
  }
  if (direction === undefined || direction === 'in') return { name, type: spelt, direction: 'in' }
  throw refused(file, `${field}.direction`, "of a trigger must be 'in'")
}

function triggerOf(bindings: BindingDefinition[], file: string): BindingDefinition {
  const [trigger, second] = bindings.filter(({ type }) => triggers.includes(type))
  if (trigger === undefined) {
    throw refused(file, 'bindings', `must have a trigger, one of: ${triggers.join(', ')}`)
  }
  if (second === undefined) return trigger
  throw refused(
    file,
    'bindings',
    `has two triggers, '${trigger.name}' and '${second.name}'; a function has one`,
  )
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

/** An object of a JSON text, so neither a Date nor an array. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What an error says, without a list of paths or frames, and without the full stop. */
export function firstLine(error: unknown): string {
  return (messageOf(error).split('\n', 1)[0] ?? '').replace(/\.$/, '')
}

/** The refusal of one field of a file, or with '' of the file itself. */
export function refused(
  file: string,
  field: string,
  must: string,
  cause?: unknown,
): InvalidFunction {
  const where = field === '' ? file : `${file}: ${field}`
  return new InvalidFunction(`${where} ${must}.`, { field: field || undefined, cause })
}
