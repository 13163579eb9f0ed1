/** Stores that cannot be read or written: a typed error at the right place, nothing lost, no hang. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as df from 'durafn'
import { startChild } from './support/child.mjs'
import {
  complete,
  connect,
  openHub,
  PATIENCE_MS,
  refuses,
  startWaiting,
  tempDir,
  tempStore,
  until,
} from './support/hub.mjs'
import { seeded } from './support/random.mjs'
import { editStore, skipEdits } from './support/store.mjs'

const timeoutMs = PATIENCE_MS
const pathOf = (store) => store.slice('sqlite:'.length)

function register(app) {
  app.activity('echo', { handler: (input) => input })
  app.orchestration('echo', async (context) => {
    return await context.df.callActivity('echo', context.df.getInput())
  })
  app.orchestration('wait', function* (context) {
    const first = yield context.df.callActivity('echo', 1)
    const event = yield context.df.waitForExternalEvent('go')
    return [first, typeof event]
  })
}

/** A closed store with two instances that wait, `bad` and `good`. */
async function prepare(t) {
  const store = tempStore(t)
  const { client, close } = await openHub(t, register, { store })
  for (const instanceId of ['bad', 'good']) {
    await startWaiting(client, 'wait', { instanceId })
    await until('it waits for the event', async () => {
      return (await client.getStatus(instanceId)).waitingFor[0]?.kind === 'event'
    })
  }
  await close()
  return store
}

/** The edited instance is parked, the other one and new ones run, and the bad one can be ended. */
async function checkParked(t, store) {
  const { client, logger } = await openHub(t, register, { store })
  const badly = client.raiseEvent('bad', 'go', 1).catch((error) => error)
  const status = await until('it is parked', async () => {
    const found = await client.getStatus('bad')
    return found.problem && found
  })
  assert.equal(status.runtimeStatus, 'Suspended')
  assert.equal(status.problem.code, 'CorruptHistory')
  assert.match(status.problem.message, /cannot be read/)
  assert.ok(logger.find('error', /cannot be read/).length >= 1)
  assert.ok(await badly)
  await checkOthersRun(client)
  await client.getStatus('bad', { showHistory: true })
  await client.terminate('bad', 'corrupt')
  assert.equal((await client.getStatus('bad')).output, 'corrupt')
  assert.deepEqual(await client.purgeInstanceHistory('bad'), { instancesDeleted: 1 })
}

async function checkOthersRun(client) {
  assert.equal(await complete(client, 'echo', 'new'), 'new')
  assert.equal((await client.raiseEvent('good', 'go', {})).outcome, 'delivered')
  const { output } = await client.waitForCompletion('good', { timeoutMs })
  assert.deepEqual(output, [1, 'object'])
}

const BAD = "(SELECT iid FROM instances WHERE id = 'bad')"
const OF_BAD = `WHERE hid >> 23 = ${BAD}`

