/** `durafn start --watch`: the app is loaded anew when it changes, and instances go on. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { activity, orchestration, writeApp } from './support/app.mjs'
import { startHost, stop } from './support/cli.mjs'
import { connect, PATIENCE_MS, tempStore, until, waiting } from './support/hub.mjs'

test('a change of code counts, a fault is waited out, and instances go on', async (t) => {
  const dir = writeApp(t, {
    Wait: [
      orchestration(),
      `module.exports = function* (context) {
        yield context.df.waitForExternalEvent('Go')
        return yield context.df.callActivity('Say')
      }`,
    ],
    Say: [activity(), `module.exports = async () => 'before'`],
  })
  const store = tempStore(t)
  const host = await startHost(t, [dir, '--store', store, '--watch'])
  const client = await connect(t, store)
  await client.startNew('Wait', { instanceId: 'a' })
  await waiting(client, 'a')
  const starts = () => host.stdout.split('Running. Stop with Ctrl-C.').length - 1

  writeFileSync(join(dir, 'Wait', 'index.js'), 'module.exports = {')
  writeFileSync(join(dir, 'Say', 'index.js'), 'module.exports = {')
  await until('it waits for a mended file', () => /waiting for a file to change/.test(host.stderr))
  writeFileSync(
    join(dir, 'Wait', 'index.js'),
    `module.exports = function* (context) {
      yield context.df.waitForExternalEvent('Go')
      return yield context.df.callActivity('Say')
    }`,
  )
  writeFileSync(join(dir, 'Say', 'index.js'), `module.exports = async () => 'after'`)
  await until('it runs again', () => starts() >= 2)
  await client.raiseEvent('a', 'Go')
  const { output } = await client.waitForCompletion('a', { timeoutMs: PATIENCE_MS })
  assert.equal(output, 'after')
  assert.equal(await stop(host), 0)
})
