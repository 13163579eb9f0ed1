/**
 * Makes a clone ready to run: dependencies, native addon, TypeScript. `npm test`, `npm run
 * quickstart`, `npm run bench` and `npm pack` start with it, so that a fresh clone needs no other
 * command. Uses only Node's own modules, since it runs before anything is installed.
 *
 *   node scripts/bootstrap.mjs [deps | native | ts] [--force]
 *
 * Each step brings the ones before it up to date. What is up to date is told from content, never
 * from file times, which a checkout sets as it likes: each output folder holds a `.stamp` with the
 * hash of everything it was built from.
 */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const steps = ['deps', 'native', 'ts']

/** Progress goes to stderr: `npm pack --json` and the quickstart own stdout. */
const say = (line) => console.error(`bootstrap: ${line}`)

function fail(...lines) {
  for (const line of lines) say(line)
  process.exit(1)
}

function run(label, command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    ...options,
  })
  if (error) fail(`${label} could not start: ${error.message}`)
  if (status !== 0) fail(`${label} failed (${signal ?? `exit code ${status}`}), see above.`)
}

/** Runs the command of an installed package without npx, which is a shell script on Windows. */
function runPackage(label, name, bin, args) {
  const require = createRequire(join(root, 'package.json'))
  const folder = join(root, 'node_modules', name)
  run(label, process.execPath, [
    join(folder, require(join(folder, 'package.json')).bin[bin]),
    ...args,
  ])
}

/** Every file under the given paths, sorted; a missing path is no file. */
function filesOf(paths) {
  return paths.flatMap((path) => {
    const full = join(root, path)
    if (!existsSync(full)) return []
    if (!statSync(full).isDirectory()) return [full]
    return filesOf(
      readdirSync(full)
        .sort()
        .map((name) => join(path, name)),
    )
  })
}

function hashOf(paths, ...extra) {
  const hash = createHash('sha256')
  for (const file of filesOf(paths)) {
    const bytes = readFileSync(file)
    hash.update(`${relative(root, file).split(sep).join('/')}\0${bytes.length}\0`).update(bytes)
  }
  return hash.update(JSON.stringify(extra)).digest('hex')
}

const readJson = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'))

/** Builds `folder` unless it has its `product` and its stamp names exactly these inputs. */
function buildFolder({ folder, product, what, input, force, needs, build }) {
  const path = join(root, folder)
  const stamp = join(path, '.stamp')
  const isBuilt = existsSync(stamp) && readdirSync(path).some((file) => file.endsWith(product))
  if (!force && isBuilt && readFileSync(stamp, 'utf8') === input) return
  needs?.()
  const started = Date.now()
  say(`${what} ...`)
  rmSync(path, { recursive: true, force: true })
  build()
  writeFileSync(stamp, input)
  say(`built ${folder}/ in ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

// ------------------------------------------------------------------------------------------ deps

/** npm keeps what it installed in a lock of its own; compare that with ours. */
function dependenciesAreCurrent() {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return false
  const installed = readJson('node_modules/.package-lock.json').packages
  return Object.entries(readJson('package-lock.json').packages).every(
    ([path, { version, optional }]) =>
      path === '' || installed[path]?.version === version || (optional && !installed[path]),
  )
}

function installDependencies({ force }) {
  if (!force && dependenciesAreCurrent()) return
  say('installing the npm packages of package-lock.json (npm ci) ...')
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  const npm = process.env.npm_execpath
  if (npm?.endsWith('.js')) run('npm ci', process.execPath, [npm, ...args])
  else run('npm ci', 'npm', args, { shell: process.platform === 'win32' })
}

// ---------------------------------------------------------------------------------------- native

function requireRust() {
  const { stdout } = spawnSync('cargo', ['--version'], { encoding: 'utf8' })
  const wanted = /^rust-version = "(\d+)\.(\d+)"/m.exec(
    readFileSync(join(root, 'Cargo.toml'), 'utf8'),
  )
  const found = /^cargo (\d+)\.(\d+)/.exec(stdout ?? '')
  if (!found) {
    fail(
      `Rust is missing: there is no cargo on the PATH, and the engine needs Rust ${wanted[1]}.${wanted[2]} or newer.`,
      process.platform === 'win32'
        ? 'Install it from https://rustup.rs, open a new terminal and run this again.'
        : "Install it with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
    )
  }
  if (Number(found[1]) === Number(wanted[1]) && Number(found[2]) < Number(wanted[2])) {
    fail(
      `Rust is too old: found ${found[1]}.${found[2]}, the engine needs ${wanted[1]}.${wanted[2]} or newer.`,
      'Update it with: rustup update stable',
    )
  }
}

function buildNative({ force }) {
  const { name, version, napi } = readJson('package.json')
  const sources = [
    'src',
    'migrations',
    'Cargo.toml',
    'Cargo.lock',
    'build.rs',
    '.cargo/config.toml',
  ]
  buildFolder({
    folder: 'native',
    product: '.node',
    what: 'building the native addon with cargo; the first time takes a minute or two',
    input: hashOf(sources, name, version, napi, process.platform, process.arch),
    force,
    needs: requireRust,
    build() {
      const out = ['--output-dir', 'native', '--js', 'index.js', '--dts', 'index.d.ts']
      const args = ['build', '--platform', '--release', ...out]
      runPackage('the native build', '@napi-rs/cli', 'napi', args)
    },
  })
}

// -------------------------------------------------------------------------------------------- ts

const ESM_ENTRY = `import all from './index.js'
export * from './index.js'
export default all
`
/** What a compiler makes of a default import in CommonJS. It is not among the keys, as it is no name of its own. */
const CJS_DEFAULT = "\nObject.defineProperty(exports, 'default', { value: exports })\n"

function buildTypeScript({ force }) {
  const { typescript } = readJson('package.json').devDependencies
  buildFolder({
    folder: 'dist',
    product: 'index.mjs',
    what: 'compiling lib/ to dist/ with tsc',
    input: hashOf(
      ['lib', 'tsconfig.json', 'native/index.d.ts'],
      typescript,
      ESM_ENTRY,
      CJS_DEFAULT,
    ),
    force,
    build() {
      runPackage('tsc', 'typescript', 'tsc', [])
      // One module registry for `import` and `require`: two copies of `df.app` would be two apps.
      for (const folder of ['dist', 'dist/http']) {
        writeFileSync(join(root, folder, 'index.mjs'), ESM_ENTRY)
        appendFileSync(join(root, folder, 'index.js'), CJS_DEFAULT)
      }
    },
  })
}

// ------------------------------------------------------------------------------------------------

const args = process.argv.slice(2)
const target = args.find((arg) => !arg.startsWith('--')) ?? 'ts'
if (!steps.includes(target)) fail(`unknown step '${target}', expected one of ${steps.join(', ')}`)
const force = (step) => ({ force: args.includes('--force') && step === target })

installDependencies(force('deps'))
if (target !== 'deps') buildNative(force('native'))
if (target === 'ts') buildTypeScript(force('ts'))
