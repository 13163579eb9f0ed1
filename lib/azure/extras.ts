/**
 * What contexts have for programs that were written against `@azure/functions` 4.
 *
 * Owns: `extraInputs`, `extraOutputs` and `options` of the contexts that the engine makes.
 * Must never: cost anything before it is looked at.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

import type {
  EffectiveFunctionOptions,
  InvocationContextExtraInputs,
  InvocationContextExtraOutputs,
} from './functions.js'

/** Values by the names of their bindings. */
export class ExtraValues implements InvocationContextExtraInputs, InvocationContextExtraOutputs {
  private readonly values: Map<string, unknown> = new Map()

  get(binding: { readonly name: string } | string): unknown {
    return this.values.get(nameOf(binding))
  }

  set(binding: { readonly name: string } | string, value: unknown): void {
    this.values.set(nameOf(binding), value)
  }
}

function nameOf(binding: { readonly name: string } | string): string {
  return typeof binding === 'string' ? binding : binding.name
}

/** The options of a function that has nothing but its trigger. */
export function bareOptions(type: string): EffectiveFunctionOptions {
  return { trigger: { type, name: type }, extraInputs: [], extraOutputs: [] }
}
