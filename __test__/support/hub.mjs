/**
 * What most suites need: a folder that goes away, a hub that is closed, a condition to wait for.
 *
 * Everything is tied to the test (or suite hook) that asks for it and is undone after it, whether it
 * passed or not.
 */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as df from 'durafn'

/** How long anything may take before the test fails: generous, as machines of a CI may be slow. */
export const PATIENCE_MS = 20_000

/** An empty folder, removed after the test. */
export function tempDir(t) {
  const dir = mkdtempSync(join(tmpdir(), 'durafn-test-'))
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** A store in a file that does not exist yet. */
export function tempStore(t) {
  return `sqlite:${join(tempDir(t), 'hub.db')}`
}

/** A logger that keeps what it is told. */
export function memoryLogger() {
  const lines = []
  const at = (level) => (message) => lines.push({ level, message })
  const logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return {
    ...logger,
    lines,
    /** The messages of a level that match. */
    find: (level, pattern) =>
      lines
        .filter((line) => line.level === level && pattern.test(line.message))
        .map((line) => line.message),
  }
}

/**
 * Where a hub goes that is told of no store: into memory; with `DURAFN_TEST_STORE=postgres` into a schema of
 * its own on the server of `DURAFN_TEST_POSTGRES`.
 */
function anyStore() {
  if (process.env.DURAFN_TEST_STORE !== 'postgres') return { store: 'sqlite::memory:' }
  return postgresStore(process.env.DURAFN_TEST_POSTGRES)
}

/** A hub of its own on a PostgreSQL server: `{ store, hubName }`. */
export function postgresStore(url) {
  return { store: url, hubName: `test-${randomUUID()}` }
}

/**
 * An open hub, in memory unless a store is given, and closed after the test.
 *
 * @param {(app: df.App) => void} register registers the functions
 */
export async function openHub(t, register, options = {}) {
  const app = new df.App()
  register(app)
  const logger = memoryLogger()
  const hub = await df.open({ ...(options.store ? {} : anyStore()), app, logger, ...options })
  t.after(() => hub.close({ drainTimeoutMs: 0 }))
  return { hub, app, client: hub.client, logger, close: () => hub.close({ drainTimeoutMs: 0 }) }
}

/** A client of its own to a store, closed after the test. */
export async function connect(t, store, options = {}) {
  const client = await df.connect({ store, logger: memoryLogger(), ...options })
  t.after(() => client.close())
  return client
}

/** Starts an instance and gives its status when it has ended. */
export async function run(client, name, input, options = {}) {
  const id = await client.startNew(name, { input, ...options })
  return await client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })
}

/** The same for an instance that must complete: what it returned. */
export async function complete(client, name, input, options) {
  const status = await run(client, name, input, options)
  assert.equal(status.runtimeStatus, 'Completed', JSON.stringify(status))
  return status.output
}

/** The same for an instance that must fail: the details of the failure. */
export async function fail(client, name, input, options) {
  const status = await run(client, name, input, options)
  assert.equal(status.runtimeStatus, 'Failed', JSON.stringify(status))
  return status.failure
}

/** Starts an instance and waits until its function has begun and reached its first wait. */
export async function startWaiting(client, name, options) {
  const id = await client.startNew(name, options)
  await waiting(client, id)
  return id
}

/** Waits until an instance waits for something; gives the status. */
export function waiting(client, id, matches = (waits) => waits.length > 0) {
  return until(`instance ${id} waits`, async () => {
    const status = await client.getStatus(id)
    return status !== null && matches(status.waitingFor ?? []) ? status : false
  })
}

/** Asks until the answer is truthy, and gives it. */
export async function until(what, ask, { timeoutMs = PATIENCE_MS, pauseMs = 5 } = {}) {
  const end = performance.now() + timeoutMs
  let answer = await ask()
  while (!answer) {
    if (performance.now() > end) assert.fail(`waited ${timeoutMs} ms in vain until ${what}`)
    await delay(pauseMs)
    answer = await ask()
  }
  return answer
}

/** As a caller does: what was refused because the store is not there is asked for again. */
export function surely(call) {
  return until('the store is there', async () => {
    try {
      return await call()
    } catch (error) {
      if (error.code === 'StoreUnavailable') return false
      throw error
    }
  })
}

/** A promise with its ends outside; Node 20 has no `Promise.withResolvers`. */
export function deferred() {
  let resolve
  let reject
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/** Fails unless the promise rejects with the error class of this code; gives the error. */
export async function refuses(code, promise, { field, message } = {}) {
  const error = await promise.then(
    (value) => assert.fail(`expected ${code}, got ${JSON.stringify(value)}`),
    (thrown) => thrown,
  )
  return checkError(error, code, { field, message })
}

/** Fails unless the function throws the error class of this code; gives the error. */
export function throwsCode(code, action, { field, message } = {}) {
  try {
    action()
  } catch (error) {
    return checkError(error, code, { field, message })
  }
  return assert.fail(`expected ${code}, nothing was thrown`)
}

const errorClasses = new Map(
  Object.values(df)
    .filter((value) => typeof value === 'function' && typeof value.code === 'string')
    .map((value) => [value.code, value]),
)

function checkError(error, code, { field, message }) {
  assert.ok(error instanceof df.DurableError, `not an error of the package: ${error?.stack}`)
  assert.equal(error.code, code, error.stack)
  assert.ok(error instanceof errorClasses.get(code), `not a ${code}: ${error.constructor.name}`)
  if (field !== undefined) assert.equal(error.field, field, error.stack)
  if (message !== undefined) assert.match(error.message, message)
  return error
}
