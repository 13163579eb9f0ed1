// An eternal orchestration: continueAsNew starts it anew with an empty history, so that it can run
// for years. This one counts until it is told to stop.
import * as df from 'durafn'

const counter = df.app.orchestration('counter', function* (context) {
  const count = context.df.getInput()
  context.df.setCustomStatus({ count })
  const stop = context.df.waitForExternalEvent('Stop')
  const tick = context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 10))
  if ((yield df.Task.any([stop, tick])) === stop) return count
  context.df.continueAsNew(count + 1)
})

// 'buffer': the event is kept if it comes just between two generations.
const hub = await df.open({ store: 'sqlite::memory:', unmatchedEvents: 'buffer' })
const id = await hub.client.startNew(counter, { input: 0 })
while (((await hub.client.getStatus(id))?.customStatus?.count ?? 0) < 5) {
  await new Promise((resolve) => setTimeout(resolve, 5))
}
await hub.client.raiseEvent(id, 'Stop')
const { output } = await hub.client.waitForCompletion(id)
console.log(`stopped at ${output}`)
await hub.close()
