/**
 * Methods that may be taken off their object.
 *
 * Owns: making them so: `const { callActivity } = context.df` is a way to write that works with the
 * contexts of durable-functions. Must never: cost anything where a method is not asked for.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

/** Binds each method of a class to the object that it is read from, when it is read. */
export function bindMethods({ prototype }: { readonly prototype: object }): void {
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (name === 'constructor' || typeof value !== 'function') continue
    Object.defineProperty(prototype, name, {
      configurable: true,
      get(): unknown {
        return value.bind(this)
      },
      // Tests put stubs in the place of methods.
      set(own: unknown) {
        Object.defineProperty(this, name, {
          value: own,
          writable: true,
          configurable: true,
          enumerable: true,
        })
      },
    })
  }
}
