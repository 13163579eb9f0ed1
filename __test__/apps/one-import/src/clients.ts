/** Functions with a client: all that a client is asked for. */

import type {
  HttpRequest,
  HttpResponse,
  HttpResponseInit,
  InvocationContext,
  Timer,
} from '@azure/functions'
import type {
  DurableClient,
  DurableOrchestrationStatus,
  HttpDurableClientHandler,
  HttpManagementPayload,
  OrchestrationFilter,
  PurgeHistoryResult,
  TimerDurableClientHandler,
} from 'durable-functions'
import * as df from 'durable-functions'

const startAndWait: HttpDurableClientHandler = async (
  request: HttpRequest,
  client: DurableClient,
  context: InvocationContext,
): Promise<HttpResponse> => {
  const id = await client.startNew(request.params.name ?? 'chain', { input: await request.json() })
  context.log('started', id)
  return await client.waitForCompletionOrCreateCheckStatusResponse(request, id, {
    timeoutInMilliseconds: 2_000,
    retryIntervalInMilliseconds: 50,
  })
}
df.app.client.http('startAndWait', {
  route: 'wait/{name}',
  methods: ['POST'],
  handler: startAndWait,
})

df.app.client.http('manage', {
  authLevel: 'anonymous',
  handler: async (request, client): Promise<HttpResponseInit> => {
    const id = request.query.get('id') ?? ''
    const payload: HttpManagementPayload = client.createHttpManagementPayload(id)
    const status: DurableOrchestrationStatus = await client.getStatus(id, { showHistory: true })
    if (status.runtimeStatus === df.OrchestrationRuntimeStatus.Running) {
      await client.raiseEvent(id, 'Answer', { ok: true })
      await client.suspend(id, 'pause')
      await client.resume(id, 'on')
      await client.terminate(id, 'enough')
    } else if (status.runtimeStatus === df.OrchestrationRuntimeStatus.Failed) {
      await client.rewind(id, 'again')
    }
    return { jsonBody: { hub: client.taskHubName, uri: payload.statusQueryGetUri } }
  },
})

const tidy: TimerDurableClientHandler = async (timer: Timer, client, context) => {
  const filter: OrchestrationFilter = {
    createdTimeFrom: new Date(0),
    createdTimeTo: new Date(),
    runtimeStatus: [
      df.OrchestrationRuntimeStatus.Completed,
      df.OrchestrationRuntimeStatus.Canceled,
    ],
  }
  const ended = await client.getStatusBy(filter)
  const all = await client.getStatusAll()
  const purged: PurgeHistoryResult = await client.purgeInstanceHistoryBy(filter)
  const one = await client.purgeInstanceHistory('id')
  context.log(
    timer.isPastDue,
    ended.length,
    all.length,
    purged.instancesDeleted + one.instancesDeleted,
  )
}
df.app.client.timer('tidy', { schedule: '0 0 3 * * *', handler: tidy })

df.app.client.generic('byHand', {
  trigger: { type: 'manualTrigger', name: 'input' },
  handler: async (input: string[], client: DurableClient) =>
    await client.startNew('chain', { instanceId: input[0] ?? 'none' }),
})

/** An activity that asks the hub that it runs in. */
df.app.activity('escalate', {
  extraInputs: [df.input.durableClient()],
  handler: async (id: string, context: InvocationContext) => {
    await df.getClient(context).raiseEvent(id, 'Answer', 'escalated')
    return 'sent'
  },
})

df.app.orchestration('escalation', function* (context) {
  const answer = context.df.waitForExternalEvent('Answer')
  yield context.df.createTimer(context.df.currentUtcDateTime)
  const sent: string = yield context.df.callActivity('escalate', context.df.instanceId)
  return [sent, yield answer]
})
