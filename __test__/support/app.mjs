/** Function apps for tests: written to a folder of their own, far from any node_modules. */

import { mkdirSync, writeFileSync } from 'node:fs'
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

/** Opens an app in memory, closed after the test; `files` as for `writeApp`, or a folder. */
export async function openApp(t, files, options = {}) {
  const dir = typeof files === 'string' ? files : writeApp(t, files)
  const logger = memoryLogger()
  const app = await df.openFunctionApp(dir, { store: 'sqlite::memory:', logger, ...options })
  t.after(() => app.close({ drainTimeoutMs: 0 }))
  return { app, dir, logger, client: app.client }
}
