/** What HTTP functions answer for an instance, by a client of this package. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHttpApi } from 'durafn/http'
import { expectStatus, openApi } from './support/http.mjs'
import { openHub, PATIENCE_MS, refuses, throwsCode } from './support/hub.mjs'

function register(app) {
  app.orchestration('echo', (context) => context.df.getInput())
  app.orchestration('fail', () => {
    throw new Error('no luck')
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

test('a payload has the URLs of an instance, with the key, and they work', async (t) => {
  const { client, server } = await openApi(t, register)
  const id = await client.startNew('wait', { instanceId: 'a b+c%d' })
  const payload = client.createHttpManagementPayload(id)
  assert.deepEqual(payload, server.api.managementPayload(server.url, id))
  assert.deepEqual(client.uniqueWebhookOrigins, [server.url])
  assert.equal((await fetch(payload.statusQueryGetUri)).status, 202)
  const send = payload.sendEventPostUri.replace('{eventName}', 'go')
  const headers = { 'content-type': 'application/json' }
  assert.equal((await fetch(send, { method: 'POST', body: '1', headers })).status, 202)
  await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
  assert.equal((await fetch(payload.purgeHistoryDeleteUri, { method: 'DELETE' })).status, 200)
})

test('a body that is nested too deeply is refused before it is read', async (t) => {
  const { call, client } = await openApi(t, (app) => {
    register(app)
    app.entity('counter', (context) => context.df.setState(1))
  })
  const deep = (levels) => `${'['.repeat(levels)}${']'.repeat(levels)}`
  const id = await client.startNew('wait')
  const bodies = [deep(1_001), `${'{"a":'.repeat(1_001)}1${'}'.repeat(1_001)}`, '['.repeat(8e6)]
  for (const body of bodies) {
    for (const path of [
      '/orchestrators/echo',
      `/instances/${id}/raiseEvent/go`,
      '/entities/counter/a?op=set',
      `/instances/${id}/links`,
    ]) {
      const refusal = expectStatus(await call('POST', path, body), 400)
      const said = JSON.stringify(refusal)
      assert.match(said, /nested more than 1000/, path)
    }
  }
  // What looks like brackets in a string is none, and closed ones count no more.
  for (const body of [
    deep(1_000),
    JSON.stringify(['"\\'.repeat(3), '['.repeat(2_000), { '{"': '\\"[' }]),
    `[${Array(1_500).fill('[]').join()}]`,
  ]) {
    const { id: echo } = expectStatus(await call('POST', '/orchestrators/echo', body), 202)
    const { output } = await client.waitForCompletion(echo, { timeoutMs: PATIENCE_MS })
    assert.equal(JSON.stringify(output), body)
  }
})

test('a check-status response leads to where the request was sent to', async (t) => {
  const { client } = await openApi(t, register)
  const request = new Request('https://shop.example/api/orders?a=1')
  const response = client.createCheckStatusResponse(request, 'some')
  assert.equal(response.status, 202)
  assert.equal(response.headers.get('retry-after'), '10')
  const body = await response.json()
  assert.match(body.statusQueryGetUri, /^https:\/\/shop\.example\/runtime\/webhooks\/durabletask\//)
  assert.equal(response.headers.get('location'), body.statusQueryGetUri)
  assert.match(body.rewindPostUri, /\/rewind\?reason=\{text\}&/)
})

test('a response that waits is the output, the status of what went wrong, or 202', async (t) => {
  const { client } = await openApi(t, register)
  const answer = async (id, options) => {
    const response = await client.waitForCompletionOrCreateCheckStatusResponse(null, id, options)
    return [response.status, await response.json()]
  }
  const echo = await client.startNew('echo', { input: { n: 1 } })
  assert.deepEqual(await answer(echo), [200, { n: 1 }])
  const [status, failed] = await answer(await client.startNew('fail'))
  assert.deepEqual([status, failed.runtimeStatus], [500, 'Failed'])
  const id = await client.startNew('wait')
  const waiting = await answer(id, { timeoutInMilliseconds: 30, retryIntervalInMilliseconds: 10 })
  assert.deepEqual([waiting[0], waiting[1].id], [202, id])
  await client.terminate(id, 'enough')
  assert.equal((await answer(id))[0], 200)
  await refuses('InstanceNotFound', answer('nobody'))
})

test('a classic request is answered by a plain object', async (t) => {
  const { client } = await openApi(t, register)
  const request = { method: 'POST', url: 'https://shop.example/api/start', headers: {}, query: {} }
  const { status, body, headers } = client.createCheckStatusResponse(request, 'some')
  assert.deepEqual([status, headers.Location], [202, body.statusQueryGetUri])
  assert.match(body.rewindPostUri, /^https:\/\/shop\.example\//)
  const id = await client.startNew('echo', { input: [1] })
  const ended = await client.waitForCompletionOrCreateCheckStatusResponse(request, id)
  assert.deepEqual([ended.status, ended.body], [200, '[1]'])
})

test('without a management API the refusal says how to get one', async (t) => {
  const { client, hub } = await openHub(t, register)
  throwsCode('InvalidOption', () => client.createHttpManagementPayload('x'), {
    message: /serve\(hub\)/,
  })
  createHttpApi(hub)
  throwsCode('InvalidOption', () => client.createHttpManagementPayload('x'), {
    message: /publicUrl/,
  })
  createHttpApi(hub, { publicUrl: 'https://api.example/' })
  const { statusQueryGetUri } = client.createHttpManagementPayload('x')
  assert.match(statusQueryGetUri, /^https:\/\/api\.example\/runtime/)
  // Behind a proxy that is where callers reach it, whatever the request says.
  const { headers } = client.createCheckStatusResponse(new Request('http://inside:8080/x'), 'x')
  assert.match(headers.get('location'), /^https:\/\/api\.example\/runtime/)
  throwsCode('InvalidOption', () => createHttpApi(hub, { publicUrl: 'api' }), {
    field: 'options.publicUrl',
  })
  throwsCode('InvalidOption', () => createHttpApi({}), { field: 'hubOrClient' })
})

test('URLs lead below the path that the API is told to be at', async (t) => {
  const { client, server, call } = await openApi(t, register, { basePath: '/ops/durable/' })
  const base = `${server.url}/ops/durable`
  const { statusQueryGetUri } = client.createHttpManagementPayload('x')
  assert.ok(statusQueryGetUri.startsWith(`${base}/instances/x?`), statusQueryGetUri)
  assert.equal(expectStatus(await call('GET', statusQueryGetUri), 404), '')
  assert.equal(server.api.clientBinding(server.url, 'http://x').baseUrl, base)
  const document = expectStatus(await call('GET', `${base}/openapi.json`), 200)
  assert.equal(document.servers[0].url, base)
  assert.equal((await call('GET', '/instances')).status, 404)
  const bad = ['ops', '/a//b', '/a/:b', '/a/*', '/a?b', '/a b']
  for (const basePath of bad) {
    throwsCode('InvalidOption', () => createHttpApi(client, { basePath }), {
      field: 'options.basePath',
    })
  }
})
