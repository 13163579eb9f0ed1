/**
 * The published package, as a user gets it: `npm pack`, installed into an empty project, run from
 * ESM, CommonJS and TypeScript.
 *
 * With DURAFN_TARBALLS (paths, one a line) it tests those instead of packing, which is how the
 * release proves its tarballs on every platform.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const project = realpathSync(mkdtempSync(join(tmpdir(), 'durafn-package-')))
const installed = join(project, 'node_modules/durafn')

function run(command, args, { cwd = project, shell = false } = {}) {
  const result = spawnSync(command, args, { cwd, shell, encoding: 'utf8', timeout: 300_000 })
  return {
    status: result.status,
    stdout: result.stdout,
    stderr: result.stderr + (result.error ?? ''),
  }
}

function succeed(command, args, options) {
  const { status, stdout, stderr } = run(command, args, options)
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`)
  return stdout
}

function npm(args, cwd) {
  const cli = process.env.npm_execpath
  if (cli?.endsWith('.js')) return succeed(process.execPath, [cli, ...args], { cwd })
  return succeed('npm', args, { cwd, shell: process.platform === 'win32' })
}

/** Runs a file of the project with this Node. */
function node(file, text, ...args) {
  writeFileSync(join(project, file), text)
  return succeed(process.execPath, [...args, file]).trim()
}

/** The same program in three module systems; only how it gets `df` differs. */
const program = (typed) => `
df.app.activity('hello', { handler: (city${typed ? ': string' : ''}) => \`Hello \${city}!\` })
df.app.orchestration('sayHello', function* (context) {
  const first = yield context.df.callActivity('hello', 'Tokyo')
  return [first, yield context.df.callActivity('hello', 'Seattle')]
})
async function main()${typed ? ': Promise<void>' : ''} {
  const hub = await df.open({ store: 'sqlite::memory:' })
  const id${typed ? ': string' : ''} = await hub.client.startNew('sayHello', { input: 1 })
  const status = await hub.client.waitForCompletion(id, { timeoutMs: 10_000 })
  console.log(JSON.stringify([status.runtimeStatus, status.output]))
  await hub.close()
}
main()
`
const printed = '["Completed",["Hello Tokyo!","Hello Seattle!"]]'

function pack() {
  const given = process.env.DURAFN_TARBALLS?.split('\n').filter(Boolean)
  if (given) return given.map((tarball) => resolve(tarball))
  npm(['pack', '--pack-destination', project], root)
  return readdirSync(project)
    .filter((file) => file.endsWith('.tgz'))
    .map((file) => join(project, file))
}

before(() => {
  const tarballs = pack()
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "version": "1.0.0" }')
  npm(['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs], project)
})

after(() => rmSync(project, { recursive: true, force: true }))

test('the tarball holds what runs and nothing else', () => {
  const files = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(installed.length + 1))
    .map((file) => file.replaceAll('\\', '/'))
  const allowed =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|(index|http)\.d\.m?ts|native\/(index\.js|durafn\.[\w-]+\.node)|dist\/.+\.(js|mjs|js\.map))$/
  assert.deepEqual(
    files.filter((file) => !allowed.test(file)),
    [],
  )
  const types = ['index.d.ts', 'index.d.mts', 'http.d.ts', 'http.d.mts']
  for (const file of ['README.md', 'LICENSE', 'CHANGELOG.md', ...types]) {
    assert.ok(files.includes(file), `${file} is missing`)
  }
})

test('installing runs no script and asks for no unpublished package', () => {
  const { scripts, dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(installed, 'package.json'), 'utf8'),
  )
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) {
    assert.equal(scripts[name], undefined, `the script '${name}' runs at install`)
  }
  assert.deepEqual(Object.keys(dependencies), ['@hono/node-server', 'commander', 'croner', 'hono'])
  if (!process.env.DURAFN_TARBALLS) assert.equal(optionalDependencies, undefined)
})

test('it runs from ESM', () => {
  assert.equal(node('esm.mjs', `import * as df from 'durafn'\n${program(false)}`), printed)
})

