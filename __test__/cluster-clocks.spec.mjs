/** Workers of one hub whose clocks do not agree, and the clock of its server, which counts. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startPostgres } from '../scripts/postgres.mjs'
import { openCluster } from './support/cluster.mjs'
import { PATIENCE_MS } from './support/hub.mjs'

/** Debian's package faketime: a library that tells a process another time. */
const faketime = existsSync('/usr/lib')
  ? readdirSync('/usr/lib')
      .map((folder) => join('/usr/lib', folder, 'faketime/libfaketime.so.1'))
      .find(existsSync)
  : undefined
const skip = faketime ? false : 'the package faketime is not installed'

/** What a process finds in its environment whose clock is wrong by so much. */
const wrongBy = (offset) => ({
  LD_PRELOAD: faketime,
  FAKETIME: offset,
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
})

test('clocks that are hours apart change nothing: that of the server counts', {
  skip,
}, async (t) => {
  const server = await startPostgres()
  t.after(() => server.stop())
  const cluster = await openCluster(t, server.url)
  const workers = [
    await cluster.worker({}, { env: wrongBy('+3600') }),
    await cluster.worker({}, { env: wrongBy('-3600') }),
  ]
  const hours = workers.map(({ openedAt }) => Math.round((openedAt - Date.now()) / 3_600_000))
  assert.deepEqual(hours, [1, -1], 'the clocks are wrong')
  await cluster.balanced(2)
  const ids = Array.from({ length: 24 }, (_, n) => `clock-${n}`)
  const begun = Date.now()
  // Longer than two leases: whoever went by another clock would be taken for dead meanwhile, or for alive.
  const ms = 2_200
  await cluster.client.startMany(
    ids.map((instanceId) => ({ name: 'clock', instanceId, input: ms })),
  )
  const statuses = await Promise.all(
    ids.map((id) => cluster.client.waitForCompletion(id, { timeoutMs: PATIENCE_MS })),
  )
  const ended = Date.now()
  for (const { output, createdTime, lastUpdatedTime } of statuses) {
    const times = output.map((text) => Date.parse(text))
    for (const at of [...times, createdTime.getTime(), lastUpdatedTime.getTime()]) {
      assert.ok(at > begun - 100 && at < ended + 100, `${new Date(at)} is not the server's time`)
    }
    assert.ok(times[1] - times[0] >= ms && times[1] - times[0] < ms + 1_000, String(output))
  }
  assert.equal(new Set((await cluster.ownersOf(ids)).map(({ epoch }) => epoch)).size, 2)
  assert.deepEqual(
    workers.map(({ said }) => said),
    [[], []],
    'nobody was taken for dead',
  )
  await cluster.audit()
})
