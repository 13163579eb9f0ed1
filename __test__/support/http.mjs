/** The management API over real sockets. */

import assert from 'node:assert/strict'
import { serve, serveRpc } from 'durafn/http'
import { openHub, tempStore } from './hub.mjs'

export const BASE = '/runtime/webhooks/durabletask'
const json = { 'content-type': 'application/json' }

/** A hub in a file, its API on a port of its own, and how to call it. */
export async function openApi(t, register, options = {}) {
  const { hub = {}, ...serving } = options
  const store = hub.store ?? tempStore(t)
  const opened = await openHub(t, register, { ...hub, store })
  const server = await serve(opened.hub, { port: 0, ...serving })
  t.after(() => server.close(0))
  return { ...opened, store, server, call: caller(server) }
}

/** Calls routes below the base, with the system key unless the headers hold another. */
export function caller(server) {
  const key = server.api.keys?.system
  return async (method, path, body, headers = {}) => {
    const withKey = key === undefined ? {} : { 'x-functions-key': key }
    const withBody = body === undefined ? {} : json
    const url = path.startsWith('http') ? path : `${server.url}${BASE}${path}`
    const response = await fetch(url, {
      method,
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
      headers: { ...withKey, ...withBody, ...headers },
    })
    return readResponse(response)
  }
}

/** Status, headers and body; the body as JSON if it is such. */
export async function readResponse(response) {
  const text = await response.text()
  const isJson = /^application\/json/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== '' ? JSON.parse(text) : text,
  }
}

/** Fails unless the answer has this status; gives its body. */
export function expectStatus(answer, status) {
  assert.equal(answer.status, status, answer.text)
  return answer.body
}

/** The way of the original packages, closed after the test. */
export async function openRpc(t, hub, server) {
  const rpc = await serveRpc(hub, { code: server.api.keys.system, publicUrl: server.url })
  t.after(() => rpc.close(0))
  return rpc
}