test('the HTTP API takes a hub of the package, from both module systems', () => {
  const serving = `
const main = async () => {
  const hub = await df.open({ store: 'sqlite::memory:' })
  const server = await http.serve(hub, { port: 0 })
  const answer = await fetch(server.url + '/runtime/webhooks/durabletask/instances')
  console.log(answer.status)
  await server.close()
  await hub.close()
}
main()`
  const esm = `import * as df from 'durafn'\nimport * as http from 'durafn/http'\n${serving}`
  const cjs = `const df = require('durafn')\nconst http = require('durafn/http')\n${serving}`
  assert.equal(node('http.mjs', esm), '401')
  assert.equal(node('http.cjs', cjs), '401')
})

test('it runs from CommonJS', () => {
  assert.equal(node('cjs.cjs', `const df = require('durafn')\n${program(false)}`), printed)
})

test('import and require share one registry', () => {
  const text = `
    import { createRequire } from 'node:module'
    import * as esm from 'durafn'
    const cjs = createRequire(import.meta.url)('durafn')
    console.log(esm.app === cjs.app, Object.keys(cjs).every((name) => esm[name] === cjs[name]))`
  assert.equal(node('both.mjs', text), 'true true')
})

test('each entry has a default export, which is all of it, in both module systems', () => {
  const text = `
    import { createRequire } from 'node:module'
    import df from 'durafn'
    import http from 'durafn/http'
    const require = createRequire(import.meta.url)
    // What compilers make of a default import in CommonJS.
    const compiled = (module) => (module.__esModule ? module : { default: module }).default
    const all = ['durafn', 'durafn/http'].map((name) => [require(name), compiled(require(name))])
    console.log(df === all[0][0], http === all[1][0], all.every(([a, b]) => a === b))
    console.log(df.app === (await import('durafn')).app, Object.keys(df).includes('default'))`
  assert.equal(node('default.mjs', text), 'true true true\ntrue false')
})

test('package.json can be imported', () => {
  assert.equal(node('json.cjs', "console.log(require('durafn/package.json').name)"), 'durafn')
})

/** What the types must be read by: the oldest, the last of 4, and the newest, with Node's types of their time. */
const compilers = [
  ['4.7', 'typescript-4.7', 'types-node-16'],
  ['4.9', 'typescript-4.9', 'types-node-16'],
  ['4.9 and types of Node 20', 'typescript-4.9', '@types/node'],
  ['the newest', 'typescript', '@types/node'],
]
/** By both ways to find types: as old apps do, and as Node does. The newest has the second alone. */
const modules = [
  ['an old CommonJS app', 'cts', { module: 'commonjs', moduleResolution: 'node' }],
  ['CommonJS', 'cts', { module: 'node16', moduleResolution: 'node16' }],
  ['ESM', 'mts', { module: 'node16', moduleResolution: 'node16' }],
]

const typedApp = `
import df, { type OrchestrationContext } from 'durafn'
import * as all from 'durafn'
import http from 'durafn/http'
const { app } = all
const length = app.activity('length', { handler: (text: string) => text.length })
app.orchestration('flow', function* (context: OrchestrationContext<string>) {
  const both = yield* context.df.Task.all([
    context.df.call(length, context.df.getInput()),
    context.df.callActivity<string>('now'),
  ])
  const [count, text]: [number, string] = both
  const first = yield* context.df.Task.any([context.df.createTimer(new Date())])
  return [count + 1, text.length, first.isCompleted]
})
const classic: df.OrchestrationHandler = function* (context) {
  return yield context.df.callActivity('length', context.df.getInput())
}
df.orchestrator(function* (context) {
  return yield context.df.callActivity('length', context.df.getInput())
})
export async function main(): Promise<void> {
  const hub: df.TaskHub = await df.open({ store: 'sqlite::memory:' })
  const disposable: AsyncDisposable = hub
  const server = await http.serve(hub, { port: 0 })
  await server[Symbol.asyncDispose]()
  await disposable[Symbol.asyncDispose]()
  console.log(classic)
}
`

