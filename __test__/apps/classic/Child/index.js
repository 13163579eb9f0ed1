const df = require('durable-functions')

// biome-ignore lint/correctness/useYield: an orchestrator that only computes
module.exports = df.orchestrator(function* (context) {
  if (context.df.getInput() === 'bad') throw new Error('bad input')
  return [context.df.getInput(), context.df.parentInstanceId !== undefined]
})
