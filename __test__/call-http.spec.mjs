/** `context.df.callHttp`: one call, its answer, and what is refused. `docs/semantics.md` §2.1. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import * as df from 'durafn'
import { complete, fail, openHub, refuses, tempStore, throwsCode } from './support/hub.mjs'
import { reply, serve } from './support/server.mjs'

const LOCAL = { http: { allowPrivateAddresses: ['127.0.0.0/8'] } }

/** A hub with an orchestrator `call` that makes the call of its input. */
async function openCaller(t, options = LOCAL, setUp = () => {}) {
  return await openHub(
    t,
    (app) => {
      setUp(app)
      app.orchestration('call', function* (context) {
        return yield context.df.callHttp(context.df.getInput())
      })
    },
    options,
  )
}

describe('a call', () => {
  test('sends method, headers and body, and gives status, headers and content', async (t) => {
    const server = await serve(t, (_request, response) =>
      reply(
        response,
        201,
        [
          ['x-one', '1'],
          ['location', '/a'],
          ['Set-Cookie', 'a=1'],
          ['set-cookie', 'b=2'],
        ].flat(),
        'made',
      ),
    )
    const { client } = await openCaller(t)
    const answer = await complete(client, 'call', {
      method: 'put',
      url: `${server.url}/orders?x=1`,
      body: { a: 'ä' },
      headers: { 'Content-Type': 'application/json', 'X-Two': '2' },
    })
    const [request] = server.requests
    assert.deepEqual(
      [
        request.method,
        request.url,
        request.body,
        request.headers['content-type'],
        request.headers['x-two'],
      ],
      ['PUT', '/orders?x=1', '{"a":"ä"}', 'application/json', '2'],
    )
    assert.equal(answer.statusCode, 201)
    assert.equal(answer.content, 'made')
    assert.equal(answer.headers['x-one'], '1')
    assert.equal(answer.headers.Location, '/a')
    assert.deepEqual(answer.headers['Set-Cookie'], ['a=1', 'b=2'])
  })

  test('gives a DurableHttpResponse in generators and async functions, in Task.all and Task.any', async (t) => {
    const server = await serve(t, (request, response) =>
      reply(response, 200, { ETag: 'e' }, request.url),
    )
    const { client } = await openHub(
      t,
      (app) => {
        const see = (answer) => [
          answer instanceof df.DurableHttpResponse,
          answer.getHeader('etag'),
          answer.content,
        ]
        app.orchestration('generator', function* (context) {
          const get = (path) => context.df.callHttp({ method: 'GET', url: server.url + path })
          const one = yield* get('/1')
          const all = yield context.df.Task.all([get('/2'), get('/3')])
          const slow = context.df.createTimer(
            new Date(context.df.currentUtcDateTime.getTime() + 60_000),
          )
          const any = yield context.df.Task.any([slow, get('/4')])
          return [one, ...all, any.result].map(see)
        })
        app.orchestration('async', async (context) => {
          const get = (path) => context.df.callHttp('GET', server.url + path)
          const one = await get('/1')
          const all = await Promise.all([get('/2'), get('/3')])
          return [one, ...all, (await context.df.Task.any([get('/4')])).result].map(see)
        })
      },
      LOCAL,
    )
    const expected = ['/1', '/2', '/3', '/4'].map((path) => [true, 'e', path])
    assert.deepEqual(await complete(client, 'generator'), expected)
    assert.deepEqual(await complete(client, 'async'), expected)
  })

  test('takes the older form, and sends a body of no type as text/plain', async (t) => {
    const server = await serve(t, (_request, response) => reply(response, 200))
    const { client } = await openHub(
      t,
      (app) => {
        app.orchestration('call', function* (context) {
          return yield context.df.callHttp('POST', server.url, { a: 1 }, { 'x-one': '1' })
        })
      },
      LOCAL,
    )
    await complete(client, 'call')
    const [{ body, headers }] = server.requests
    assert.deepEqual(
      [body, headers['x-one'], headers['content-type']],
      ['{"a":1}', '1', 'text/plain; charset=utf-8'],
    )
  })

  test('that is answered by 404 or 500 has succeeded', async (t) => {
    const server = await serve(t, (request, response) =>
      reply(response, Number(request.url.slice(1)), {}, 'no'),
    )
    const { client } = await openCaller(t)
    for (const status of [404, 500]) {
      const answer = await complete(client, 'call', {
        method: 'GET',
        url: `${server.url}/${status}`,
      })
      assert.deepEqual([answer.statusCode, answer.content], [status, 'no'])
    }
  })

  test('decodes what its charset and encoding say', async (t) => {
    const server = await serve(t, (request, response) => {
      if (request.url === '/latin')
        reply(response, 200, { 'content-type': 'text/plain; charset=latin1' }, Buffer.from([0xe4]))
      else reply(response, 200, { 'content-encoding': 'gzip' }, gzipSync('ä'))
    })
    const { client } = await openCaller(t)
    for (const path of ['/latin', '/gzip']) {
      const { content } = await complete(client, 'call', { method: 'GET', url: server.url + path })
      assert.equal(content, 'ä')
    }
  })

  test('works in worker threads', async (t) => {
    const server = await serve(t, (_request, response) => reply(response, 200, {}, 'yes'))
    const app = new URL('./apps/threads/http.mjs', import.meta.url)
    const hub = await df.open({
      store: 'sqlite::memory:',
      threads: 2,
      app,
      logger: false,
      ...LOCAL,
    })
    t.after(() => hub.close({ drainTimeoutMs: 0 }))
    assert.equal((await complete(hub.client, 'call', server.url)).content, 'yes')
    assert.equal((await fail(hub.client, 'call', 'http://10.0.0.1/')).code, 'AddressRefused')
  })
})

