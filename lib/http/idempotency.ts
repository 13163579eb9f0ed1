/**
 * Starts that may be sent again: `Idempotency-Key`.
 *
 * Owns: the id that a key stands for. The instance itself is the record of the key: it lasts as long as
 * the instance does, and no second store can disagree.
 * Must never: start a second instance for a key of one that has ended.
 * Proved by: `__test__/http-idempotency.spec.mjs`, `__test__/http-beyond.spec.mjs`.
 */

import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { DurableClient } from '../client.js'
import { InstanceAlreadyExists } from '../errors.js'
import type { StartOnceOptions } from '../requests.js'
import { type Answer, problem } from './answers.js'
import type { ApiParts } from './parts.js'
import type { RouteContext } from './router.js'
import { waitOrCheck } from './waiting.js'

const KEY_CHARS_MAX = 255

/** Starts the instance that a key stands for, unless it is there. */
export async function startOnce(
  parts: ApiParts,
  context: RouteContext,
  key: string,
  input: unknown,
  version: string | undefined,
): Promise<Answer> {
  const { functionName = '', instanceId = '' } = context.params
  if (key.trim() === '' || key.length > KEY_CHARS_MAX) {
    return problem(400, `Idempotency-Key must have 1 to ${KEY_CHARS_MAX} characters.`)
  }
  if (instanceId !== '') {
    return problem(400, 'Idempotency-Key gives the instance its id: leave out that of the URL.')
  }
  const id = idOf(functionName, key)
  const before = await start(parts.client, functionName, { instanceId: id, input, version })
  if (before !== null && !isDeepStrictEqual(before.input, input ?? null)) {
    return problem(422, 'This Idempotency-Key was sent before, with another input.')
  }
  const headers = before === null ? undefined : { 'Idempotent-Replayed': 'true' }
  return await waitOrCheck(parts, context, id, headers)
}

function idOf(functionName: string, key: string): string {
  const text = JSON.stringify(['durafn-key', functionName.toLowerCase(), key])
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

/** The instance that there was before; null if it is new. The start's transaction decides, in whatever process. */
async function start(
  client: DurableClient,
  name: string,
  options: StartOnceOptions & { instanceId: string },
): Promise<{ input: unknown } | null> {
  for (;;) {
    const status = await client.getStatus(options.instanceId, { pending: true })
    if (status !== null) return status
    try {
      await client.startOnce(name, options)
      return null
    } catch (error) {
      // Somebody was faster: the next look finds it, or else it was purged and nobody has the id.
      if (!(error instanceof InstanceAlreadyExists)) throw error
    }
  }
}
