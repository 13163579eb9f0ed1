/** Who is let in: made from the table of routes, so that no new one is forgotten. */

import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { createHttpApi, Keys, serve } from 'durafn/http'
import { openApi, openRpc, readResponse } from './support/http.mjs'
import { memoryLogger, openHub, refuses } from './support/hub.mjs'

const register = (app) => app.orchestration('done', () => 1)
const wrong = Keys.generate()

/** A real request with whatever headers, `host` too, which `fetch` does not let be set. */
function send(url, method, headers) {
  return new Promise((resolve, reject) => {
    const { hostname, port, pathname, search } = new URL(url)
    const options = { hostname, port, path: pathname + search, method, headers, agent: false }
    const outgoing = request(options, (incoming) => {
      incoming.resume()
      incoming.on('end', () => resolve(incoming.statusCode))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** A method and a path of a route. */
function exampleOf({ method, path, example }) {
  const concrete = example ?? path.replace(/:\w+/g, 'x').replace(/\*$/, 'there/is/none')
  return { method: method === 'ALL' ? 'PATCH' : method, path: concrete }
}

describe('every route that is not open', () => {
  let server
  let close = () => {}
  const t = { after: (undo) => (close = chain(close, undo)) }
  const chain = (first, then) => async () => {
    await then()
    await first()
  }
  before(async () => {
    ;({ server } = await openApi(t, register))
    // As a host adds its own.
    server.api.router.add(
      { method: 'GET', path: '/admin/x', access: 'admin', handle: () => ({ status: 200 }) },
      { method: 'GET', path: '/api/keyed', access: 'function', handle: () => ({ status: 200 }) },
      { method: 'GET', path: '/api/open', access: 'open', handle: () => ({ status: 200 }) },
      {
        method: 'GET',
        path: '/api/matched/{n:int}',
        example: '/api/matched/7',
        access: 'function',
        match: (path) => (/^\/api\/matched\/\d+$/.test(path) ? {} : null),
        handle: () => ({ status: 200 }),
      },
    )
  })
  after(() => close())

  const refusals = [
    ['without a key', 401, () => ({})],
    ['with a wrong key', 401, (_keys, level) => ({ 'x-functions-key': wrong[level] })],
    ['with an empty key', 401, () => ({ 'x-functions-key': '' })],
    ['with the key of a lower level', 401, (keys, level) => lower(keys, level)],
    ['with a foreign Host', 403, (keys) => ({ ...own(keys), host: 'evil.example' })],
    ['with a foreign Origin', 403, (keys) => ({ ...own(keys), origin: 'https://evil.example' })],
    ['with an Origin that is hidden', 403, (keys) => ({ ...own(keys), origin: 'null' })],
    [
      'from a page of another site',
      403,
      (keys) => ({ ...own(keys), 'sec-fetch-site': 'cross-site' }),
    ],
  ]
  const own = (keys) => ({ 'x-functions-key': keys.master })
  const lower = (keys, level) =>
    level === 'function'
      ? {}
      : { 'x-functions-key': level === 'admin' ? keys.system : keys.function }

  for (const [how, status, headersOf] of refusals) {
    test(`refuses ${how}`, async () => {
      const { router, keys } = server.api
      const closed = router.routes.filter(({ access }) => access !== 'open')
      assert.ok(closed.length > 15)
      for (const route of closed) {
        const { method, path } = exampleOf(route)
        const level = route.access === 'admin' ? 'master' : route.access
        const got = await send(server.url + path, method, headersOf(keys, level))
        assert.equal(got, status, `${method} ${path}`)
      }
    })
  }

  test('lets in by the key of its level and by the master key, in the header or in the URL', async () => {
    const { router, keys } = server.api
    for (const route of router.routes.filter(({ access }) => access !== 'open')) {
      const { method, path } = exampleOf(route)
      const level = route.access === 'admin' ? 'master' : route.access
      const answers = [
        await send(server.url + path, method, { 'x-functions-key': keys[level] }),
        await send(`${server.url}${path}?code=${keys[level]}`, method, {}),
        await send(`${server.url}${path}?Code=${keys.master}`, method, {}),
        await send(`${server.url}${path}?code=${keys.master}`, method, { origin: server.url }),
      ]
      for (const got of answers) assert.ok(![401, 403].includes(got), `${method} ${path}: ${got}`)
    }
    assert.equal(await send(`${server.url}/api/open`, 'GET', {}), 200)
    assert.equal(await send(`${server.url}/api/open`, 'GET', { host: 'evil.example' }), 403)
    assert.equal(await send(`${server.url}/not/in/the/table`, 'GET', {}), 404)
  })
})

test('a link that somebody follows from another page is let in, as nothing is changed by it', async (t) => {
  const { server } = await openApi(t, register)
  const url = `${server.url}/runtime/webhooks/durabletask/instances?code=${server.api.keys.system}`
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  assert.equal(await send(url, 'GET', link), 200)
  assert.equal(await send(url, 'DELETE', link), 403)
})

test('other names and pages are let in if they are named', async (t) => {
  const { server } = await openApi(t, register, {
    allowedHosts: ['hub.example'],
    allowedOrigins: ['https://shop.example'],
  })
  const url = `${server.url}/runtime/webhooks/durabletask/instances?code=${server.api.keys.system}`
  assert.equal(await send(url, 'GET', { host: 'HUB.example:99' }), 200)
  assert.equal(await send(url, 'GET', { origin: 'https://shop.example' }), 200)
  assert.equal(await send(url, 'GET', { origin: 'https://shop.example.evil' }), 403)
})

test('pages that are allowed may read answers, of what needs a key too, and others may not', async (t) => {
  const { server } = await openApi(t, register, { allowedOrigins: ['https://shop.example'] })
  const url = `${server.url}/runtime/webhooks/durabletask/orchestrators/nobody`
  const of = async (origin, method, headers = {}) => {
    const response = await fetch(url, { method, headers: { origin, ...headers } })
    await response.arrayBuffer()
    return [response.status, response.headers]
  }
  const asks = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'x-functions-key',
  }
  const [asked, told] = await of('https://shop.example', 'OPTIONS', asks)
  assert.deepEqual(
    [asked, told.get('access-control-allow-origin'), told.get('vary')],
    [204, 'https://shop.example', 'Origin'],
  )
  assert.equal(told.get('access-control-allow-methods'), 'POST')
  assert.equal(told.get('access-control-allow-headers'), 'x-functions-key')
  const keys = { 'x-functions-key': server.api.keys.system }
  for (const [status, headers] of [
    await of('https://shop.example', 'POST'),
    await of('https://shop.example', 'POST', keys),
  ]) {
    assert.ok([401, 400].includes(status), `${status}`)
    assert.equal(headers.get('access-control-allow-origin'), 'https://shop.example')
    assert.match(headers.get('access-control-expose-headers'), /x-ms-continuation-token/)
  }
  for (const [status, headers] of [
    await of('https://evil.example', 'OPTIONS', asks),
    await of('https://evil.example', 'POST', keys),
    await of(server.url, 'OPTIONS', asks),
  ]) {
    assert.ok([401, 403].includes(status), `${status}`)
    assert.equal(headers.get('access-control-allow-origin'), null)
  }
})

test('beyond this machine nothing is served without a key', async (t) => {
  const { hub } = await openHub(t, register)
  const open = serve(hub, { port: 0, hostname: '0.0.0.0', keys: false })
  await refuses('InvalidOption', open, { field: 'options.hostname' })
  const server = await serve(hub, { port: 0, hostname: '0.0.0.0' })
  t.after(() => server.close(0))
  const url = `http://127.0.0.1:${server.port}/runtime/webhooks/durabletask/instances`
  assert.equal(await send(url, 'GET', {}), 401)
  assert.equal(await send(`${url}?code=${server.api.keys.system}`, 'GET', { host: 'hub.lan' }), 200)
})

test('each address of this machine is let in by its own name', async (t) => {
  const { hub } = await openHub(t, register)
  for (const hostname of process.platform === 'linux'
    ? ['127.0.0.9', 'localhost']
    : ['localhost']) {
    const server = await serve(hub, { port: 0, hostname, allowedHosts: ['hub.example'] })
    t.after(() => server.close(0))
    const { system } = server.api.keys
    const url = `${server.url}/runtime/webhooks/durabletask/instances?code=${system}`
    assert.equal(await send(url, 'GET', {}), 200)
    assert.equal(await send(url, 'GET', { host: `${hostname}:${server.port}` }), 200)
    assert.equal(await send(url, 'GET', { host: 'evil.example' }), 403)
  }
})

test('without keys this machine is let in, and no page of another site', async (t) => {
  const { hub } = await openHub(t, register)
  const server = await serve(hub, { port: 0, keys: false })
  t.after(() => server.close(0))
  const url = `${server.url}/runtime/webhooks/durabletask/instances`
  assert.equal(await send(url, 'GET', {}), 200)
  assert.equal(await send(url, 'GET', { host: 'evil.example' }), 403)
  assert.equal(await send(url, 'GET', { origin: 'https://evil.example' }), 403)
})

test('the way without a key lies below a path that nobody can guess, and refuses pages too', async (t) => {
  const { hub, server } = await openApi(t, register)
  const rpc = await openRpc(t, hub, server)
  const { pathname, origin, hostname } = new URL(rpc.rpcBaseUrl)
  assert.equal(hostname, '127.0.0.1')
  assert.match(pathname, /^\/[\w-]{43}\/durabletask\/$/)
  assert.equal(await send(`${rpc.rpcBaseUrl}instances`, 'GET', {}), 200)
  assert.equal(await send(`${rpc.rpcBaseUrl}instances`, 'GET', { host: 'evil.example' }), 403)
  assert.equal(await send(`${rpc.rpcBaseUrl}instances`, 'GET', { origin: 'http://evil' }), 403)
  for (const path of ['/durabletask/instances', '/runtime/webhooks/durabletask/instances', '/']) {
    assert.equal(await send(origin + path, 'GET', {}), 404)
  }
})

test('no key reaches the log, and none is told of another', async (t) => {
  const logger = memoryLogger()
  const { hub } = await openHub(t, register, { logger })
  const { keys, fetch } = createHttpApi(hub)
  const base = 'http://localhost/runtime/webhooks/durabletask'
  const ask = (path, init) => fetch(new Request(base + path, init))
  await ask(`/orchestrators/nobody?code=${keys.system}`, { method: 'POST' })
  await hub.close()
  const { status } = await readResponse(await ask(`/instances/x?code=${keys.master}`))
  assert.equal(status, 503)
  const lines = JSON.stringify(logger.lines)
  for (const key of [keys.master, keys.system, keys.function]) assert.ok(!lines.includes(key))
  assert.match(lines, /GET .*instances\/:instanceId failed/)
})
