/**
 * What `require('durafn')` and `import 'durafn'` give inside a function app.
 *
 * Owns: the hooks into Node's resolution, for exactly these names.
 * Must never: change how any other name, or these outside of hosted folders, are resolved where Node
 * itself finds them.
 * Proved by: `__test__/host.spec.mjs`.
 */

import Module from 'node:module'
import { join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'

type Resolve = (
  request: string,
  parent: { filename?: string | null } | null | undefined,
  ...rest: unknown[]
) => string

/** This very package, whichever copy of it that is: its files without their endings. */
const files: Record<string, string> = {
  durafn: join(__dirname, '..', 'index'),
  'durafn/http': join(__dirname, '..', 'http', 'index'),
}
const hosted: Set<string> = new Set()
const importing: Set<string> = new Set()
let isHooked = false

/**
 * Makes `require('durafn')` in a folder, and below it, give the package that runs: a function app
 * needs no copy of it installed, and one that has a copy must not get it, as the tasks of one copy
 * are nothing to another.
 */
export function hostDirectory(directory: string): void {
  hosted.add(withSlash(directory))
  if (isHooked) return
  isHooked = true
  const internals = Module as unknown as { _resolveFilename: Resolve }
  const resolve = internals._resolveFilename
  internals._resolveFilename = (request, parent, ...rest) => {
    const file = isHosted(parent?.filename) ? files[request] : undefined
    return file === undefined ? resolve(request, parent, ...rest) : `${file}.js`
  }
}

function isHosted(filename: string | null | undefined): boolean {
  if (typeof filename !== 'string') return false
  for (const directory of hosted) if (filename.startsWith(directory)) return true
  return false
}

function withSlash(directory: string): string {
  return directory.endsWith(sep) ? directory : directory + sep
}

/** Runs in the thread where Node resolves what ES modules import. */
const loader = `
let below, urls
export function initialize(data) {
  below = data.below
  urls = data.urls
}
export function resolve(specifier, context, next) {
  const url = context.parentURL?.startsWith(below) ? urls[specifier] : undefined
  return url === undefined ? next(specifier, context) : { url, shortCircuit: true }
}`

/** The same for what ES modules of a folder import; before the first one, as it takes a thread. */
export function hostImports(directory: string): void {
  if (importing.has(directory)) return
  importing.add(directory)
  const urls = Object.fromEntries(
    Object.entries(files).map(([name, file]) => [name, pathToFileURL(`${file}.mjs`).href]),
  )
  const below = pathToFileURL(withSlash(directory)).href
  Module.register(`data:text/javascript,${encodeURIComponent(loader)}`, { data: { below, urls } })
}
