const df = require('durable-functions')

module.exports = df.orchestrator(function* (context) {
  const deadline = new Date(context.df.currentUtcDateTime.getTime() + 60_000)
  const timer = context.df.createTimer(deadline)
  const answer = context.df.waitForExternalEvent('Answer')
  const winner = yield context.df.Task.any([timer, answer])
  if (winner !== answer) return 'too late'
  timer.cancel()
  return { answer: answer.result }
})
