/** Chaining: one activity after the other, started over HTTP. */

import {
  app,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  type InvocationContext,
} from '@azure/functions'
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

const start: HttpHandler = async (
  request: HttpRequest,
  context: InvocationContext,
): Promise<HttpResponse> => {
  const client = df.getClient(context)
  const body: unknown = await request.text()
  const instanceId: string = await client.startNew(request.params.orchestratorName ?? 'chain', {
    input: body,
  })
  context.log(`started ${instanceId}`)
  return client.createCheckStatusResponse(request, instanceId)
}

app.http('start', {
  route: 'orchestrators/{orchestratorName}',
  extraInputs: [df.input.durableClient()],
  handler: start,
})
