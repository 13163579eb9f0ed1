/**
 * Which store a command works on, and the client to it.
 *
 * Owns: `--store`, then `DURAFN_STORE`, then `.durafn/hub.db` in the app's folder; `--hub`.
 * Must never: make an empty hub for a command that only asks or changes what is there.
 * Proved by: `__test__/cli.spec.mjs`.
 */

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { ConnectedClient } from '../connected-client.js'
import { StoreUnavailable } from '../errors.js'
import { defaultStore } from '../host/host.js'
import { connect } from '../hub.js'

export interface StoreOptions {
  store?: string
  hub?: string
  dir?: string
}

/** Adds the options that say which store. */
export function withStore(command: Command): Command {
  return command
    .option('--store <store>', 'sqlite:PATH; default: DURAFN_STORE, else .durafn/hub.db in DIR')
    .option('--hub <name>', 'name of the hub; default: what the store has')
    .option('--dir <dir>', "the app's folder", '.')
}

/** As an absolute one, wherever the process goes later. */
export function storeOf({ store, dir }: StoreOptions): string {
  const given = store ?? defaultStore(resolve(dir ?? '.'))
  const path = /^sqlite:(?!:memory:$)(.+)$/s.exec(given)?.[1]
  return path === undefined ? given : `sqlite:${resolve(path)}`
}

/** A store as it may be shown: the URL of a server without its password. */
export function shownStore(store: string): string {
  if (!/^postgres(ql)?:/.test(store) || !URL.canParse(store)) return store
  const url = new URL(store)
  if (url.password !== '') url.password = '***'
  if (url.searchParams.has('password')) url.searchParams.set('password', '***')
  return url.href
}

/** Connects, and closes whatever `use` does; the process may then end by itself. */
export async function withClient<T>(
  options: StoreOptions,
  use: (client: ConnectedClient) => Promise<T>,
): Promise<T> {
  const client = await connect({ store: storeOf(options), hubName: options.hub, logger: false })
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

/** The same for a store that must exist already. */
export function withExisting<T>(
  options: StoreOptions,
  use: (client: ConnectedClient) => Promise<T>,
): Promise<T> {
  const store = storeOf(options)
  const path = store.startsWith('sqlite:') ? store.slice('sqlite:'.length) : ''
  if (path === '' || path === ':memory:' || existsSync(path)) return withClient(options, use)
  throw new StoreUnavailable(
    `There is no hub at ${resolve(path)}. \`durafn start DIR\` makes one; if it is elsewhere, name it by --store sqlite:PATH, DURAFN_STORE or --dir.`,
  )
}
