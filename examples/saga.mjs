// A saga: when a step fails for good, what was done before is undone, in reverse order. Also when the
// process dies in between, as each step that is done is in the history.
import * as df from 'durafn'

const log = []
const step = (name, undo) => {
  df.app.activity(name, { handler: (trip) => void log.push(`${name} ${trip}`) })
  df.app.activity(undo, { handler: (trip) => void log.push(`${undo} ${trip}`) })
  return { name, undo }
}

const steps = [
  step('bookFlight', 'cancelFlight'),
  step('bookHotel', 'cancelHotel'),
  step('bookCar', 'cancelCar'),
]

df.app.activity('pay', {
  handler: () => {
    throw new Error('the card was declined')
  },
})

const retry = new df.RetryOptions(10, 3) // three attempts, the first pause 10 ms
retry.backoffCoefficient = 2

const book = df.app.orchestration('book', async (context) => {
  const trip = context.df.getInput()
  const done = []
  try {
    for (const each of steps) {
      await context.df.callActivityWithRetry(each.name, retry, trip)
      done.unshift(each)
    }
    await context.df.callActivityWithRetry('pay', retry, trip)
    return 'booked'
  } catch (error) {
    for (const each of done) await context.df.callActivity(each.undo, trip)
    return `not booked: ${error.message}`
  }
})

const hub = await df.open({ store: 'sqlite::memory:' })
const id = await hub.client.startNew(book, { input: 'to Oslo' })
const { output } = await hub.client.waitForCompletion(id)
console.log(log.join('\n'))
console.log(output)
await hub.close()