describe('the built-in activity', () => {
  test('is called by its name, with the request or an array of it, whatever its case', async (t) => {
    const server = await serve(t, (_request, response) => reply(response, 200, {}, 'yes'))
    const { client } = await openHub(
      t,
      (app) => {
        app.orchestration('call', function* (context) {
          const request = { method: 'GET', uri: server.url, asynchronousPatternEnabled: false }
          const one = yield context.df.callActivity('BuiltIn::HttpActivity', request)
          const two = yield context.df.callActivity('builtin::httpactivity', [request])
          return [one, two].map(({ statusCode, content }) => [statusCode, content])
        })
      },
      LOCAL,
    )
    assert.deepEqual(await complete(client, 'call'), [
      [200, 'yes'],
      [200, 'yes'],
    ])
  })

  test('cannot be registered by anyone else', () => {
    throwsCode('AlreadyRegistered', () =>
      new df.App().activity('builtin::HttpActivity', { handler: () => 1 }),
    )
  })
})

describe('an address', () => {
  const refused = [
    'http://127.0.0.1',
    'http://127.1',
    'http://0x7f000001',
    'http://[::1]',
    'http://[::ffff:127.0.0.1]',
    'http://169.254.169.254/latest',
    'http://localhost',
    'http://0',
  ]
  test('that is private is refused, however it is written', async (t) => {
    const { client } = await openCaller(t, {})
    for (const url of refused) {
      const { code, message } = await fail(client, 'call', { method: 'GET', url })
      assert.equal(code, 'AddressRefused', url)
      assert.match(
        message,
        /allowPrivateAddresses: .* host\.json extensions\.durableTask\.httpSettings\./,
      )
    }
  })

  test('is checked again where a redirect leads', async (t) => {
    const inner = await serve(
      t,
      (_request, response) => reply(response, 200, {}, 'secret'),
      '127.0.0.2',
    )
    const outer = await serve(t, (_request, response) =>
      reply(response, 302, { location: inner.url }),
    )
    const { client } = await openCaller(t, { http: { allowPrivateAddresses: ['127.0.0.1'] } })
    const { code } = await fail(client, 'call', { method: 'GET', url: outer.url })
    assert.equal(code, 'AddressRefused')
    assert.equal(inner.requests.length, 0)
  })

  test('that is refused is not tried again', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('call', function* (context) {
        const retry = new df.RetryOptions(60_000, 5)
        return yield context.df.callHttp({ method: 'GET', url: 'http://10.0.0.1', retry })
      })
    })
    assert.equal((await fail(client, 'call')).code, 'AddressRefused')
  })
})

