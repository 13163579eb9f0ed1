const df = require('durafn')

module.exports = df.orchestrator(function* (context) {
  const order = context.df.getInput()
  if (order.approve) yield context.df.waitForExternalEvent('Approve')
  const result = yield context.df.callActivity('Charge', order)
  return `order of ${order.total}: ${result}`
})
