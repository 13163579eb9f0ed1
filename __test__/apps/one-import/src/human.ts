/** Human interaction: an answer, or a deadline. */

import * as df from 'durable-functions'

const challenge = df.app.activity('sendChallenge', { handler: (phone: string) => phone.length })

df.app.orchestration('approval', function* (context) {
  const phone: string = context.df.getInput()
  const code: number = yield challenge(phone)
  const deadline = new Date(context.df.currentUtcDateTime.getTime() + 60_000)
  const timeoutTask = context.df.createTimer(deadline)
  let approved = false
  for (let i = 0; i < 3; i++) {
    const answer = context.df.waitForExternalEvent('Answer')
    const winner: df.Task = yield context.df.Task.any([answer, timeoutTask])
    if (winner !== answer) break
    if (answer.result === code) {
      approved = true
      break
    }
  }
  if (!timeoutTask.isCompleted) timeoutTask.cancel()
  return { approved, cancelled: timeoutTask.isCanceled, faulted: timeoutTask.isFaulted }
})
