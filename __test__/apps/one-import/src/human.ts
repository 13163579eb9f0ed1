/** Human interaction: an answer, or a deadline. */

import { type InvocationContext, output } from '@azure/functions'
import * as df from 'durable-functions'

const sms = output.generic({ type: 'programSms', from: '%Phone%' })
const archive = output.storageQueue({ queueName: 'challenges', connection: 'Storage' })

const challenge = df.app.activity('sendChallenge', {
  extraOutputs: [sms, archive],
  handler: (phone: string, context: InvocationContext): number => {
    context.extraOutputs.set(sms, { to: phone, body: `Your code is ${phone.length}` })
    context.extraOutputs.set(archive, phone)
    return phone.length
  },
})

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
