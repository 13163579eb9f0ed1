/** Bad input over HTTP: a clear answer, and the server goes on. */

import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { expectStatus, openApi } from './support/http.mjs'
import { startWaiting } from './support/hub.mjs'

function register(app) {
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

describe('bodies', () => {
  test('one that is not JSON is refused, with what is wrong with it', async (t) => {
    const { call } = await openApi(t, register)
    for (const text of ['{', 'hello', '{"a":1,}', '\u0000']) {
      const body = expectStatus(await call('POST', '/orchestrators/wait', text), 400)
      assert.deepEqual(Object.keys(body), [
        'Message',
        'ExceptionMessage',
        'ExceptionType',
        'StackTrace',
      ])
      assert.equal(body.Message, 'Invalid JSON content')
      assert.ok(body.ExceptionMessage.length > 5)
    }
  })

  test('another content type is refused, whatever is in it', async (t) => {
    const { call } = await openApi(t, register)
    const refused = { Message: 'Only application/json request content is supported' }
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      '',
    ]) {
      const answer = await call('POST', '/orchestrators/wait', '{}', { 'content-type': type })
      assert.deepEqual(expectStatus(answer, 400), refused)
    }
    const json = { 'content-type': 'application/JSON; charset=utf-8' }
    expectStatus(await call('POST', '/orchestrators/wait', '{}', json), 202)
  })

  test('one of 100 MB is refused, announced or in chunks, and its sender gets to know', async (t) => {
    const { call, server } = await openApi(t, register)
    const large = ' '.repeat(100_000_000)
    const { Message } = expectStatus(await call('POST', '/orchestrators/wait', large), 413)
    assert.match(Message, /16777216 bytes/)
    const status = await new Promise((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        'x-functions-key': server.api.keys.system,
        'transfer-encoding': 'chunked',
      }
      const url = `${server.url}/runtime/webhooks/durabletask/orchestrators/wait`
      const outgoing = request(url, { method: 'POST', headers }, (incoming) => {
        incoming.resume()
        // It must be able to send all of it.
        outgoing.on('finish', () => resolve(incoming.statusCode))
      })
      outgoing.on('error', reject)
      outgoing.end(large)
    })
    assert.equal(status, 413)
    expectStatus(await call('GET', '/instances'), 200)
  })

  test('a bound of one’s own holds, also for a payload that the hub refuses', async (t) => {
    const { call } = await openApi(t, register, {
      bodyBytesMax: 10_000,
      hub: { limits: { payloadBytes: 1_024 } },
    })
    expectStatus(await call('POST', '/orchestrators/wait', 'x'.repeat(10_001)), 413)
    expectStatus(await call('POST', '/orchestrators/wait', JSON.stringify('x'.repeat(2_000))), 413)
  })

  test('one that breaks off does no harm', async (t) => {
    const { call, server } = await openApi(t, register)
    const socket = connect(server.port, '127.0.0.1')
    const path = `/runtime/webhooks/durabletask/orchestrators/wait?code=${server.api.keys.system}`
    const head = 'Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 100'
    socket.write(`POST ${path} HTTP/1.1\r\n${head}\r\n\r\n{"a"`)
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.destroy()
    assert.deepEqual(expectStatus(await call('GET', '/instances'), 200), [])
  })

  test('names like __proto__ are data', async (t) => {
    const { call } = await openApi(t, register)
    const text = '{"__proto__":{"admin":true},"constructor":1}'
    expectStatus(await call('POST', '/orchestrators/wait/proto', text), 202)
    assert.match(
      (await call('GET', '/instances/proto')).text,
      /"input":\{"__proto__":\{"admin":true\},"constructor":1\}/,
    )
    assert.equal({}.admin, undefined)
  })
})

describe('paths', () => {
  test('ids are decoded once, and one that no instance can have is refused or not found', async (t) => {
    const { call, client } = await openApi(t, register)
    await startWaiting(client, 'wait', { instanceId: 'Grüße & mehr; 100%25' })
    const path = `/instances/${encodeURIComponent('Grüße & mehr; 100%25')}`
    assert.equal(expectStatus(await call('GET', path), 202).instanceId, 'Grüße & mehr; 100%25')
    for (const id of [
      'a%2Fb',
      'a%2F..%2Fb',
      '..%2F..%2Fetc%2Fpasswd',
      'a%5Cb',
      '%00',
      '%ZZ',
      '%F0%9F',
    ]) {
      expectStatus(await call('GET', `/instances/${id}`), 404)
      expectStatus(await call('POST', `/instances/${id}/terminate`), 404)
      expectStatus(await call('DELETE', `/instances/${id}`), 404)
    }
    for (const id of ['a%2Fb', 'a%5Cb', 'a%23', 'a%3F', '%00', '%40x', 'x'.repeat(257)]) {
      expectStatus(await call('POST', `/orchestrators/wait/${id}`), 400)
    }
  })

  test('unknown routes and wrong methods are 404', async (t) => {
    const { call } = await openApi(t, register)
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/'],
      ['GET', '/nothing'],
      ['GET', '/orchestrators/wait'],
      ['PUT', '/instances'],
      ['POST', '/instances'],
      ['PATCH', '/instances/x'],
      ['GET', '/instances/x/terminate'],
      ['POST', '/instances/x/explode'],
      ['POST', '/instances/x/raiseEvent'],
      ['POST', '/instances/x/raiseEvent/a/b'],
      ['OPTIONS', '/instances'],
      ['GET', '/%69nstances'],
    ]) {
      expectStatus(await call(method, path), 404)
    }
  })

  test('HEAD is GET without its body', async (t) => {
    const { call } = await openApi(t, register)
    const answer = await call('HEAD', '/instances')
    assert.equal(answer.status, 200)
    assert.equal(answer.text, '')
  })
})

test('queries that cannot be read are as if they were not there', async (t) => {
  const { call, client } = await openApi(t, register)
  const id = await startWaiting(client, 'wait')
  const query = 'top=many&createdTimeFrom=yesterday&runtimeStatus=Sleeping&showInput=perhaps&%ZZ=%'
  const [only] = expectStatus(await call('GET', `/instances?${query}`), 200)
  assert.equal(only.instanceId, id)
  expectStatus(await call('GET', `/instances/${id}?showHistory=1`), 202)
  expectStatus(await call('GET', '/instances', undefined, { 'x-ms-continuation-token': 'x' }), 400)
})

test('no answer tells where in the code it was', async (t) => {
  const { call } = await openApi(t, register)
  const { text } = await call('POST', '/orchestrators/wait/@bad')
  assert.doesNotMatch(text, /\.js|at /)
})
