/**
 * Where the store of a hub is.
 *
 * Owns: the options `store`, `listenUrl` and `distributed`, and the folder of a file.
 * Must never: show what may hold a password.
 * Proved by: `__test__/bad-input.spec.mjs`, `__test__/bad-store.spec.mjs`, `__test__/listening.spec.mjs`.
 */

import { mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { invalid, type Options, optionalBoolean, optionalString } from './check.js'
import type { EngineOptions } from './engine-options.js'
import { StoreFull, StoreReadOnly, StoreUnavailable } from './errors.js'
import { messageOf } from './failure.js'

const STORE_DEFAULT = 'sqlite:.durafn/hub.db'
const POSTGRES = /^postgres(ql)?:\/\//

/** Where a store is: the absolute path of its file, null for a hub in memory or on a server. */
export type StorePlace = Pick<EngineOptions, 'path' | 'url' | 'listenUrl' | 'distributed'>

export function storeOf(options: Options, isWorker: boolean): StorePlace {
  const given = optionalString(options, 'store', 'options')
  const fromEnvironment = given === undefined ? process.env['DURAFN_STORE'] : undefined
  const field = fromEnvironment ? 'the environment variable DURAFN_STORE' : 'options.store'
  const store = given ?? (fromEnvironment || STORE_DEFAULT)
  if (store.includes('\u0000')) throw invalid(field, 'must not hold a NUL', store)
  const listenUrl = listenUrlOf(options)
  const distributed = optionalBoolean(options, 'distributed', 'options')
  if (POSTGRES.test(store)) {
    return { path: null, url: store, distributed, ...(listenUrl && { listenUrl }) }
  }
  if (!store.startsWith('sqlite:') || store === 'sqlite:') {
    // What stands there may hold a password, so it is not shown.
    throw invalid(field, "must be 'sqlite:PATH', 'sqlite::memory:' or 'postgres://…'")
  }
  const path = store.slice('sqlite:'.length)
  if (path !== ':memory:') return { path: resolve(path) }
  if (isWorker) return { path: null }
  throw invalid(field, 'is in memory, where no other client reaches it; use the client of the hub')
}

function listenUrlOf(options: Options): string | undefined {
  const given = optionalString(options, 'listenUrl', 'options')
  const url = given ?? (process.env['DURAFN_LISTEN'] || undefined)
  if (url === undefined || POSTGRES.test(url)) return url
  const field = given === undefined ? 'the environment variable DURAFN_LISTEN' : 'options.listenUrl'
  throw invalid(field, "must be 'postgres://…'")
}

/** Only its owner may look into a folder that is made for a hub. */
export function makeFolder(path: string | null): void {
  if (path === null) return
  const folder = dirname(path)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const message = `The folder '${folder}' for the store cannot be made: ${messageOf(error)}`
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new StoreFull(message, { cause: error })
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') {
      throw new StoreReadOnly(message, { cause: error })
    }
    throw new StoreUnavailable(message, { cause: error })
  }
}
