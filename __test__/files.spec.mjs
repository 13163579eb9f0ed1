/** The files of a hub in other hands: read beside it, opened under other names or twice, removed, replaced. */

import assert from 'node:assert/strict'
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import { connect, openHub, PATIENCE_MS, refuses, tempDir, until } from './support/hub.mjs'
import { editStore, skipEdits } from './support/store.mjs'

const timeoutMs = PATIENCE_MS
const isWindows = process.platform === 'win32'
/** Where reading the files takes SQLite's locks away all the same. */
const skipReads = process.platform === 'linux' ? false : 'no locks of open file descriptions here'

function register(app) {
  app.activity('echo', { handler: (input) => input })
  app.orchestration('echo', function* (context) {
    return yield context.df.callActivity('echo', context.df.getInput())
  })
  app.orchestration('wait', function* (context) {
    return yield context.df.waitForExternalEvent('go')
  })
}

/** A place for a hub in a folder of its own, which a test may remove. */
function place(t) {
  const dir = join(tempDir(t), 'hub')
  return { dir, file: join(dir, 'hub.db'), store: `sqlite:${join(dir, 'hub.db')}` }
}

function integrity(store) {
  return editStore(store, ['SELECT * FROM pragma_integrity_check'])
}

test('a file with a second name (a hard link) is refused under both', {
  skip: isWindows && 'links are not counted there',
}, async (t) => {
  const { dir, file, store } = place(t)
  const { close } = await openHub(t, register, { store })
  await close()
  linkSync(file, join(dir, 'other.db'))
  const message = /2 names \(hard links\)/
  for (const name of [store, `sqlite:${join(dir, 'other.db')}`]) {
    await refuses('InvalidOption', df.open({ store: name, app: new df.App() }), { message })
    await refuses('InvalidOption', df.connect({ store: name }), { message })
  }
})

describe('files that are no longer there', { skip: isWindows && 'open files stay there' }, () => {
  const losses = {
    'a folder that is removed': ({ dir }) => rmSync(dir, { recursive: true }),
    'a folder that is renamed': ({ dir }) => renameSync(dir, `${dir}-away`),
    'a file that is replaced': ({ file }) => {
      copyFileSync(file, `${file}.copy`)
      renameSync(`${file}.copy`, file)
    },
    'a file that gets a second name': ({ file }) => linkSync(file, `${file}.link`),
  }

  for (const [what, lose] of Object.entries(losses)) {
    test(`${what} gives the hub up: nothing is acknowledged after that, and what waits is settled`, async (t) => {
      const at = place(t)
      const { hub, client, logger } = await openHub(t, register, { store: at.store })
      await client.startNew('wait', { instanceId: 'x' })
      const waits = client.waitForCompletion('x', { timeoutMs })
      waits.catch(() => {})
      lose(at)
      const message = /was removed, renamed or replaced|2 names/
      const starts = Array.from({ length: 200 }, () => client.startNew('echo'))
      for (const start of starts) await refuses('StoreGone', start, { message })
      await refuses('StoreGone', waits, { message })
      await refuses('StoreGone', client.raiseEvent('x', 'go'))
      await refuses('StoreGone', client.getStatus('x'))
      assert.deepEqual(logger.find('error', /./).slice(1), [], 'and the log says so once')
      await hub.close()
    })
  }

  test('a worker without work sees it by itself', async (t) => {
    const at = place(t)
    const { hub, client } = await openHub(t, register, { store: at.store })
    await client.startNew('wait', { instanceId: 'x' })
    const waits = client.waitForCompletion('x', { timeoutMs })
    rmSync(at.dir, { recursive: true })
    await refuses('StoreGone', waits)
    await hub.close()
    assert.ok(!existsSync(at.dir), 'and makes nothing there')
  })

  test('a hub that is closed then ends as well, whichever of the two is first', async (t) => {
    for (let n = 0; n < 8; n += 1) {
      const at = place(t)
      const { hub, client } = await openHub(t, register, { store: at.store })
      await client.startNew('wait')
      rmSync(at.dir, { recursive: true })
      await hub.close({ drainTimeoutMs: 0 })
    }
  })

  test('a client in another process is given up too, whether it writes, reads or waits', async (t) => {
    const at = place(t)
    const { client } = await openHub(t, register, { store: at.store })
    await client.startNew('wait', { instanceId: 'x' })
    const child = startChild(
      t,
      async ({ df, args, say, hear }) => {
        const codes = (...calls) =>
          Promise.all(
            calls.map((call) =>
              call.then(
                () => 'done',
                (error) => error.code,
              ),
            ),
          )
        const [reads, writes] = await Promise.all(
          [1, 2].map(() => df.connect({ store: args, logger: false })),
        )
        const waits = codes(reads.waitForCompletion('x'))
        await reads.getStatus('x')
        say('open')
        await hear()
        say(
          await codes(
            reads.getStatus('x'),
            reads.count(),
            reads.readEntityState(new df.EntityId('e', 'k')),
          ),
        )
        say(await waits)
        say(await codes(writes.startNew('echo'), writes.raiseEvent('x', 'go')))
        say(await codes(writes.getStatus('x')))
      },
      at.store,
    )
    assert.equal(await child.next(), 'open')
    rmSync(at.dir, { recursive: true })
    child.tell('removed')
    assert.deepEqual(await child.next(), ['StoreGone', 'StoreGone', 'StoreGone'])
    assert.deepEqual(await child.next(), ['StoreGone'])
    assert.deepEqual(await child.next(), ['StoreGone', 'StoreGone'])
    assert.deepEqual(await child.next(), ['StoreGone'])
    await child.finish()
    assert.ok(!existsSync(at.dir), 'and makes nothing there')
  })
})

