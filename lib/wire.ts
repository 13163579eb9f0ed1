/**
 * What crosses at each step, as objects.
 *
 * Owns: the making of objects from tuples. `JSON.parse` takes several times as long for an object with
 * names as for an array, and code with names is easier to read.
 * Must never: look into a payload.
 * Proved by: every test under `__test__/`.
 */

import type {
  Activation,
  ActivationTuple,
  ActivationTurn,
  ActivityStart,
  ActivityTuple,
  EntityActivation,
  EntityTuple,
  Resolution,
  TurnTuple,
} from './protocol.js'

export function activityOf(tuple: ActivityTuple, hubId: string): ActivityStart {
  const [run, iid, exec, task, attempt, instanceId, name, input] = tuple
  const idempotencyKey = `${hubId}-${iid}-${exec}-${task}`
  return { run, iid, instanceId, name, input, attempt, idempotencyKey }
}

/** The number is one that no instance has, so that threads can hold both in one map. */
export function entityActivationOf(tuple: EntityTuple): EntityActivation {
  const [token, key, entityId, operations] = tuple
  const activation: EntityActivation = { token, iid: 0.5 - key, entityId, operations }
  if (tuple.length > 4) activation.state = tuple[4]
  return activation
}

export function activationOf(tuple: ActivationTuple): Activation {
  const [token, iid, replayed, tuples, start] = tuple
  const turns = tuples.map(turnOf)
  return start === undefined
    ? { token, iid, turns, replayed }
    : { token, iid, turns, replayed, start }
}

function turnOf(tuple: TurnTuple): ActivationTurn {
  const resolutions: Resolution[] = []
  for (let n = 1; n < tuple.length; n += 1) {
    const given = tuple[n] as [number, unknown?] | Resolution
    resolutions.push(
      Array.isArray(given) ? { ok: { task: given[0] as number, value: given[1] } } : given,
    )
  }
  return { time: tuple[0], resolutions }
}