for (const [version, compiler, nodeTypes] of compilers) {
  test(`the types are read by TypeScript ${version}, and checked`, () => {
    const types = join(project, 'types')
    rmSync(types, { recursive: true, force: true })
    cpSync(join(root, 'node_modules', nodeTypes), join(types, 'node'), { recursive: true })
    cpSync(join(root, 'node_modules/undici-types'), join(project, 'node_modules/undici-types'), {
      recursive: true,
    })
    for (const [what, extension, options] of modules) {
      if (compiler === 'typescript' && options.moduleResolution === 'node') continue
      const file = `app.${extension}`
      // Before 4.9 nothing but \`moduleResolution\` tells how old an app is; its files end in \`.ts\`.
      const old = options.moduleResolution === 'node' ? 'app.ts' : file
      writeFileSync(join(project, old), typedApp)
      const compilerOptions = {
        ...options,
        target: 'ES2021',
        strict: true,
        esModuleInterop: true,
        skipLibCheck: false,
        noEmit: true,
        types: ['node'],
        typeRoots: [types],
      }
      const config = { compilerOptions, files: [old] }
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config))
      const tsc = join(root, 'node_modules', compiler, 'bin/tsc')
      const { status, stdout } = run(process.execPath, [tsc])
      assert.equal(status, 0, `${what}:\n${stdout}`)
    }
  })
}

for (const extension of ['mts', 'cts']) {
  test(`it compiles and runs from TypeScript (.${extension})`, () => {
    const file = `typed.${extension}`
    const output = `typed.${extension.replace('ts', 'js')}`
    writeFileSync(join(project, file), `import * as df from 'durafn'\n${program(true)}`)
    const options = {
      module: 'node20',
      target: 'ES2022',
      strict: true,
      exactOptionalPropertyTypes: true,
    }
    const types = { types: ['node'], typeRoots: [join(root, 'node_modules/@types')] }
    const compilerOptions = { ...options, ...types, skipLibCheck: false, noEmitOnError: true }
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: [file] }),
    )
    succeed(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')])
    assert.equal(succeed(process.execPath, [output]).trim(), printed)
  })
}

test('types are full: a wrong call does not compile', () => {
  writeFileSync(
    join(project, 'wrong.mts'),
    `import * as df from 'durafn'
     const hub = await df.open({ store: 1 })
     const id: number = await hub.client.startNew('sayHello')
     console.log(id)`,
  )
  const compilerOptions = {
    module: 'node20',
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  }
  writeFileSync(
    join(project, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['wrong.mts'] }),
  )
  const { status, stdout } = run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')])
  assert.notEqual(status, 0)
  assert.match(stdout, /wrong\.mts\(2,\d+\): error TS2322/)
  assert.match(stdout, /wrong\.mts\(3,\d+\): error TS2322/)
})

test('npx durafn runs the command line', () => {
  assert.match(npm(['exec', '--no', '--', 'durafn', '--help'], project), /Usage: durafn/)
})

test('without a binary for the platform the load error says what to do', () => {
  const natives = readdirSync(join(project, 'node_modules'), { recursive: true })
    .filter((file) => file.endsWith('.node'))
    .map((file) => join(project, 'node_modules', file))
  assert.equal(natives.length, 1, 'exactly one binary is installed')
  const saved = readFileSync(natives[0])
  rmSync(natives[0])
  try {
    writeFileSync(
      join(project, 'broken.cjs'),
      "require('durafn').open({ store: 'sqlite::memory:' })",
    )
    const { status, stderr } = run(process.execPath, ['broken.cjs'])
    assert.notEqual(status, 0)
    assert.match(stderr, new RegExp(`${process.platform}.${process.arch}`), 'names the platform')
    assert.match(stderr, /npm (install|i|ci)\b/, 'says what to run')
  } finally {
    writeFileSync(natives[0], saved)
  }
})
