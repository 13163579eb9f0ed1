/** What `entities.spec.mjs` runs in threads. */

import { threadId } from 'node:worker_threads'
import * as df from 'durafn'

export const app = new df.App()

app.entity(
  'account',
  class {
    balance = 0
    deposit(amount) {
      this.balance += amount
      return this.balance
    }
    async where() {
      return threadId
    }
    exit() {
      process.exit(1)
    }
  },
)

app.orchestration('call', function* (context) {
  const [key, operation, input] = context.df.getInput()
  return yield context.df.callEntity(new df.EntityId('account', key), operation, input)
})
