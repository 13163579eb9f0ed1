/**
 * `GET instances/{id}/changes`: the status of an instance each time it changes, as server-sent events.
 *
 * Owns: one look at an instance now and then, however many listen to it, and so many looks at all of them,
 * however many they are; the input, which never changes, is read and told once.
 * Must never: look more often than the engine itself looks for what other processes write, or go on when
 * nobody listens.
 * Proved by: `__test__/http-beyond.spec.mjs`.
 */

import type { DurableClient } from '../client.js'
import { clearInterval, setInterval } from '../clock.js'
import type { OrchestrationStatus } from '../status.js'
import { type Answer, empty, eventStream, problem } from './answers.js'
import { hasEnded, statusBody } from './instances.js'
import type { ApiParts } from './parts.js'
import type { RouteContext } from './router.js'

/** What one listener is told; null: nothing more comes, or only after another request. */
type Listener = (status: OrchestrationStatus | null, isClosing?: boolean) => void

/** How often instances are looked at while somebody listens; their ends are told at once. */
const LOOK_MS = 250
/** How many of them each time, in turn: 100 reads a second for all who listen. */
const LOOKS_MAX = 25
/** So that nothing between takes the connection for dead. */
const KEEP_ALIVE_MS = 15_000
const LISTENERS_MAX = 10_000
/** Of a listener who does not read, so many are kept; then all but the last are left out. */
const UNREAD_MAX = 16

/** The instances of one client that somebody listens to. */
export class Changes {
  readonly #client: DurableClient
  /** Those that are to be looked at next come first. */
  readonly #watches: Map<string, Watch> = new Map()
  #listeners = 0
  #timer: NodeJS.Timeout | undefined

  constructor(client: DurableClient) {
    this.#client = client
  }

  get hasRoom(): boolean {
    return this.#listeners < LISTENERS_MAX
  }

  /** Ends all streams, without saying that the instances have ended. */
  close(): void {
    for (const watch of this.#watches.values()) watch.close()
  }

  /** Tells the status as it is, and each other one; gives what ends that. */
  listen(instanceId: string, listener: Listener): () => void {
    let watch = this.#watches.get(instanceId)
    if (watch === undefined) {
      watch = new Watch(this.#client, instanceId, () => this.#forget(instanceId))
      this.#watches.set(instanceId, watch)
      this.#timer ??= setInterval(() => this.#lookAtSome(), LOOK_MS).unref()
    }
    this.#listeners += 1
    const stop = watch.add(listener)
    return () => {
      this.#listeners -= 1
      stop()
    }
  }

  #lookAtSome(): void {
    for (const [instanceId, watch] of [...this.#watches].slice(0, LOOKS_MAX)) {
      this.#watches.delete(instanceId)
      this.#watches.set(instanceId, watch)
      watch.lookAgain()
    }
  }

  #forget(instanceId: string): void {
    this.#watches.delete(instanceId)
    if (this.#watches.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** One instance that somebody listens to. */
class Watch {
  readonly #client: DurableClient
  readonly #instanceId: string
  readonly #listeners: Map<Listener, string> = new Map()
  readonly #done: () => void
  readonly #ended = new AbortController()
  #looking: Promise<void> | undefined

  constructor(client: DurableClient, instanceId: string, done: () => void) {
    this.#client = client
    this.#instanceId = instanceId
    this.#done = done
  }

  add(listener: Listener): () => void {
    const isFirst = this.#listeners.size === 0
    this.#listeners.set(listener, '')
    if (isFirst) this.#waitForEnd()
    this.#look()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#stop()
    }
  }

  close(): void {
    for (const listener of this.#listeners.keys()) listener(null, true)
  }

  #waitForEnd(): void {
    const { signal } = this.#ended
    this.#client.waitForCompletion(this.#instanceId, { signal }).then(
      () => this.#look(),
      () => {}, // it is not there, or nobody listens: the next look tells
    )
  }

  /** Unless the last look takes that long. */
  lookAgain(): void {
    if (this.#looking === undefined) this.#look()
  }

  #look(): void {
    const before = this.#looking ?? Promise.resolve()
    const looking = before.then(() => this.#tell())
    this.#looking = looking
    void looking.then(() => {
      if (this.#looking === looking) this.#looking = undefined
    })
  }

  async #tell(): Promise<void> {
    if (this.#listeners.size === 0) return
    let status: OrchestrationStatus | null
    try {
      status = await this.#client.getStatus(this.#instanceId, { pending: true, showInput: false })
    } catch {
      this.close() // the hub is closed, or its store cannot be read: that is no end of the instance
      return
    }
    const text = status === null ? '' : keyOf(status)
    for (const [listener, told] of this.#listeners) {
      if (status !== null && told !== text) listener(status)
      this.#listeners.set(listener, text)
      if (status === null || hasEnded(status)) listener(null)
    }
  }

  #stop(): void {
    this.#ended.abort(new Error('Nobody listens any more.'))
    this.#done()
  }
}

/** What makes two statuses differ for a listener: not that another step was made. */
function keyOf({ runtimeStatus, customStatus, output }: OrchestrationStatus): string {
  return JSON.stringify([runtimeStatus, customStatus, output])
}

/** The answer: a stream of `status` events, and `end` after the last. */
export async function streamChanges(
  { client, changes }: ApiParts,
  { params, query, request }: RouteContext,
): Promise<Answer | Response> {
  const instanceId = params['instanceId'] ?? ''
  if (!changes.hasRoom) {
    return problem(429, `${LISTENERS_MAX} listen already.`, { 'Retry-After': '10' })
  }
  const showInput = query.boolean('showInput') ?? true
  const status = await client.getStatus(instanceId, { pending: true, showInput })
  if (status === null) return empty(404)
  const input = showInput ? { input: status.input } : {}
  return eventStream(changesOf(changes, instanceId, input, request.signal))
}

/** @param first what the first event alone has beside the status */
function changesOf(
  changes: Changes,
  instanceId: string,
  first: { input?: unknown },
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let end = (): void => {}
  return new ReadableStream<Uint8Array>({
    start(controller) {
      let isOpen = true
      let more = first
      const send = (text: string): void => {
        if (isOpen) controller.enqueue(encoder.encode(text))
      }
      const keepAlive = setInterval(() => send(': still here\n\n'), KEEP_ALIVE_MS)
      keepAlive.unref()
      const stop = changes.listen(instanceId, (status, isClosing) => {
        if (status === null) {
          if (!isClosing) send('event: end\ndata: {}\n\n')
          close()
        } else if (hasEnded(status) || (controller.desiredSize ?? 0) > -UNREAD_MAX) {
          const { input: _, ...body } = statusBody(status, false)
          send(`event: status\ndata: ${JSON.stringify({ ...body, ...more })}\n\n`)
          more = {}
        }
      })
      end = () => {
        if (!isOpen) return
        isOpen = false
        clearInterval(keepAlive)
        stop()
      }
      const close = (): void => {
        if (!isOpen) return
        end()
        controller.close()
      }
      signal.addEventListener('abort', close, { once: true })
      if (signal.aborted) close()
    },
    cancel: () => end(),
  })
}
