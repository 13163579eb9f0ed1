const df = require('durable-functions')

module.exports = df.orchestrator(function* (context) {
  const retry = new df.RetryOptions(1, 5)
  const items = context.df.getInput()
  const tasks = items.map((item) => context.df.callActivityWithRetry('Flaky', retry, item))
  const results = yield context.df.Task.all(tasks)
  return results.reduce((sum, each) => sum + each, 0)
})
