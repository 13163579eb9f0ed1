/** What crosses between JavaScript and the core, counted; and hubs that take little at once. */

import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const { Engine } = require('../../dist/engine.js')
const { NativeEngine } = require('../../native/index.js')

/** Hubs that are opened while `work` runs take about so many bytes in one exchange. */
export async function withExchangesOf(exchangeBytes, work) {
  const { open } = Engine
  Engine.open = (options, ...rest) => open.call(Engine, { ...options, exchangeBytes }, ...rest)
  try {
    return await work()
  } finally {
    Engine.open = open
  }
}

/** The longest batch in each direction, of all hubs, from now on until the test is over. */
export function longestBatches(t) {
  const longest = { toCore: 0, toJavaScript: 0, count: 0 }
  const { exchange } = NativeEngine.prototype
  t.after(() => {
    NativeEngine.prototype.exchange = exchange
  })
  NativeEngine.prototype.exchange = function (batch) {
    const answer = exchange.call(this, batch)
    longest.toCore = Math.max(longest.toCore, batch.length)
    longest.toJavaScript = Math.max(longest.toJavaScript, answer.length)
    longest.count += 1
    return answer
  }
  return longest
}
