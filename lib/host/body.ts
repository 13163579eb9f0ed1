/**
 * Bodies of requests.
 *
 * Owns: reading one to its end, within a bound.
 * Must never: hold more than the bound.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

/** The body of a request; null if it is longer than `bytesMax`. */
export async function readBody(request: Request, bytesMax: number): Promise<Buffer | null> {
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) return null
  if (request.body === null) return Buffer.alloc(0)
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = request.body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks, length)
    length += value.byteLength
    if (length > bytesMax) {
      await reader.cancel()
      return null
    }
    chunks.push(value)
  }
}

/** The refusal of a body that is too long. */
export function tooLong(bytesMax: number): Response {
  return problem(
    413,
    `The body of the request is longer than ${bytesMax} bytes. host.json sets the bound: extensions.http.maxRequestBodyBytes.`,
  )
}

/** A refusal in the shape that the original has. */
export function problem(status: number, message: string): Response {
  return Response.json({ Message: message }, { status })
}
