/**
 * Orchestrators and entities of the original packages.
 *
 * Owns: putting them into a registry, so that the engine runs them.
 * Must never: load a function; the host does.
 * Proved by: `__test__/host.spec.mjs`.
 */

import type { App } from '../app.js'
import { InvalidFunction } from '../errors.js'
import type { Invocable } from '../host/invocation.js'

/**
 * Registers an orchestrator or an entity that was made with an original package.
 *
 * @throws InvalidFunction, AlreadyRegistered
 */
export function registerHosted(_app: App, func: Invocable): void {
  throw new InvalidFunction(
    `${func.file}: function '${func.name}' is an ${func.kind} of the package 'durable-functions', which this version cannot run yet. Change the import to 'durafn'.`,
  )
}
