/**
 * The entry of a v4 app: `main` of its package.json, a file or a glob.
 *
 * Owns: finding its files, and loading them in order while the core module listens.
 * Must never: call what was registered.
 * Proved by: `__test__/host-modern.spec.mjs`.
 */

import { existsSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, matchesGlob, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { App } from '../app.js'
import type { DurableError } from '../errors.js'
import type { Log } from '../log.js'
import type { Registered } from '../protocol.js'
import { firstLine, refused } from './binding.js'
import { CoreApp, runAs, supplyCoreModule } from './core-module.js'
import { readObject } from './function-json.js'
import { hostImports } from './package-require.js'
import { isEsm } from './script.js'

/** What the modules of an app said while they were loaded. */
export interface Entry {
  readonly core: CoreApp
  /** What was registered on `df.app`. */
  readonly app: App
  /** The same, by the modules that did. */
  readonly sources: readonly (Registered & { readonly file: string })[]
  /** Modules that could not be loaded. */
  readonly problems: readonly DurableError[]
}

/** Node loads a module once; an app that is opened again in this process is what it was. */
const entries: Map<string, Entry> = new Map()
/** One at a time, as all apps register through one module. */
let queue: Promise<unknown> = Promise.resolve()

/** Loads the entry of an app; undefined if it has none. */
export function loadEntry(directory: string, log: Log): Promise<Entry | undefined> {
  const loading = queue.then(() => load(directory, log))
  queue = loading.catch(() => undefined)
  return loading
}

async function load(directory: string, log: Log): Promise<Entry | undefined> {
  const before = entries.get(directory)
  if (before !== undefined) {
    before.core.log = log
    supplyCoreModule(before.core)
    return before
  }
  const files = entryFiles(directory)
  if (files.length === 0) return undefined
  const core = new CoreApp(log)
  supplyCoreModule(core)
  const app = new App()
  const sources: Entry['sources'][number][] = []
  const problems: DurableError[] = []
  let file = ''
  app.onRegister((added) => sources.push({ ...added, file }))
  App.load(app)
  try {
    for (file of files) {
      core.loading = file
      try {
        await runAs(core, () => loadModule(file, directory))
      } catch (error) {
        problems.push(refused(file, '', `cannot be loaded: ${firstLine(error)}`, error))
      }
    }
  } finally {
    core.loading = null
    App.load(null)
  }
  const entry = { core, app, sources, problems }
  entries.set(directory, entry)
  return entry
}

function loadModule(file: string, directory: string): unknown {
  if (!isEsm(file)) return createRequire(file)(file)
  hostImports(directory)
  return import(pathToFileURL(file).href)
}

function entryFiles(directory: string): string[] {
  const file = join(directory, 'package.json')
  if (!existsSync(file)) return []
  const main = readObject(file)['main']
  if (typeof main !== 'string' || main === '') return []
  const pattern = main.replace(/^\.\//, '')
  if (/[*?{[]/.test(pattern)) {
    return filesBelow(directory)
      .filter((path) => matches(relative(directory, path).split(sep).join('/'), pattern))
      .sort((one, other) => depthOf(one) - depthOf(other) || (one < other ? -1 : 1))
  }
  const candidates = [pattern, `${pattern}.js`, join(pattern, 'index.js')]
  const found = candidates.map((each) => join(directory, each)).find(isFile)
  return found === undefined ? [] : [found]
}

/** What stands higher is loaded first, as an app is set up there. */
function depthOf(path: string): number {
  return path.split(sep).length
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((each) => {
    const path = join(directory, each.name)
    if (each.name === 'node_modules' || each.name.startsWith('.')) return []
    return each.isDirectory() ? filesBelow(path) : [path]
  })
}

/** Before version 24 Node warns on the user's terminal that globs are experimental. */
function matches(path: string, pattern: string): boolean {
  const warn = process.emitWarning
  process.emitWarning = () => {}
  try {
    return matchesGlob(path, pattern)
  } finally {
    process.emitWarning = warn
  }
}
