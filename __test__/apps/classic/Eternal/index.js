const df = require('durable-functions')

module.exports = df.orchestrator(function* (context) {
  const { left, seen } = context.df.getInput()
  const greeting = yield context.df.callActivity('Hello', String(left))
  if (left === 0) return [...seen, greeting]
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 1))
  const next = context.df.continueAsNew({ left: left - 1, seen: [...seen, greeting] })
  if (next !== undefined) yield next // version 1 wants it yielded
})
