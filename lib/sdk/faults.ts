/**
 * Failures of activities and sub-orchestrations, in the words of Azure's host.
 *
 * Owns: those words. Code that was written for Azure looks into the message of what it catches.
 * Must never: depend on anything but what history holds, as a replay must give the same.
 * Proved by: `__test__/sdk.spec.mjs`.
 */

import { errorFromChild } from '../failure.js'
import type { ChildEnd, Failure } from '../protocol.js'
import type { Fault } from './history.js'

/** A `Resolution` as it is read: one of the keys is there. */
export interface AnyResolution {
  ok?: { task: number; value?: unknown }
  fail?: { task: number; failure: Failure }
  ask?: { task: number; failure: Failure; child?: ChildEnd }
  child?: { task: number; child: ChildEnd }
}

/** An activity of this name failed. */
export function activityFault(name: string, { fail, ask }: AnyResolution): Fault {
  const failure = fail?.failure ?? ask?.failure ?? { name: 'Error', message: '' }
  const described = propertiesOf(failure.message)
  if (described === null) return fault(`Activity function '${name}' failed: `, failure)
  const message = String(described['errorMessage'])
  return {
    reason: `Activity function '${name}' failed: ${message}`,
    details: detailsOf(failure),
    failureDetails: {
      ErrorType: described['errorType'],
      ErrorMessage: message,
      StackTrace: described['stackTrace'] ?? null,
      IsNonRetriable: described['isNonRetriable'] === true,
      Properties: described['properties'] ?? null,
      InnerFailure: null,
    },
  }
}

/** A sub-orchestration of this name did not complete. */
export function childFault(name: string, child: ChildEnd): Fault {
  if (child.failure !== undefined) {
    return fault(`Orchestrator function '${name}' failed: `, child.failure)
  }
  const { message } = errorFromChild(child)
  return { reason: message, details: message }
}

function fault(prefix: string, failure: Failure): Fault {
  return {
    reason: `${prefix}${failure.message}`,
    details: detailsOf(failure),
  }
}

/** Where it was thrown, if that is known; without the message, which would double at each level. */
function detailsOf({ name, message, stack }: Failure): string {
  const head = `${name}: ${message}`
  const frames = stack?.startsWith(head) ? stack.slice(head.length).trim() : stack
  return frames || name
}

/**
 * With `setExceptionPropertiesProvider` version 3.5 of the SDK makes the message of an activity's error
 * a JSON text.
 */
function propertiesOf(message: unknown): Record<string, unknown> | null {
  if (typeof message !== 'string' || !message.startsWith('{"errorType":')) return null
  try {
    const described = JSON.parse(message)
    return typeof described.errorMessage === 'string' && 'properties' in described
      ? described
      : null
  } catch {
    return null
  }
}
