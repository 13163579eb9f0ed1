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

describe('changes of an instance', () => {
  test('terminate, suspend and resume: 202, 404 for none, 410 for one that has ended', async (t) => {
    const { call, client } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const post = (operation, of = id) => call('POST', `/instances/${of}/${operation}`)
    expectStatus(await post('Suspend?Reason=a%20pause'), 202)
    assert.equal((await client.getStatus(id)).runtimeStatus, 'Suspended')
    const twice = expectStatus(await post('suspend'), 500)
    assert.equal(twice.Message, 'Something went wrong while processing your request')
    expectStatus(await post('resume'), 202)
    expectStatus(await post('resume'), 500)
    expectStatus(await post('terminate?reason=100%25+sure'), 202)
    assert.equal((await client.getStatus(id)).output, '100% sure')
    for (const operation of ['suspend', 'resume', 'terminate']) {
      assert.equal(expectStatus(await post(operation), 410), '')
      assert.equal(expectStatus(await post(operation, 'nobody'), 404), '')
    }
  })

  test('rewind: only what failed', async (t) => {
    const { call, client } = await openApi(t, register)
    const post = (id) => call('POST', `/instances/${id}/rewind?reason=again`)
    const { instanceId } = await run(client, 'fail')
    expectStatus(await post(instanceId), 202)
    expectStatus(await post('nobody'), 404)
    const { instanceId: completed } = await run(client, 'sayHello', 'Ada')
    assert.match(expectStatus(await post(completed), 410), /Completed/)
    assert.match(expectStatus(await post(await startWaiting(client, 'wait')), 412), /Running/)
  })

  test('restart: with an id of its own, or the same once it has ended', async (t) => {
    const { call, client } = await openApi(t, register)
    const post = (id, query = '') => call('POST', `/instances/${id}/restart${query}`)
    const { instanceId } = await run(client, 'sayHello', 'Ada')
    const { id } = expectStatus(await post(instanceId), 202)
    assert.notEqual(id, instanceId)
    assert.equal((await client.waitForCompletion(id)).output, 'Hello Ada!')
    const same = await post(instanceId, '?restartWithNewInstanceId=false&timeout=20')
    assert.equal(expectStatus(same, 200), 'Hello Ada!')
    const open = await startWaiting(client, 'wait')
    expectStatus(await post(open, '?restartWithNewInstanceId=false'), 409)
    assert.equal(
      expectStatus(await post('nobody'), 400).Message,
      'InstanceId does not match a valid orchestration instance.',
    )
  })
})

describe('many instances', () => {
  test('are listed by pages, with a token from each to the next, and none after the last', async (t) => {
    const { call, client } = await openApi(t, register)
    const ids = Array.from({ length: 7 }, (_, n) => `i-${n}`)
    for (const instanceId of ids) await run(client, 'sayHello', 'Ada', { instanceId })
    const seen = []
    let token
    do {
      const headers = token === undefined ? {} : { 'x-ms-continuation-token': token }
      const page = await call('GET', '/instances/?top=3&showInput=false', undefined, headers)
      for (const { instanceId, input } of expectStatus(page, 200)) {
        seen.push(instanceId)
        assert.equal(input, null)
      }
      token = page.headers.get('x-ms-continuation-token') ?? undefined
    } while (token !== undefined)
    assert.deepEqual(seen, ids)
    assert.equal((await call('GET', '/instances?top=0')).body.length, 7)
  })

  test('are listed by prefix, status and time, as the original takes them', async (t) => {
    const { call, client } = await openApi(t, register)
    await run(client, 'sayHello', 'Ada', { instanceId: 'a-1' })
    await run(client, 'fail', undefined, { instanceId: 'a-2' })
    await startWaiting(client, 'wait', { instanceId: 'b-1' })
    const hour = 3_600_000
    const at = (ms) => encodeURIComponent(new Date(Date.now() + ms).toISOString())
    for (const [query, ids] of [
      ['instanceIdPrefix=a-', 'a-1 a-2'],
      ['RUNTIMESTATUS=failed,Running', 'a-2 b-1'],
      ['runtimeStatus=Failed&runtimeStatus=3', 'a-2'],
      [`createdTimeFrom=${at(-hour)}&createdTimeTo=${at(hour)}`, 'a-1 a-2 b-1'],
      [`createdTimeFrom=${at(hour)}`, ''],
      ['createdTimeTo=2020-01-01T00:00:00Z', ''],
      ['taskHub=default&connection=Storage', 'a-1 a-2 b-1'],
    ]) {
      const { body } = await call('GET', `/instances?${query}`)
      assert.equal(body.map(({ instanceId }) => instanceId).join(' '), ids, query)
    }
  })

  test('are purged one by one, and by a filter that has a beginning', async (t) => {
    const { call, client } = await openApi(t, register)
    for (const instanceId of ['1', '2', '3']) await run(client, 'sayHello', '', { instanceId })
    await startWaiting(client, 'wait', { instanceId: 'open' })
    const remove = (path) => call('DELETE', `/instances${path}`)
    assert.deepEqual(expectStatus(await remove('/1'), 200), { instancesDeleted: 1 })
    assert.equal(expectStatus(await remove('/1'), 404), '')
    assert.match(expectStatus(await remove('/open'), 412), /open.*Running/)
    assert.equal(
      expectStatus(await remove('/'), 400),
      "Please provide value for 'createdTimeFrom' parameter.",
    )
    const from = 'createdTimeFrom=2020-01-01T00:00:00Z'
    expectStatus(await remove(`?${from}&runtimeStatus=Completd`), 400)
    expectStatus(await remove(`?${from}&createdTimeTo=yesterday`), 400)
    expectStatus(await remove(`?${from}&runtimeStatus=Failed`), 404)
    const purged = await remove(`/?${from}&runtimeStatus=Completed,Failed`)
    assert.deepEqual(expectStatus(purged, 200), { instancesDeleted: 2 })
    assert.equal(await client.count(), 1)
  })
})

test('taskHub and connection are taken, and lead to no other hub', async (t) => {
  const { call, client } = await openApi(t, register)
  const id = await startWaiting(client, 'wait')
  expectStatus(await call('GET', `/instances/${id}?taskHub=Other&connection=Other`), 202)
  expectStatus(await call('POST', '/makeprimary'), 200)
})
