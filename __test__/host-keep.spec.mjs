/** `durafn start` and what becomes of a host that ends by itself; and without keys. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { isSupervised } from '../dist/cli/host-process.js'
import { restartPauseMs } from '../dist/cli/keep.js'
import { activity, manual, orchestration, writeApp } from './support/app.mjs'
import { addressOf, durafn, refuse, says, startHost, stop } from './support/cli.mjs'
import { http } from './support/http-app.mjs'
import { connect, PATIENCE_MS, refuses, tempStore, until, waiting } from './support/hub.mjs'

const files = {
  Wait: [
    orchestration(),
    `module.exports = function* (context) {
      yield context.df.waitForExternalEvent('Go')
      return yield context.df.callActivity('Pid')
    }`,
  ],
  Pid: [activity(), 'module.exports = async () => process.pid'],
  Pids: [
    http(),
    `module.exports = async (context) => {
      context.res = { body: [process.pid, process.ppid, Object.keys(process.env).filter((n) => n.startsWith('DURAFN_H'))] }
    }`,
  ],
  Break: [
    manual(),
    `module.exports = async (context, how) => {
      if (how === 'throw') setTimeout(() => { throw new Error('in a callback') })
      if (how === 'reject') Promise.reject(new Error('nobody waits'))
      if (how === 'exit') process.exit(3)
      if (how === 'kill') process.kill(process.pid, 'SIGKILL')
    }`,
  ],
}
const keyless = ['--no-auth', '--restart']

function post(url, body) {
  const headers = { 'content-type': 'application/json' }
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
}

/** An app that breaks when it is told to. */
async function startBreakable(t, args = keyless) {
  const store = tempStore(t)
  const host = await startHost(t, [writeApp(t, files), '--store', store, ...args])
  const url = addressOf(host)
  const break_ = (how) =>
    post(`${url}/admin/functions/Break`, { input: JSON.stringify(how) }).catch(() => undefined)
  const pids = async () => (await fetch(`${url}/api/Pids`)).json()
  return { host, store, url, break_, pids }
}

