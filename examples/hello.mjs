// The shortest durable function app. Run it twice: the instances of both runs are in .durafn/hub.db.
import * as df from 'durafn'

df.app.activity('hello', { handler: (city) => `Hello ${city}!` })
df.app.orchestration('sayHello', function* (context) {
  const first = yield context.df.callActivity('hello', 'Tokyo')
  return [first, yield context.df.callActivity('hello', 'Seattle')]
})

const hub = await df.open()
const id = await hub.client.startNew('sayHello')
console.log(await hub.client.waitForCompletion(id, { timeoutMs: 10_000 }))
await hub.close()