describe('a redirect', () => {
  test('is followed, with method and body or without as the status says', async (t) => {
    const server = await serve(t, (request, response) => {
      const status = Number(request.url.slice(1))
      if (status > 0) reply(response, status, { location: '/' })
      else reply(response, 200, {}, `${request.method} ${request.body}`)
    })
    const { client } = await openCaller(t)
    const post = (status) =>
      complete(client, 'call', { method: 'POST', url: `${server.url}/${status}`, body: 'x' })
    const contents = []
    for (const status of [301, 302, 303, 307, 308]) contents.push((await post(status)).content)
    assert.deepEqual(contents, ['GET ', 'GET ', 'GET ', 'POST x', 'POST x'])
  })

  test('to another origin gets no credentials', async (t) => {
    const other = await serve(t, (_request, response) => reply(response, 200))
    const server = await serve(t, (_request, response) =>
      reply(response, 307, { location: other.url }),
    )
    const { client } = await openCaller(t)
    const headers = {
      Authorization: 'Bearer x',
      Cookie: 'a=1',
      'x-functions-key': 'k',
      'x-other': 'o',
    }
    await complete(client, 'call', { method: 'POST', url: server.url, body: 'x', headers })
    assert.equal(server.requests[0].headers.authorization, 'Bearer x')
    const got = other.requests[0].headers
    assert.deepEqual(
      [got.authorization, got.cookie, got['x-functions-key'], got['x-other']],
      [undefined, undefined, undefined, 'o'],
    )
  })

  test('without end is an error', async (t) => {
    const server = await serve(t, (_request, response) => reply(response, 302, { location: '/' }))
    const { client } = await openCaller(t)
    const { code, message } = await fail(client, 'call', { method: 'GET', url: server.url })
    assert.equal(code, 'HttpRequestFailed')
    assert.match(message, /more than 20/)
    assert.equal(server.requests.length, 21)
  })

  test('to anything but http and https is refused', async (t) => {
    const server = await serve(t, (_request, response) =>
      reply(response, 302, { location: 'file:///etc/passwd' }),
    )
    const { client } = await openCaller(t)
    assert.equal(
      (await fail(client, 'call', { method: 'GET', url: server.url })).code,
      'InvalidOption',
    )
  })
})

describe('a server', () => {
  test('that never answers costs timeoutMs', async (t) => {
    const server = await serve(t, () => {})
    const { client } = await openCaller(t)
    const { code } = await fail(client, 'call', { method: 'GET', url: server.url, timeoutMs: 50 })
    assert.equal(code, 'Timeout')
  })

  test('that stops in the middle costs timeoutMs', async (t) => {
    const server = await serve(t, (_request, response) => response.writeHead(200).write('begun'))
    const { client } = await openCaller(t, { http: { ...LOCAL.http, timeoutMs: 50 } })
    assert.equal((await fail(client, 'call', { method: 'GET', url: server.url })).code, 'Timeout')
  })

  test('that is not there is an error that names it, without the query', async (t) => {
    const { client } = await openCaller(t)
    const { code, message } = await fail(client, 'call', {
      method: 'GET',
      url: 'http://127.0.0.1:1/x?code=secret',
    })
    assert.equal(code, 'HttpRequestFailed')
    assert.match(message, /127\.0\.0\.1:1\/x failed/)
    assert.doesNotMatch(message, /secret/)
  })

  test('that sends more than the hub allows is cut off, also if it sends little that unpacks to much', async (t) => {
    const body = 'x'.repeat(100_000)
    const server = await serve(t, (request, response) => {
      if (request.url === '/gzip')
        reply(response, 200, { 'content-encoding': 'gzip' }, gzipSync(body))
      else reply(response, 200, {}, body)
    })
    const { client } = await openCaller(t, { ...LOCAL, limits: { payloadBytes: 10_000 } })
    for (const path of ['/plain', '/gzip']) {
      const { code } = await fail(client, 'call', { method: 'GET', url: server.url + path })
      assert.equal(code, 'PayloadTooLarge')
    }
  })
})

