/**
 * The options by which durable-functions names a hub with a call.
 *
 * Owns: that they name the client's own hub, or nothing.
 * Must never: look for another hub.
 * Proved by: `__test__/one-import.spec.mjs`.
 */

import { invalid, optionsOf } from './check.js'

/** Which hub a call is for: only the client's own, as a client has one hub. */
export interface TaskHubOptions {
  /** Refused unless it is the client's `taskHubName`. */
  taskHubName?: string | undefined
  /** Not looked at: there are no connections. */
  connectionName?: string | undefined
}

/** @throws InvalidOption */
export function requireHub(options: TaskHubOptions | undefined, taskHubName: string): void {
  const known = optionsOf(options ?? undefined, 'options', ['taskHubName', 'connectionName'])
  const name = known['taskHubName']
  if (name === undefined || name === null || name === taskHubName) return
  throw invalid('options.taskHubName', `must be the client's own hub, '${taskHubName}'`, name)
}
