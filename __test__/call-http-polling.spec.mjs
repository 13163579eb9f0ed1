/** `context.df.callHttp` that is answered by 202: polling, durably. `docs/semantics.md` §2.1. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import {
  complete,
  connect,
  fail,
  openHub,
  PATIENCE_MS,
  tempStore,
  until,
  waiting,
} from './support/hub.mjs'
import { reply, serve } from './support/server.mjs'

const HTTP = { allowPrivateAddresses: ['127.0.0.0/8'], pollingIntervalMs: 5 }

/** A server whose work takes some polls: POST / is answered by 202, GET /status too until the last. */
async function slowServer(t, { polls = 2, headers = {} } = {}) {
  let left = polls
  return await serve(t, (request, response) => {
    const isDone = request.method === 'GET' && left-- <= 0
    if (isDone) reply(response, 200, {}, 'done')
    else reply(response, 202, { location: '/status?id=1', ...headers }, 'busy')
  })
}

async function openCaller(t, options = {}) {
  return await openHub(
    t,
    (app) => {
      app.orchestration('call', function* (context) {
        return yield context.df.callHttp(context.df.getInput())
      })
      app.orchestration('async', async (context) => {
        const calls = context.df.getInput().map((options) => context.df.callHttp(options))
        const first = await context.df.Task.any(calls)
        const all = await Promise.all(calls)
        return { first: first.index, all: all.map(({ content }) => content) }
      })
    },
    { http: HTTP, ...options },
  )
}

describe('an answer of 202', () => {
  test('is followed by GETs of its Location, until there is another', async (t) => {
    const server = await slowServer(t)
    const { client } = await openCaller(t)
    const headers = {
      'x-functions-key': 'k',
      authorization: 'a',
      'content-type': 'application/json',
      'x-other': 'o',
    }
    const answer = await complete(client, 'call', {
      method: 'POST',
      url: `${server.url}/jobs`,
      body: {},
      headers,
    })
    assert.deepEqual([answer.statusCode, answer.content], [200, 'done'])
    const seen = server.requests.map(({ method, url }) => `${method} ${url}`)
    const poll = 'GET /status?id=1'
    assert.deepEqual(seen, ['POST /jobs', poll, poll, poll])
    const sent = server.requests.map((request) =>
      ['x-functions-key', 'authorization', 'content-type', 'x-other'].map(
        (name) => request.headers[name],
      ),
    )
    assert.deepEqual(sent[0], ['k', 'a', 'application/json', 'o'])
    assert.deepEqual(sent[1], [undefined, 'a', undefined, 'o'])
    assert.equal(server.requests[1].body, '')
  })

  test('works for several calls at once, in an async function', async (t) => {
    const slow = await slowServer(t, { polls: 3 })
    const fast = await serve(t, (_request, response) => reply(response, 200, {}, 'fast'))
    const { client } = await openCaller(t)
    const input = [slow, fast].map(({ url }) => ({ method: 'GET', url }))
    const seen = await complete(client, 'async', input)
    assert.deepEqual(seen, { first: 1, all: ['done', 'fast'] })
  })

  for (const [what, options] of Object.entries({
    enablePolling: { enablePolling: false },
    asynchronousPatternEnabled: { asynchronousPatternEnabled: false },
    'enablePolling, which wins': { enablePolling: false, asynchronousPatternEnabled: true },
  })) {
    test(`is the answer if ${what} says so`, async (t) => {
      const server = await slowServer(t)
      const { client } = await openCaller(t)
      const answer = await complete(client, 'call', { method: 'POST', url: server.url, ...options })
      assert.deepEqual([answer.statusCode, server.requests.length], [202, 1])
    })
  }

  test('is the answer if it has no Location', async (t) => {
    const server = await serve(t, (_request, response) => reply(response, 202))
    const { client } = await openCaller(t)
    assert.equal(
      (await complete(client, 'call', { method: 'GET', url: server.url })).statusCode,
      202,
    )
  })

  test('of another origin gets no credentials; its Location counts from where it came', async (t) => {
    const other = await slowServer(t, { polls: 0 })
    const server = await serve(t, (_request, response) =>
      reply(response, 307, { location: `${other.url}/there` }),
    )
    const { client } = await openCaller(t)
    const headers = { authorization: 'a', 'x-other': 'o' }
    const answer = await complete(client, 'call', { method: 'POST', url: server.url, headers })
    assert.equal(answer.content, 'done')
    const sent = other.requests.map((request) => [
      request.url,
      request.headers.authorization,
      request.headers['x-other'],
    ])
    assert.deepEqual(sent, [
      ['/there', undefined, 'o'],
      ['/status?id=1', undefined, 'o'],
    ])
  })

  test('that leads to a private address, or nowhere, fails the call', async (t) => {
    const codes = []
    const { client } = await openCaller(t)
    for (const location of ['http://169.254.169.254/', 'ftp://example.com', 'http://']) {
      const server = await serve(t, (_request, response) => reply(response, 202, { location }))
      codes.push((await fail(client, 'call', { method: 'GET', url: server.url })).code)
    }
    assert.deepEqual(codes, ['AddressRefused', 'InvalidOption', 'InvalidOption'])
  })
})

