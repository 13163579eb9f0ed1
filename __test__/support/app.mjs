/** Function apps for tests: written to a folder of their own, far from any node_modules. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as df from 'durafn'
import { memoryLogger, tempDir } from './hub.mjs'

/** The folder of a fixture under `__test__/apps/`. */
export function fixture(name) {
  return fileURLToPath(new URL(`../apps/${name}`, import.meta.url))
}

/** `function.json` of each kind; `clients` are names of starters. */
export const orchestration = () => binding('context', 'orchestrationTrigger')
export const activity = (...clients) => binding('input', 'activityTrigger', clients)
export const manual = (...clients) => binding('input', 'manualTrigger', clients)

function binding(name, type, clients = []) {
  const starters = clients.map((client) => {
    return { name: client, type: 'orchestrationClient', direction: 'out' }
  })
  return { bindings: [{ name, type, direction: 'in' }, ...starters] }
}

/**
 * Writes an app: files by their paths; what is not a string becomes JSON. A pair of
 * `[function.json, index.js]` under a name is a function.
 */
export function writeApp(t, files) {
  const dir = tempDir(t)
  for (const [path, content] of Object.entries(files)) {
    if (!Array.isArray(content)) write(join(dir, path), content)
    else {
      write(join(dir, path, 'function.json'), content[0])
      if (content[1] !== undefined) write(join(dir, path, 'index.js'), content[1])
    }
  }
  return dir
}

function write(file, content) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2))
}

const { resolve } = createRequire(import.meta.url)
/** The packages of an app by their names, and where the tests have them. */
const packages = {
  durafn: dirname(resolve('durafn/package.json')),
  '@azure/functions@3': packageFolder('azure-functions-v3'),
  '@azure/functions@4': packageFolder('azure-functions-v4'),
  'durable-functions@1': packageFolder('durable-functions-v1'),
  'durable-functions@2': packageFolder('durable-functions-v2'),
  'durable-functions@3': packageFolder('durable-functions-v3'),
}

function packageFolder(name) {
  return resolve(`${name}/package.json`).replace(/.package\.json$/, '')
}

/** Puts packages into an app's node_modules: `durafn`, or the name with its major version. */
export function link(dir, ...names) {
  for (const name of names) {
    const path = join(dir, 'node_modules', name.replace(/(.)@\d$/, '$1'))
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(packages[name], path, 'junction')
  }
  return dir
}

/** Opens an app in memory, closed after the test; `files` as for `writeApp`, or a folder. */
export async function openApp(t, files, options = {}) {
  const dir = typeof files === 'string' ? files : writeApp(t, files)
  const logger = memoryLogger()
  const app = await df.openFunctionApp(dir, { store: 'sqlite::memory:', logger, ...options })
  t.after(() => app.close({ drainTimeoutMs: 0 }))
  return { app, dir, logger, client: app.client }
}
