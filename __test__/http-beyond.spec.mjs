/** What the management API has beyond the original: keys for starts, waits, changes, links, counts. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { expectStatus, openApi, readResponse } from './support/http.mjs'
import { deferred, PATIENCE_MS, run, startWaiting, tempStore, until } from './support/hub.mjs'

function register(app) {
  app.orchestration('echo', (context) => context.df.getInput())
  app.orchestration('fail', () => {
    throw new Error('no luck')
  })
  app.orchestration('wait', function* (context) {
    context.df.setCustomStatus('waiting')
    const first = yield context.df.waitForExternalEvent('go')
    context.df.setCustomStatus({ got: first })
    return yield context.df.waitForExternalEvent('end')
  })
}

describe('Idempotency-Key', () => {
  const key = (value) => ({ 'idempotency-key': value })

  test('starts one instance, however often it is sent, while it runs and after', async (t) => {
    const { call, client } = await openApi(t, register)
    const start = (value, input = 1) => call('POST', '/orchestrators/echo', input, key(value))
    const all = await Promise.all(Array.from({ length: 20 }, () => start('order-1')))
    const ids = new Set(all.map((answer) => expectStatus(answer, 202).id))
    assert.equal(ids.size, 1)
    const [id] = ids
    await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
    const { createdTime } = await client.getStatus(id)
    const again = await start('order-1')
    assert.equal(expectStatus(again, 202).id, id)
    assert.equal(again.headers.get('idempotent-replayed'), 'true')
    assert.deepEqual((await client.getStatus(id)).createdTime, createdTime)
    assert.equal(await client.count(), 1)
    assert.notEqual(expectStatus(await start('order-2'), 202).id, id)
  })

  test('is as durable as the instance', async (t) => {
    const store = tempStore(t)
    const start = ({ call }) => call('POST', '/orchestrators/wait', {}, key('order'))
    const first = await openApi(t, register, { hub: { store } })
    const { id } = expectStatus(await start(first), 202)
    await first.server.close()
    await first.close()
    const second = await openApi(t, register, { hub: { store } })
    assert.equal(expectStatus(await start(second), 202).id, id)
    assert.equal(await second.client.count(), 1)
  })

  test('with another input, or an id beside it, is refused', async (t) => {
    const { call } = await openApi(t, register)
    expectStatus(await call('POST', '/orchestrators/echo', { a: 1, b: 2 }, key('k')), 202)
    expectStatus(await call('POST', '/orchestrators/echo', { b: 2, a: 1 }, key('k')), 202)
    expectStatus(await call('POST', '/orchestrators/echo', { a: 2 }, key('k')), 422)
    expectStatus(await call('POST', '/orchestrators/echo/id', 1, key('k')), 400)
    expectStatus(await call('POST', '/orchestrators/echo', 1, key('x'.repeat(256))), 400)
    expectStatus(await call('POST', '/orchestrators/nobody', 1, key('other')), 400)
  })
})

describe('waiting', () => {
  test('is answered when the instance has ended', async (t) => {
    const { call, client } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const answer = call('GET', `/instances/${id}/wait?timeout=20`)
    await client.terminate(id, 'enough')
    assert.equal(expectStatus(await answer, 200).output, 'enough')
    const { instanceId } = await run(client, 'fail')
    const path = `/instances/${instanceId}/wait?returnInternalServerErrorOnFailure=true`
    assert.equal(expectStatus(await call('GET', path), 500).runtimeStatus, 'Failed')
  })

  test('is answered with the status as it is when the time is over', async (t) => {
    const { call, client } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const answer = await call('GET', `/instances/${id}/wait?timeout=0.02`)
    assert.equal(expectStatus(answer, 202).runtimeStatus, 'Running')
    expectStatus(await call('GET', '/instances/nobody/wait'), 404)
  })

  test('ends for the hub when the caller has gone', async (t) => {
    const { client, server, hub } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const gone = new AbortController()
    const { waitGetUri } = server.api.signedLinks(server.url, id)
    const answer = fetch(`${waitGetUri}&timeout=600`, { signal: gone.signal })
    await until('the request has come', async () => {
      return (await client.getStatus(id)) !== null
    })
    gone.abort()
    await assert.rejects(answer)
    await server.close() // would wait for it
    await hub.close({ drainTimeoutMs: 0 })
  })
})

describe('changes', () => {
  /** The events of a stream, one after another. */
  async function* eventsOf(response) {
    let text = ''
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk
      const blocks = text.split('\n\n')
      text = blocks.pop()
      for (const block of blocks) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? []
        if (event !== undefined) yield { event, data: JSON.parse(data) }
      }
    }
  }

  test('come as they are made, to all who listen, and then the stream ends', async (t) => {
    const { server, client } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const { changesGetUri } = server.api.signedLinks(server.url, id, { scopes: ['read'] })
    const began = [deferred(), deferred()]
    const next = [deferred(), deferred()]
    const seen = began.map(async (_, n) => {
      const response = await fetch(changesGetUri)
      assert.equal(response.headers.get('content-type'), 'text/event-stream')
      const events = []
      for await (const { event, data } of eventsOf(response)) {
        if (events.length === 0) began[n].resolve()
        if (events.length === 1) next[n].resolve()
        events.push(event === 'end' ? 'end' : [data.runtimeStatus, data.customStatus, data.output])
      }
      return events
    })
    await Promise.all(began.map(({ promise }) => promise))
    await client.raiseEvent(id, 'go', 1)
    await Promise.all(next.map(({ promise }) => promise))
    await client.raiseEvent(id, 'end', 'done')
    for (const events of await Promise.all(seen)) {
      assert.deepEqual(events, [
        ['Running', 'waiting', null],
        ['Running', { got: 1 }, null],
        ['Completed', { got: 1 }, 'done'],
        'end',
      ])
    }
  })

  test('have the input once, or not at all', async (t) => {
    const { server, client } = await openApi(t, register)
    const id = await startWaiting(client, 'wait', { input: 'the input' })
    const { changesGetUri } = server.api.signedLinks(server.url, id, { scopes: ['read'] })
    const inputsOf = async (url, seen = () => {}) => {
      const inputs = []
      for await (const { event, data } of eventsOf(await fetch(url))) {
        if (event === 'status') inputs.push(data.input)
        await seen(inputs.length)
      }
      return inputs
    }
    const inputs = await inputsOf(changesGetUri, async (count) => {
      if (count === 1) await client.raiseEvent(id, 'go', 1)
      if (count === 2) await client.terminate(id, 'enough')
    })
    assert.deepEqual(inputs, ['the input', undefined, undefined])
    assert.deepEqual(await inputsOf(`${changesGetUri}&showInput=false`), [undefined])
  })

  test('cost so many reads, without the input, however many instances are listened to', async (t) => {
    const { server, client } = await openApi(t, register)
    const reads = []
    const { getStatus } = client
    client.getStatus = (id, options) => {
      reads.push(options)
      return getStatus.call(client, id, options)
    }
    const count = 200
    const ids = await client.startMany(Array.from({ length: count }, () => ({ name: 'wait' })))
    const began = performance.now()
    const gone = new AbortController()
    const streams = await Promise.all(
      ids.map(async (id) => {
        const { changesGetUri } = server.api.signedLinks(server.url, id, { scopes: ['read'] })
        return (await fetch(changesGetUri, { signal: gone.signal })).body.getReader()
      }),
    )
    await Promise.all(streams.map((stream) => stream.read()))
    await until('each was looked at again', () => reads.length >= 3 * count)
    // Two to begin with, and 25 each quarter of a second.
    const most = 2 * count + (Math.ceil((performance.now() - began) / 250) + 1) * 25
    assert.ok(reads.length <= most, `${reads.length} reads, not ${most}`)
    assert.equal(reads.filter((options) => options.showInput !== false).length, count)
    gone.abort()
  })

  test('of an instance that has ended are its status, and of none 404', async (t) => {
    const { call, client } = await openApi(t, register)
    const { instanceId } = await run(client, 'echo', 'x')
    const { text } = await call('GET', `/instances/${instanceId}/changes`)
    assert.match(text, /^event: status\ndata: \{.*"output":"x".*\}\n\nevent: end\ndata: \{\}\n\n$/)
    expectStatus(await call('GET', '/instances/nobody/changes'), 404)
  })

  test('of a hub that is closed just stop: the instance has not ended', async (t) => {
    const { server, client, hub } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const { body } = await fetch(server.api.signedLinks(server.url, id).changesGetUri)
    const reader = body.pipeThrough(new TextDecoderStream()).getReader()
    let text = (await reader.read()).value
    await hub.close({ drainTimeoutMs: 0 })
    for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value
    assert.match(text, /^event: status\n/)
    assert.doesNotMatch(text, /event: end/)
  })

  test('end at once for a caller who has gone before they begin', async (t) => {
    const { server, client } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const { changesGetUri } = server.api.signedLinks(server.url, id)
    const request = new Request(changesGetUri, { signal: AbortSignal.abort() })
    const response = await server.api.fetch(request)
    assert.equal(await response.text(), '')
  })

  test('stop for a listener who has gone', async (t) => {
    const { server, client } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const gone = new AbortController()
    const { changesGetUri } = server.api.signedLinks(server.url, id)
    const response = await fetch(changesGetUri, { signal: gone.signal })
    for await (const { event } of eventsOf(response)) {
      assert.equal(event, 'status')
      break
    }
    gone.abort()
    await server.close()
  })
})