describe('the time of a poll', () => {
  /** When the orchestrator's timer fires, in ms after the answer, for a `Retry-After`. */
  async function delayFor(t, headers, options) {
    const server = await slowServer(t, { headers })
    const { client } = await openCaller(t, options)
    const before = Date.now()
    const id = await client.startNew('call', { input: { method: 'GET', url: server.url } })
    const { waitingFor } = await waiting(client, id, (waits) => waits[0]?.kind === 'timer')
    return waitingFor[0].fireAt.getTime() - before
  }

  test('is 30 s later unless the answer says', async (t) => {
    const http = { allowPrivateAddresses: true }
    const ms = await delayFor(t, {}, { http })
    assert.ok(ms >= 30_000 && ms < 60_000, String(ms))
  })

  test('is what Retry-After says in seconds', async (t) => {
    const ms = await delayFor(t, { 'retry-after': '100' })
    assert.ok(ms >= 100_000 && ms < 130_000, String(ms))
  })

  test('is what Retry-After says as a date', async (t) => {
    const date = new Date(Date.now() + 3_600_000)
    const ms = await delayFor(t, { 'retry-after': date.toUTCString() })
    assert.ok(ms > 3_590_000 && ms <= 3_600_000, String(ms))
  })
})

test('a call goes on after the process was killed between polls', async (t) => {
  const store = tempStore(t)
  const server = await slowServer(t, { polls: 5 })
  const child = startChild(
    t,
    async ({ df, args, say, hear }) => {
      const app = new df.App()
      app.orchestration('call', function* (context) {
        const before = yield context.df.callHttp({
          method: 'POST',
          url: args.url,
          enablePolling: false,
        })
        const answer = yield context.df.callHttp({
          method: 'POST',
          url: args.url,
          headers: { a: 'b' },
        })
        return [before.statusCode, answer.content, answer.getHeader('date') !== undefined]
      })
      const http = { allowPrivateAddresses: true, pollingIntervalMs: 50 }
      const hub = await df.open({ store: args.store, app, http, logger: false })
      say(await hub.client.startNew('call'))
      await hear()
    },
    { store, url: server.url },
  )
  const id = await child.next()
  await until('it has polled twice', () => server.requests.length >= 4)
  await child.kill()
  const polled = server.requests.length
  const client = await connect(t, store)
  assert.equal((await client.getStatus(id)).runtimeStatus, 'Running')
  await openHub(
    t,
    (app) => {
      app.orchestration('call', function* (context) {
        const before = yield context.df.callHttp({
          method: 'POST',
          url: server.url,
          enablePolling: false,
        })
        const answer = yield context.df.callHttp({
          method: 'POST',
          url: server.url,
          headers: { a: 'b' },
        })
        return [before.statusCode, answer.content, answer instanceof df.DurableHttpResponse]
      })
    },
    { store, http: HTTP },
  )
  const { output } = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
  assert.deepEqual(output, [202, 'done', true])
  assert.deepEqual(
    server.requests.slice(0, 2).map(({ method }) => method),
    ['POST', 'POST'],
  )
  assert.ok(server.requests.slice(2).every(({ method }) => method === 'GET'))
  assert.ok(server.requests.length > polled)
})
