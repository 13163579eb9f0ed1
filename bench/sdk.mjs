/**
 * Orchestrators of the original packages in the function host: instances of five activities in a row,
 * 200 at a time, on a hub in a file. `node bench/sdk.mjs` prints a line for each version.
 */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as df from 'durafn'

const INSTANCES = 3_000
const WARM_UP = 500
const AT_A_TIME = 200

const { resolve } = createRequire(import.meta.url)
const code = `function* (context) {
  const seen = []
  for (let n = 0; n < 5; n += 1) seen.push(yield context.df.callActivity('hello', n))
  return seen
}`
const hello = '(n) => `Hello ${' + 'n}`'

/** An app of the version in a folder of its own. */
function makeApp(version) {
  const dir = mkdtempSync(join(tmpdir(), 'durafn-bench-'))
  const link = (name, from) => {
    const path = join(dir, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(dirname(resolve(`${from}/package.json`)), path, 'junction')
  }
  link('durable-functions', `durable-functions-v${version}`)
  link('@azure/functions', `azure-functions-v${version === 3 ? 4 : 3}`)
  const require = "const df = require('durable-functions')"
  const files =
    version === 3
      ? {
          'package.json': '{ "main": "index.js" }',
          'index.js': `${require}
            df.app.orchestration('five', ${code})
            df.app.activity('hello', { handler: ${hello} })`,
        }
      : {
          'five/function.json': binding('orchestrationTrigger'),
          'five/index.js': `${require}; module.exports = df.orchestrator(${code})`,
          'hello/function.json': binding('activityTrigger'),
          'hello/index.js': `module.exports = async (context, n) => (${hello})(n)`,
        }
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, file)), { recursive: true })
    writeFileSync(join(dir, file), text)
  }
  return dir
}

function binding(type) {
  return JSON.stringify({ bindings: [{ name: 'input', type, direction: 'in' }] })
}

async function runMany(client, count) {
  let left = count
  const one = async () => {
    while (left-- > 0) {
      await client.waitForCompletion(await client.startNew('five'))
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, one))
}

for (const version of [1, 2, 3]) {
  const dir = makeApp(version)
  const app = await df.openFunctionApp(dir, {
    store: `sqlite:${join(dir, 'hub.db')}`,
    logger: false,
  })
  await runMany(app.client, WARM_UP)
  const begun = performance.now()
  await runMany(app.client, INSTANCES)
  const rate = INSTANCES / ((performance.now() - begun) / 1_000)
  console.log(`durable-functions ${version}: ${Math.round(rate)} instances/s`)
  await app.close()
  rmSync(dir, { recursive: true, force: true })
}
