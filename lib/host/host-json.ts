/**
 * `host.json` and `local.settings.json`: what an app says of its host.
 *
 * Owns: the settings that this package reads, and their checks.
 * Must never: refuse a setting that it does not know; there are many of Azure's.
 * Proved by: `__test__/host.spec.mjs`, `__test__/host-settings.spec.mjs`.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { isObject, refused } from './binding.js'
import { readObject } from './function-json.js'

/** What `host.json` says, as far as it matters here. */
export interface HostSettings {
  readonly unmatchedEvents: 'discard' | 'buffer' | undefined
}

/**
 * Reads `host.json` of an app; without one all settings are absent.
 *
 * @throws InvalidFunction
 */
export function readHostSettings(directory: string): HostSettings {
  const file = join(directory, 'host.json')
  const durableTask = existsSync(file) ? durableTaskOf(readObject(file)) : {}
  const { unmatchedEvents } = durableTask
  if (
    unmatchedEvents !== undefined &&
    unmatchedEvents !== 'discard' &&
    unmatchedEvents !== 'buffer'
  ) {
    throw refused(file, 'durableTask.unmatchedEvents', "must be 'discard' or 'buffer'")
  }
  return { unmatchedEvents }
}

/** `extensions.durableTask`, and before version 2 `durableTask`. */
function durableTaskOf(host: Record<string, unknown>): Record<string, unknown> {
  const { extensions } = host
  const nested = isObject(extensions) ? extensions['durableTask'] : undefined
  const settings = nested ?? host['durableTask']
  return isObject(settings) ? settings : {}
}
