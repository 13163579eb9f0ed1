/**
 * An app of every pattern, over HTTP and in a process that is killed in the middle: with each version of
 * the original package in both models, and with its import changed.
 */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { fixture, link, writeApp } from './support/app.mjs'
import { addressOf, startHost, stop } from './support/cli.mjs'
import { until } from './support/hub.mjs'

const dir = fixture('patterns')
const headers = { 'content-type': 'application/json' }
const nameOf = (linked) => (linked.startsWith('durafn') ? 'durafn' : 'durable-functions')
const source = (file, linked) =>
  readFileSync(join(dir, file), 'utf8').replaceAll("'durable-functions'", `'${nameOf(linked)}'`)

/** An app in the newer model. */
function modernApp(t, linked) {
  const files = {
    'package.json': { main: 'v4.js' },
    'v4.js': source('v4.js', linked),
    'patterns.js': source('patterns.js', linked),
  }
  return link(writeApp(t, files), linked, '@azure/functions@4')
}

function httpFunction(route) {
  return {
    bindings: [
      { name: 'req', type: 'httpTrigger', direction: 'in', route, authLevel: 'anonymous' },
      { name: 'client', type: 'durableClient', direction: 'in' },
      { name: '$return', type: 'http', direction: 'out' },
    ],
  }
}

/** The same app in folders. */
function classicApp(t, linked, version) {
  const load = `const df = require('${nameOf(linked)}'); const all = require('../patterns')(df, ${version})`
  const trigger = (type) => ({ bindings: [{ name: 'context', type, direction: 'in' }] })
  const { activities, orchestrators, entities } = createRequire(import.meta.url)(
    join(dir, 'patterns.js'),
  )({}, version)
  const files = {
    'patterns.js': source('patterns.js', linked),
    'start/function.json': httpFunction('start/{name}'),
    'start/index.js': source('classic-start.js', linked),
    'tally-http/function.json': httpFunction('tally/{key}'),
    'tally-http/index.js': source('classic-tally.js', linked),
  }
  const add = (names, type, expression) => {
    for (const name of Object.keys(names)) {
      files[name] = [trigger(type), `${load}; module.exports = ${expression(name)}`]
    }
  }
  add(
    activities,
    'activityTrigger',
    (name) => `async (_context, input) => all.activities.${name}(input)`,
  )
  add(orchestrators, 'orchestrationTrigger', (name) => `df.orchestrator(all.orchestrators.${name})`)
  add(entities, 'entityTrigger', (name) => `df.entity(all.entities.${name})`)
  return link(writeApp(t, files), linked, '@azure/functions@3')
}

async function start(url, name, input) {
  const body = input === undefined ? '' : JSON.stringify(input)
  const answer = await fetch(`${url}/api/start/${name}`, { method: 'POST', body, headers })
  assert.equal(answer.status, 202, await answer.clone().text())
  return await answer.json()
}

async function statusOf({ statusQueryGetUri }) {
  const answer = await fetch(statusQueryGetUri)
  const isOpen = answer.status === 202
  assert.ok(isOpen || answer.status === 200, `${answer.status}`)
  if (isOpen) assert.ok(answer.headers.get('location'))
  return { isOpen, ...(await answer.json()) }
}

async function endOf(payload) {
  return await until(`${payload.id} has ended`, async () => {
    const status = await statusOf(payload)
    return !status.isOpen && status
  })
}

const apps = [
  ['durable-functions@1', (t, linked) => classicApp(t, linked, 1), 1],
  ['durable-functions@2', (t, linked) => classicApp(t, linked, 2), 2],
  ['durable-functions@3', modernApp, 3],
  ['durafn', (t, linked) => classicApp(t, linked, 2), 2],
  ['durafn', modernApp, 3],
]
for (const [linked, makeApp, version] of apps) {
  const model = version === 3 ? 'modules' : 'folders'
  test(`every pattern over HTTP, killed in the middle, with ${linked} in ${model}`, async (t) => {
    const app = makeApp(t, linked)
    const store = `sqlite:${join(app, 'hub.db')}`
    const open = (port) => startHost(t, [app, '--store', store, '--port', String(port)])
    const first = await open(0)
    const url = addressOf(first)
    const expected = {
      chaining: [undefined, ['Hello Tokyo!', 'Hello Seattle!', 'Hello Cairo!']],
      fanOut: [[1, 2, 3], 14],
      monitor: [undefined, (output) => output.at(-1) === 'done'],
      parent: [undefined, [5, 14, 30]],
      retries: [undefined, ['at last', true]],
      eternal: [{ left: 2, seen: [] }, [4, 1, 0]],
      aggregate: [[1, 2, 3], 6],
      ...(version === 3 ? { transfer: [undefined, 1] } : {}),
    }
    const approved = await start(url, 'human', 3_600_000)
    const escalated = await start(url, 'human', 20)
    const failing = await start(url, 'fails')
    const numbers = [1, 2, 3, 4]
    for (const n of numbers) {
      const signalled = await fetch(`${url}/api/tally/total`, {
        method: 'POST',
        body: `${n}`,
        headers,
      })
      assert.equal(signalled.status, 202)
    }
    const all = await Promise.all(
      Object.entries(expected).map(async ([name, [input, output]]) => ({
        name,
        output,
        payload: await start(url, name, input),
      })),
    )
    await until(
      'the approval is waited for',
      async () => (await statusOf(approved)).runtimeStatus === 'Running',
    )
    await stop(first, 'SIGKILL')

    const second = await open(new URL(url).port)
    const uri = approved.sendEventPostUri.replace('{eventName}', 'Approval')
    const sent = await fetch(uri, { method: 'POST', body: '{"by":"Ada"}', headers })
    assert.equal(sent.status, 202)
    assert.deepEqual((await endOf(approved)).output, { by: 'Ada' })
    assert.equal((await endOf(escalated)).output, 'Hello the boss!')
    const failed = await endOf(failing)
    assert.equal(failed.runtimeStatus, 'Failed')
    assert.equal(failed.output, "Orchestrator function 'fails' failed: my own")
    for (const { name, output, payload } of all) {
      const status = await endOf(payload)
      assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
      if (typeof output === 'function')
        assert.ok(output(status.output), JSON.stringify(status.output))
      else assert.deepEqual(status.output, output, name)
      if (name === 'chaining') assert.deepEqual(status.customStatus, { greeted: 3 })
    }
    await until('the signals have been taken', async () => {
      const state = await (await fetch(`${url}/api/tally/total`)).json()
      return state.entityExists && state.entityState === 10
    })
    const none = await (await fetch(`${url}/api/tally/nobody`)).json()
    assert.equal(none.entityExists, false)
    assert.equal(await stop(second), 0)
  })
}
