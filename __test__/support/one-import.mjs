/** The programs of `apps/one-import/`, compiled as they are and with their one import changed. */

import { spawnSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { link } from './app.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const sources = join(root, '__test__/apps/one-import/src')
const types = {
  durafn: join(root, 'dist/index.d.ts'),
  'durable-functions': join(root, 'node_modules/durable-functions-v3/types/index.d.ts'),
  '@azure/functions': join(root, 'node_modules/azure-functions-v4/types/index.d.ts'),
}

/**
 * Compiles the programs.
 *
 * @param dir where to; `dist/` is then an app with its packages
 * @param name what they import in place of `durable-functions`
 * @returns what the compiler said; empty if it had nothing to say
 */
export function compilePrograms(dir, name) {
  cpSync(sources, join(dir, 'src'), { recursive: true })
  for (const file of readdirSync(sources)) {
    const text = readFileSync(join(sources, file), 'utf8')
    const changed = text.replaceAll("from 'durable-functions'", `from '${name}'`)
    writeFileSync(join(dir, 'src', file), changed)
  }
  const compilerOptions = {
    module: 'node20',
    target: 'ES2022',
    lib: ['ES2023', 'ESNext.Disposable'],
    strict: true,
    noUncheckedIndexedAccess: true,
    // The original's own types do not compile in all settings.
    skipLibCheck: name !== 'durafn',
    rootDir: 'src',
    outDir: 'dist',
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
    paths: Object.fromEntries(Object.entries(types).map(([key, file]) => [key, [file]])),
  }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }))
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ main: 'dist/*.js' }))
  const settings = { Values: { Phone: '+15550100' } }
  writeFileSync(join(dir, 'local.settings.json'), JSON.stringify(settings))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', dir], { encoding: 'utf8' })
  link(dir, '@azure/functions@4', 'durafn')
  return status === 0 ? '' : stdout || `exit code ${status}`
}
