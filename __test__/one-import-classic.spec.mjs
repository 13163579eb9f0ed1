/** A classic app of folders: with `durable-functions` 1 and 2 in place, and with its one import changed. */

import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fixture, link, openApp } from './support/app.mjs'
import { complete, PATIENCE_MS, run, startWaiting, tempDir } from './support/hub.mjs'

/** Opens the app with a package. */
async function open(t, name, linked) {
  const dir = tempDir(t)
  cpSync(fixture('classic'), dir, { recursive: true })
  for (const folder of readdirSync(dir)) {
    const script = join(dir, folder, 'index.js')
    if (!existsSync(script)) continue
    const text = readFileSync(script, 'utf8')
    writeFileSync(script, text.replace("require('durable-functions')", `require('${name}')`))
  }
  return await openApp(t, link(dir, linked), { unmatchedEvents: 'buffer', port: 0 })
}

for (const [name, linked] of [
  ['durable-functions', 'durable-functions@1'],
  ['durable-functions', 'durable-functions@2'],
  ['durafn', 'durafn'],
]) {
  describe(`with ${linked}`, () => {
    test('the app gives the same outputs and statuses', async (t) => {
      const { client } = await open(t, name, linked)
      const chain = await run(client, 'Chain')
      assert.deepEqual(chain.output, ['Hello Tokyo!', 'Hello Seattle!'])
      assert.deepEqual(chain.customStatus, { greeted: 2 })
      assert.equal(await complete(client, 'FanOut', [1, 2, 3]), 60)
      const id = await startWaiting(client, 'Approval')
      await client.raiseEvent(id, 'Answer', { by: 'Ada' })
      const approval = await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
      assert.deepEqual(approval.output, { answer: { by: 'Ada' } })
      const greetings = ['Hello 2!', 'Hello 1!', 'Hello 0!']
      assert.deepEqual(await complete(client, 'Eternal', { left: 2, seen: [] }), greetings)
      assert.deepEqual(await complete(client, 'Parent'), [['x', true], true])
    })

    test('clients take their arguments one after the other', async (t) => {
      const { app } = await open(t, name, linked)
      assert.deepEqual(await app.invoke('Clients', { secret: 1 }), {
        output: { answer: 'yes' },
        hasHistory: true,
        ended: true,
        purged: true,
        origins: 1,
      })
    })
  })
}
