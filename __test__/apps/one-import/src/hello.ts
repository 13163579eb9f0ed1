/** Chaining: one activity after the other, started over HTTP. */

import type { InvocationContext } from '@azure/functions'
import type { ActivityHandler, OrchestrationContext, OrchestrationHandler } from 'durable-functions'
import * as df from 'durable-functions'

const activityName = 'sayHello'

const chain: OrchestrationHandler = function* (context: OrchestrationContext) {
  const greetings: string[] = []
  for (const city of ['Tokyo', 'Seattle', 'Cairo']) {
    const greeting: string = yield context.df.callActivity(activityName, city)
    context.log(`greeted ${city}, replaying: ${context.df.isReplaying}`)
    greetings.push(greeting)
  }
  return greetings
}
df.app.orchestration('chain', chain)

const sayHello: ActivityHandler = (input: string, context: InvocationContext): string => {
  context.info(context.functionName, context.invocationId, context.options.trigger.type)
  return `Hello, ${input}`
}
df.app.activity(activityName, { handler: sayHello })
