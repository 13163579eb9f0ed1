/**
 * The fields of a request, checked in the same way when an orchestrator asks and when it is carried out.
 *
 * Owns: what a URL, a method, a header and a token source may be.
 * Must never: change what they mean.
 * Proved by: `__test__/call-http.spec.mjs`.
 */

import { invalid } from '../check.js'
import type { DurableHttpRequest, TokenSource } from './request.js'

/**
 * The URL of a request.
 *
 * @throws InvalidOption
 */
export function httpUrl(value: unknown, field: string, base?: string): URL {
  const text = value instanceof URL ? value.href : value
  if (typeof text !== 'string' || !URL.canParse(text, base)) {
    throw invalid(field, 'must be an absolute URL of http or https', text ?? null)
  }
  const url = new URL(text, base)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw invalid(field, 'must be a URL of http or https', text)
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid(field, 'must hold no user name and no password; put them into a header')
  }
  return url
}

/** @throws InvalidOption */
export function httpMethod(value: unknown, field: string): string {
  const method = typeof value === 'string' ? value.toUpperCase() : ''
  if (/^[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$/.test(method) && method !== 'CONNECT') return method
  throw invalid(field, 'must be a method of HTTP, such as GET or POST', value ?? null)
}

type Headers = NonNullable<DurableHttpRequest['headers']>

/** @throws InvalidOption */
export function headersOf(given: unknown): Headers {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw invalid('headers', 'must be an object', given ?? null)
  }
  const headers: [string, string | string[]][] = []
  for (const [name, value] of Object.entries(given as Record<string, unknown>)) {
    if (value === undefined || value === null) continue
    const values = [value].flat().map(String)
    checkHeader(name, values)
    headers.push([name, values.length === 1 ? (values[0] as string) : values])
  }
  return Object.fromEntries(headers)
}

function checkHeader(name: string, values: string[]): void {
  const field = `headers['${name}']`
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || values.some(breaksLine)) {
    throw invalid(field, 'must be a header: no line breaks, and no spaces in its name')
  }
  if (name.toLowerCase() === 'content-type' && /^\s*multipart\//i.test(values[0] ?? '')) {
    throw invalid(field, 'must not be multipart, which callHttp cannot send')
  }
}

function breaksLine(value: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/.test(value)
}

/** @throws InvalidOption */
export function tokenSourceOf(given: unknown): TokenSource {
  const { resource, kind } = (given ?? {}) as Partial<TokenSource>
  if (typeof resource !== 'string' || resource === '') {
    throw invalid('tokenSource.resource', 'must be the resource that the token is for', resource)
  }
  if (kind !== undefined && kind !== 'AzureManagedIdentity') {
    throw invalid('tokenSource.kind', "must be 'AzureManagedIdentity'", kind)
  }
  return { resource, kind: 'AzureManagedIdentity' }
}