describe('durafn start --restart', () => {
  test('a host that ended by itself starts again where it was served, at once, then slower', async (t) => {
    const { host, store, break_, pids } = await startBreakable(t)
    const client = await connect(t, store)
    await client.startNew('Wait', { instanceId: 'a' })
    await waiting(client, 'a')
    const [before, parent, names] = await pids()
    assert.deepEqual([parent, names], [host.child.pid, []])
    const starts = () => host.stdout.split('Running. Stop with Ctrl-C.').length - 1
    for (const [how, said] of [
      ['throw', /in a callback.*ended by itself \(exit code 1\)\. It starts again at once/s],
      ['kill', /ended by itself \(SIGKILL\)\. It starts again in 1 s/],
    ]) {
      const count = starts()
      await break_(how)
      await says(host, said)
      await until('it runs again', () => starts() > count)
    }
    const [after, same] = await pids()
    assert.notEqual(after, before)
    assert.equal(same, host.child.pid)
    await client.raiseEvent('a', 'Go')
    const { output } = await client.waitForCompletion('a', { timeoutMs: PATIENCE_MS })
    assert.equal(output, after)
    assert.equal(await stop(host), 0)
    assert.throws(() => process.kill(after, 0), { code: 'ESRCH' })
  })

  test('a stop ends a pause too', async (t) => {
    const { host, break_ } = await startBreakable(t)
    const starts = () => host.stdout.split('Running. Stop with Ctrl-C.').length - 1
    await break_('exit')
    await says(host, /\(exit code 3\)\. It starts again at once/)
    await until('it runs again', () => starts() === 2)
    await break_('reject')
    await says(host, /\(exit code 1\)\. It starts again in 1 s/)
    assert.equal(await stop(host, 'SIGINT'), 0)
    assert.equal(starts(), 2)
  })

  test('it does not outlive the process that runs it', async (t) => {
    const { host, store, url, pids } = await startBreakable(t)
    await pids()
    // It has its outputs, for whose end `stop` waits; and port and store are free then.
    assert.equal(await stop(host, 'SIGKILL'), null)
    const { port } = new URL(url)
    await startHost(t, [writeApp(t, files), '--store', store, '--port', port])
  })

  test('what never ran is not started again', async (t) => {
    const dir = writeApp(t, { Work: [http({ authLevel: 'wrong' }), 'module.exports = () => {}'] })
    const line = await refuse('InvalidFunction', ['start', dir, '--port', '0', '--restart'])
    assert.match(line, /authLevel/)
  })

  test('it is the default, unless a supervisor does that', () => {
    const none = [100, 99]
    assert.equal(isSupervised({}, none), false)
    assert.equal(isSupervised({ SYSTEMD_EXEC_PID: '7', INVOCATION_ID: 'x' }, none), false)
    for (const env of [
      { SYSTEMD_EXEC_PID: '100' },
      { SYSTEMD_EXEC_PID: '99' },
      { pm_id: '0' },
      { KUBERNETES_SERVICE_HOST: '10.0.0.1' },
      { SUPERVISOR_ENABLED: '1' },
    ]) {
      assert.equal(isSupervised(env, none), true, JSON.stringify(env))
    }
    assert.equal(isSupervised({}, [1, 0]), true)
    assert.equal(isSupervised({}, [7, 1]), true)
  })

  test('the pauses grow to half a minute', () => {
    const pauses = [0, 1, 2, 3, 4, 5, 6, 7, 50, 5000].map(restartPauseMs)
    const seconds = [0, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert.deepEqual(
      pauses,
      seconds.map((each) => each * 1000),
    )
  })

  test('with --no-restart it ends', async (t) => {
    const { host, break_ } = await startBreakable(t, ['--no-auth'])
    await break_('throw')
    const [code] = await host.ended
    assert.equal(code, 1)
    assert.doesNotMatch(host.stderr, /starts again/)
  })
})

describe('without keys', () => {
  const guarded = {
    Work: [http({ authLevel: 'admin' }), 'module.exports = async (c) => { c.res = { body: 1 } }'],
  }

  test('no key is asked for, and pages of other sites are refused all the same', async (t) => {
    const app = await df.openFunctionApp(writeApp(t, guarded), {
      store: 'sqlite::memory:',
      port: 0,
      auth: false,
      logger: false,
    })
    t.after(() => app.close({ drainTimeoutMs: 0 }))
    const paths = ['/api/Work', '/admin/functions', '/runtime/webhooks/durabletask/instances']
    for (const path of paths) {
      assert.equal((await fetch(app.url + path)).status, 200, path)
      const headers = { origin: 'https://other.example' }
      assert.equal((await fetch(app.url + path, { headers })).status, 403, path)
    }
    assert.deepEqual([app.masterKey, app.functionKey, app.keyFile], ['', '', undefined])
    const { statusQueryGetUri } = app.client.createHttpManagementPayload('a')
    assert.doesNotMatch(statusQueryGetUri, /code=/)
  })

  test('an address that other machines reach is refused, in a program and on the command line', async (t) => {
    const dir = writeApp(t, guarded)
    for (const host of ['0.0.0.0', '::', '192.0.2.1']) {
      const options = { store: 'sqlite::memory:', port: 0, host, auth: false }
      await refuses('InvalidOption', df.openFunctionApp(dir, options), { field: 'options.host' })
    }
    const args = ['start', dir, '--port', '0', '--no-auth', '--host', '0.0.0.0', '--no-restart']
    assert.match(await refuse('InvalidOption', args), /--no-auth/)
    await refuses(
      'InvalidOption',
      df.openFunctionApp(dir, { store: 'sqlite::memory:', auth: 'no' }),
      { field: 'options.auth' },
    )
    const { stdout } = await durafn(['start', '--help'])
    assert.match(stdout, /--no-auth/)
  })
})
