/**
 * The programs over HTTP, in a host that is killed in the middle: with the package that they were written
 * for, and with their import changed.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { link } from './support/app.mjs'
import { addressOf, startHost, stop } from './support/cli.mjs'
import { tempDir, until } from './support/hub.mjs'
import { compilePrograms } from './support/one-import.mjs'

const headers = { 'content-type': 'application/json' }

/** An app of the programs, and how to start its host. */
function makeApp(t, name) {
  const dir = tempDir(t)
  assert.equal(compilePrograms(dir, name), '')
  link(dir, 'durable-functions@3')
  const store = `sqlite:${join(dir, 'hub.db')}`
  return (port) => startHost(t, [dir, '--store', store, '--port', String(port)])
}

async function start(url, name, input) {
  const answer = await fetch(`${url}/api/orchestrators/${name}`, {
    method: 'POST',
    body: input === undefined ? '' : JSON.stringify(input),
    headers,
  })
  assert.equal(answer.status, 202, await answer.clone().text())
  const payload = await answer.json()
  assert.equal(answer.headers.get('location'), payload.statusQueryGetUri)
  return payload
}

async function statusOf({ statusQueryGetUri }) {
  const answer = await fetch(statusQueryGetUri)
  return answer.status === 404 ? undefined : await answer.json()
}

async function outputOf(payload) {
  const status = await until(`${payload.id} has ended`, async () => {
    const found = await statusOf(payload)
    return found?.runtimeStatus !== 'Running' && found?.runtimeStatus !== 'Pending' && found
  })
  assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
  return status.output
}

for (const name of ['durable-functions', 'durafn']) {
  describe(`with ${name}`, () => {
    test('what was started over HTTP goes on after kill -9', async (t) => {
      const startApp = makeApp(t, name)
      const first = await startApp(0)
      const url = addressOf(first)
      const approval = await start(url, 'approval')
      await until('it waits', async () => (await statusOf(approval))?.runtimeStatus === 'Running')
      const others = await Promise.all(
        ['chain', 'chain', 'chain'].map((program) => start(url, program)),
      )
      await stop(first, 'SIGKILL')
      const second = await startApp(new URL(url).port)
      assert.equal(addressOf(second), url)
      for (const each of others) {
        const cities = ['Hello, Tokyo', 'Hello, Seattle', 'Hello, Cairo']
        assert.deepEqual(await outputOf(each), cities)
      }
      const uri = approval.sendEventPostUri.replace('{eventName}', 'Answer')
      const sent = await fetch(uri, { method: 'POST', body: '0', headers })
      assert.equal(sent.status, 202)
      const expected = { approved: true, cancelled: true, faulted: false }
      assert.deepEqual(await outputOf(approval), expected)
      assert.equal(await stop(second), 0)
    })

    test('an http function waits for an outcome', async (t) => {
      const host = await makeApp(t, name)(0)
      const wait = (program) =>
        fetch(`${addressOf(host)}/api/wait/${program}`, { method: 'POST', body: '5', headers })
      const ended = await wait('fanOut')
      assert.equal(ended.status, 200)
      assert.deepEqual(await ended.json(), { items: 5, total: 100 })
      const failed = await wait('fails')
      assert.equal(failed.status, 500)
      assert.equal((await failed.json()).runtimeStatus, 'Failed')
      const open = await wait('approval')
      assert.equal(open.status, 202)
      assert.equal((await open.json()).id.length, 32)
    })
  })
}
