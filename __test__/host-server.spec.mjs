/** The server of a function app: from its port to its last request. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { openApp, writeApp } from './support/app.mjs'
import { addressOf, refuse, startHost, stop } from './support/cli.mjs'
import { http, post, serveOne } from './support/http-app.mjs'
import { deferred, refuses, tempStore, until } from './support/hub.mjs'

describe('the server', () => {
  const ok = `module.exports = async (context, req) => { context.res = { body: String(req.bufferBody?.length) } }`

  test('a body that is too long is refused, and the host goes on', async (t) => {
    const { ask } = await serveOne(t, ok)
    const body = Buffer.alloc(100 * 1024 * 1024)
    const response = await ask('/api/work', { method: 'POST', body })
    assert.equal(response.status, 413)
    assert.match((await response.json()).Message, /longer than the 67108864 bytes/)
    assert.equal(await (await ask('/api/work', post('12345'))).text(), '5')
  })

  test('so is one whose length nobody said, and the bound is that of host.json', async (t) => {
    const { ask } = await serveOne(t, ok, http(), {
      'host.json': { extensions: { http: { maxRequestBodyBytes: 10 } } },
    })
    const stream = (text) => ({ method: 'POST', body: new Blob([text]).stream(), duplex: 'half' })
    assert.equal((await ask('/api/work', stream('12345678901'))).status, 413)
    assert.equal(await (await ask('/api/work', stream('1234567890'))).text(), '10')
  })

  test('a port in use is refused, by its number', async (t) => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    t.after(() => other.close())
    const { port } = other.address()
    const dir = writeApp(t, { Work: [http(), ok] })
    const opening = df.openFunctionApp(dir, { store: 'sqlite::memory:', port })
    const message = new RegExp(`Port ${port} of 127\\.0\\.0\\.1 is in use`)
    await refuses('PortUnavailable', opening, { field: 'options.port', message })
  })

  test('until all is loaded it says that it is starting', async (t) => {
    const held = deferred()
    globalThis.durafnHeld = held.promise
    t.after(() => delete globalThis.durafnHeld)
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address()
    probe.close()
    await once(probe, 'close')
    const dir = writeApp(t, {
      'Work/function.json': http(),
      'Work/index.mjs': 'await globalThis.durafnHeld; export default async () => {}',
    })
    const opening = openApp(t, dir, { port })
    const url = `http://127.0.0.1:${port}/admin/host/status`
    const status = await until('it listens', () => fetch(url).catch(() => null))
    assert.equal(status.status, 503)
    held.resolve()
    await opening
    assert.deepEqual(await (await fetch(url)).json(), { state: 'Running' })
  })

  test('closing lets a request end that is under way', async (t) => {
    const begun = deferred()
    const held = deferred()
    globalThis.durafnGate = { begin: begun.resolve, held: held.promise }
    t.after(() => delete globalThis.durafnGate)
    const { ask, app } = await serveOne(
      t,
      `module.exports = async (context) => {
        globalThis.durafnGate.begin()
        await globalThis.durafnGate.held
        context.res = { body: 'late' }
      }`,
    )
    const asking = ask('/api/work')
    await begun.promise
    const closing = app.close()
    held.resolve()
    assert.equal(await (await asking).text(), 'late')
    await closing
    await assert.rejects(ask('/api/work'))
  })

  test('what takes longer than functionTimeout is given up', async (t) => {
    const { ask, logger } = await serveOne(
      t,
      `module.exports = () => new Promise(() => {})`,
      http(),
      {
        'host.json': { functionTimeout: '00:00:01' },
      },
    )
    assert.equal((await ask('/api/work')).status, 500)
    assert.equal(logger.find('error', /'Work' did not end within 1000 ms/).length, 1)
  })

  test('the command line names routes, faults and the port', async (t) => {
    const store = tempStore(t)
    const dir = writeApp(t, {
      Work: [http({ route: 'x/{id}', methods: ['get', 'post'] }), ok],
      Throws: [http(), 'throw new Error("at load")'],
      Bad: ['{', ok],
    })
    const host = await startHost(t, [dir, '--store', store])
    const address = addressOf(host)
    assert.match(
      host.stdout,
      new RegExp(`^Work +GET, POST +anonymous +${address}/api/x/{id}$`, 'm'),
    )
    assert.match(host.stdout, /^Keys +.*hub\.db-keys\.json$/m)
    assert.match(host.stderr, /Throws.index\.js cannot be loaded: at load/)
    assert.match(host.stderr, /Bad.function\.json cannot be read/)
    assert.equal((await fetch(`${address}/api/x/1`)).status, 200)
    const { port } = new URL(address)
    const again = ['start', dir, '--port', port, '--store', tempStore(t)]
    assert.match(await refuse('PortUnavailable', again), new RegExp(`Port ${port} .*in use`))
    assert.equal(await stop(host), 0)
  })

  test('only names that are allowed are answered to', async (t) => {
    const files = { Work: [http(), ok] }
    const from = (app, name) => app.fetch(new Request(`http://${name}/api/work`))
    const closed = await openApp(t, files)
    assert.equal((await from(closed.app, 'shop.example')).status, 403)
    assert.equal((await from(closed.app, 'localhost:1')).status, 200)
    const named = await openApp(t, files, { allowedHosts: ['shop.example'] })
    assert.equal((await from(named.app, 'shop.example')).status, 200)
    const opening = df.openFunctionApp(writeApp(t, files), {
      store: 'sqlite::memory:',
      publicUrl: 'shop',
    })
    await refuses('InvalidOption', opening, { field: 'options.publicUrl' })
  })

  test('an app without a port is asked by fetch', async (t) => {
    const { app } = await openApp(t, { Work: [http(), ok] })
    assert.equal(app.url, undefined)
    const response = await app.fetch(new Request('http://localhost/api/work', post('123')))
    assert.equal(await response.text(), '3')
  })
})
