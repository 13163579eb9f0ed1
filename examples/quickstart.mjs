/**
 * Backs up a folder with the function app in `quickstart/`, once approved and once not.
 *
 *   npm run quickstart -- [DIR] [--crash] [--keep]
 *
 * --crash: the process that hosts the app is killed in the middle, and this one finishes the backup.
 * --keep:  the copies, the ledger and the hub are kept.
 */

import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, open, readdir, readFile, realpath, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve, sep } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as df from 'durafn'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const APPROVAL_MS = 60 * 60 * 1_000

async function main() {
  const started = performance.now()
  const { source, crash, keep } = await readArguments()
  const work = await makeWorkFolder(source)
  const backups = { source, work, ledger: join(work, 'ledger.jsonl') }
  const store = `sqlite:${join(work, 'hub.db')}`
  say(`Backs up  ${source}`)
  say(`Works in  ${work}`)
  try {
    const halted = crash ? await crashHalfway(store, backup('backup-1', backups)) : null
    const app = await df.openFunctionApp(here('./quickstart/'), { store })
    const approved = await approvedBackup(app, store, backups, halted)
    await unapprovedBackup(app, backups)
    say('\nThe instances, as `durafn instances list` shows them')
    await run(durafn(), ['instances', 'list', '--store', store])
    say('\nChecks')
    await compare(approved, backups)
    if (halted !== null) await showReruns(app.client, backups, approved, halted)
    await app.close()
    const { failed } = approved.output
    for (const { file, error } of failed)
      say(`  could not be read, so it is not in it: ${file} (${error})`)
    if (failed.length > 0) throw new Error(`The backup lacks ${failed.length} of the files.`)
  } catch (error) {
    say(`\nWhat there is so far is kept in ${work}`)
    throw error
  }
  if (!keep) await rm(work, { recursive: true })
  const what = keep ? `All of it is in ${work}` : 'The folder is removed again (--keep keeps it)'
  say(`\nDone in ${((performance.now() - started) / 1_000).toFixed(1)} s. ${what}.`)
}

// ------------------------------------------------------------------ the two backups

function backup(id, { source, work, ledger }) {
  return { id, source, target: join(work, id), ledger, approvalMs: APPROVAL_MS }
}

/** The manual function starts it; a second process approves it; it completes. */
async function approvedBackup(app, store, backups, halted) {
  const id = 'backup-1'
  say('\nA backup that is approved')
  if (halted === null) await app.invoke('StartBackup', backup(id, backups))
  else say('  opened the hub again: it goes on by itself')
  await followUntilApproval(app.client, id)
  await run(here('./quickstart/approve.mjs'), [store, id])
  const status = await app.client.waitForCompletion(id)
  if (status.runtimeStatus !== 'Completed') throw new Error(`${id}: ${status.output}`)
  say(
    `  completed: ${plural(status.output.copied, 'file')}, approved by ${status.output.approvedBy}`,
  )
  return status
}

async function unapprovedBackup(app, backups) {
  const id = 'backup-2'
  say('\nA backup that is not approved')
  await app.invoke('StartBackup', backup(id, backups))
  await followUntilApproval(app.client, id)
  await app.client.terminate(id, 'Nobody approved it.')
  const { output } = await app.client.waitForCompletion(id)
  say(`  terminated: ${output}`)
}

/** Shows the custom status until the backup waits for approval. */
async function followUntilApproval(client, id) {
  const line = progressLine(id)
  for (;;) {
    const status = await client.getStatus(id)
    line.show(status?.customStatus)
    if (status?.waitingFor?.some((wait) => wait.kind === 'event')) break
    if (status?.problem) throw new Error(`${id}: ${status.problem.message}`)
    if (status?.runtimeStatus === 'Failed') throw new Error(status.output)
    await delay(20)
  }
  line.end()
}

function progressLine(id) {
  const { isTTY } = process.stdout
  let shown = ''
  return {
    show(progress) {
      if (!progress) return
      const { stage, copied, of } = progress
      const count = of > 0 ? ` ${bar(copied / of)} ${copied} of ${plural(of, 'file')}` : ''
      const text = `  ${id}: ${stage}${count}`
      if (text === shown) return
      shown = text
      process.stdout.write(isTTY ? `\r\u001b[K${text}` : `${text}\n`)
    },
    end() {
      if (isTTY) process.stdout.write('\n')
    },
  }
}

// ------------------------------------------------------------------ the crash

/** Hosts the app in a process of its own and kills that when half of the files are copied. */
async function crashHalfway(store, input) {
  say('\nA process that hosts the app, and is killed')
  const host = fork(here('./quickstart/host-until-halfway.mjs'), [store, JSON.stringify(input)])
  const ended = once(host, 'exit')
  const [message] = await Promise.race([once(host, 'message'), ended.then(() => [null])])
  host.kill('SIGKILL')
  const [, signal] = await ended
  if (message === null || signal !== 'SIGKILL') throw new Error('The host ended before half-way.')
  const when = message.of === 0 ? 'with nothing to copy' : `after ${plural(message.copied, 'file')}`
  say(`  process ${host.pid} was killed with SIGKILL ${when}`)
  return message
}

