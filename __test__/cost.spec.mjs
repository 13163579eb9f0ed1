/**
 * What a step costs as seen from JavaScript, counted: exchanges with the core, and the text that crosses
 * with them. Counts of a commit are in `tests/cost.rs`.
 *
 * An exchange either brings something (a call, a result, the outcome of a turn) or answers a wake. A
 * commit that is made within the exchange needs no wake; which commits are depends on how fast the disk
 * is, so what is bounded is what holds for both kinds.
 */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { complete, openHub, PATIENCE_MS, tempStore } from './support/hub.mjs'

const { NativeEngine } = createRequire(import.meta.url)('../native/index.js')

/** A batch that brings nothing. */
const NOTHING = '{"turns":[]}'
/** The engine looks at its clock once a second at least; a test that takes longer than this fails. */
const LOOKS = PATIENCE_MS / 1_000

function register(app) {
  app.activity('one', { handler: (n) => n + 1 })
  app.orchestration('steps', function* (context) {
    let n = 0
    while (n < context.df.getInput()) n = yield context.df.callActivity('one', n)
    return n
  })
}

/** Counts the exchanges of all hubs from now to the end of the test. */
function countExchanges(t) {
  const { exchange } = NativeEngine.prototype
  const count = { all: 0, wakes: 0, textIn: 0, textOut: 0 }
  NativeEngine.prototype.exchange = function (inbound) {
    const outbound = exchange.call(this, inbound)
    count.all += 1
    if (inbound === NOTHING) count.wakes += 1
    count.textIn += inbound.length
    count.textOut += outbound.length
    return outbound
  }
  t.after(() => {
    NativeEngine.prototype.exchange = exchange
  })
  return count
}

const atMost = (most, found, what) => assert.ok(found <= most, `${what}: ${found}, not ${most}`)

test('a step is two exchanges and one commit', async (t) => {
  const steps = 100
  const { client } = await openHub(t, register, { store: tempStore(t) })
  const count = countExchanges(t)
  assert.equal(await complete(client, 'steps', steps), steps)

  // The result of the activity, and the turn that it causes. Beside them: the start, the first turn,
  // and the call that waits for the end.
  atMost(2 * steps + 3, count.all - count.wakes, 'exchanges that bring something')
  // One for each commit, and one for an answer of the store's.
  atMost(steps + 2 + LOOKS, count.wakes, 'wakes')
  atMost(150 * steps, count.textIn, 'characters in')
  atMost(210 * steps, count.textOut, 'characters out')
  t.diagnostic(JSON.stringify(count))
})

test('instances that run at the same time share their exchanges', async (t) => {
  const [instances, steps] = [100, 5]
  const { client } = await openHub(t, register, { store: tempStore(t) })
  const count = countExchanges(t)
  const runs = Array.from({ length: instances }, () => complete(client, 'steps', steps))
  assert.deepEqual(new Set(await Promise.all(runs)), new Set([steps]))

  // Some 20 where all go in step; one by one they would be more than 1,000.
  atMost(instances, count.all, 'exchanges')
  t.diagnostic(JSON.stringify(count))
})
