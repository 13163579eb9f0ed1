/**
 * Assertions on the types; compiled, never run, by `call.spec.mjs`.
 *
 * `equal<A, B>(true)` compiles only if both are the same type; a line below `@ts-expect-error` must
 * not compile.
 */

import * as df from 'durafn'
import * as http from 'durafn/http'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function equal<A, B>(same: Same<A, B>): void
declare const client: df.HubClient

const app = new df.App()
const length = app.activity('length', { handler: (text: string) => text.length })
const now = app.activity('now', { handler: async () => new Date().toISOString() })

const child = app.orchestration('child', function* (context: df.OrchestrationContext<number>) {
  const text: string = yield* context.df.call(now)
  return { n: context.df.getInput(), text }
})

// ------------------------------------------------------------------ call, in a generator

app.orchestration('generator', function* (context) {
  const one = yield* context.df.call(length, 'x')
  equal<typeof one, number>(true)
  const two = yield* context.df.call(now)
  equal<typeof two, string>(true)
  const three = yield* context.df.call(child, 1, { instanceId: 'id' })
  equal<typeof three, { n: number; text: string }>(true)
  const all = yield* context.df.Task.all([context.df.call(length, 'x'), context.df.call(now)])
  equal<typeof all, [number, string]>(true)
  const any = yield* context.df.Task.any([context.df.call(length, 'x')])
  equal<typeof any, df.Task<number>>(true)
  const timer = context.df.createTimer(new Date())
  timer.cancel()
  return one
})

// ------------------------------------------------------------------ call, in an async function

const asynchronous = app.orchestration('async', async (context) => {
  const one = await context.df.call(length, 'x')
  equal<typeof one, number>(true)
  const [two, three] = await context.df.Task.all([
    context.df.call(now),
    context.df.call(length, 'y'),
  ])
  equal<typeof two, string>(true)
  equal<typeof three, number>(true)
  const any = await context.df.Task.any([context.df.call(length, 'x'), context.df.call(now)])
  equal<typeof any.index, number>(true)
  if (any.isFaulted) equal<typeof any.result, Error>(true)
  else equal<typeof any.result, string | number>(true)
  const named = await context.df.callActivity<boolean>('by-name', 1)
  equal<typeof named, boolean>(true)
  const wait: df.ExternalEventTask<number> = context.df.waitForExternalEvent<number>('Approve')
  wait.cancel()
  const cancelled: boolean = wait.isCanceled
  void cancelled
  const event = await context.df.waitForExternalEvent<{ by: string }>('Approve')
  return event.by
})

// ------------------------------------------------------------------ what must not compile

app.orchestration('wrong', async (context) => {
  // @ts-expect-error the handler takes a string
  await context.df.call(length, 5)
  // @ts-expect-error the input is missing
  await context.df.call(length)
  // @ts-expect-error there is no such option
  await context.df.call(child, 1, { id: 'x' })
  // @ts-expect-error a name is no definition
  await context.df.call('length', 'x')
  // @ts-expect-error a timer takes a Date
  context.df.createTimer(1_000)
  // @ts-expect-error tasks only
  await context.df.Task.all([1])
})
// @ts-expect-error an option that is none
app.activity('wrong', { handler: () => 1, retries: 3 })
// @ts-expect-error a status that is none
client.list({ runtimeStatus: 'running' })
// @ts-expect-error the input has another type
client.startNew(child, { input: 'x' })

// ------------------------------------------------------------------ the client

export async function uses(): Promise<void> {
  const id = await client.startNew(child, { input: 1, onConflict: 'return' })
  equal<typeof id, string>(true)
  await client.startNew(asynchronous)
  await client.startNew('by-name', 'id', { any: 'input' })
  const status = await client.getStatus(id)
  equal<typeof status, df.OrchestrationStatus | null>(true)
  if (status?.runtimeStatus === 'Completed') equal<typeof status.output, unknown>(true)
  const raised = await client.raiseEvent(id, 'Approve')
  if (raised.outcome === 'discarded') {
    equal<typeof raised.reason, 'NotFound' | 'Ended' | 'NotWaiting'>(true)
  }
  const page = await client.list({ runtimeStatus: ['Running', 'Pending'], top: 10 })
  equal<typeof page.cursor, string | null>(true)
  await using hub = await df.open({ store: 'sqlite::memory:', app, logger: console })
  equal<typeof hub.client, df.HubClient>(true)
  const compatible: df.DurableClient = hub.client
  equal<Awaited<ReturnType<typeof compatible.getStatus>>, df.OrchestrationStatus>(true)
  await using connected = await df.connect()
  equal<typeof connected.client, df.ConnectedClient>(true)
}

// ------------------------------------------------------------------ http

declare const hub: df.TaskHub
const server: Promise<http.ManagementServer> = http.serve(hub, { port: 0, keys: { system: 'x' } })
void server
const api = http.createHttpApi(client, { keys: false, allowedHosts: ['hub.example'] })
http.createHttpApi(hub.client)
equal<ReturnType<typeof api.fetch>, Promise<Response>>(true)
api.router.add({
  method: 'GET',
  path: '/own/:name',
  access: 'open',
  handle: ({ params, query }) => ({ status: 200, body: `${params['name']} ${query.get('x')}` }),
})
// @ts-expect-error no such access
api.router.add({ method: 'GET', path: '/own', access: 'all', handle: () => ({ status: 200 }) })
// @ts-expect-error neither a hub nor a client
http.createHttpApi({})
equal<http.HttpManagementPayload, ReturnType<df.DurableClient['createHttpManagementPayload']>>(true)
