/**
 * Outputs to what is not of this package: handlers of the user's, by the types of bindings.
 *
 * Owns: the handlers, and the names that a type goes by.
 * Must never: know what a handler does.
 * Proved by: `__test__/host-bindings.spec.mjs`.
 */

import type { BindingData } from '../azure/binding-data.js'
import { invalid } from '../check.js'
import type { InvocationContext } from '../types.js'
import { type Binding, type BindingDefinition, isForeign, unsupported } from './binding.js'
import { checkExpressions, resolved } from './expressions.js'

/**
 * What a handler is told of the binding: its fields in `function.json`, or of `output.…()`. Of expressions in
 * them, such as `{name}` or `%SETTING%`, it gets what they stand for in this call.
 */
export interface OutputBinding extends BindingDefinition {
  readonly [setting: string]: unknown
}

/**
 * Takes what a function left for an output binding. The function's call ends when it has ended, and
 * fails if it fails.
 */
export type BindingHandler = (
  // biome-ignore lint/suspicious/noExplicitAny: as an annotation it must fit handlers of any value
  value: any,
  binding: OutputBinding,
  context: InvocationContext,
) => unknown

/** Types have other names where `@azure/functions` 4 makes them: `output.storageBlob()` is a 'blob'. */
const aliases: Record<string, string> = {
  storageblob: 'blob',
  storagequeue: 'queue',
  servicebusqueue: 'servicebus',
  servicebustopic: 'servicebus',
}
const handlers: Map<string, BindingHandler> = new Map()

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
export function registerBinding(type: string, handler: BindingHandler): void {
  if (typeof type !== 'string' || type === '') {
    throw invalid('type', 'must be a string that is not empty', type ?? null)
  }
  if (typeof handler !== 'function') throw invalid('handler', 'must be a function', handler ?? null)
  handlers.set(keyOf(type), handler)
}

/** Whether there is a handler for a type. */
export function hasHandler(type: string): boolean {
  return handlers.has(keyOf(type))
}

/**
 * Hands a value on.
 *
 * @param data what expressions in the binding's settings may stand for
 */
export async function handOn(
  value: unknown,
  binding: Binding,
  context: InvocationContext,
  data: () => BindingData,
): Promise<void> {
  const { settings: _, ...definition } = binding
  const settings = resolved(binding, context.functionName, data)
  await handlers.get(keyOf(definition.type))?.(value, { ...settings, ...definition }, context)
}

/**
 * Refuses outputs that nobody has registered a handler for, or whose expressions cannot be resolved.
 *
 * @throws InvalidFunction
 */
export function requireHandlers(bindings: readonly Binding[], file: string): void {
  for (const [index, binding] of bindings.entries()) {
    if (!isForeign(binding)) continue
    const where = `bindings[${index}]`
    if (!handlers.has(keyOf(binding.type)))
      throw unsupported(binding.name, binding.type, where, file)
    checkExpressions(binding, where, file)
  }
}

function keyOf(type: string): string {
  const key = type.toLowerCase()
  return aliases[key] ?? key
}