test('a server that is closed answers those who wait, and ends streams, at once', async (t) => {
  const { call, client, server } = await openApi(t, register)
  const id = await startWaiting(client, 'wait')
  const { changesGetUri } = server.api.signedLinks(server.url, id)
  const stream = await fetch(changesGetUri)
  const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = (await reader.read()).value
  const late = call('POST', '/orchestrators/wait/late?timeout=600')
  await until('the request has come', async () => (await client.getStatus('late')) !== null)
  await server.close()
  for (let read = await reader.read(); !read.done; read = await reader.read()) text += read.value
  assert.match(text, /^event: status\n/)
  assert.doesNotMatch(text, /event: end/)
  expectStatus(await late, 202)
})

describe('links', () => {
  test('let do one thing with one instance until a time', async (t) => {
    const { call, client, server } = await openApi(t, register)
    const id = await startWaiting(client, 'wait', { instanceId: 'one & only' })
    const body = { scopes: ['read', 'raise'], expiresInSeconds: 60 }
    const links = expectStatus(await call('POST', '/instances/one%20%26%20only/links', body), 200)
    assert.deepEqual(Object.keys(links), [
      'id',
      'expires',
      'statusQueryGetUri',
      'waitGetUri',
      'changesGetUri',
      'sendEventPostUri',
    ])
    const seconds = (new Date(links.expires) - Date.now()) / 1_000
    assert.ok(seconds > 50 && seconds <= 61, `${seconds}`)
    for (const key of [server.api.keys.system, server.api.keys.master]) {
      assert.ok(!JSON.stringify(links).includes(key))
    }
    const status = await readResponse(await fetch(links.statusQueryGetUri))
    assert.equal(expectStatus(status, 202).customStatus, 'waiting')
    assert.ok(!JSON.stringify(status).includes(server.api.keys.system))
    const raise = links.sendEventPostUri.replace('{eventName}', 'go')
    const post = { method: 'POST', body: '1', headers: { 'content-type': 'application/json' } }
    assert.equal((await fetch(raise, post)).status, 202)

    const other = await startWaiting(client, 'wait', { instanceId: 'other' })
    const query = (url) => new URL(url).search
    const at = (path, url, init) =>
      fetch(`${server.url}/runtime/webhooks/durabletask/instances/${path}${query(url)}`, init)
    const read = links.statusQueryGetUri
    assert.equal((await at(other, read)).status, 401)
    assert.equal(
      (await at(`${encodeURIComponent(id)}/terminate`, read, { method: 'POST' })).status,
      401,
    )
    assert.equal((await at(encodeURIComponent(id), read, { method: 'DELETE' })).status, 401)
    assert.equal((await at(encodeURIComponent(id), raise)).status, 401)
    assert.equal((await at(`${encodeURIComponent(id)}/links`, read, post)).status, 401)
    for (const [from, to] of [
      [/expires=\d+/, 'expires=9999999999'],
      [/sig=../, 'sig=AA'],
      [/sig=.*$/, 'sig='],
      [/scope=read/, 'scope=terminate'],
      [/&sig=.*$/, ''],
    ]) {
      assert.equal((await fetch(read.replace(from, to))).status, 401, String(from))
    }
  })

  test('are void when their time is over, and when the key is another', async (t) => {
    const { client, server } = await openApi(t, register)
    const id = await startWaiting(client, 'wait')
    const links = server.api.signedLinks(server.url, id, { expiresInSeconds: 1 })
    await until('the link has expired', async () => {
      return (await fetch(links.statusQueryGetUri)).status === 401
    })
    const other = await openApi(t, register)
    const foreign = other.server.api.signedLinks(server.url, id)
    assert.equal((await fetch(foreign.statusQueryGetUri)).status, 401)
  })

  test('are refused for scopes and times that there are not', async (t) => {
    const { call } = await openApi(t, register)
    for (const body of [
      { scopes: ['purge'] },
      { scopes: [] },
      { expiresInSeconds: 0 },
      { for: 1 },
    ]) {
      const answer = await call('POST', '/instances/x/links', body)
      assert.match(expectStatus(answer, 400).ExceptionMessage, /options\./)
    }
  })
})

