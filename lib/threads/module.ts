/**
 * Modules that register an app's functions.
 *
 * Owns: how `options.app` names one, loading it, and which registry counts.
 * Must never: run a function.
 * Proved by: `__test__/threads.spec.mjs`.
 */

import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { App, app as defaultApp } from '../app.js'
import { invalid } from '../check.js'
import { InvalidFunction } from '../errors.js'
import { messageOf } from '../failure.js'

/**
 * The URL of the module that an option names by its URL, the text of that, or a path.
 *
 * @throws InvalidOption
 */
export function moduleUrl(value: URL | string, field: string): string {
  const text = String(value)
  // Not `C:\app.js`: a scheme has two letters or more.
  const isUrl = value instanceof URL || /^[a-z][a-z0-9+.-]+:/i.test(text)
  const url = isUrl ? text : pathToFileURL(resolve(text)).href
  if (text !== '' && isFile(url)) return url
  throw invalid(field, 'must be the path or the file: URL of a module that exists', text)
}

function isFile(url: string): boolean {
  try {
    return statSync(fileURLToPath(url)).isFile()
  } catch {
    return false // no file, no file: URL, or none of this machine
  }
}

/**
 * Imports a module, of either kind, and gives its registry: its default export or its export `app`,
 * whichever is an App, else `df.app`.
 *
 * @throws InvalidFunction
 */
export async function loadApp(url: string): Promise<App> {
  let loaded: Record<string, unknown>
  try {
    loaded = (await import(url)) as Record<string, unknown>
  } catch (error) {
    throw refused(url, messageOf(error), error)
  }
  // Of a CommonJS module `default` is `module.exports`, which may itself have been an ES module.
  for (const exported of [loaded, loaded['default']]) {
    if (exported instanceof App) return exported
    if (typeof exported !== 'object' || exported === null) continue
    for (const key of ['default', 'app']) {
      const candidate = (exported as Record<string, unknown>)[key]
      if (candidate instanceof App) return candidate
    }
  }
  if (!defaultApp.isEmpty) return defaultApp
  throw refused(
    url,
    "it exports no App and registers nothing on df.app. Export an App as default or as 'app', or register on the df.app of the same copy of durafn that opens the hub",
  )
}

/** Why a module is no app. */
export function refused(url: string, why: string, cause?: unknown): InvalidFunction {
  return new InvalidFunction(
    `The app's module '${url}' cannot be loaded: ${why.replace(/\.$/, '')}.`,
    {
      field: 'options.app',
      cause,
    },
  )
}
