/**
 * Requests and responses of the classic model.
 *
 * Owns: `context.req` and the Express-like `context.res`.
 * Must never: write to a connection.
 * Proved by: `__test__/host-http.spec.mjs`.
 */

import { parseJson } from '../json.js'
import type { HttpInput } from './http-input.js'

/** A part of a form. */
export interface FormPart {
  readonly value: Buffer
  readonly fileName?: string
  readonly contentType?: string
}

/** What `req.parseFormBody()` gives: the parts, in order. */
export class Form implements Iterable<[string, FormPart]> {
  readonly #parts: readonly [string, FormPart][]

  /** @internal */
  constructor(parts: readonly [string, FormPart][]) {
    this.#parts = parts
  }

  /** The first part of this name. */
  get(name: string): FormPart | null {
    return this.getAll(name)[0] ?? null
  }
  getAll(name: string): FormPart[] {
    return this.#parts.filter(([key]) => key === name).map(([, part]) => part)
  }
  has(name: string): boolean {
    return this.get(name) !== null
  }
  get length(): number {
    return this.#parts.length
  }
  [Symbol.iterator](): Iterator<[string, FormPart]> {
    return this.#parts[Symbol.iterator]()
  }
}

/** The request of a classic http function: `context.req`, and the function's first argument. */
export interface ClassicRequest {
  readonly method: string
  readonly url: string
  readonly originalUrl: string
  /** By names in lower case. */
  readonly headers: Record<string, string>
  readonly query: Record<string, string>
  /** Parameters of the route, and of the query where the route has none of that name. */
  readonly params: Record<string, string>
  /** Parsed if it is JSON; of binary and multipart requests a Buffer; else the text. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever was sent
  readonly body?: any
  /** As text. */
  readonly rawBody?: string
  readonly bufferBody?: Buffer
  readonly user: null
  /** A header, by its name in any case. */
  get(name: string): string | undefined
  /** Of multipart and url-encoded forms. */
  parseFormBody(): Form
}

const FORMS = ['multipart/form-data', 'application/x-www-form-urlencoded']

/** The request as the classic model has it. */
export async function classicRequest(input: HttpInput): Promise<ClassicRequest> {
  const { method, url, body } = input
  const headers = { ...input.headers }
  const type = (headers['content-type'] ?? '').toLowerCase()
  const form = await formOf(body, headers['content-type'])
  const request = {
    method,
    url,
    originalUrl: url,
    headers,
    query: { ...input.query },
    params: { ...input.params },
    user: null,
    get: (name: string) => headers[name.toLowerCase()],
    parseFormBody: () => {
      if (form !== null) return form
      throw new TypeError(
        `The request is no form: its content-type must be ${FORMS.join(' or ')}, not '${type}'.`,
      )
    },
  }
  if (body.length === 0) return request
  const isBinary = type === 'application/octet-stream' || type.startsWith('multipart/')
  const rawBody = new TextDecoder().decode(body)
  return Object.assign(request, {
    body: isBinary ? body : parsed(rawBody),
    rawBody,
    bufferBody: body,
  })
}

function parsed(text: string): unknown {
  try {
    return parseJson(text, 'body')
  } catch {
    return text
  }
}

/** Read ahead, as there is no way to parse a form at once; null if the request is none. */
async function formOf(body: Buffer, contentType: string | undefined): Promise<Form | null> {
  const type = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (contentType === undefined || !FORMS.includes(type)) return null
  try {
    const headers = { 'content-type': contentType }
    const data = await new Response(new Uint8Array(body), { headers }).formData()
    const parts = [...data].map(async ([name, value]): Promise<[string, FormPart]> => {
      if (typeof value === 'string') return [name, { value: Buffer.from(value) }]
      const bytes = Buffer.from(await value.arrayBuffer())
      return [name, { value: bytes, fileName: value.name, contentType: value.type }]
    })
    return new Form(await Promise.all(parts))
  } catch {
    return null
  }
}

/** `context.res` of a classic http function. Sending it ends the function, as `context.done` does. */
export class ClassicResponse {
  statusCode?: number | string
  headers: Record<string, unknown> = {}
  cookies: unknown[] = []
  body?: unknown
  readonly #done: () => void

  /** @internal */
  constructor(done: () => void) {
    this.#done = done
    // As in the original, methods may be taken off the object; fields of the user's stay beside.
    for (const name of ['header', 'set', 'get', 'send'] as const) {
      Object.defineProperty(this, name, { value: this[name].bind(this), configurable: true })
    }
  }

  status(statusCode: number | string): this {
    this.statusCode = statusCode
    return this
  }
  setHeader(name: string, value: unknown): this {
    this.headers[name.toLowerCase()] = value
    return this
  }
  getHeader(name: string): unknown {
    return this.headers[name.toLowerCase()]
  }
  removeHeader(name: string): this {
    delete this.headers[name.toLowerCase()]
    return this
  }
  header(name: string, value: unknown): this {
    return this.setHeader(name, value)
  }
  set(name: string, value: unknown): this {
    return this.setHeader(name, value)
  }
  get(name: string): unknown {
    return this.getHeader(name)
  }
  type(contentType: string): this {
    return this.setHeader('content-type', contentType)
  }
  end(body?: unknown): this {
    if (body !== undefined) this.body = body
    if (Buffer.isBuffer(this.body) && this.getHeader('content-type') === undefined) {
      this.type('application/octet-stream')
    }
    this.#done()
    return this
  }
  send(body?: unknown): this {
    return this.end(body)
  }
  sendStatus(statusCode: number | string): this {
    return this.status(statusCode).end()
  }
  json(body: unknown): void {
    this.type('application/json').end(body)
  }
}
