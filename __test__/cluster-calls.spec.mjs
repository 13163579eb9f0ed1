/** Calls, sub-orchestrations, events and entities between the workers of a hub: whoever has what. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as df from 'durafn'
import { startPostgres } from '../scripts/postgres.mjs'
import { openCluster } from './support/cluster.mjs'
import { register } from './support/cluster-app.mjs'
import { complete, openHub, PATIENCE_MS, tempDir, until, waiting } from './support/hub.mjs'

const timeoutMs = PATIENCE_MS
const account = (key) => new df.EntityId('account', key)

let server
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

/**
 * A worker in a process of its own and one in this process, and who calls: a process that is only a client,
 * and the worker here.
 */
async function openPair(t) {
  const cluster = await openCluster(t, server.url)
  const ledger = join(tempDir(t), 'ledger')
  await cluster.worker()
  const here = await openHub(t, (app) => register(app, ledger), cluster.place)
  await cluster.balanced(2)
  return { cluster, here, callers: { client: cluster.client, worker: here.client } }
}

/** Does something with instances of both workers, each called from each caller. */
async function everywhere(t, name, input, act) {
  const { cluster, callers } = await openPair(t)
  const owners = new Set()
  for (const [caller, client] of Object.entries(callers)) {
    const ids = Array.from({ length: 12 }, (_, n) => `${caller}-${n}`)
    await client.startMany(ids.map((instanceId) => ({ name, instanceId, input })))
    for (const { epoch } of await cluster.ownersOf(ids)) owners.add(epoch)
    await Promise.all(ids.map((id) => act(client, id, cluster)))
  }
  assert.equal(owners.size, 2, 'both workers had some')
  return cluster
}

const completion = (client, id) => client.waitForCompletion(id, { timeoutMs })

