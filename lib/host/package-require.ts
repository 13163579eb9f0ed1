/**
 * What `require('durafn')` gives inside a function folder.
 *
 * Owns: the one hook into Node's resolution, for exactly this name.
 * Must never: change how any other name, or this name outside of hosted folders, is resolved where
 * Node itself finds it.
 * Proved by: `__test__/host.spec.mjs`.
 */

import Module from 'node:module'
import { sep } from 'node:path'

type Resolve = (
  request: string,
  parent: { filename?: string | null } | null | undefined,
  ...rest: unknown[]
) => string

const PACKAGE = 'durafn'
/** This very package, whichever copy of it that is. */
const main: string = require.resolve('../index.js')
const hosted: Set<string> = new Set()
let isHooked = false

/**
 * Makes `require('durafn')` in a folder, and below it, give the package that runs: a function app
 * needs no copy of it installed, and one that has a copy must not get it, as the tasks of one copy
 * are nothing to another.
 */
export function hostDirectory(directory: string): void {
  hosted.add(directory.endsWith(sep) ? directory : directory + sep)
  if (isHooked) return
  isHooked = true
  const internals = Module as unknown as { _resolveFilename: Resolve }
  const resolve = internals._resolveFilename
  internals._resolveFilename = (request, parent, ...rest) =>
    request === PACKAGE && isHosted(parent?.filename) ? main : resolve(request, parent, ...rest)
}

function isHosted(filename: string | null | undefined): boolean {
  if (typeof filename !== 'string') return false
  for (const directory of hosted) if (filename.startsWith(directory)) return true
  return false
}
