/**
 * What `await` would wait for.
 *
 * Owns: that one question. Must never: call `then`.
 * Proved by: `__test__/activities.spec.mjs`.
 */

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return typeof (value as PromiseLike<unknown>).then === 'function'
}
