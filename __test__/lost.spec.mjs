/** A hub that is lost while it is open: by a panic of the core, or to another worker. */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import * as df from 'durafn'
import {
  complete,
  connect,
  openHub,
  PATIENCE_MS,
  refuses,
  tempStore,
  until,
} from './support/hub.mjs'
import { editStore, skipEdits } from './support/store.mjs'

const { NativeEngine } = createRequire(import.meta.url)('../native/index.js')

function register(app) {
  app.activity('one', { handler: () => 1 })
  app.orchestration('step', function* (context) {
    return yield context.df.callActivity('one')
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

/** Every call that waits and every later one is refused; close() ends; the store is released. */
async function isLost({ hub, client, logger }, { waits, code, store }) {
  await refuses(code, waits)
  await refuses(code, client.startNew('step'))
  await refuses(code, client.getStatus('x'))
  assert.equal(logger.find('error', /./).length, 1, 'and the log says so once')
  await hub.close()
  const again = await df.open({ store, app: registered(), logger: false })
  assert.equal(await complete(again.client, 'step'), 1)
  await again.client.raiseEvent('x', 'go', 2)
  const { output } = await again.client.waitForCompletion('x', { timeoutMs: PATIENCE_MS })
  assert.equal(output, 2, 'nothing is lost')
  await again.close()
}

function registered() {
  const app = new df.App()
  register(app)
  return app
}

test('a panic of the core is an error of the calls, not the end of the process', async (t) => {
  const store = tempStore(t)
  const opened = await openHub(t, register, { store })
  const other = await openHub(t, register)
  await opened.client.startNew('wait', { instanceId: 'x' })
  const waits = opened.client.waitForCompletion('x', { timeoutMs: PATIENCE_MS })
  waits.catch(() => {})
  await until('it waits', async () => (await opened.client.getStatus('x')) !== null)

  const { exchange } = NativeEngine.prototype
  t.after(() => {
    NativeEngine.prototype.exchange = exchange
  })
  NativeEngine.prototype.exchange = function () {
    NativeEngine.prototype.exchange = exchange
    return exchange.call(this, '{"requests":[[4000000000,{"panic":{}}]]}')
  }
  const lost = await refuses('Internal', opened.client.getStatus('x'))
  assert.match(lost.message, /a panic was asked for/)
  await isLost(opened, { waits, code: 'Internal', store })
  assert.equal(await complete(other.client, 'step'), 1, 'another hub goes on')
})

test('a hub that another worker has taken refuses all that waits', {
  skip: skipEdits,
}, async (t) => {
  const store = tempStore(t)
  const opened = await openHub(t, register, { store })
  await opened.client.startNew('wait', { instanceId: 'x' })
  const waits = opened.client.waitForCompletion('x', { timeoutMs: PATIENCE_MS })
  waits.catch(() => {})
  await (await connect(t, store)).getStatus('x')
  editStore(store, ['UPDATE hub SET epoch = epoch + 1'])
  await refuses('HubInUse', opened.client.startNew('step'))
  await isLost(opened, { waits, code: 'HubInUse', store })
})