/** Starts and signals until it is told enough; then says which starts were acknowledged. */
async function caller({ df, args, say }) {
  const client = await df.connect({ store: args.store, logger: false })
  const acknowledged = []
  const end = performance.now() + args.ms
  const callers = Array.from({ length: 4 }, async () => {
    while (performance.now() < end) {
      acknowledged.push(await client.startNew('echo', { input: acknowledged.length }))
    }
  })
  await Promise.all(callers)
  await client.close()
  say(acknowledged)
}

test('a worker that reads all files of its folder, while clients come and go, loses nothing', {
  skip: skipReads || skipEdits,
}, async (t) => {
  const { dir, store } = place(t)
  const worker = startChild(
    t,
    async ({ df, args, say, hear }) => {
      const { readdirSync, readFileSync } = await import('node:fs')
      const app = new df.App()
      app.activity('read', {
        handler: () => {
          for (const name of readdirSync(args.dir)) readFileSync(`${args.dir}/${name}`)
        },
      })
      app.activity('echo', { handler: (input) => input })
      app.orchestration('echo', function* (context) {
        return yield context.df.callActivity('echo', context.df.getInput())
      })
      app.orchestration('copies', function* (context) {
        yield context.df.callActivity('read')
        context.df.continueAsNew()
      })
      const hub = await df.open({ store: args.store, app, logger: false })
      await hub.client.startNew('copies', { instanceId: 'copies' })
      say('open')
      await hear()
      await hub.client.terminate('copies', 'enough')
      while ((await hub.client.count({ runtimeStatus: ['Running', 'Pending'] })) > 0) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await hub.close()
    },
    { dir, store },
  )
  assert.equal(await worker.next(), 'open')
  const acknowledged = []
  for (let round = 0; round < 3; round += 1) {
    const clients = [150, 300].map((ms) => startChild(t, caller, { store, ms }))
    for (const child of clients) {
      acknowledged.push(...(await child.next()))
      await child.finish()
    }
  }
  worker.tell('enough')
  await worker.finish()
  assert.deepEqual(integrity(store), [['ok']])
  const rows = editStore(store, ['SELECT id FROM instances'])
  const stored = new Set(rows.map(([id]) => id))
  assert.deepEqual(
    acknowledged.filter((id) => !stored.has(id)),
    [],
    'acknowledged, and not there',
  )
  assert.ok(acknowledged.length > 0)
})

/** The package as another `npm install` would bring it: other files, so another copy of the addon. */
async function secondCopy(t) {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const dir = join(tempDir(t), 'node_modules', 'durafn')
  mkdirSync(dir, { recursive: true })
  for (const name of ['dist', 'native', 'package.json'])
    cpSync(join(root, name), join(dir, name), { recursive: true })
  const needs = join(root, 'node_modules')
  symlinkSync(
    needs,
    join(dirname(dirname(dir)), 'node_modules', 'durafn', 'node_modules'),
    'junction',
  )
  return await import(pathToFileURL(join(dir, 'dist', 'index.mjs')))
}

test('two copies of the package in one process keep out of each other’s way on one file', {
  skip: skipReads || skipEdits,
}, async (t) => {
  const { store } = place(t)
  const copy = await secondCopy(t)
  assert.notEqual(copy.App, df.App)
  const { client, close } = await openHub(t, register, { store })
  const refusal = await copy.open({ store, app: new copy.App() }).catch((error) => error)
  assert.equal(refusal.code, 'HubInUse')
  const acknowledged = []
  for (let round = 0; round < 3; round += 1) {
    const other = await copy.connect({ store, logger: false })
    const end = performance.now() + 150
    const calls = [client, other].map(async (via) => {
      while (performance.now() < end) acknowledged.push(await via.startNew('echo'))
    })
    await Promise.all(calls)
    await other.close()
    // A process that finds no lock begins the log's index anew.
    const child = startChild(t, caller, { store, ms: 100 })
    acknowledged.push(...(await child.next()))
    await child.finish()
  }
  await until('all have ended', async () => {
    return (await client.count({ runtimeStatus: 'Completed' })) === acknowledged.length
  })
  await close()
  assert.deepEqual(integrity(store), [['ok']])
})

test('a hub is not given up for what is done beside it', async (t) => {
  const { dir, file, store } = place(t)
  const { client } = await openHub(t, register, { store })
  copyFileSync(file, join(dir, 'copy.db'))
  mkdirSync(join(dir, 'more'))
  if (!isWindows) symlinkSync(file, join(dir, 'symlink.db'))
  const other = await connect(t, isWindows ? store : `sqlite:${join(dir, 'symlink.db')}`)
  await other.startNew('echo', { instanceId: 'a' })
  const { runtimeStatus } = await client.waitForCompletion('a', { timeoutMs })
  assert.equal(runtimeStatus, 'Completed')
})
