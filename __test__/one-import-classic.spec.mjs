/** A classic app of folders: with `durable-functions` 1 and 2 in place, and with its one import changed. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fixture, link, openApp } from './support/app.mjs'
import { complete, PATIENCE_MS, run, startWaiting, tempDir } from './support/hub.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const modules = join(root, 'node_modules')

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

/** With 2 as it is, and with both of its imports changed; as the compilers of its time and of today see it. */
for (const [compiler, nodeTypes] of [
  ['typescript-4.9', 'types-node-16'],
  ['typescript', '@types/node'],
]) {
  for (const name of ['durable-functions', 'durafn']) {
    test(`what an app in TypeScript names is there with ${name}, for ${compiler}`, (t) => {
      const dir = tempDir(t)
      const text = readFileSync(join(fixture('classic-types'), 'app.ts'), 'utf8')
      const changed = text.replace(/'durable-functions(\/lib\/src\/classes)?'/g, `'${name}'`)
      writeFileSync(join(dir, 'app.ts'), name === 'durafn' ? changed : text)
      cpSync(join(modules, nodeTypes), join(dir, 'types/node'), { recursive: true })
      cpSync(join(modules, 'undici-types'), join(dir, 'node_modules/undici-types'), {
        recursive: true,
      })
      const original = join(modules, 'durable-functions-v2/lib/src')
      const compilerOptions = {
        module: 'node16',
        moduleResolution: 'node16',
        target: 'ES2021',
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        types: ['node'],
        typeRoots: [join(dir, 'types')],
        paths: {
          durafn: [join(root, 'index.d.ts')],
          'durable-functions': [join(original, 'index.d.ts')],
          'durable-functions/lib/src/classes': [join(original, 'classes.d.ts')],
          '@azure/functions': [join(modules, 'azure-functions-v3/types/index.d.ts')],
        },
      }
      const config = { compilerOptions, files: ['app.ts'] }
      writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify(config))
      const tsc = join(modules, compiler, 'bin/tsc')
      const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', dir], { encoding: 'utf8' })
      assert.equal(status, 0, stdout)
    })
  }
}
