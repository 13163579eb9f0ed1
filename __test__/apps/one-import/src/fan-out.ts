/** Fan-out and fan-in, with definitions that are called, and retries. */

import type { RegisteredActivity, RegisteredOrchestration, Task } from 'durable-functions'
import * as df from 'durable-functions'

interface Item {
  name: string
  size: number
}

const list: RegisteredActivity = df.app.activity('list', {
  handler: (count: number): Item[] =>
    Array.from({ length: count }, (_, i) => ({ name: `item-${i}`, size: i * 10 })),
})

let attempts = 0
const measure: RegisteredActivity = df.app.activity('measure', {
  extraInputs: [],
  handler: async (item: Item) => {
    attempts += 1
    if (item.size === 20 && attempts < 5) throw new Error(`not yet: ${item.name}`)
    return item.size
  },
})

const child: RegisteredOrchestration = df.app.orchestration('sum', function* (context) {
  const items = context.df.getInput<Item[]>()
  const retryOptions = new df.RetryOptions(1, 10)
  retryOptions.backoffCoefficient = 1.5
  retryOptions.maxRetryIntervalInMilliseconds = 50
  const tasks: Task[] = []
  for (const item of items) tasks.push(measure(item).withRetry(retryOptions))
  const sizes: number[] = yield context.df.Task.all(tasks)
  return sizes.reduce((sum, size) => sum + size, 0)
})

df.app.orchestration('fanOut', {
  handler: function* (context: df.OrchestrationContext) {
    const count = context.df.getInput()
    const items: Item[] = yield list(count)
    const halves = [items.slice(0, 2), items.slice(2)]
    const sums: number[] = yield context.df.Task.all([
      child(halves[0], `${context.df.instanceId}-first`),
      context.df.callSubOrchestrator('sum', halves[1]),
    ])
    return { items: items.length, total: sums.reduce((sum, each) => sum + each, 0) }
  },
})
