/** A disk that refuses to read for a while, as a network's or a failing one does (EIO): nothing is given up for it. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { startChild } from './support/child.mjs'
import { tempDir } from './support/hub.mjs'

/** Reads of the files of a hub fail while the file of that name is there. */
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
static int fails(int fd) {
  char link[64], path[512];
  if (access(getenv("DURAFN_FAILS"), F_OK) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  char *name = strrchr(path, '/');
  return name && (strcmp(name, "/hub.db") == 0 || strcmp(name, "/hub.db-wal") == 0);
}
#define READ(name, offset) \\
  ssize_t name(int fd, void *to, size_t count, offset at) { \\
    static ssize_t (*real)(int, void *, size_t, offset); \\
    if (!real) real = dlsym(RTLD_NEXT, #name); \\
    if (fails(fd)) { errno = EIO; return -1; } \\
    return real(fd, to, count, at); \\
  }
READ(pread, off_t)
READ(pread64, off64_t)
`

const compiles =
  process.platform === 'linux' && spawnSync('cc', ['--version'], { stdio: 'ignore' }).status === 0

test('what a disk refuses to read for a while is neither lost nor taken for damaged', {
  skip: compiles ? false : 'there is no cc that could make the disk fail',
}, async (t) => {
  const dir = tempDir(t)
  const shim = join(dir, 'shim.so')
  const made = spawnSync('cc', ['-shared', '-fPIC', '-o', shim, '-xc', '-', '-ldl'], {
    input: SHIM,
  })
  assert.equal(made.status, 0, `${made.stderr}`)
  const fails = join(dir, 'fails')
  const main = async ({ df, args, say, until }) => {
    const { rmSync, writeFileSync } = await import('node:fs')
    const entities = 40
    const app = new df.App()
    app.activity('pass', { handler: (value) => value })
    app.orchestration('chain', function* (context) {
      let sum = 0
      for (let n = 0; n < 20; n++) sum += (yield context.df.callActivity('pass', [n, args.pad]))[0]
      return sum
    })
    app.entity('log', (context) => {
      const { seen } = context.df.getState(() => ({ seen: [] }))
      context.df.setState({ seen: [...seen, context.df.getInput()], pad: args.pad })
    })
    const lines = []
    const keep = (message) => lines.push(message)
    const logger = { debug() {}, info() {}, warn: keep, error: keep }
    // Most are read again for each signal, and each turn.
    const limits = { cachedInstances: 4 }
    const hub = await df.open({
      store: `sqlite:${args.dir}/hub.db`,
      app,
      logger,
      limits,
      durability: 'relaxed',
    })
    const { client } = hub
    const asks = async (call) => {
      try {
        return await call()
      } catch (error) {
        if (error.code !== 'StoreUnavailable') say(['refused', error.code, error.message])
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    }
    const acknowledged = Array.from({ length: entities }, () => [])
    const ids = []
    let next = 0
    let stopped = false
    const callers = Array.from({ length: 6 }, async () => {
      while (!stopped) {
        const n = next++
        const entity = n % entities
        const id = new df.EntityId('log', `${entity}`)
        if (await asks(async () => (await client.signalEntity(id, 'add', n)) ?? true)) {
          acknowledged[entity].push(n)
        }
        const started = n % 10 === 0 && (await asks(() => client.startNew('chain')))
        if (started) ids.push(started)
      }
    })
    const sent = (more) => {
      const to = next + more
      return until(() => next > to)
    }
    await sent(600)
    for (let outage = 0; outage < 3; outage++) {
      writeFileSync(args.fails, '')
      await until(() => lines.some((line) => /trying again|malformed/.test(line)))
      await sent(50)
      rmSync(args.fails)
      await sent(300)
    }
    stopped = true
    await Promise.all(callers)
    const ends = {}
    for (const id of ids) {
      const { runtimeStatus } = await client.waitForCompletion(id, { timeoutMs: 15_000 })
      ends[runtimeStatus] = (ends[runtimeStatus] ?? 0) + 1
    }
    let missing = 0
    let doubled = 0
    for (const [entity, numbers] of acknowledged.entries()) {
      const id = new df.EntityId('log', `${entity}`)
      const state = async () => (await client.readEntityState(id)).entityState?.seen ?? []
      const end = Date.now() + 5_000
      await until(async () => {
        const seen = await state()
        return Date.now() > end || numbers.every((n) => seen.includes(n))
      })
      const seen = await state()
      missing += numbers.filter((n) => !seen.includes(n)).length
      doubled += seen.length - new Set(seen).size
    }
    say(['ends', ends, ids.length])
    say(['signals', { missing, doubled }, acknowledged.flat().length])
    say(['lines', [...new Set(lines.map((line) => line.replaceAll(/'[^']*'/g, '*')))]])
    await hub.close()
  }
  const args = { dir, fails, pad: 'x'.repeat(4_000) }
  const env = { LD_PRELOAD: shim, DURAFN_FAILS: fails }
  const child = await startChild(t, main, args, { env }).finish()
  const [[, ends, started], [, signals, acknowledged], [, lines]] = child.said
  t.diagnostic(`${acknowledged} signals, ${started} starts; said: ${JSON.stringify(lines)}`)
  assert.deepEqual(signals, { missing: 0, doubled: 0 })
  assert.deepEqual(ends, { Completed: started })
  assert.ok(
    lines.every((line) => !/malformed|failed:/.test(line)),
    'nothing is taken for damaged',
  )
})
