/** Hubs with threads: the app of `__test__/apps/threads/`, and what its functions say by files. */

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as df from 'durafn'
import { memoryLogger, tempDir, until } from './hub.mjs'

/** The URL of a module of `__test__/apps/threads/`. */
export const moduleOf = (name) => new URL(`../apps/threads/${name}`, import.meta.url)

/** An open hub with two threads, closed after the test. */
export async function openThreads(t, options = {}) {
  const logger = memoryLogger()
  const hub = await df.open({
    store: 'sqlite::memory:',
    threads: 2,
    app: moduleOf('app.mjs'),
    logger,
    ...options,
  })
  t.after(() => hub.close({ drainTimeoutMs: 0 }))
  return { hub, client: hub.client, logger }
}

/** A folder in which the functions of the app say things, and are told things. */
export function signs(t) {
  const dir = tempDir(t)
  return {
    dir,
    has: (name) => existsSync(join(dir, name)),
    set: (name) => writeFileSync(join(dir, name), ''),
    until: (name) => until(`there is a sign '${name}'`, () => existsSync(join(dir, name))),
  }
}
