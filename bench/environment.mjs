/** What a figure depends on: read back from the machine, not assumed. */

import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { cpus } from 'node:os'
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

export function describe(directory) {
  let commit = 'unknown'
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  } catch {
    // Not a checkout.
  }
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    commit,
    node: process.version,
    cpu: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    fileSystem: fileSystem(directory),
    syncMs: syncTime(directory),
  }
}
