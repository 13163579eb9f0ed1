/** The management API in servers of others, by the very snippets of docs/http.md. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { createHttpApi } from 'durafn/http'
import { BASE, expectStatus, readResponse } from './support/http.mjs'
import { openHub, PATIENCE_MS, waiting } from './support/hub.mjs'

const BODY_BYTES_MAX = 2_000
const ELSEWHERE = '/ops/durable.v1'
const AsyncFunction = (async () => {}).constructor

/** The snippets, by the last that they import. */
const snippets = Object.fromEntries(
  readFileSync(new URL('../docs/http.md', import.meta.url), 'utf8')
    .split('\n## ')
    .find((section) => section.startsWith('In a server of yours'))
    .split('```js\n')
    .slice(1)
    .map((text) => text.split('```')[0])
    .map((code) => [[...code.matchAll(/^import .* from '(.*)'$/gm)].at(-1)[1], code]),
)

function register(app) {
  app.orchestration('wait', function* (context) {
    context.df.setCustomStatus('waiting')
    return yield context.df.waitForExternalEvent('go')
  })
}

/** A hub and its API, mounted by a program that leaves `server`, or the `app` of Fastify; how to call it. */
async function mount(t, code, { basePath = BASE } = {}) {
  const { hub, client } = await openHub(t, register)
  const api = createHttpApi(hub, { bodyBytesMax: BODY_BYTES_MAX, basePath })
  const program = code
    .replace(/^import \{ (.*) \} from '(.*)'$/gm, "const { $1 } = await import('$2')")
    .replace(/^import (\w+) from '(.*)'$/gm, "const $1 = (await import('$2')).default")
    .replaceAll('3000', '0')
    .replaceAll(BASE, basePath)
  const end = "\nreturn typeof server === 'undefined' ? app.server : server"
  const server = await new AsyncFunction('api', program + end)(api)
  if (!server.listening) await once(server, 'listening')
  t.after(() => {
    api.close()
    server.closeAllConnections()
    server.close()
  })
  const origin = `http://localhost:${server.address().port}`
  const call = async (method, path, body, headers = { 'x-functions-key': api.keys.system }) => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    const url = path.startsWith('http') ? path : origin + basePath + path
    const init = { method, body, headers: { ...type, ...headers } }
    return readResponse(await fetch(url, init))
  }
  return { api, client, origin, call }
}

/** What every mount must do. */
async function works(t, code, options) {
  const { api, client, origin, call } = await mount(t, code, options)
  const base = origin + (options?.basePath ?? BASE)
  const started = expectStatus(await call('POST', '/orchestrators/wait', '{"n":1}'), 202)
  const { id, statusQueryGetUri, sendEventPostUri } = started
  assert.ok(statusQueryGetUri.startsWith(`${base}/instances/${id}?`), statusQueryGetUri)
  await waiting(client, id)
  const status = expectStatus(await call('GET', statusQueryGetUri), 202)
  assert.deepEqual([status.input, status.customStatus], [{ n: 1 }, 'waiting'])

  const stream = await fetch(api.signedLinks(origin, id).changesGetUri)
  assert.equal(stream.headers.get('content-type'), 'text/event-stream')
  const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = (await reader.read()).value
  assert.match(text, /^event: status\ndata: .*"Running"/)
  const wait = call('GET', `/instances/${id}/wait?timeout=20`)
  expectStatus(await call('POST', sendEventPostUri.replace('{eventName}', 'GO'), '["gone"]'), 202)
  assert.deepEqual(expectStatus(await wait, 200).output, ['gone'])
  for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value
  assert.match(text, /"Completed".*\n\nevent: end\n/s)

  const other = await client.startNew('wait', { instanceId: 'an id' })
  await waiting(client, other)
  const enough = '/instances/an%20id/terminate?reason=not%20enough'
  expectStatus(await call('POST', enough), 202)
  const ended = await client.waitForCompletion(other, { timeoutMs: PATIENCE_MS })
  assert.equal(ended.output, 'not enough')
  expectStatus(await call('POST', enough), 410)

  expectStatus(await call('GET', `/instances/${id}`, undefined, {}), 401)
  expectStatus(await call('POST', '/orchestrators/wait', '[]', { 'x-functions-key': 'x' }), 401)
  const large = JSON.stringify({ text: 'x'.repeat(BODY_BYTES_MAX) })
  assert.match(expectStatus(await call('POST', '/orchestrators/wait', large), 413).Message, /2000/)
  const chunked = await fetch(`${base}/orchestrators/wait`, {
    method: 'POST',
    headers: { 'x-functions-key': api.keys.system, 'content-type': 'application/json' },
    body: new Blob([large]).stream(),
    duplex: 'half',
  })
  assert.equal(chunked.status, 413)
  await chunked.arrayBuffer()
  expectStatus(await call('GET', '/nothing'), 404)
  assert.equal(await client.count(), 2)
}

const names = ['node:http', 'express', 'fastify', 'hono']

test('the document shows a mount for each', () => {
  assert.deepEqual(Object.keys(snippets), names)
})

for (const name of names) {
  describe(`mounted in ${name} as the document shows`, () => {
    test('it works', (t) => works(t, snippets[name]))
    test('it works below another path', (t) => works(t, snippets[name], { basePath: ELSEWHERE }))
  })
}

describe('after something that has read the body', () => {
  const { express, fastify, hono } = snippets
  const inExpress = (parser) => express.replace('app.use', `app.use(${parser})\napp.use`)
  const reader = "app.post('*', (context, next) => context.req.json().then(next))"
  const readInHono = hono.replace('app.all', `${reader}\napp.all`)
  const post = (call, body, headers) =>
    call('POST', '/orchestrators/wait/one?timeout=0', body, headers)
  const refuses = async ({ call }) => {
    const { ExceptionMessage } = expectStatus(await post(call, '{"n":1}'), 500)
    assert.match(ExceptionMessage, /^The body was read before .* request\.body/)
  }

  test('it works if Express has parsed JSON', async (t) => {
    await works(t, inExpress('express.json()'))
  })

  test('it works if Express has kept the bytes, or a text that is no JSON', async (t) => {
    const { call } = await mount(t, inExpress("express.raw({ type: '*/*' })"))
    assert.equal(expectStatus(await post(call, '"text"'), 202).id, 'one')
    assert.equal((await call('GET', '/instances/one')).body.input, 'text')
    const texts = await mount(t, inExpress('express.text()'))
    const key = texts.api.keys.system
    const headers = { 'x-functions-key': key, 'content-type': 'text/plain' }
    expectStatus(await texts.call('POST', '/entities/e/k?op=add', 'text', headers), 202)
  })

  test('it says so if what was read is nowhere', async (t) => {
    await refuses(await mount(t, inExpress("express.text({ type: '*/*' })")))
    const unscoped = fastify.replace(/^ *scope\.(remove|add).*$/gm, '')
    await refuses(await mount(t, unscoped))
    await refuses(await mount(t, readInHono))
  })

  test('it works in hono with the request once more', async (t) => {
    const again = readInHono
      .replace('import { Hono }', "import { cloneRawRequest } from 'hono/request'\n$&")
      .replace('api.fetch(context.req.raw)', 'cloneRawRequest(context.req).then(api.fetch)')
    const { call } = await mount(t, again)
    expectStatus(await post(call, '[1]'), 202)
    assert.deepEqual((await call('GET', '/instances/one')).body.input, [1])
  })
})