describe('across the workers of a hub', () => {
  test('events are delivered, and instances suspended, resumed and terminated', async (t) => {
    await everywhere(t, 'wait', null, async (client, id) => {
      await waiting(client, id)
      await client.suspend(id, 'rest')
      assert.equal((await client.getStatus(id)).runtimeStatus, 'Suspended')
      assert.equal((await client.raiseEvent(id, 'go', id)).outcome, 'delivered')
      await client.resume(id)
      assert.equal((await completion(client, id)).output, id)
      const other = await client.restart(id)
      await waiting(client, other)
      await client.terminate(other, 'enough')
      const { runtimeStatus, output } = await completion(client, other)
      assert.deepEqual([runtimeStatus, output], ['Terminated', 'enough'])
      for (const gone of [id, other]) {
        assert.deepEqual(await client.purgeInstanceHistory(gone), { instancesDeleted: 1 })
        assert.equal(await client.getStatus(gone, { pending: true }), null)
      }
    })
  })

  test('what failed is rewound', async (t) => {
    const file = join(tempDir(t), 'may-pass')
    let failed = 0
    await everywhere(t, 'risky', file, async (client, id) => {
      if (failed < 12) {
        assert.equal((await completion(client, id)).runtimeStatus, 'Failed')
        failed += 1
        if (failed === 12) writeFileSync(file, '')
        await until('all have failed', () => failed === 12)
        await client.rewind(id, 'once more')
      }
      assert.equal((await completion(client, id)).output, 'at last')
    })
  })

  test('generations of an instance go on where it is', async (t) => {
    const cluster = await everywhere(
      t,
      'generations',
      { left: 4, nonces: [] },
      async (client, id) => {
        assert.equal(new Set((await completion(client, id)).output).size, 5)
      },
    )
    await cluster.audit()
  })

  test('sub-orchestrations run anywhere, and end with their parent', async (t) => {
    const { cluster, callers } = await openPair(t)
    for (const [caller, client] of Object.entries(callers)) {
      const children = Array.from({ length: 30 }, (_, n) => `${caller}-child-${n}`)
      const steps = { children, name: 'steps', input: { steps: 2, ms: 0 } }
      const outputs = await complete(client, 'parent', steps)
      assert.equal(new Set(outputs.flat()).size, 60, 'each result once')
      assert.equal(new Set((await cluster.ownersOf(children)).map(({ epoch }) => epoch)).size, 2)
      const waits = children.map((id) => `waiting-${id}`)
      const id = await client.startNew('parent', { input: { children: waits, name: 'wait' } })
      await Promise.all(waits.map((child) => waiting(client, child)))
      await client.terminate(id, 'all of you', { recursive: true })
      for (const ended of [id, ...waits]) {
        assert.equal((await completion(client, ended)).runtimeStatus, 'Terminated', ended)
      }
    }
  })

  test('thousands may wait in a process, and hold nobody up', async (t) => {
    const { cluster, callers } = await openPair(t)
    const open = 'SELECT count(*)::int AS waits FROM hub.waits WHERE open > 0'
    for (const [caller, client] of Object.entries(callers)) {
      const ids = Array.from({ length: 3_000 }, (_, n) => `${caller}-${n}`)
      await client.startMany(ids.map((instanceId) => ({ name: 'wait', instanceId })))
      const all = Promise.all(ids.map((id) => completion(client, id)))
      await until('all of them wait', async () => (await cluster.rows(open))[0].waits === 3_000)
      for (let n = 0; n < 20; n += 1) {
        const asked = performance.now()
        await client.getStatus(ids[n])
        const ms = performance.now() - asked
        assert.ok(ms < 5_000, `a call took ${ms} ms`)
      }
      await Promise.all(ids.map((id) => client.raiseEvent(id, 'go', id)))
      assert.deepEqual(
        (await all).map(({ output }) => output),
        ids,
      )
    }
  })

  test('who waits for an instance that goes to another worker hears of its end', async (t) => {
    const cluster = await openCluster(t, server.url)
    const here = await openHub(t, (app) => register(app, ''), cluster.place)
    const ids = Array.from({ length: 600 }, (_, n) => `wait-${n}`)
    await here.client.startMany(ids.map((instanceId) => ({ name: 'wait', instanceId })))
    const all = Promise.all(ids.map((id) => completion(here.client, id)))
    await Promise.all(ids.map((id) => waiting(here.client, id)))
    await cluster.worker()
    await cluster.balanced(2)
    assert.equal(new Set((await cluster.ownersOf(ids)).map(({ epoch }) => epoch)).size, 2)
    await Promise.all(ids.map((id) => cluster.client.raiseEvent(id, 'go', id)))
    assert.equal((await all).length, ids.length)
  })

  test('entities take signals and calls of all, and locks hold', async (t) => {
    const { cluster, callers } = await openPair(t)
    const keys = Array.from({ length: 8 }, (_, n) => `a${n}`)
    const clients = Object.values(callers)
    for (let n = 0; n < 50; n += 1) {
      await Promise.all(keys.map((key) => clients[n % 2].signalEntity(account(key), 'add', 1)))
    }
    const balances = async () => {
      const states = keys.map((key) => cluster.client.readEntityState(account(key)))
      return (await Promise.all(states)).map(({ entityState }) => entityState)
    }
    await until('all signals are carried out', async () =>
      (await balances()).every((balance) => balance === 50),
    )
    const moves = Array.from({ length: 16 }, (_, n) => {
      const [from, to] = [keys[n % 8], keys[(n * 3 + 1 + (n % 8)) % 8]]
      return { from, to: to === from ? keys[(n + 1) % 8] : to }
    })
    await Promise.all(moves.map((input, n) => complete(clients[n % 2], 'transfer', input)))
    const expected = keys.map((key) => {
      const came = moves.filter(({ to }) => to === key).length
      return 50 + came - moves.filter(({ from }) => from === key).length
    })
    assert.deepEqual(await balances(), expected)
    const held = 'SELECT id FROM hub.entities WHERE lock_iid IS NOT NULL'
    await until('no lock is left', async () => (await cluster.rows(held)).length === 0)
    const owners = await cluster.rows(
      'SELECT DISTINCT epoch FROM hub.entities \
      JOIN hub.parts ON part = eid & 255',
    )
    assert.equal(owners.length, 2, 'both workers had some')
  })

  test('critical sections of a worker that is killed end elsewhere', async (t) => {
    const { cluster, here } = await openPair(t)
    const keys = Array.from({ length: 4 }, (_, n) => `k${n}`)
    const victim = await cluster.worker()
    await cluster.balanced(3)
    const moves = Array.from({ length: 24 }, (_, n) => `move-${n}`)
    await here.client.startMany(
      moves.map((instanceId, n) => {
        const input = { from: keys[n % 4], to: keys[(n + 1) % 4] }
        return { name: 'transfer', instanceId, input }
      }),
    )
    await until(
      'some are done',
      async () => (await here.client.count({ runtimeStatus: 'Completed' })) > 3,
    )
    await victim.kill()
    for (const id of moves) assert.equal((await completion(here.client, id)).output, id)
    const states = await Promise.all(keys.map((key) => here.client.readEntityState(account(key))))
    assert.deepEqual(
      states.map(({ entityState }) => entityState),
      [0, 0, 0, 0],
    )
  })
})
