/** The server of a function app: http functions of both models, keys, and the paths of the host. */

import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { connect as connectTo } from 'node:net'
import { describe, test } from 'node:test'
import { link, manual, writeApp } from './support/app.mjs'
import { addressOf, says, startHost, stop } from './support/cli.mjs'
import { http, post, serve, serveModern, serveOne } from './support/http-app.mjs'
import { PATIENCE_MS, tempStore, until } from './support/hub.mjs'

describe('classic http functions', () => {
  const responses = {
    'context.res': `context.res = { status: 201, body: 'made' }`,
    'context.res with statusCode': `context.res = { statusCode: 201, body: 'made' }`,
    'context.bindings': `context.bindings.res = { status: 201, body: 'made' }`,
    'an object by the name of its binding': `return { res: { status: 201, body: 'made' } }`,
    'the fields of context.res': `context.res.status(201); context.res.body = 'made'`,
    'context.res.send': `context.res.status(201).send('made')`,
    'context.res.end': `context.res.status('201'); context.res.end('made')`,
  }
  for (const [what, code] of Object.entries(responses)) {
    test(`one answers by ${what}`, async (t) => {
      const { ask } = await serveOne(t, `module.exports = async (context) => { ${code} }`)
      const response = await ask('/api/work')
      assert.deepEqual([response.status, await response.text()], [201, 'made'])
      assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8')
    })
  }

  test('one answers by $return, and by context.done with a result', async (t) => {
    const { ask } = await serve(t, {
      Returns: [
        http({}, { name: '$return', type: 'http', direction: 'out' }),
        `module.exports = async (context, req) => ({ status: 202, body: { a: req.query.a } })`,
      ],
      Done: [
        http({}, { name: '$return', type: 'http', direction: 'out' }),
        `module.exports = (context) => context.done(null, { body: 'done' })`,
      ],
      Sync: [http(), `module.exports = (context) => { context.res.json({ a: 1 }) }`],
      SendStatus: [http(), `module.exports = (context, req) => { context.res.sendStatus(418) }`],
    })
    const returned = await ask('/api/Returns?a=1')
    assert.equal(returned.headers.get('content-type'), 'application/json; charset=utf-8')
    assert.deepEqual([returned.status, await returned.json()], [202, { a: '1' }])
    assert.equal(await (await ask('/api/Done')).text(), 'done')
    assert.deepEqual(await (await ask('/api/Sync')).json(), { a: 1 })
    assert.equal((await ask('/api/SendStatus')).status, 418)
  })

  test('bodies, headers and cookies of a response', async (t) => {
    const bodies = {
      text: `'ü'`,
      json: `{ a: [1] }`,
      number: '5',
      bytes: `Buffer.from([0, 255])`,
      none: 'undefined',
    }
    const { ask } = await serveOne(
      t,
      `const bodies = { ${Object.entries(bodies).map(([name, body]) => `${name}: ${body}`)} }
      module.exports = async (context, req) => {
        context.res = {
          body: bodies[req.query.body],
          headers: { 'X-One': 1, 'content-length': 99, 'x-none': undefined },
          cookies: [
            { name: 'a', value: '1 2', path: '/', httpOnly: true, sameSite: 'None', secure: true },
            { name: 'b', value: 'x', maxAge: 60, expires: new Date(0) },
          ],
        }
      }`,
    )
    const get = async (body) => {
      const response = await ask(`/api/work?body=${body}`)
      assert.equal(response.headers.get('x-one'), '1')
      return [response.headers.get('content-type'), Buffer.from(await response.arrayBuffer())]
    }
    assert.deepEqual(await get('text'), ['text/plain; charset=utf-8', Buffer.from('ü')])
    assert.deepEqual(await get('json'), [
      'application/json; charset=utf-8',
      Buffer.from('{"a":[1]}'),
    ])
    assert.deepEqual(await get('number'), ['application/json; charset=utf-8', Buffer.from('5')])
    assert.deepEqual(await get('bytes'), ['application/octet-stream', Buffer.from([0, 255])])
    assert.deepEqual(await get('none'), [null, Buffer.alloc(0)])
    assert.deepEqual((await ask('/api/work')).headers.getSetCookie(), [
      'a=1%202; Path=/; HttpOnly; Secure; SameSite=None',
      'b=x; Max-Age=60; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
    ])
  })

  test('what belongs to a connection is the host’s to say', async (t) => {
    const { app } = await serveOne(
      t,
      `module.exports = async (context) => {
        const headers = { 'Transfer-Encoding': 'chunked', Connection: 'keep-alive', 'Keep-Alive': 'timeout=9', 'x-own': '1' }
        context.res = { headers, body: 'made' }
      }`,
    )
    const text = await new Promise((resolve, reject) => {
      let all = ''
      const socket = connectTo(new URL(app.url).port, '127.0.0.1')
      socket.on('data', (chunk) => {
        all += chunk
      })
      socket.on('close', () => resolve(all)).on('error', reject)
      socket.write('GET /api/work HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    })
    assert.match(text, /^HTTP\/1\.1 200 .*\r\nx-own: 1\r\n.*\r\n\r\nmade$/s)
    assert.match(text, /\r\nContent-Length: 4\r\n.*\r\nConnection: close\r\n/s)
    assert.doesNotMatch(text, /transfer-encoding|keep-alive/i)
  })

  test('the request comes first and is context.req, wherever the trigger stands', async (t) => {
    const json = http({ route: 'who/{name}', methods: ['get'] })
    json.bindings.unshift({ name: 'starter', type: 'orchestrationClient', direction: 'in' })
    json.bindings.reverse()
    const { ask } = await serveOne(
      t,
      `module.exports = async (context, req, starter) => {
        context.res = { body: [req.params.name, context.req === req, typeof starter.startNew] }
      }`,
      json,
    )
    assert.deepEqual(await (await ask('/api/who/ada')).json(), ['ada', true, 'function'])
  })

  test('the request is argument, context.req, binding and binding data', async (t) => {
    const { ask, app } = await serveOne(
      t,
      `module.exports = async (context, req) => {
        const { bindings, bindingData, invocationId } = context
        context.res = { body: {
          same: [context.req, bindings.req, bindingData.req].every((each) => each === req),
          method: req.method, url: req.url, originalUrl: req.originalUrl, query: req.query,
          params: req.params, header: req.get('X-Given'), lower: req.headers['x-given'],
          body: req.body, rawBody: req.rawBody, buffer: req.bufferBody.toString(),
          data: { id: bindingData.id, query: bindingData.query, name: bindingData.sys.methodName,
            sameId: bindingData.invocationId === invocationId },
        } }
      }`,
      http({ route: 'orders/{id:int}/{part?}' }),
    )
    const init = { method: 'PUT', body: '{"a": 1}', headers: { 'X-Given': 'yes' } }
    const seen = await (await ask('/API/Orders/7?a=1&id=9', init)).json()
    const url = `${app.url}/API/Orders/7?a=1&id=9`
    assert.deepEqual(seen, {
      same: true,
      method: 'PUT',
      url,
      originalUrl: url,
      query: { a: '1', id: '9' },
      params: { a: '1', id: '7' },
      header: 'yes',
      lower: 'yes',
      body: { a: 1 },
      rawBody: '{"a": 1}',
      buffer: '{"a": 1}',
      data: { id: '7', query: { a: '1', id: '9' }, name: 'Work', sameId: true },
    })
    const many = await (await ask('/api/orders/7?a=1&a=2', init)).json()
    assert.deepEqual(many.query, { a: '1,2' })
    assert.equal((await ask('/api/orders/x')).status, 404)
  })

  test('any content type comes in: JSON by its looks, bytes as they are, forms in parts', async (t) => {
    const { ask } = await serveOne(
      t,
      `module.exports = async (context, req) => {
        const form = req.query.form && [...req.parseFormBody()].map(([name, part]) =>
          [name, part.value.toString(), part.fileName, part.contentType])
        context.res = { body: { body: req.body, isBuffer: Buffer.isBuffer(req.body), form,
          hasBody: 'body' in req } }
      }`,
    )
    const send = async (body, type, query = '') =>
      await (await ask(`/api/work${query}`, post(body, type))).json()
    const { body, isBuffer } = await send('{"a":', 'application/json')
    assert.deepEqual([body, isBuffer], ['{"a":', false])
    assert.deepEqual((await send('[1]', 'text/plain')).body, [1])
    assert.equal((await send(new Uint8Array([1]), 'application/octet-stream')).isBuffer, true)
    const urlEncoded = 'application/x-www-form-urlencoded'
    assert.deepEqual((await send('a=1&b=%C3%BC&a=2', urlEncoded, '?form=1')).form, [
      ['a', '1', null, null],
      ['b', 'ü', null, null],
      ['a', '2', null, null],
    ])
    const form = new FormData()
    form.append('text', 'x')
    form.append('file', new Blob(['data'], { type: 'text/css' }), 'a.css')
    const seen = await (await ask('/api/work?form=1', { method: 'POST', body: form })).json()
    assert.deepEqual(seen.form, [
      ['text', 'x', null, null],
      ['file', 'data', 'a.css', 'text/css'],
    ])
    assert.equal((await (await ask('/api/work')).json()).hasBody, false)
  })

  test('one that fails gives 500, and the log says why', async (t) => {
    const { ask, logger } = await serve(t, {
      Throws: [http(), `module.exports = async () => { throw new Error('out of order') }`],
      Wrong: [http(), `module.exports = async (context) => { context.res = 'text' }`],
      Ok: [http(), `module.exports = async (context) => { context.res = { body: 'ok' } }`],
    })
    const response = await ask('/api/throws')
    assert.deepEqual([response.status, await response.text()], [500, ''])
    assert.equal(logger.find('error', /'Throws' failed: Error: out of order/).length, 1)
    assert.equal((await ask('/api/wrong')).status, 500)
    assert.equal(await (await ask('/api/ok')).text(), 'ok')
  })

  test('without an output for it the answer is 204', async (t) => {
    const { ask } = await serve(t, {
      Work: [{ bindings: http().bindings.slice(0, 1) }, 'module.exports = async () => 1'],
    })
    assert.equal((await ask('/api/work')).status, 204)
  })

  test('methods, the prefix of host.json, and an empty one', async (t) => {
    const ok = `module.exports = async (context, req) => { context.res = { body: req.method } }`
    const { ask } = await serveOne(t, ok, http({ methods: ['get', 'Delete'], route: '/x/' }), {
      'host.json': { version: '2.0', extensions: { http: { routePrefix: 'v1/my' } } },
    })
    assert.equal(await (await ask('/v1/my/x/')).text(), 'GET')
    assert.equal(await (await ask('/v1/my/x', { method: 'DELETE' })).text(), 'DELETE')
    assert.equal((await ask('/v1/my/x', { method: 'POST' })).status, 404)
    assert.equal((await ask('/api/x')).status, 404)
    const bare = await serveOne(t, ok, http({ route: '{*rest}' }), {
      'host.json': { version: '2.0', extensions: { http: { routePrefix: '' } } },
    })
    assert.equal(await (await bare.ask('/a/b/c')).text(), 'GET')
    assert.deepEqual(await (await bare.ask('/admin/host/status')).json(), { state: 'Running' })
  })
})

describe('http functions of @azure/functions 4', () => {
  test('request and response are those of the package', async (t) => {
    const { ask } = await serveModern(
      t,
      `app.http('Work', { authLevel: 'anonymous', route: 'orders/{id}/{part?}', methods: ['PATCH'],
        handler: async (request, context) => ({
          status: 201, headers: { 'x-one': '1' }, cookies: [
            { name: 'a', value: '1', path: '/', sameSite: 'Strict', httpOnly: true },
            { name: 'b', value: '2', maxAge: 60, expires: new Date(1000) },
            { name: 'c', value: '3', sameSite: 'None', secure: true },
          ],
          jsonBody: { method: request.method, url: request.url, params: request.params,
            query: Object.fromEntries(request.query), all: request.query.getAll('q'), given: request.headers.get('x-given'),
            body: await request.json(), name: context.functionName },
        }) })`,
    )
    const init = { method: 'PATCH', body: '{"a":1}', headers: { 'x-given': 'yes' } }
    const response = await ask('/api/orders/a%2Fb?q=1&q=2', init)
    const seen = await response.json()
    assert.deepEqual(
      [response.status, response.headers.get('x-one'), response.headers.get('content-type')],
      [201, '1', 'application/json'],
    )
    assert.deepEqual(
      { ...seen, url: new URL(seen.url).pathname },
      {
        method: 'PATCH',
        url: '/api/orders/a%2Fb',
        params: { q: '1,2', id: 'a/b' },
        query: { q: '2' },
        all: ['1', '2'],
        given: 'yes',
        body: { a: 1 },
        name: 'Work',
      },
    )
    assert.deepEqual(response.headers.getSetCookie(), [
      'a=1; Path=/; HttpOnly; SameSite=Strict',
      'b=2; Max-Age=60; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT',
      'c=3; Path=/; Secure; SameSite=None',
    ])
  })

  test('bodies of all kinds go out', async (t) => {
    const { ask } = await serveModern(
      t,
      `const bodies = {
        text: 'ü', bytes: new Uint8Array([0, 255]), form: new URLSearchParams({ a: '1' }),
        stream: new Blob(['a', 'b']).stream(),
      }
      app.get('Work', async (request) => ({ body: bodies[request.query.get('body')] }))
      app.get('Own', async () => new HttpResponse({ status: 404, body: 'none' }))
      app.get('Nothing', async () => {})
      app.get('Empty', async () => ({ status: 204, body: 'x' }))
      app.get('Text', async () => 'text')`,
    )
    const get = async (body) => {
      const response = await ask(`/api/work?body=${body}`)
      return [response.headers.get('content-type'), Buffer.from(await response.arrayBuffer())]
    }
    assert.deepEqual(await get('text'), ['text/plain;charset=UTF-8', Buffer.from('ü')])
    assert.deepEqual(await get('bytes'), ['application/octet-stream', Buffer.from([0, 255])])
    assert.deepEqual((await get('form'))[1], Buffer.from('a=1'))
    assert.deepEqual((await get('stream'))[1], Buffer.from('ab'))
    const own = await ask('/api/own')
    assert.deepEqual([own.status, await own.text()], [404, 'none'])
    assert.equal((await ask('/api/nothing')).status, 204)
    assert.equal((await ask('/api/empty')).status, 204)
    assert.equal((await ask('/api/text')).status, 500)
  })

  test('what is not JSON is the function to judge', async (t) => {
    const { ask } = await serveModern(
      t,
      `app.post('Work', async (request) => {
        try { await request.json() } catch { return { status: 400, body: 'not JSON' } }
      })`,
    )
    const response = await ask('/api/work', post('{"a":'))
    assert.deepEqual([response.status, await response.text()], [400, 'not JSON'])
  })

  test('with streaming, both bodies go through in pieces', async (t) => {
    // In a process of its own: the package takes this setting once.
    const files = {
      'package.json': { main: 'index.js' },
      'index.js': `const { app } = require('@azure/functions')
        app.setup({ enableHttpStream: true })
        app.http('Work', { authLevel: 'anonymous', route: 'echo/{id}', handler: async (request) => ({
          status: 202, headers: { 'x-id': request.params.id, 'x-q': request.query.get('q') },
          cookies: [{ name: 'a', value: '1' }], body: request.body,
        }) })
        app.post('Throws', async () => { throw new RangeError('no stream today') })
        app.get('Told', async ({ url }) => ({ body: url }))
        app.get('Plain', async () => ({ jsonBody: { a: 1 } }))`,
    }
    const dir = link(writeApp(t, files), '@azure/functions@4')
    const host = await startHost(t, [dir, '--store', tempStore(t)])
    const address = addressOf(host)
    const ask = (path, init) => fetch(new URL(path, address), init)
    const { readable, writable } = new TransformStream()
    const writer = writable.getWriter()
    const asking = ask('/api/echo/7?q=1', { method: 'POST', body: readable, duplex: 'half' })
    await writer.write(new TextEncoder().encode('one '))
    const response = await asking
    // It has begun to answer while the request is not at its end.
    const { headers } = response
    assert.deepEqual(
      [response.status, headers.get('x-id'), headers.get('x-q'), headers.getSetCookie()],
      [202, '7', '1', ['a=1']],
    )
    await writer.write(new TextEncoder().encode('two'))
    await writer.close()
    assert.equal(await response.text(), 'one two')
    assert.deepEqual(await (await ask('/api/plain')).json(), { a: 1 })
    // What the host says to the package of a call, no caller says.
    const own = {
      'x-ms-invocation-id': 'mine',
      'x-forwarded-host': 'evil',
      'x-forwarded-proto': 'evil',
    }
    const told = await ask('/api/told', { headers: own, signal: AbortSignal.timeout(PATIENCE_MS) })
    assert.equal(await told.text(), `${address}/api/told`)
    assert.equal((await ask('/api/throws', post('x'))).status, 500)
    await says(host, /'Throws' failed: RangeError: no stream today/)
    assert.equal(await stop(host), 0)
  })
})

describe('keys', () => {
  const ok = `module.exports = async (context) => { context.res = { body: 'ok' } }`
  const levels = {
    Open: [http(), ok],
    Function: [http({ authLevel: 'function' }), ok],
    Default: [http({ authLevel: undefined }), ok],
    Admin: [http({ authLevel: 'ADMIN' }), ok],
  }

  test('each function is as open as its authLevel says', async (t) => {
    const { ask, app } = await serve(t, levels)
    const { functionKey, masterKey } = app
    const statuses = async (path) => {
      const header = (key) => ({ headers: { 'x-functions-key': key } })
      const asked = await Promise.all([
        ask(path),
        ask(`${path}?code=wrong`),
        ask(path, header(functionKey)),
        ask(`${path}?CODE=${functionKey}`),
        ask(path, header(masterKey)),
        ask(`${path}?code=${masterKey}`),
      ])
      return asked.map(({ status }) => status)
    }
    assert.deepEqual(await statuses('/api/open'), [200, 200, 200, 200, 200, 200])
    assert.deepEqual(await statuses('/api/function'), [401, 401, 200, 200, 200, 200])
    assert.deepEqual(await statuses('/api/default'), [401, 401, 200, 200, 200, 200])
    assert.deepEqual(await statuses('/api/admin'), [401, 401, 401, 401, 200, 200])
    assert.deepEqual(await statuses('/admin/functions'), [401, 401, 401, 401, 200, 200])
    assert.deepEqual(await statuses('/admin/host/status'), [200, 200, 200, 200, 200, 200])
  })

  test('of all that is served only what is open needs no key', async (t) => {
    const { app, ask } = await serve(t, levels)
    const open = app.routes.filter(({ access }) => access === 'open')
    assert.deepEqual(
      open.map(({ method, path }) => `${method} ${path}`),
      ['GET /admin/host/status', 'ALL /api/Open'],
    )
    const closed = app.routes.filter(({ access }) => access !== 'open')
    assert.ok(closed.length > 15)
    for (const { method, path } of closed) {
      const example = path.replace(/:\w+|\*|\{[^}]*\}/g, 'x')
      const init = { method: method === 'ALL' ? 'PUT' : method }
      assert.equal((await ask(example, init)).status, 401, `${method} ${path}`)
    }
  })

  test('they stay those of the hub, in a file that is its owner alone to read', async (t) => {
    const store = tempStore(t)
    const first = await serve(t, levels, { store })
    const { masterKey } = first.app
    await first.app.close()
    const file = `${store.slice('sqlite:'.length)}-keys.json`
    assert.equal(JSON.parse(readFileSync(file, 'utf8')).master, masterKey)
    if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o777, 0o600)
    const { app } = await serve(t, levels, { store })
    assert.equal(app.masterKey, masterKey)
  })
})

describe('functions by name', () => {
  const files = {
    Work: [
      manual('starter'),
      `module.exports = async (context, input) => {
        if (input === 'fail') throw new Error('no')
        context.log('got', JSON.stringify(input))
      }`,
    ],
    Web: [http(), `module.exports = async () => {}`],
  }
  const run = ({ ask, app }, name, body) =>
    ask(`/admin/functions/${name}?code=${app.masterKey}`, post(body))

  test('a manual function is run with an input, and the caller is not kept waiting', async (t) => {
    const served = await serve(t, files)
    const inputs = {
      '{"input":"{\\"a\\":1}"}': '{"a":1}',
      '{"input":"plain"}': '"plain"',
      '{"input":{"a":[2]}}': '{"a":[2]}',
      '{"input":""}': '""',
    }
    for (const [body, seen] of Object.entries(inputs)) {
      assert.equal((await run(served, 'work', body)).status, 202)
      await until(`it got ${seen}`, () => served.logger.lines.at(-1)?.message === `got ${seen}`)
    }
    assert.equal((await run(served, 'Work', '{"input":"fail"}')).status, 202)
    await until('it failed', () => served.logger.find('error', /'Work' failed: Error: no/).length)
  })

  test('bad requests say what is wrong', async (t) => {
    const served = await serve(t, files)
    const refusals = [
      ['Work', '{"input":', 400, /must be JSON/],
      ['Work', '[]', 400, /must be an object/],
      ['Nobody', '{}', 404, /no function named 'Nobody'/],
      ['Web', '{}', 400, /Send a request to its route/],
    ]
    for (const [name, body, status, message] of refusals) {
      const response = await run(served, name, body)
      assert.equal(response.status, status)
      assert.match((await response.json()).Message, message)
    }
  })

  test('they are listed with their bindings', async (t) => {
    const { ask, app } = await serve(t, files)
    const list = await (await ask(`/admin/functions?code=${app.masterKey}`)).json()
    assert.deepEqual(
      list.map(({ name, kind }) => [name, kind]),
      [
        ['Web', 'http'],
        ['Work', 'manual'],
      ],
    )
    const one = await (await ask(`/admin/functions/web?code=${app.masterKey}`)).json()
    assert.equal(one.config.bindings[0].authLevel, 'anonymous')
  })
})