describe('a retry policy', () => {
  /** Calls `/STATUS`, whose first two answers have that status. */
  async function flaky(t, options) {
    const server = await serve(t, (request, response) => {
      const first = server.requests.length < 3
      reply(response, first ? Number(request.url.slice(1)) : 200, {}, 'body')
    })
    const { client } = await openHub(
      t,
      (app) => {
        app.orchestration('call', async (context) => {
          const url = `${server.url}/${context.df.getInput()}`
          return await context.df.callHttp({ method: 'GET', url, ...options })
        })
      },
      LOCAL,
    )
    return { client, server }
  }

  test('tries again after statuses from 400 on', async (t) => {
    const { client, server } = await flaky(t, { retry: new df.RetryOptions(1, 5) })
    assert.equal((await complete(client, 'call', 503)).statusCode, 200)
    assert.equal(server.requests.length, 3)
  })

  test('fails with the last answer when there are no attempts left', async (t) => {
    const { client } = await flaky(t, { retry: new df.RetryOptions(1, 2) })
    const failure = await fail(client, 'call', 503)
    assert.deepEqual(
      [failure.code, failure.statusCode, failure.content],
      ['HttpStatus', 503, 'body'],
    )
  })

  test('leaves statuses alone that it does not name', async (t) => {
    const { client, server } = await flaky(t, {
      retry: new df.RetryOptions(1, 5),
      retryOnStatus: [429],
    })
    assert.equal((await complete(client, 'call', 404)).statusCode, 404)
    assert.equal(server.requests.length, 1)
  })
})

describe('a token source', () => {
  const source = { kind: 'AzureManagedIdentity', resource: 'https://vault.test' }

  test('gets its token from the provider that is registered', async (t) => {
    const server = await serve(t, (_request, response) => reply(response, 200))
    const { client } = await openCaller(t, LOCAL, (app) =>
      app.setTokenProvider(async ({ resource }) => `token for ${resource}`),
    )
    await complete(client, 'call', { method: 'GET', url: server.url, tokenSource: source })
    assert.equal(server.requests[0].headers.authorization, 'Bearer token for https://vault.test')
  })

  test('without a provider is an error that says what to do', async (t) => {
    const { client } = await openCaller(t)
    const { code, message } = await fail(client, 'call', {
      method: 'GET',
      url: 'http://127.0.0.1:1',
      tokenSource: source,
    })
    assert.equal(code, 'InvalidOption')
    assert.match(message, /setTokenProvider/)
  })
})

describe('what is refused at the call', () => {
  const good = { method: 'GET', url: 'https://example.com' }
  const refused = {
    'no options': undefined,
    'no method': { url: good.url },
    'a method that is none': { ...good, method: 'GET /' },
    'a tunnel': { ...good, method: 'CONNECT' },
    'a relative URL': { ...good, url: '/x' },
    'another scheme': { ...good, url: 'ftp://example.com' },
    'a password in the URL': { ...good, url: 'https://a:b@example.com' },
    'a header that breaks its line': { ...good, headers: { a: 'x\r\nb: y' } },
    'a header whose name is none': { ...good, headers: { 'a b': 'x' } },
    'content of several parts': { ...good, headers: { 'content-type': 'multipart/form-data' } },
    'a token source of another kind': { ...good, tokenSource: { kind: 'X', resource: 'y' } },
    'a timeout that is none': { ...good, timeoutMs: 0 },
    'statuses that are none': { ...good, retry: new df.RetryOptions(1, 1), retryOnStatus: ['x'] },
    'an option that is none': { ...good, uri: 'x' },
  }
  test('throws InvalidOption', async (t) => {
    const { client } = await openHub(t, (app) => {
      app.orchestration('all', function* (context) {
        const codes = {}
        for (const [what, options] of Object.entries(refused)) {
          try {
            context.df.callHttp(options)
            codes[what] = 'nothing'
          } catch (error) {
            codes[what] = error.code
          }
        }
        yield context.df.createTimer(new Date(0))
        return codes
      })
    })
    const expected = Object.fromEntries(Object.keys(refused).map((what) => [what, 'InvalidOption']))
    assert.deepEqual(await complete(client, 'all'), expected)
  })

  for (const [what, http] of Object.entries({
    'an option that is none': { allow: true },
    'a list of no addresses': { allowPrivateAddresses: ['10.0.0.0/99'] },
    'a word in place of a list': { allowPrivateAddresses: '10.0.0.1' },
    'a timeout of no time': { timeoutMs: 0 },
  })) {
    test(`a hub with ${what} in options.http`, async (t) => {
      await refuses('InvalidOption', df.open({ store: tempStore(t), http }))
    })
  }
})
