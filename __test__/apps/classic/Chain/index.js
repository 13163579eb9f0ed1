const df = require('durable-functions')

module.exports = df.orchestrator(function* (context) {
  const outputs = []
  for (const city of ['Tokyo', 'Seattle']) {
    outputs.push(yield context.df.callActivity('Hello', city))
  }
  context.df.setCustomStatus({ greeted: outputs.length })
  return outputs
})
