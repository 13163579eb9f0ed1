/** A monitor: looks again and again, with timers, a custom status and a fresh history each time. */

import * as df from 'durable-functions'

interface Watch {
  job: string
  left: number
  seen: string[]
}

df.app.activity('look', { handler: (watch: Watch) => (watch.left > 0 ? 'busy' : 'done') })

df.app.orchestration('monitor', function* (context: df.OrchestrationContext): Generator<
  df.Task,
  string[] | undefined,
  // biome-ignore lint/suspicious/noExplicitAny: what a yield gives depends on the task
  any
> {
  const watch = context.df.getInput<Watch>()
  const state: string = yield context.df.callActivity('look', watch)
  const seen = [...watch.seen, state]
  context.df.setCustomStatus({ state, looks: seen.length })
  if (state === 'done') return seen
  const next = new Date(context.df.currentUtcDateTime.getTime() + 5)
  const timer: df.TimerTask = context.df.createTimer(next)
  yield timer
  context.df.continueAsNew({ job: watch.job, left: watch.left - 1, seen })
  return undefined
})
