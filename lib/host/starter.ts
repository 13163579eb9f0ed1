/**
 * The starter: the binding that is a client and an output at once.
 *
 * Owns: reading what a function assigned to it, and the one transaction that starts all of it.
 * Must never: start anything before the function has succeeded, or some of it.
 * Proved by: `__test__/starter.spec.mjs`.
 */

import type { DurableClient } from '../client.js'
import { DurableError, errorClass, InvalidOption } from '../errors.js'
import { messageOf } from '../failure.js'
import type { StartRequest } from '../requests.js'
import { isObject } from './binding.js'

/** What was assigned to one binding. */
export interface Assigned {
  /** The binding's name. */
  readonly binding: string
  /** One object, an array, or the JSON text of either. */
  readonly value: unknown
}

interface Start {
  readonly request: StartRequest
  readonly binding: string
  /** Its place in the array; undefined for one object alone. */
  readonly index: number | undefined
}

/** The fields of a start by their names in lower case. */
const fields: Record<string, 'name' | 'input' | 'instanceId'> = {
  functionname: 'name',
  name: 'name',
  input: 'input',
  instanceid: 'instanceId',
}

/**
 * Starts all that was assigned, or nothing.
 *
 * @param warn is told of a field that no start has
 * @throws what `startMany` does, with the binding and the index of the start that was refused
 */
export async function startAssigned(
  client: DurableClient,
  assigned: readonly Assigned[],
  warn: (message: string) => void,
): Promise<void> {
  const starts = assigned.flatMap((each) => startsOf(each, warn))
  if (starts.length === 0) return
  try {
    await client.startMany(starts.map((start) => start.request))
  } catch (error) {
    throw withPlace(error, starts)
  }
}

/** Whether a value is one that starts something, so that a mere `undefined` or `null` is none. */
export function isAssigned(value: unknown): boolean {
  return value !== undefined && value !== null
}

function startsOf({ binding, value }: Assigned, warn: (message: string) => void): Start[] {
  const parsed = typeof value === 'string' ? parse(value, binding) : value
  if (!Array.isArray(parsed)) return [startOf(parsed, binding, undefined, warn)]
  return parsed.map((each: unknown, index) => startOf(each, binding, index, warn))
}

function parse(text: string, binding: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new InvalidOption(
      `${place(binding)} was assigned a string that is not JSON: ${messageOf(error)}`,
      { field: place(binding), cause: error },
    )
  }
}

function startOf(
  value: unknown,
  binding: string,
  index: number | undefined,
  warn: (message: string) => void,
): Start {
  const where = place(binding, index)
  if (!isObject(value)) {
    throw new InvalidOption(
      `${where} must be an object { FunctionName, Input, InstanceId }. Nothing was started.`,
      { field: where, index },
    )
  }
  const request: Partial<StartRequest> = {}
  for (const key of Object.keys(value)) {
    const field = fields[key.toLowerCase()]
    if (field === undefined) {
      warn(`${where}.${key} is no field of a start and is ignored.`)
    } else if (Object.hasOwn(request, field)) {
      throw new InvalidOption(
        `${where} has the field ${key} twice, as names match without regard to case. Nothing was started.`,
        { field: `${where}.${key}`, index },
      )
    } else {
      Object.assign(request, { [field]: value[key] })
    }
  }
  // As in the original, no id and an empty one are the same: a random one.
  if (request.instanceId === null || request.instanceId === '') request.instanceId = undefined
  return { request: request as StartRequest, binding, index }
}

function withPlace(error: unknown, starts: readonly Start[]): unknown {
  if (!(error instanceof DurableError) || error.index === undefined) return error
  const start = starts[error.index]
  if (start === undefined) return error
  const { code, field, instanceId } = error
  const message = `${place(start.binding, start.index)}: ${error.message} Nothing was started.`
  return new (errorClass(code))(message, {
    code,
    field,
    instanceId,
    index: start.index ?? 0,
    cause: error,
  })
}

function place(binding: string, index?: number): string {
  const name = /^[\w$]+$/.test(binding) ? `.${binding}` : `[${JSON.stringify(binding)}]`
  const suffix = index === undefined ? '' : `[${index}]`
  return binding === '$return' ? `The result${suffix}` : `context.bindings${name}${suffix}`
}
