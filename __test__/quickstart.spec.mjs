/** The main job: `npm run quickstart`, with and without the crash, on trees of all sorts. */

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runScript } from './support/cli.mjs'
import { tempDir } from './support/hub.mjs'

const script = fileURLToPath(new URL('../examples/quickstart.mjs', import.meta.url))

/** Runs it with a folder for temporary files of its own: `{ code, stdout, stderr, left }`. */
async function quickstart(t, args, { temp = tempDir(t) } = {}) {
  const env = { TMPDIR: temp, TEMP: temp, TMP: temp }
  const result = await runScript(script, args, { env })
  return { ...result, left: readdirSync(temp), temp }
}

/** Runs it; it must succeed and remove what it made. Gives what it printed. */
async function succeed(t, args) {
  const { code, stdout, stderr, left } = await quickstart(t, args)
  assert.equal(code, 0, `${stdout}\n${stderr}`)
  assert.equal(stderr, '')
  assert.deepEqual(left, [])
  assert.match(stdout, /^backup-1 +BackUp +Completed /m)
  assert.match(stdout, /^backup-2 +BackUp +Terminated .* Nobody approved it\.$/m)
  return stdout
}

/** A tree of files of many sizes, and empty folders. */
function makeTree(dir, count) {
  for (let i = 0; i < count; i++) {
    const folder = join(dir, `folder ${i % 3}`, `${i % 5}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `file ${i}.txt`), Buffer.alloc(i * 4_099, i))
  }
  mkdirSync(join(dir, 'empty', 'folder'), { recursive: true })
}

describe('npm run quickstart', () => {
  test('it backs up the source of the project, twice in a row', async (t) => {
    for (let run = 0; run < 2; run++) {
      const stdout = await succeed(t, [])
      assert.match(stdout, /^ {2}backup-1: copying .* of \d+ files$/m)
      assert.match(stdout, /^ {2}process \d+ sent 'Approve' to backup-1: delivered$/m)
      assert.match(stdout, /copies: {2}\d+ files, .*, byte by byte the same as the originals/)
      assert.match(stdout, /^Done in [\d.]+ s\./m)
    }
  })

  test('--crash: each copy is in history once, and the ledger shows those that ran again', async (t) => {
    const dir = tempDir(t)
    makeTree(dir, 23)
    const stdout = await succeed(t, [dir, '--crash'])
    assert.match(stdout, /process \d+ was killed with SIGKILL after 12 files/)
    assert.match(stdout, /history: 23 files, one TaskCompleted for each/)
    const [, made, again] = /ledger: {2}(\d+) copies were made, so (\d+) ran again/.exec(stdout)
    assert.equal(Number(made), 23 + Number(again))
    // The twelfth was copied and never reported, so at least that one ran again; eight run at a time.
    assert.ok(again >= 1 && again <= 12, again)
  })

  test('--keep keeps the copies, the manifest, the ledger and the hub', async (t) => {
    const dir = tempDir(t)
    makeTree(dir, 5)
    const { code, stdout, left, temp } = await quickstart(t, [dir, '--keep'])
    assert.equal(code, 0, stdout)
    assert.equal(left.length, 1)
    const work = join(temp, left[0])
    assert.ok(stdout.includes(`All of it is in ${resolve(work)}`))
    const file = join('folder 1', '4', 'file 4.txt')
    assert.deepEqual(readFileSync(join(work, 'backup-1', file)), readFileSync(join(dir, file)))
    const manifest = JSON.parse(readFileSync(join(work, 'backup-1.manifest.json'), 'utf8'))
    assert.equal(manifest.copies.length, 5)
    for (const name of ['hub.db', 'ledger.jsonl', 'backup-2']) {
      assert.ok(readdirSync(work).includes(name), name)
    }
  })

  for (const flags of [[], ['--crash']]) {
    test(`an empty folder is a backup of no files ${flags}`, async (t) => {
      const stdout = await succeed(t, [tempDir(t), ...flags])
      assert.match(stdout, /completed: 0 files/)
      if (flags.length > 0) assert.match(stdout, /killed with SIGKILL with nothing to copy/)
    })

    test(`a folder with spaces and one file ${flags}`, async (t) => {
      const dir = join(tempDir(t), 'my  files')
      mkdirSync(dir)
      writeFileSync(join(dir, 'ünï cödé.txt'), 'hello')
      const stdout = await succeed(t, [dir, ...flags])
      assert.match(stdout, /completed: 1 file, /)
      if (flags.length > 0) assert.match(stdout, /2 copies were made, so 1 ran again/)
    })
  }

  test('a file that cannot be read is named, the others are copied, and it exits 1', async (t) => {
    if (process.platform !== 'linux') return t.skip('names that are no UTF-8 are for Linux')
    const dir = tempDir(t)
    makeTree(dir, 3)
    // Nobody can open it by the name that it seems to have; permissions would not stop root.
    writeFileSync(Buffer.concat([Buffer.from(join(dir, 'bad-')), Buffer.from([0xff])]), 'x')
    const { code, stdout, stderr, left } = await quickstart(t, [dir])
    assert.equal(code, 1, stdout)
    assert.match(stdout, /completed: 3 files/)
    assert.match(stdout, /could not be read, so it is not in it: bad-.* \(ENOENT\)/)
    assert.match(stderr, /^quickstart: The backup lacks 1 of the files\.\n$/)
    assert.equal(left.length, 1)
    assert.ok(stdout.includes(`kept in`), 'says where the rest is')
  })

  test('what is no folder, or holds the copies, is refused before anything is made', async (t) => {
    const temp = tempDir(t)
    const gone = await quickstart(t, [join(temp, 'gone')], { temp })
    assert.deepEqual([gone.code, gone.stdout, gone.left], [1, '', []])
    assert.match(gone.stderr, /^quickstart: .*gone is not a folder\.\n$/)
    const around = await quickstart(t, [temp], { temp })
    assert.deepEqual([around.code, around.stdout, around.left], [1, '', []])
    assert.match(around.stderr, /choose another folder, or set TMPDIR/)
    const two = await quickstart(t, ['my', 'files'])
    assert.match(two.stderr, /quote its name if it has spaces/)
    const odd = await quickstart(t, ['--odd'])
    assert.equal(odd.code, 1)
    assert.match(odd.stderr, /^quickstart: .*--odd/)
  })
})
