/** Keys and their file; ports. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createHttpApi, Keys, serve } from 'durafn/http'
import { startChild } from './support/child.mjs'
import { connect, openHub, refuses, tempDir, tempStore, throwsCode } from './support/hub.mjs'

const register = (app) => app.orchestration('done', () => 1)
const mine = { master: 'm'.repeat(16), function: 'f'.repeat(16), system: 's'.repeat(16) }

test('the keys are made once, in a file beside the store that only its owner may read', async (t) => {
  const store = tempStore(t)
  const { hub } = await openHub(t, register, { store })
  const { keys } = createHttpApi(hub)
  const file = `${store.slice('sqlite:'.length)}-keys.json`
  const { master, function: forFunctions, system } = keys
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), {
    master,
    function: forFunctions,
    system,
  })
  assert.equal(new Set([master, forFunctions, system]).size, 3)
  assert.match(master, /^[\w-]{43}$/)
  if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(createHttpApi(await connect(t, store)).keys.system, system)
})

test('of a hub in memory they are made anew and written nowhere', async (t) => {
  const { hub } = await openHub(t, register)
  assert.notEqual(createHttpApi(hub).keys.master, createHttpApi(hub).keys.master)
  assert.ok(!existsSync(':memory:-keys.json'))
})

test('processes that make them at the same time have the same', async (t) => {
  const dir = tempDir(t)
  const load = async ({ args, say, hear }) => {
    const { Keys } = await import('durafn/http')
    say('ready')
    await hear()
    say(args.map((file) => Keys.load(file).master))
  }
  const files = Array.from({ length: 100 }, (_, n) => join(dir, `${n}.json`))
  const children = Array.from({ length: 4 }, () => startChild(t, load, files))
  for (const child of children) await child.next()
  for (const child of children) child.tell('go')
  const [first, ...others] = await Promise.all(children.map((child) => child.next()))
  for (const other of others) assert.deepEqual(other, first)
  assert.equal(readdirSync(dir).length, files.length, 'nothing else is left')
})

test('a file of one’s own is used, and one that is open to others is closed', async (t) => {
  const keyFile = join(tempDir(t), 'deep/er/keys.json')
  const { hub } = await openHub(t, register)
  const { master } = createHttpApi(hub, { keyFile }).keys
  assert.equal(createHttpApi(hub, { keyFile }).keys.master, master)
  const open = join(tempDir(t), 'open.json')
  writeFileSync(open, JSON.stringify(mine), { mode: 0o644 })
  assert.equal(createHttpApi(hub, { keyFile: open }).keys.system, mine.system)
  if (process.platform !== 'win32') assert.equal(statSync(open).mode & 0o777, 0o600)
})

test('a file that cannot be used is named, with what is wrong', async (t) => {
  const { hub } = await openHub(t, register)
  const keyFile = join(tempDir(t), 'keys.json')
  for (const [text, message] of [
    ['{', /no JSON/],
    ['{}', /'master'/],
    [JSON.stringify({ ...mine, system: 'short' }), /'system'/],
    ['null', /'master'/],
  ]) {
    writeFileSync(keyFile, text)
    const error = throwsCode('StoreUnavailable', () => createHttpApi(hub, { keyFile }), { message })
    assert.ok(error.message.includes(keyFile))
  }
  throwsCode('StoreUnavailable', () => createHttpApi(hub, { keyFile: tempDir(t) }))
})

test('keys of one’s own open what they are for', async (t) => {
  const { hub } = await openHub(t, register)
  const { keys } = createHttpApi(hub, { keys: mine })
  const opened = ['function', 'system', 'admin'].map((level) =>
    Object.keys(mine).filter((kind) => keys.opens(mine[kind], level)),
  )
  assert.deepEqual(opened, [['master', 'function'], ['master', 'system'], ['master']])
  assert.equal(createHttpApi(hub, { keys: { system: mine.system } }).keys.system, mine.system)
  assert.equal(createHttpApi(hub, { keys: Keys.generate(mine) }).keys.master, mine.master)
  const short = { keys: { system: 'short' } }
  throwsCode('InvalidOption', () => createHttpApi(hub, short), { field: 'options.keys.system' })
  throwsCode('InvalidOption', () => createHttpApi(hub, { keys: true }), { field: 'options.keys' })
  throwsCode('InvalidOption', () => createHttpApi(hub, { key: 'x' }), { field: 'options.key' })
})

test('a port in use is refused by its number, and the hub goes on', async (t) => {
  const { hub, client } = await openHub(t, register)
  const first = await serve(hub, { port: 0 })
  t.after(() => first.close(0))
  const { port } = first
  const error = await refuses('PortUnavailable', serve(hub, { port }), { field: 'options.port' })
  assert.match(error.message, new RegExp(`${port}.*in use`))
  await refuses('InvalidOption', serve(hub, { port: 70_000 }), { field: 'options.port' })
  await refuses('PortUnavailable', serve(hub, { port: 0, hostname: 'nowhere.invalid' }))
  const id = await client.startNew('done')
  assert.equal((await client.waitForCompletion(id)).output, 1)
})
