/**
 * Outputs of activities on the registry: `extraOutputs` and `return`, as `@azure/functions` 4 has them.
 *
 * Owns: handing on what an activity left for them, once it has succeeded.
 * Must never: know what a handler does with it; `df.registerBinding` registers who does.
 * Proved by: `__test__/one-import-outputs.spec.mjs`.
 */

import { InvalidFunction } from '../errors.js'
import type { Binding } from '../host/binding.js'
import { checkExpressions } from '../host/expressions.js'
import { handOn, hasHandler } from '../host/outputs.js'
import type { ActivityContext, ActivityHandler } from '../types.js'
import type { BindingData } from './binding-data.js'
import type { FunctionOutput } from './functions.js'

/** The outputs of an activity. */
export interface Outputs {
  /** By whose names values are left in `context.extraOutputs`. */
  readonly extra: readonly FunctionOutput[]
  /** What takes the result beside the orchestrator. */
  readonly result: FunctionOutput | undefined
}

/** The same handler, which fails if an output of it cannot be handed on. */
export function withOutputs(
  name: string,
  handler: ActivityHandler,
  outputs: Outputs | undefined,
): ActivityHandler {
  if (outputs === undefined) return handler
  return async (input, context) => {
    requireHandlersOf(name, outputs)
    const result = await handler(input, context)
    for (const output of outputs.extra)
      await give(output, context.extraOutputs.get(output), context)
    if (outputs.result !== undefined) await give(outputs.result, result, context)
    return result
  }
}

async function give(
  output: FunctionOutput,
  value: unknown,
  context: ActivityContext,
): Promise<void> {
  if (value === undefined || value === null) return
  const data = (): BindingData => context.triggerMetadata ?? {}
  await handOn(value, bindingOf(output), context, data)
}

function bindingOf({ name, type, direction: _, ...settings }: FunctionOutput): Binding {
  return { name, type, direction: 'out', settings }
}

/**
 * Refuses an activity with an output that nobody takes.
 *
 * @param file what registered it, if that is known
 * @throws InvalidFunction
 */
export function requireHandlersOf(name: string, outputs: Outputs | undefined, file?: string): void {
  if (outputs === undefined) return
  const all = outputs.result === undefined ? outputs.extra : [...outputs.extra, outputs.result]
  const where = file === undefined ? '' : `${file}: `
  const missing = all.find(({ type }) => !hasHandler(type))
  if (missing === undefined) {
    for (const output of all)
      checkExpressions(bindingOf(output), output.name, `${where}activity '${name}'`)
    return
  }
  throw new InvalidFunction(
    `${where}activity '${name}' has the output '${missing.name}' of type '${missing.type}', which nobody takes: register a handler, df.registerBinding('${missing.type}', async (value, binding, context) => { … }).`,
  )
}