describe('a row that cannot be read parks its instance, and the hub runs on', {
  skip: skipEdits,
}, () => {
  const bodies = {
    'no JSON': Buffer.from([0, 255, 1]),
    'JSON of something else': Buffer.from('{"never":"seen"}'),
    'half of it': 'half',
    nothing: Buffer.alloc(0),
  }
  for (const [what, body] of Object.entries(bodies)) {
    test(`of history: ${what}`, async (t) => {
      const store = await prepare(t)
      const half = `UPDATE history SET body = substr(body, 1, length(body) / 2) ${OF_BAD}`
      if (body === 'half') editStore(store, [half])
      else editStore(store, [`UPDATE history SET body = ? ${OF_BAD}`, [body]])
      await checkParked(t, store)
    })
  }

  test('of an instance that was under way when the process died', async (t) => {
    const store = tempStore(t)
    const child = startChild(
      t,
      async ({ df, args, say }) => {
        const app = new df.App()
        app.activity('never', { handler: () => say('runs') ?? new Promise(() => {}) })
        app.orchestration('wait', async (context) => await context.df.callActivity('never'))
        const hub = await df.open({ store: args, app, logger: false })
        await hub.client.startNew('wait', { instanceId: 'bad' })
      },
      store,
    )
    assert.equal(await child.next(), 'runs')
    await child.kill()
    editStore(store, [`UPDATE history SET body = ? ${OF_BAD}`, [Buffer.from('x')]])
    const { client } = await openHub(t, register, { store })
    await until('it is parked', async () => (await client.getStatus('bad')).problem)
    assert.equal(await complete(client, 'echo', 1), 1)
  })

  test('of a message', async (t) => {
    const store = await prepare(t)
    const outside = await connect(t, store)
    assert.equal((await outside.raiseEvent('bad', 'go', 1)).outcome, 'delivered')
    await outside.close()
    editStore(store, [`UPDATE messages SET body = ? WHERE iid = ${BAD}`, [Buffer.from('{')]])
    await checkParked(t, store)
  })

  test('of the instance itself: its input is no JSON', async (t) => {
    const store = await prepare(t)
    editStore(store, ["UPDATE instances SET input = ? WHERE id = 'bad'", [Buffer.from('{')]])
    const { client } = await openHub(t, register, { store })
    await client.raiseEvent('bad', 'go', 1)
    await checkOthersRun(client)
    const { instances } = await client.list({ name: 'echo' })
    assert.equal(instances.length, 1)
    const shown = await client.getStatus('bad').catch((error) => error)
    assert.ok(shown.code === 'CorruptHistory' || shown.problem?.code === 'CorruptHistory')
    await client.terminate('bad', 'corrupt')
  })
})

test('JSON 100,000 deep in a stored row is delivered, or parks its instance', {
  skip: skipEdits,
}, async (t) => {
  const store = await prepare(t)
  const outside = await connect(t, store)
  await outside.raiseEvent('bad', 'go', 'to be replaced')
  await outside.close()
  const [[hex]] = editStore(store, ['SELECT body FROM messages'])
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  const body = Buffer.from(hex, 'hex').toString().replace('"to be replaced"', deep)
  assert.ok(body.length > 200_000)
  editStore(store, ['UPDATE messages SET body = ?', [Buffer.from(body)]])
  const { client } = await openHub(t, register, { store })
  const status = await until('it is delivered or parked', async () => {
    const found = await client.getStatus('bad')
    return (found.runtimeStatus === 'Completed' || found.problem) && found
  })
  if (status.problem === undefined) assert.deepEqual(status.output, [1, 'object'])
  await checkOthersRun(client)
})

