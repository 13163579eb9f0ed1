/** Functions with large values, for threads. */

import * as df from 'durafn'

export const app = new df.App()

app.activity('big', { handler: (length) => 'x'.repeat(length) })
app.orchestration('fan', function* (context) {
  const { count, length } = context.df.getInput()
  const tasks = Array.from({ length: count }, () => context.df.callActivity('big', length))
  const results = yield context.df.Task.all(tasks)
  return results.reduce((sum, text) => sum + text.length, 0)
})