/** What the hub remembers, and what was really done. */
async function showReruns(client, { ledger }, { instanceId }, halted) {
  if (halted.of === 0) return
  const { history } = await client.getStatus(instanceId, { showHistory: true })
  const copies = new Map()
  for (const { eventType, taskId, name, input } of history) {
    if (name !== 'CopyFile') continue
    if (eventType === 'TaskScheduled') copies.set(taskId, { file: input.file, completed: 0 })
    if (eventType === 'TaskCompleted') copies.get(taskId).completed += 1
  }
  const wrong = [...copies.values()].filter(({ completed }) => completed !== 1)
  if (wrong.length > 0) throw new Error(`Not one TaskCompleted: ${JSON.stringify(wrong)}`)
  const lines = (await readFile(ledger, 'utf8')).trim().split('\n')
  const done = lines.map((line) => JSON.parse(line)).filter((line) => line.instance === instanceId)
  const again = done.length - new Set(done.map((line) => line.file)).size
  say(`  history: ${plural(copies.size, 'file')}, one TaskCompleted for each`)
  say(`  ledger:  ${done.length} copies were made, so ${again} ran again after the crash`)
}

// ------------------------------------------------------------------ checks

/** Every copy has the bytes of its original, and there is no other file. */
async function compare({ output }, { source, work }) {
  const { copies } = JSON.parse(await readFile(output.manifest, 'utf8'))
  const good = copies.filter((copy) => !copy.error)
  const target = join(work, 'backup-1')
  for (const { file } of good) {
    if (await sameBytes(join(source, file), join(target, file))) continue
    throw new Error(`The copy of ${file} differs from the original, or that has changed meanwhile.`)
  }
  const found = (await readdir(target, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  )
  if (found.length !== good.length) throw new Error(`${target} has ${found.length} files.`)
  const bytes = good.reduce((sum, copy) => sum + copy.bytes, 0)
  say(
    `  copies:  ${plural(good.length, 'file')}, ${size(bytes)}, byte by byte the same as the originals`,
  )
}

async function sameBytes(one, other) {
  const files = [await open(one), await open(other)]
  try {
    const buffers = [Buffer.alloc(65_536), Buffer.alloc(65_536)]
    for (;;) {
      const [a, b] = await Promise.all(files.map((file, i) => readFully(file, buffers[i])))
      if (!a.equals(b)) return false
      if (a.length === 0) return true
    }
  } finally {
    await Promise.all(files.map((file) => file.close()))
  }
}

/** Fills the buffer unless the file ends before. */
async function readFully(file, buffer) {
  let length = 0
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}

// ------------------------------------------------------------------ around it

async function readArguments() {
  const { values, positionals } = parseArgs({
    options: { crash: { type: 'boolean' }, keep: { type: 'boolean' } },
    allowPositionals: true,
  })
  if (positionals.length > 1) throw new Error('Give one folder; quote its name if it has spaces.')
  // npm runs scripts in the folder of the package, wherever it was called.
  const from = process.env.npm_lifecycle_event === 'quickstart' ? process.env.INIT_CWD : '.'
  const folder = positionals[0] === undefined ? here('../src') : resolve(from, positionals[0])
  const found = await stat(folder).catch(() => null)
  if (!found?.isDirectory()) throw new Error(`${folder} is not a folder.`)
  return {
    source: await realpath(folder),
    crash: values.crash === true,
    keep: values.keep === true,
  }
}

async function makeWorkFolder(source) {
  const parent = await realpath(tmpdir())
  if (`${parent}${sep}`.startsWith(`${source.replace(/[/\\]$/, '')}${sep}`)) {
    throw new Error(
      `${source} holds ${parent}, where the copies go; choose another folder, or set TMPDIR.`,
    )
  }
  return mkdtemp(join(parent, 'durafn-quickstart-'))
}

/** The command line of the package. */
function durafn() {
  const file = createRequire(import.meta.url).resolve('durafn/package.json')
  return join(dirname(file), JSON.parse(readFileSync(file, 'utf8')).bin.durafn)
}

/** Runs a script in a process of its own. */
async function run(script, args) {
  const [code] = await once(
    spawn(process.execPath, [script, ...args], { stdio: 'inherit' }),
    'exit',
  )
  if (code !== 0) throw new Error(`${script} ended with code ${code}.`)
}

function say(line) {
  console.log(line)
}

function bar(part) {
  const full = Math.round(part * 20)
  return '█'.repeat(full) + '░'.repeat(20 - full)
}

function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function size(bytes) {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}

main().catch((error) => {
  console.error(`quickstart: ${error.code ? `${error.code}: ` : ''}${error.message}`)
  process.exit(1)
})
