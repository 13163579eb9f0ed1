/** For `async-context.spec.mjs`: activities that leave something in the storage of their thread. */

import { AsyncLocalStorage } from 'node:async_hooks'
import * as df from 'durafn'

const storage = new AsyncLocalStorage()
export const app = new df.App()

app.activity('enters', {
  handler: async (n, context) => {
    const before = storage.getStore() ?? null
    storage.enterWith(n)
    context.log(`entered ${n}`)
    await null
    return [before, storage.getStore()]
  },
})
app.orchestration('fan', function* (context) {
  const numbers = Array.from({ length: context.df.getInput() }, (_, n) => n)
  return yield context.df.Task.all(numbers.map((n) => context.df.callActivity('enters', n)))
})
