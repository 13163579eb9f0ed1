const { existsSync } = require('node:fs')
const { setTimeout: delay } = require('node:timers/promises')

// Fails while the file `order.failWhile` is there; waits until the file `order.until` is there.
module.exports = async (context, order) => {
  context.log(`charging ${order.total}`)
  if (order.failWhile && existsSync(order.failWhile)) throw new Error('the card was declined')
  while (order.until && !existsSync(order.until)) await delay(5)
  return 'charged'
}