test('instances are listed by name, and counted by status', async (t) => {
  const { call, client } = await openApi(t, register)
  for (const id of ['eu-1', 'eu-2', 'us-1']) await run(client, 'echo', id, { instanceId: id })
  await run(client, 'fail', undefined, { instanceId: 'eu-3' })
  const ids = async (query) =>
    expectStatus(await call('GET', `/instances?${query}`), 200).map((status) => status.instanceId)
  assert.deepEqual(await ids('name=ECHO'), ['eu-1', 'eu-2', 'us-1'])
  assert.deepEqual(await ids('instanceIdPrefix=eu-&name=echo'), ['eu-1', 'eu-2'])
  assert.deepEqual(await ids('instanceIdPrefix=eu-&runtimeStatus=Failed,Canceled'), ['eu-3'])
  assert.deepEqual(await ids('runtimeStatus=Canceled'), [])
  assert.deepEqual(await ids('runtimeStatus=Unheard'), ['eu-1', 'eu-2', 'us-1', 'eu-3'])
  assert.deepEqual(expectStatus(await call('GET', '/counts?instanceIdPrefix=eu-'), 200), {
    Pending: 0,
    Running: 0,
    Completed: 2,
    ContinuedAsNew: 0,
    Failed: 1,
    Terminated: 0,
    Suspended: 0,
    Canceled: 0,
  })
})
