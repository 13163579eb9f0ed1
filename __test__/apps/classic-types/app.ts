/** What TypeScript apps of the classic model import and annotate; compiled, never run. */

import type { Context, HttpRequest } from '@azure/functions'
import * as df from 'durable-functions'
import type {
  DurableOrchestrationClient,
  DurableOrchestrationContext,
  DurableOrchestrationStatus,
  IEntityFunctionContext,
  IHttpResponse,
  IOrchestrationFunctionContext,
  PurgeHistoryResult,
} from 'durable-functions/lib/src/classes'

interface Order {
  item: string
}

// ------------------------------------------------------------------ orchestrators

export const flow = df.orchestrator(function* (context) {
  const { input, instanceId } = context.bindingData
  const order: Order = context.bindings.context.input ?? input
  context.log.verbose(instanceId, context.executionContext.functionName, context.invocationId)
  if (!context.df.isReplaying) note(context, order)
  const tasks = []
  for (let n = 0; n < 2; n++) tasks.push(context.df.callActivity('Step', order))
  const results: string[] = yield context.df.Task.all(tasks)
  const timer = context.df.createTimer(new Date())
  const winner = yield context.df.Task.any([timer, context.df.waitForExternalEvent('Go')])
  if (winner !== timer) timer.cancel()
  const response = yield context.df.callHttp('GET', 'https://example.test')
  return { results, status: response.statusCode }
})

export const annotated = df.orchestrator(function* (
  context: IOrchestrationFunctionContext,
): Generator<
  unknown,
  unknown,
  // biome-ignore lint/suspicious/noExplicitAny: as apps have it
  any
> {
  const durable: DurableOrchestrationContext = context.df
  const retry = new df.RetryOptions(1000, 2)
  yield durable.callActivityWithRetry('Step', retry, durable.getInput<Order>())
  yield durable.callEntity(new df.EntityId('counter', 'a'), 'add', 1)
  return durable.newGuid('a')
})

/** A helper that knows nothing of durable functions. */
function note(context: Context, order: Order): void {
  context.log(order.item, context.bindingData.invocationId, context.bindingDefinitions.length)
}

// ------------------------------------------------------------------ entities

export const counter = df.entity<number>((context) => {
  const count = context.df.getState(() => 0) ?? 0
  if (context.df.operationName === 'add') context.df.setState(count + (context.df.getInput() ?? 0))
  context.df.return(context.df.getState())
})

export const named = df.entity((context: IEntityFunctionContext<Order>) => {
  const order: Order | undefined = context.df.getState()
  context.log(context.bindingData.invocationId, order?.item)
})

// ------------------------------------------------------------------ clients

export async function start(context: Context, request: HttpRequest): Promise<IHttpResponse> {
  const client: DurableOrchestrationClient = df.getClient(context)
  const id = await client.startNew('flow', undefined, request.body)
  const status: DurableOrchestrationStatus = await client.getStatus(id, true, false, true)
  const from = new Date(0)
  const running = [df.OrchestrationRuntimeStatus.Running]
  const all = await client.getStatusBy(from, undefined, running)
  const purged: PurgeHistoryResult = await client.purgeInstanceHistoryBy(from, new Date(), running)
  await client.raiseEvent(id, 'Go', { by: 'Ada' }, client.taskHubName, 'Storage')
  await client.signalEntity(new df.EntityId('counter', 'a'), 'add', 1, client.taskHubName)
  const { entityState } = await client.readEntityState<number>(new df.EntityId('counter', 'a'))
  await client.terminate(id, 'why')
  await client.rewind(id, 'why')
  context.log(status.runtimeStatus, all.length, purged.instancesDeleted, entityState)
  const urls: string = client.createHttpManagementPayload(id).statusQueryGetUri
  if (urls === '') return client.createCheckStatusResponse(context.bindingData.req, id)
  return client.waitForCompletionOrCreateCheckStatusResponse(request, id, 1000, 100)
}
