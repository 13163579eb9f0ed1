/** The management API as Azure has it: routes, status codes, headers, bodies. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { expectStatus, openApi } from './support/http.mjs'
import { run, startWaiting } from './support/hub.mjs'

function register(app) {
  app.activity('hello', { handler: (name) => `Hello ${name}!` })
  app.orchestration('sayHello', function* (context) {
    context.df.setCustomStatus({ step: 1 })
    return yield context.df.callActivity('hello', context.df.getInput())
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
  app.orchestration('fail', () => {
    throw new Error('no luck')
  })
}

describe('start', () => {
  test('gives 202 with the URLs of the instance, each with its key', async (t) => {
    const { call, server } = await openApi(t, register)
    const answer = await call('POST', '/orchestrators/wait/order-1', { n: 1 })
    const body = expectStatus(answer, 202)
    const query = `taskHub=default&connection=Storage&code=${server.api.keys.system}`
    const base = `${server.url}/runtime/webhooks/durabletask/instances/order-1`
    assert.deepEqual(Object.entries(body), [
      ['id', 'order-1'],
      ['statusQueryGetUri', `${base}?${query}`],
      ['sendEventPostUri', `${base}/raiseEvent/{eventName}?${query}`],
      ['terminatePostUri', `${base}/terminate?reason={text}&${query}`],
      ['purgeHistoryDeleteUri', `${base}?${query}`],
      ['restartPostUri', `${base}/restart?${query}`],
      ['suspendPostUri', `${base}/suspend?reason={text}&${query}`],
      ['resumePostUri', `${base}/resume?reason={text}&${query}`],
    ])
    assert.equal(answer.headers.get('location'), body.statusQueryGetUri)
    assert.equal(answer.headers.get('retry-after'), '10')
  })

  test('with timeout gives the output once there is one, and 202 if there is none in time', async (t) => {
    const { call } = await openApi(t, register)
    const wait = '?timeout=20&pollingInterval=1'
    assert.equal(
      expectStatus(await call('POST', `/orchestrators/sayHello${wait}`, 'Ada'), 400).Message,
      'Invalid JSON content',
    )
    assert.equal(
      expectStatus(await call('POST', `/orchestrators/sayHello${wait}`, '"Ada"'), 200),
      'Hello Ada!',
    )
    const failed = expectStatus(await call('POST', `/orchestrators/fail${wait}`), 200)
    assert.equal(failed.output, "Orchestrator function 'fail' failed: no luck")
    const open = await call('POST', '/orchestrators/wait/open?timeout=0.05&pollingInterval=0.01')
    assert.equal(expectStatus(open, 202).id, 'open')
  })

  test('refuses what it cannot start', async (t) => {
    const { call } = await openApi(t, register)
    for (const [path, status] of [
      ['/orchestrators/nobody', 400],
      ['/orchestrators/wait/@id', 400],
      ['/orchestrators/wait/a%2Fb', 400],
      ['/orchestrators', 404],
    ]) {
      const { Message } = expectStatus(await call('POST', path), status)
      if (status === 400) assert.ok(Message.length > 10, path)
    }
    expectStatus(await call('POST', '/orchestrators/wait/one'), 202)
    assert.match(expectStatus(await call('POST', '/orchestrators/wait/one'), 409).Message, /one/)
  })
})

describe('status', () => {
  test('has the fields of the original, in its order, and times in seconds', async (t) => {
    const { call, client } = await openApi(t, register)
    const { instanceId } = await run(client, 'sayHello', 'Ada')
    const body = expectStatus(await call('GET', `/instances/${instanceId}`), 200)
    assert.deepEqual(Object.keys(body), [
      'name',
      'instanceId',
      'runtimeStatus',
      'input',
      'customStatus',
      'output',
      'createdTime',
      'lastUpdatedTime',
    ])
    assert.match(body.createdTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.deepEqual(
      [body.name, body.runtimeStatus, body.input, body.customStatus, body.output],
      ['sayHello', 'Completed', 'Ada', { step: 1 }, 'Hello Ada!'],
    )
  })

  test('of an open instance is 202, of none 404 without a body', async (t) => {
    const { call, client, server } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const answer = await call('GET', `/instances/${id}?showInput=false`)
    expectStatus(answer, 202)
    assert.equal(answer.headers.get('retry-after'), '5')
    assert.equal(
      answer.headers.get('location'),
      `${server.url}/runtime/webhooks/durabletask/instances/${id}?showInput=false`,
    )
    assert.equal(expectStatus(await call('GET', '/instances/nobody'), 404), '')
  })

  test('of a failed instance is 200, or 500 if that is asked for', async (t) => {
    const { call, client } = await openApi(t, register)
    const { instanceId } = await run(client, 'fail')
    expectStatus(await call('GET', `/instances/${instanceId}`), 200)
    const path = `/INSTANCES/${instanceId}/?ReturnInternalServerErrorOnFailure=TRUE`
    assert.equal(expectStatus(await call('GET', path), 500).runtimeStatus, 'Failed')
  })
})

describe('events', () => {
  test('reach the instance', async (t) => {
    const { call, client } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    assert.equal(
      expectStatus(await call('POST', `/instances/${id}/RAISEEVENT/go`, { by: 'Ada' }), 202),
      '',
    )
    assert.deepEqual((await client.waitForCompletion(id)).output, { by: 'Ada' })
    assert.equal(expectStatus(await call('POST', `/instances/${id}/raiseEvent/go`, {}), 410), '')
    assert.equal(expectStatus(await call('POST', '/instances/nobody/raiseEvent/go', {}), 404), '')
    await startWaiting(client, 'wait', { instanceId: 'other' })
    const text = await call('POST', '/instances/other/raiseEvent/go', 'x', {
      'content-type': 'text/plain',
    })
    assert.deepEqual(expectStatus(text, 400), {
      Message: 'Only application/json request content is supported',
    })
  })
})
