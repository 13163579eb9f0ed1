/**
 * Bodies of requests, up to a bound.
 *
 * Owns: reading one to its end, and stopping to keep it once it is too long.
 * Must never: break the connection of a body that is too long: its sender could not read why.
 * Proved by: `__test__/http-errors.spec.mjs`, `__test__/http-mounts.spec.mjs`.
 */

import type { IncomingMessage } from 'node:http'

/** The body is longer than is taken. */
export class BodyTooLarge extends Error {
  constructor(bytesMax: number) {
    super(
      `The body is longer than the ${bytesMax} bytes that are taken. Store the data elsewhere and send a reference, or raise bodyBytesMax.`,
    )
  }
}

/** The body was read by somebody else, and what was in it is not known. */
export class BodyWasRead extends Error {
  constructor() {
    super(
      'The body was read before the request came here, by a parser of the server that the API is mounted in. Mount it before parsers of bodies, or let them parse JSON into request.body.',
    )
  }
}

/**
 * The whole body.
 *
 * @param incoming the same request as Node has it, if it comes from there
 * @throws BodyTooLarge, BodyWasRead
 */
export async function readBytes(
  request: Request,
  incoming: IncomingMessage | undefined,
  bytesMax: number,
): Promise<Buffer> {
  // Most requests have none, and to find the end of nothing takes as long as that of a short one.
  if (incoming !== undefined && !hasBody(incoming)) return Buffer.alloc(0)
  if (incoming === undefined) return readStream(request, bytesMax)
  if (!incoming.readableDidRead) return readIncoming(incoming, bytesMax)
  const body = bodyLeft(incoming)
  if (body.length > bytesMax) throw new BodyTooLarge(bytesMax)
  return body
}

/** The body as a parser has left it: as Express does, in `request.body`. */
function bodyLeft(incoming: IncomingMessage & { body?: unknown }): Buffer {
  const { body, headers } = incoming
  if (Buffer.isBuffer(body)) return body
  const hasJson = isJson(headers['content-type'] ?? null)
  // A string that came as JSON may be parsed already, or not.
  if (hasJson && typeof body === 'object') return Buffer.from(JSON.stringify(body))
  if (!hasJson && typeof body === 'string') return Buffer.from(body)
  throw new BodyWasRead()
}

/** Whether a content type is that of JSON. */
export function isJson(type: string | null): boolean {
  return type !== null && /^application\/json\s*(;|$)/i.test(type)
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
}

function readIncoming(incoming: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let bytes = 0
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= bytesMax) {
        chunks.push(chunk)
        return
      }
      chunks = [] // what still comes is read and forgotten, so that its sender gets to the answer
      reject(new BodyTooLarge(bytesMax))
    })
    incoming.on('end', () => resolve(joined(chunks)))
    incoming.on('error', reject)
    incoming.on('close', () => {
      if (!incoming.readableEnded) reject(new Error('The request was broken off.'))
    })
  })
}

async function readStream(request: Request, bytesMax: number): Promise<Buffer> {
  if (request.bodyUsed) throw new BodyWasRead()
  if (request.body === null) return Buffer.alloc(0)
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new BodyTooLarge(bytesMax)
    chunks.push(chunk)
  }
  return joined(chunks)
}

function joined(chunks: readonly Uint8Array[]): Buffer {
  const [first] = chunks
  return chunks.length === 1 && first !== undefined ? Buffer.from(first) : Buffer.concat(chunks)
}

/** A body as text, without the mark that some put before it. */
export function textOf(body: Buffer): string {
  const text = body.toString('utf8')
  return text.startsWith('\uFEFF') ? text.slice(1) : text
}
