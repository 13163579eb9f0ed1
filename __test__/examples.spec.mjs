/** Each file in `examples/` runs, ends by itself and prints what it says it does. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runScript } from './support/cli.mjs'
import { tempDir } from './support/hub.mjs'

const folder = fileURLToPath(new URL('../examples/', import.meta.url))

/** What each prints, line by line; `quickstart.mjs` has a suite of its own. */
const printed = {
  'hello.mjs':
    /runtimeStatus: 'Completed',\n {2}input: null,\n {2}output: \[ 'Hello Tokyo!', 'Hello Seattle!' \]/,
  'fan-out.mjs': /^9 words, 35 letters, at most 3 at a time\n$/,
  'human-approval.mjs':
    /^{ outcome: 'delivered' }\n120: approved by Ada\n9000: escalated\n{ outcome: 'discarded', reason: 'Ended' }\n$/,
  'saga.mjs':
    /^bookFlight to Oslo\nbookHotel to Oslo\nbookCar to Oslo\ncancelCar to Oslo\ncancelHotel to Oslo\ncancelFlight to Oslo\nnot booked: the card was declined\n$/,
  'eternal.mjs': /^stopped at ([5-9]|\d{2,})\n$/,
  'sub-orchestration.mjs':
    /^\[ 'engine built, engine tested', 'client built, client tested' \]\nrelease-engine: Completed, called by its parent: true\n$/,
}

describe('examples', () => {
  for (const [file, output] of Object.entries(printed)) {
    test(file, async (t) => {
      const cwd = tempDir(t)
      const { code, stdout, stderr } = await runScript(join(folder, file), [], { cwd })
      assert.equal(code, 0, stderr)
      assert.match(stdout, output)
      assert.equal(existsSync(join(cwd, '.durafn')), file === 'hello.mjs')
    })
  }

  test('all are tested', () => {
    const files = readdirSync(folder).filter((file) => file.endsWith('.mjs'))
    assert.deepEqual(files.sort(), [...Object.keys(printed), 'quickstart.mjs'].sort())
  })
})
