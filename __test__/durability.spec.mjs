/**
 * Nothing is acknowledged, and nothing leaves the process, before it is synced: `docs/semantics.md` §3.3.
 *
 * `kill -9` proves nothing about power loss, as the kernel keeps what was written. So the child runs
 * under strace, and says what it was told and what it did on its standard output, where strace sees
 * it between the writes and the syncs of the store.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { startChild } from './support/child.mjs'
import { tempDir } from './support/hub.mjs'

const probe = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'])
const skip = probe.error
  ? 'strace is not installed (apt-get install strace)'
  : probe.status === 0
    ? false
    : `strace may not trace here: ${probe.stderr}`

before(() => {
  if (skip) console.error(`durability.spec: ${skip}`)
})

/** The calls of the child, in the order in which strace saw them begin and end. */
function readTrace(file) {
  const events = []
  const begun = new Map()
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, pid, rest] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (rest === undefined) continue
    const resumed = /^<\.\.\. (\w+) resumed>/.exec(rest)
    if (resumed) {
      if (begun.has(pid)) events.push({ ...begun.get(pid), at: 'end' })
      begun.delete(pid)
      continue
    }
    const [, call, path, text] = /^(\w+)\(\d+<([^>]*)>(?:, "((?:[^"\\]|\\.)*)")?/.exec(rest) ?? []
    if (call === undefined) continue
    const event = { call, path, text }
    events.push({ ...event, at: 'begin' })
    if (rest.endsWith('<unfinished ...>')) begun.set(pid, event)
    else events.push({ ...event, at: 'end' })
  }
  return events
}

const isOfLog = ({ path }) => path?.endsWith('.db-wal')

/** What the child said, if that is what it wrote. */
function saying({ call, at, text }) {
  if (call !== 'write' || at !== 'begin' || !text?.startsWith('\\1\\"')) return undefined
  return JSON.parse(text.slice(2).replaceAll('\\"', '"').replace(/\\n$/, ''))
}

/**
 * What happened to the log of the store before each thing that the child said, since the thing
 * before: how often it was `written`, how many syncs that began after a write have ended (`synced`),
 * and whether the last write is `dirty`.
 */
function betweenSayings(events) {
  const sayings = []
  const log = { written: 0, synced: 0, dirty: false }
  let isSyncing = false
  for (const event of events) {
    const message = saying(event)
    if (message !== undefined) {
      sayings.push({ message, ...log })
      Object.assign(log, { written: 0, synced: 0 })
    } else if (isOfLog(event) && event.call === 'pwrite64') {
      if (event.at === 'end') continue
      log.written += 1
      log.dirty = true
      isSyncing = false
    } else if (isOfLog(event)) {
      if (event.at === 'end' && isSyncing) {
        log.synced += 1
        log.dirty = false
      }
      isSyncing = event.at === 'begin'
    }
  }
  return sayings
}

async function trace(t, main, args) {
  const dir = tempDir(t)
  const file = join(dir, 'trace')
  const calls = 'trace=fdatasync,fsync,pwrite64,write'
  const wrapper = ['strace', '-f', '-y', '-s', '400', '-e', calls, '-o', file]
  const store = `sqlite:${join(dir, 'hub.db')}`
  const child = startChild(t, main, { ...args, store }, { wrapper })
  await child.finish({ timeoutMs: 60_000 })
  return betweenSayings(readTrace(file))
}

describe('a sync lies between the write of a commit and', { skip }, () => {
  test('the acknowledgement of every call of a client process', async (t) => {
    const sayings = await trace(t, async ({ df, args, say }) => {
      const client = await df.connect({ store: args.store, logger: false })
      say('connected')
      for (let n = 0; n < 10; n++) {
        const id = await client.startNew('any', { input: n, instanceId: `i${n}` })
        say(`started ${id}`)
        await client.suspend(id)
        say('suspended')
        await client.resume(id)
        say('resumed')
        await client.terminate(id, 'enough')
        say('terminated')
      }
      await client.purgeInstanceHistory('i0')
      say('purged')
      await client.close()
    })
    const acknowledged = sayings.slice(1)
    assert.equal(acknowledged.length, 41)
    for (const { message, written, synced, dirty } of acknowledged) {
      assert.ok(written >= 1, `${message}: nothing was written`)
      assert.ok(synced >= 1 && !dirty, `${message}: said before it was synced`)
    }
  })

  const worker = async ({ df, args, say }) => {
    const app = new df.App()
    app.activity('step', {
      handler: (n, context) => {
        say(`${context.instanceId} step ${n}`)
        return n
      },
    })
    app.orchestration('steps', function* (context) {
      for (let n = 0; n < 3; n++) yield context.df.callActivity('step', n)
      return yield context.df.waitForExternalEvent('go')
    })
    const { store, durability } = args
    const hub = await df.open({ store, app, logger: false, durability })
    const { client } = hub
    say('open')
    for (let n = 0; n < 10; n++) {
      const id = await client.startNew('steps', { instanceId: `i${n}` })
      say('started')
      while ((await client.getStatus(id))?.waitingFor[0]?.kind !== 'event') {
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      say('waits')
      const { outcome } = await client.raiseEvent(id, 'go', n)
      say(outcome)
      await client.waitForCompletion(id)
      say('completed')
    }
    await hub.close()
  }

  test('the acknowledgement of every call in the process of the worker, and the start of every activity', async (t) => {
    const sayings = (await trace(t, worker, {})).slice(1)
    assert.equal(sayings.length, 70)
    // Each was caused by a commit of its own, after the commit of the one before: but an instance is
    // started and has its first turn, which asks for step 0, in one commit.
    let commits = 0
    let needed = 0
    for (const { message, synced } of sayings) {
      commits += synced
      if (message !== 'started') needed += 1
      assert.ok(commits >= needed, `${message}: said after ${commits} syncs, ${needed} are needed`)
    }
    assert.ok(commits < 80, `${commits} syncs: more than commits`)
  })

  test("nothing, with durability 'relaxed': so this test can see the difference", async (t) => {
    const sayings = (await trace(t, worker, { durability: 'relaxed' })).slice(1)
    assert.equal(sayings.length, 70)
    const unsynced = sayings.filter(({ written, synced }) => written > 0 && synced === 0)
    assert.ok(unsynced.length > 40, `${unsynced.length}`)
  })
})
