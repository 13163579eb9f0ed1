/**
 * Bindings: what starts a function, and what it reads and writes.
 *
 * Owns: which types there are, and the checks of one binding, of either model.
 * Must never: give or take a value.
 * Proved by: `__test__/host.spec.mjs`.
 */

import { InvalidFunction } from '../errors.js'
import { messageOf } from '../failure.js'

/** What starts a function. */
export type FunctionKind = 'orchestration' | 'activity' | 'entity' | 'http' | 'timer' | 'manual'

/** A binding, as `function.json` has it. */
export interface BindingDefinition {
  readonly name: string
  readonly type: string
  readonly direction: 'in' | 'out' | 'inout'
}

/** A binding with all that is said of it, such as `route` or `schedule`. */
export interface Binding extends BindingDefinition {
  readonly settings: Readonly<Record<string, unknown>>
}

const kinds: Record<string, FunctionKind> = {
  orchestrationTrigger: 'orchestration',
  activityTrigger: 'activity',
  entityTrigger: 'entity',
  httpTrigger: 'http',
  timerTrigger: 'timer',
  manualTrigger: 'manual',
}
const triggers: readonly string[] = Object.keys(kinds)
const clients: readonly string[] = ['orchestrationClient', 'durableClient']
/** Those that this package serves itself; other outputs are the user's, by `registerBinding`. */
const known: readonly string[] = [...triggers, ...clients, 'http']
const directions: readonly unknown[] = ['in', 'out', 'inout']

/** How a function is made to run that is not to be invoked by its name. */
export const howToRun: Record<FunctionKind, string> = {
  orchestration: 'Start it with client.startNew, or on the command line: durafn instances start',
  activity: 'Only orchestrators call it',
  entity: 'Signal it with client.signalEntity',
  http: 'Send a request to its route',
  timer: 'POST /admin/functions/NAME runs it',
  manual: 'Invoke it',
}

/** The name of the binding that takes what the function returns. */
export const RETURN = '$return'

export function isTrigger({ type }: BindingDefinition): boolean {
  return triggers.includes(type)
}

/** Whether a binding is a client of the hub: a starter. */
export function isClient({ type }: BindingDefinition): boolean {
  return clients.includes(type)
}

export function isOutput({ direction }: BindingDefinition): boolean {
  return direction !== 'in'
}

/** Whether the value of an output is handed to a handler of the user's. */
export function isForeign({ type }: BindingDefinition): boolean {
  return !known.includes(type)
}

export function kindOf(trigger: Binding): FunctionKind {
  return kinds[trigger.type] as FunctionKind
}

/**
 * The bindings of a function, checked.
 *
 * @throws InvalidFunction
 */
export function bindingsOf(list: unknown, file: string): Binding[] {
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

function bindingOf(value: unknown, field: string, file: string): Binding {
  if (!isObject(value)) throw refused(file, field, 'must be an object')
  const { name, type, direction, ...settings } = value
  if (typeof name !== 'string' || name === '') {
    throw refused(file, `${field}.name`, 'must be a string that is not empty')
  }
  if (direction !== undefined && !directions.includes(direction)) {
    throw refused(file, `${field}.direction`, "must be 'in' or 'out'")
  }
  const spelt = known.find((each) => each.toLowerCase() === String(type).toLowerCase())
  if (spelt === undefined) return foreign({ name, type, direction, settings }, field, file)
  if (spelt === 'http') return { name, type: spelt, direction: 'out', settings }
  if (clients.includes(spelt)) {
    const given = (direction ?? 'in') as Binding['direction']
    return { name, type: spelt, direction: given, settings }
  }
  if (direction === undefined || direction === 'in') {
    return { name, type: spelt, direction: 'in', settings }
  }
  throw refused(file, `${field}.direction`, "of a trigger must be 'in'")
}

/** Only an output can be the user's own; whether there is a handler for it is seen when all is loaded. */
function foreign(
  binding: { name: string; type: unknown; direction: unknown; settings: Binding['settings'] },
  field: string,
  file: string,
): Binding {
  const { name, type, direction, settings } = binding
  if (typeof type === 'string' && type !== '' && direction === 'out') {
    return { name, type, direction, settings }
  }
  throw unsupported(name, type, field, file)
}

/** The refusal of a binding of a type that nobody serves. */
export function unsupported(
  name: string,
  type: unknown,
  field: string,
  file: string,
): InvalidFunction {
  const what = typeof type === 'string' ? `type '${type}'` : 'no type'
  return refused(
    file,
    `${field}.type`,
    `binding '${name}' has ${what}, which this version does not support. It supports: ${known.join(', ')}, and outputs with a handler by registerBinding(type, handler)`,
  )
}

/**
 * The one trigger among the bindings of a function.
 *
 * @throws InvalidFunction
 */
export function triggerOf(bindings: readonly Binding[], file: string): Binding {
  const [trigger, second] = bindings.filter(isTrigger)
  if (trigger === undefined) {
    throw refused(file, 'bindings', `must have a trigger, one of: ${triggers.join(', ')}`)
  }
  if (second !== undefined) {
    throw refused(
      file,
      'bindings',
      `has two triggers, '${trigger.name}' and '${second.name}'; a function has one`,
    )
  }
  const other = bindings.find((binding) => binding !== trigger)
  if (kindOf(trigger) === 'orchestration' && other !== undefined && other.name !== RETURN) {
    throw refused(
      file,
      'bindings',
      `binding '${other.name}' (${other.type}): an orchestrator has no binding but its trigger; let an activity or a manual function do it`,
    )
  }
  return trigger
}

// ------------------------------------------------------------------ words

/** An object of a JSON text, so neither a Date nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
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
