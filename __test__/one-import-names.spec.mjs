/**
 * Every name of `durable-functions` 3 is a name here, and has a row in docs/migrating.md. The names are
 * read from the original package, so that a newer one of it brings its own.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as df from 'durafn'
import { tempDir } from './support/hub.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const types = join(root, 'node_modules/durable-functions-v3/types')
const declarations = new Map(
  readdirSync(types).map((file) => [file, readFileSync(join(types, file), 'utf8')]),
)
const require = createRequire(import.meta.url)
const original = require('durable-functions-v3')

function exported(file, kinds) {
  const pattern = new RegExp(`^export (?:declare )?(?:${kinds}) (\\w+)`, 'gm')
  return [...declarations.get(file).matchAll(pattern)].map(([, name]) => name)
}

/** The members of a class or an interface, by its name. */
function members(file, name) {
  const text = declarations.get(file)
  const start = text.search(new RegExp(`^export (?:declare )?(?:class|interface) ${name}\\b`, 'm'))
  const body = text.slice(start, text.indexOf('\n}', start))
  const lines = [...body.matchAll(/^ {4}(?:public )?(?:readonly )?(\w+)\??(?=[(:<])/gm)]
  return [...new Set(lines.map(([, member]) => member))].filter((each) => each !== 'constructor')
}

const NAMESPACES = ['app.d.ts', 'app.client.d.ts', 'trigger.d.ts', 'input.d.ts']
const typeNames = [...declarations.keys()]
  .filter((file) => !NAMESPACES.includes(file))
  .flatMap((file) => exported(file, 'class|interface|type|enum'))
const valueNames = Object.keys(original)
const functionNames = NAMESPACES.flatMap((file) =>
  exported(file, 'function').map((name) => `${file.replace('.d.ts', '')}.${name}`),
)
const memberNames = {
  'client.': members('durableClient.d.ts', 'DurableClient'),
  'context.df.': members('orchestration.d.ts', 'DurableOrchestrationContext'),
  'entity context.df.': members('entity.d.ts', 'DurableEntityContext'),
}
const all = [
  ...new Set([...typeNames, ...valueNames, ...functionNames]),
  ...Object.entries(memberNames).flatMap(([of, names]) => names.map((name) => of + name)),
]

test('the names are found', () => {
  assert.ok(typeNames.includes('CallHttpOptions') && typeNames.includes('DurableClient'))
  assert.ok(functionNames.includes('app.client.http') && functionNames.includes('trigger.entity'))
  for (const names of Object.values(memberNames)) assert.ok(names.length >= 10, names.join())
  assert.ok(all.length > 120, String(all.length))
})

/** What `durable-functions` 1 and 2 export. */
const classicNames = ['durable-functions-v1', 'durable-functions-v2'].flatMap((name) =>
  Object.keys(require(name)),
)

test('each value is a value here', () => {
  const missing = [...valueNames, ...classicNames].filter((name) => !(name in df))
  assert.deepEqual(missing, [])
  const functions = functionNames.filter((path) => {
    const found = path.split('.').reduce((of, name) => of?.[name], df)
    return typeof found !== 'function'
  })
  assert.deepEqual(functions, [])
})

test('each type is a type here, with each member of clients and contexts', (t) => {
  const dir = tempDir(t)
  const lines = typeNames.map((name) => `export type { ${name} } from 'durafn'`)
  const owners = {
    'client.': 'DurableClient',
    'context.df.': 'DurableOrchestrationContext',
    'entity context.df.': 'DurableEntityContext',
  }
  lines.push("import type * as df from 'durafn'")
  for (const [of, names] of Object.entries(memberNames)) {
    for (const name of names) {
      const argument = of === 'entity context.df.' ? '<unknown>' : ''
      lines.push(`export type ${owners[of]}_${name} = df.${owners[of]}${argument}['${name}']`)
    }
  }
  writeFileSync(join(dir, 'names.ts'), lines.join('\n'))
  const compilerOptions = {
    module: 'node20',
    target: 'ES2022',
    lib: ['ES2023', 'ESNext.Disposable'],
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
    paths: { durafn: [join(root, 'dist/index.d.ts')] },
  }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', dir], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})

describe('docs/migrating.md', () => {
  const rows = readFileSync(join(root, 'docs/migrating.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
  const first = rows.flatMap((row) =>
    [...row.split(' | ')[0].matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  )

  test('has a row for each name', () => {
    assert.deepEqual(
      all.filter((name) => !first.includes(name)),
      [],
    )
  })

  test('has a row for each name of the packages before', () => {
    assert.deepEqual(
      classicNames.filter((name) => !first.includes(name)),
      [],
    )
  })
})
