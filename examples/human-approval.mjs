// Human interaction: wait for an event or a deadline, whichever is first. The wait costs nothing and
// survives any restart, so it may last for weeks.
import * as df from 'durafn'

const request = df.app.orchestration('request', function* (context) {
  const { amount, waitMs } = context.df.getInput()
  const decision = context.df.waitForExternalEvent('Decision')
  const deadline = new Date(context.df.currentUtcDateTime.getTime() + waitMs)
  const timeout = context.df.createTimer(deadline)
  if ((yield df.Task.any([decision, timeout])) === timeout) return `${amount}: escalated`
  timeout.cancel()
  return `${amount}: ${decision.result.approved ? 'approved' : 'rejected'} by ${decision.result.by}`
})

const hub = await df.open({ store: 'sqlite::memory:' })
const { client } = hub

const decided = await client.startNew(request, { input: { amount: 120, waitMs: 60_000 } })
await waitForDecision(decided)
console.log(await client.raiseEvent(decided, 'Decision', { approved: true, by: 'Ada' }))
console.log((await client.waitForCompletion(decided)).output)

const forgotten = await client.startNew(request, { input: { amount: 9_000, waitMs: 50 } })
console.log((await client.waitForCompletion(forgotten)).output)

// An event for an instance that does not wait for it is discarded, and the outcome says so.
console.log(await client.raiseEvent(forgotten, 'Decision', { approved: true, by: 'Bob' }))
await hub.close()

/** Until the status says that it waits for the event; in real life a person takes longer. */
async function waitForDecision(id) {
  for (;;) {
    const status = await client.getStatus(id)
    if (status?.waitingFor?.some((wait) => wait.kind === 'event')) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
