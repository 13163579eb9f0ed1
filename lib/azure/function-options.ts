/**
 * The options of functions on the registry, with those that `@azure/functions` has beside ours.
 *
 * Owns: which of them are taken, and why others are refused.
 * Must never: register anything.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

import { invalid, type Options, optionsOf } from '../check.js'
import { isClientInput } from './bindings.js'
import type { FunctionInput, FunctionOutput } from './functions.js'
import type { Outputs } from './outputs.js'

/** Options of `@azure/functions` that a function may have. */
const AZURE_KEYS = ['trigger', 'return', 'extraInputs', 'extraOutputs']

/**
 * The options of a function. Those of `@azure/functions` are taken where they ask for nothing that is not
 * there: the trigger of its kind, a client, and of an activity outputs.
 */
export function functionOptions(given: unknown, keys: readonly string[], what: string): Options {
  const options = optionsOf(given, 'options', [...keys, ...AZURE_KEYS])
  const inputs = [options['extraInputs'] ?? []].flat() as FunctionInput[]
  refuseBinding(
    inputs.find((each) => !isClientInput(each)),
    `options.extraInputs of ${what}`,
    'must hold nothing but df.input.durableClient(), as the function itself can read what it needs',
  )
  return options
}

/** An orchestrator writes nothing itself, as it is replayed. */
export function orchestratorOptions(given: unknown, what: string): Options {
  const options = functionOptions(given, ['handler'], what)
  const outputs = outputsOf(options)
  const first = outputs?.extra[0] ?? outputs?.result
  refuseBinding(
    first,
    `options.extraOutputs of ${what}`,
    'must be left out, as an orchestrator is replayed and writes by activities',
  )
  return options
}

function refuseBinding(binding: FunctionInput | undefined, field: string, must: string): void {
  if (binding === undefined) return
  const { name, type } = binding
  throw invalid(field, `${must}, and it has '${name}' of type '${type}'`)
}

/** What an activity's options say of its outputs; undefined if there are none. */
export function outputsOf(options: Options): Outputs | undefined {
  const extra = [options['extraOutputs'] ?? []].flat() as FunctionOutput[]
  const result = (options['return'] ?? undefined) as FunctionOutput | undefined
  return extra.length === 0 && result === undefined ? undefined : { extra, result }
}
