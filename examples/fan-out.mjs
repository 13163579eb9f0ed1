// Fan-out, fan-in: many activities side by side, at most three at a time, and one result.
import { setTimeout as delay } from 'node:timers/promises'
import * as df from 'durafn'

let running = 0
let most = 0

const measure = df.app.activity('measure', {
  handler: async (word) => {
    most = Math.max(most, ++running)
    await delay(5) // the work
    running -= 1
    return word.length
  },
})

const total = df.app.orchestration('total', function* (context) {
  const words = context.df.getInput()
  const tasks = words.map((word) => context.df.call(measure, word))
  const lengths = yield* df.Task.all(tasks, { concurrency: 3 })
  return lengths.reduce((sum, length) => sum + length, 0)
})

const hub = await df.open({ store: 'sqlite::memory:' })
const words = 'the quick brown fox jumps over the lazy dog'.split(' ')
const id = await hub.client.startNew(total, { input: words })
const { output } = await hub.client.waitForCompletion(id)
console.log(`${words.length} words, ${output} letters, at most ${most} at a time`)
await hub.close()
