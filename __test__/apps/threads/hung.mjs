/** What `hung-threads.spec.mjs` runs: functions that hold their thread. */

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as df from 'durafn'

/** Until there is a file, or for ever. */
function spin(input) {
  if (typeof input?.begun === 'string') writeFileSync(input.begun, '')
  while (typeof input?.until !== 'string' || !existsSync(input.until));
}

export const app = new df.App()

app.activity('ok', { handler: (x) => x })
app.activity('spin', { handler: spin })
app.activity('spinBriefly', { handler: spin, timeoutMs: 300 })
app.activity('spinLater', {
  handler: async (input) => {
    await new Promise((resolve) => setImmediate(resolve))
    spin(input)
  },
})
app.orchestration('good', function* (context) {
  return yield context.df.callActivity('ok', 1)
})
/** Its turns are short but the second, which never ends. */
app.orchestration('loop', function* (context) {
  yield context.df.callActivity('ok', 1)
  spin(context.df.getInput())
})
app.orchestration('loopAsync', async (context) => {
  await context.df.callActivity('ok', 1)
  spin(context.df.getInput())
})
app.orchestration('loopAtOnce', function* (context) {
  if (context.df.getInput() === 'never') yield context.df.callActivity('ok', 1)
  spin(context.df.getInput())
})
app.orchestration('calls', function* (context) {
  const { activity, input } = context.df.getInput()
  return yield context.df.callActivity(activity, input)
})
/** Its turn holds the thread until it is told, and comes again then. */
app.orchestration('slow', function* (context) {
  const { dir } = context.df.getInput()
  const result = yield context.df.callActivity('ok', 'slow')
  if (!context.df.isReplaying) spin({ begun: join(dir, 'begun'), until: join(dir, 'go') })
  return result
})
app.entity('counter', ({ df }) => {
  if (df.operationName === 'spin') spin(df.getInput())
  df.setState((df.getState() ?? 0) + 1)
  df.return(df.getState())
})
