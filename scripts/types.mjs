/**
 * Rolls the public types up into index.d.ts and http.d.ts: `npm run build:types`.
 *
 * Compilers of apps may be older than ours, from TypeScript 4.7 on. They know no lib `esnext.disposable`, so
 * the declarations of it stand in the files themselves; where there is one, they say the same.
 */

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const extractor = createRequire(import.meta.url).resolve('@microsoft/api-extractor/package.json')

const REFERENCE = '/// <reference lib="esnext.disposable" />\n'
const DECLARATIONS = `declare global {
    interface SymbolConstructor {
        readonly dispose: unique symbol;
        readonly asyncDispose: unique symbol;
    }
    interface Disposable {
        [Symbol.dispose](): void;
    }
    interface AsyncDisposable {
        [Symbol.asyncDispose](): PromiseLike<void>;
    }
}
`

for (const [config, rollup] of [
  ['api-extractor.json', 'index.d.ts'],
  ['api-extractor.http.json', 'http.d.ts'],
]) {
  const command = [join(dirname(extractor), 'bin/api-extractor'), 'run', '--local', '-c', config]
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
  const file = join(root, rollup)
  const text = readFileSync(file, 'utf8')
  if (!text.startsWith(REFERENCE)) throw new Error(`${rollup} does not begin with ${REFERENCE}`)
  writeFileSync(file, text.replace(REFERENCE, DECLARATIONS))
}
