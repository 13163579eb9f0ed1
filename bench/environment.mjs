/** What a figure depends on: read back from the machine, not assumed. */

import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'

const FILE_SYSTEMS = { 61267: 'ext4', 1481003842: 'xfs', 2435016766: 'btrfs', 16914836: 'tmpfs' }
const OVERLAY = 2035054128

export function fileSystem(directory) {
  const type = statfsSync(directory).type
  return type === OVERLAY ? 'overlayfs' : (FILE_SYSTEMS[type] ?? `type 0x${type.toString(16)}`)
}

/** Median time of writing a page and syncing it, in milliseconds. */
export function syncTime(directory) {
  const file = join(directory, 'sync-probe')
  const page = Buffer.alloc(4096, 1)
  const handle = openSync(file, 'w')
  const times = []
  for (let round = 0; round < 200; round += 1) {
    const start = performance.now()
    writeSync(handle, page, 0, page.length, (round % 64) * page.length)
    fdatasyncSync(handle)
    times.push(performance.now() - start)
  }
  closeSync(handle)
  rmSync(file)
  return times.sort((a, b) => a - b)[100]
}

/** The commit that is measured, and whether the engine's sources differ from it. */
function commit() {
  const git = (...args) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  try {
    const changed = git('status', '--porcelain', '--', ':/src', ':/lib') !== ''
    return git('rev-parse', '--short', 'HEAD') + (changed ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}

export function describe(directory) {
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    commit: commit(),
    node: process.version,
    cpu: `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'})`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB of memory`,
    fileSystem: fileSystem(directory),
    syncMs: syncTime(directory),
  }
}
