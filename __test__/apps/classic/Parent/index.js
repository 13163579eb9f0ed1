const df = require('durable-functions')

module.exports = df.orchestrator(function* (context) {
  const retry = new df.RetryOptions(1, 2)
  const child = yield context.df.callSubOrchestrator('Child', 'x', `${context.df.instanceId}-child`)
  try {
    yield context.df.callSubOrchestratorWithRetry('Child', retry, 'bad')
    return 'not caught'
  } catch (error) {
    return [child, /bad input/.test(error.message)]
  }
})