test('a hub file with bytes changed at random opens, or is refused with a code', {
  skip: skipEdits,
}, async (t) => {
  const random = seeded(t)
  const store = await prepare(t)
  const original = readFileSync(pathOf(store))
  const outcomes = {}
  for (let round = 0; round < 40; round++) {
    const copy = join(tempDir(t), 'copy.db')
    const bytes = Buffer.from(original)
    for (let n = random.integer(1, 60); n > 0; n--) {
      bytes[random.integer(round % 4 === 0 ? 0 : 100, bytes.length - 1)] = random.integer(0, 255)
    }
    writeFileSync(copy, bytes)
    const app = new df.App()
    register(app)
    let outcome = 'works'
    const hub = await df
      .open({ store: `sqlite:${copy}`, app, logger: false })
      .catch((error) => error)
    if (hub instanceof df.DurableError) {
      outcome = hub.code
    } else {
      try {
        const id = await hub.client.startNew('echo', { input: round })
        await hub.client.waitForCompletion(id, { timeoutMs: 1_000 })
        await hub.client.raiseEvent('good', 'go')
        await hub.client.list()
      } catch (error) {
        assert.ok(error instanceof df.DurableError, error.stack)
        outcome = `later: ${error.code}`
      }
      await hub.close({ drainTimeoutMs: 0 })
    }
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  t.diagnostic(JSON.stringify(outcomes))
  assert.ok(outcomes.works > 0 && Object.keys(outcomes).length > 1)
})

describe('a file that is no hub is refused and left as it is', () => {
  const open = (store) => df.open({ store, app: new df.App(), logger: false })
  const opens = { open, connect: (store) => df.connect({ store, logger: false }) }

  for (const [name, opening] of Object.entries(opens)) {
    test(`by ${name}: text, noise, a folder`, async (t) => {
      const dir = tempDir(t)
      const contents = { text: 'not a database\n'.repeat(500), noise: Buffer.alloc(9_000, 0xa5) }
      for (const [what, content] of Object.entries(contents)) {
        const file = join(dir, what)
        writeFileSync(file, content)
        await refuses('NotAHub', opening(`sqlite:${file}`))
        assert.deepEqual(readFileSync(file), Buffer.from(content))
      }
      await refuses('NotAHub', opening(`sqlite:${dir}`))
    })

    test(`by ${name}: a database of another program`, { skip: skipEdits }, async (t) => {
      const store = tempStore(t)
      editStore(store, ['CREATE TABLE theirs (x)'], ['INSERT INTO theirs VALUES (1)'])
      const before = readFileSync(pathOf(store))
      await refuses('NotAHub', opening(store), { message: /another program/ })
      assert.deepEqual(readFileSync(pathOf(store)), before)
    })

    test(`by ${name}: a hub of a newer version`, { skip: skipEdits }, async (t) => {
      const store = await prepare(t)
      editStore(store, ['PRAGMA user_version = 99'])
      const before = readFileSync(pathOf(store))
      await refuses('HubTooNew', opening(store), { message: /99[\s\S]*Update durafn/ })
      assert.deepEqual(readFileSync(pathOf(store)), before)
    })
  }

  test('and a path that leads through a file is refused', async (t) => {
    const file = join(tempDir(t), 'file')
    writeFileSync(file, 'x')
    for (const opening of Object.values(opens)) {
      await refuses('StoreUnavailable', opening(`sqlite:${file}/hub.db`), { message: /file/ })
    }
  })

  test('but an empty file becomes one', async (t) => {
    const store = tempStore(t)
    writeFileSync(pathOf(store), '')
    const { client } = await openHub(t, register, { store })
    assert.equal(await complete(client, 'echo', 1), 1)
  })

  test('and a copy of a closed hub is one', async (t) => {
    const store = await prepare(t)
    const copy = join(tempDir(t), 'copy.db')
    copyFileSync(pathOf(store), copy)
    const { client } = await openHub(t, register, { store: `sqlite:${copy}` })
    await checkOthersRun(client)
  })
})

// ------------------------------------------------------------------ read-only

/** Root may write anywhere, so the child is another user if this is root. */
const otherUser = process.getuid?.() === 0 ? { wrapper: asNobody() } : {}

function asNobody() {
  return ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
}

const canBeOther =
  process.getuid?.() !== 0 ||
  spawnSync('setpriv', [
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    process.execPath,
    '-e',
    '',
  ]).status === 0

describe('what may not be written', { skip: canBeOther ? false : 'setpriv is missing' }, () => {
  const attempt = async ({ df, args, say }) => {
    const options = { store: `sqlite:${args}`, logger: false }
    say(
      await df.open({ ...options, app: new df.App() }).then(
        () => 'open',
        (error) => error.code,
      ),
    )
    say(
      await df.connect(options).then(
        () => 'open',
        (error) => error.code,
      ),
    )
    process.exit(0)
  }

  async function codes(t, file) {
    const child = await startChild(t, attempt, file, otherUser).finish()
    return child.said
  }

  test('a read-only hub file is refused with StoreReadOnly', async (t) => {
    const store = await prepare(t)
    const dir = join(pathOf(store), '..')
    chmodSync(dir, 0o777)
    chmodSync(pathOf(store), 0o444)
    assert.deepEqual(await codes(t, pathOf(store)), ['StoreReadOnly', 'StoreReadOnly'])
  })

  test('a read-only folder is refused with StoreReadOnly, with and without a hub in it', async (t) => {
    const dir = tempDir(t)
    mkdirSync(join(dir, 'sub'))
    chmodSync(join(dir, 'sub'), 0o555)
    chmodSync(dir, 0o555)
    try {
      for (const file of ['hub.db', 'sub/hub.db', 'new/hub.db']) {
        assert.deepEqual(await codes(t, join(dir, file)), ['StoreReadOnly', 'StoreReadOnly'], file)
      }
    } finally {
      chmodSync(dir, 0o700)
    }
  })
})

// ------------------------------------------------------------------ a full disk

/** Room for the log, which is made 16 MiB long at the open, and some. */
const DISK = 48 * 2 ** 20
const BALLAST = 16 * 2 ** 20
const unshare = ['unshare', '--mount', '--map-root-user']
const canMount =
  process.platform === 'linux' &&
  spawnSync(unshare[0], [...unshare.slice(1), 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0

test('a full disk: calls are refused with StoreFull, nothing acknowledged is lost, and work goes on when there is room', {
  skip: canMount ? false : 'a tmpfs cannot be mounted here (unshare --mount --map-root-user)',
}, async (t) => {
  const dir = tempDir(t)
  const mount = `mount -t tmpfs -o size=${DISK} none "$0" && exec "$@"`
  const child = startChild(
    t,
    async ({ df, args, say, until: wait }) => {
      const { writeFileSync, rmSync } = await import('node:fs')
      const ballast = `${args.dir}/ballast`
      writeFileSync(ballast, Buffer.alloc(args.ballast))
      const app = new df.App()
      let finish
      app.activity('slow', {
        handler: () =>
          new Promise((resolve) => {
            finish = resolve
          }),
      })
      app.orchestration('slow', async (context) => await context.df.callActivity('slow'))
      app.orchestration('wait', function* (context) {
        yield context.df.waitForExternalEvent('go')
      })
      const logs = []
      const note = (message) => logs.push(message)
      const logger = { debug() {}, info() {}, warn: note, error: note }
      const hub = await df.open({ store: `sqlite:${args.dir}/hub.db`, app, logger })
      const { client } = hub
      const slow = await client.startNew('slow')
      await wait(() => finish)
      const input = 'x'.repeat(500_000)
      const started = []
      const refusal = await wait(async () => {
        try {
          started.push(await client.startNew('wait', { input }))
        } catch (error) {
          return error
        }
      })
      say([refusal.code, refusal instanceof df.StoreFull, refusal.message])
      say(started.length)
      finish(input)
      say(await wait(() => logs.find((line) => line.includes('cannot be written'))))
      say((await client.getStatus(slow)).runtimeStatus)
      rmSync(ballast)
      say((await client.waitForCompletion(slow, { timeoutMs: 10_000 })).output.length)
      await client.startNew('wait', { instanceId: 'after' })
      say(await client.count({ name: 'wait' }))
      const statuses = await Promise.all(
        started.map((id) => client.getStatus(id, { pending: true })),
      )
      say(statuses.every((found) => found?.input.length === input.length))
      await hub.close()
    },
    { dir, ballast: BALLAST },
    { wrapper: [...unshare, 'sh', '-c', mount, dir] },
  )
  const [code, isClass, message] = await child.next()
  assert.deepEqual([code, isClass], ['StoreFull', true])
  assert.match(message, /make room/)
  const acknowledged = await child.next()
  assert.ok(acknowledged > 5, `${acknowledged} starts were acknowledged`)
  assert.match(await child.next(), /trying again/)
  assert.equal(await child.next(), 'Running')
  assert.equal(await child.next(), 500_000)
  assert.equal(await child.next(), acknowledged + 1)
  assert.equal(await child.next(), true)
  await child.finish()
  assert.ok(!existsSync(join(dir, 'hub.db')), 'it was on the mount')
})
