/** `showHistory`, in the words of the original. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetryOptions } from 'durafn'
import { openApi } from './support/http.mjs'
import { run, startWaiting } from './support/hub.mjs'

function register(app) {
  app.activity('hello', { handler: (name) => `Hello ${name}!` })
  app.activity('bad', {
    handler: () => {
      throw new Error('no luck')
    },
  })
  app.orchestration('child', (context) => context.df.getInput() * 2)
  app.orchestration('all', function* (context) {
    const { df } = context
    yield df.callActivity('hello', 'Ada')
    yield df.callSubOrchestrator('child', 21, 'the child')
    yield df.createTimer(new Date(df.currentUtcDateTime.getTime() + 1))
    return { done: true }
  })
  app.orchestration('fails', function* (context) {
    return yield context.df.callActivityWithRetry('bad', new RetryOptions(1, 2))
  })
  app.orchestration('waits', function* (context) {
    yield context.df.waitForExternalEvent('go')
    yield context.df.waitForExternalEvent('never')
  })
}

/** Keys and values of the events, without times, which are checked to be such. */
async function historyOf(call, id, query = '') {
  const answer = await call('GET', `/instances/${id}?showHistory=true${query}`)
  return answer.body.historyEvents.map((event) => {
    const { Timestamp, ScheduledTime = Timestamp, FireAt = Timestamp, ...rest } = event
    for (const time of [Timestamp, ScheduledTime, FireAt]) assert.match(time, /^2.*T.*\.\d{3}Z$/)
    assert.equal(Object.keys(event)[0], 'EventType')
    return rest
  })
}

test('what was scheduled is part of what came of it; results only if they are asked for', async (t) => {
  const { call, client } = await openApi(t, register)
  const { instanceId } = await run(client, 'all', { n: 1 })
  assert.deepEqual(await historyOf(call, instanceId, '&showHistoryOutput=true'), [
    { EventType: 'ExecutionStarted', Input: { n: 1 }, FunctionName: 'all' },
    { EventType: 'TaskCompleted', Result: 'Hello Ada!', FunctionName: 'hello', Input: 'Ada' },
    {
      EventType: 'SubOrchestrationInstanceCompleted',
      Result: 42,
      FunctionName: 'child',
      Input: 21,
    },
    { EventType: 'TimerCreated' },
    { EventType: 'TimerFired' },
    {
      EventType: 'ExecutionCompleted',
      OrchestrationStatus: 'Completed',
      Result: { done: true },
    },
  ])
  assert.deepEqual(await historyOf(call, instanceId, '&showInput=false'), [
    { EventType: 'ExecutionStarted', FunctionName: 'all' },
    { EventType: 'TaskCompleted', FunctionName: 'hello' },
    { EventType: 'SubOrchestrationInstanceCompleted', FunctionName: 'child' },
    { EventType: 'TimerCreated' },
    { EventType: 'TimerFired' },
    { EventType: 'ExecutionCompleted', OrchestrationStatus: 'Completed' },
  ])
})

test('a failure has its reason, and a retry is a timer and another task', async (t) => {
  const { call, client } = await openApi(t, register)
  const { instanceId } = await run(client, 'fails')
  const events = await historyOf(call, instanceId, '&showHistoryOutput=true')
  assert.deepEqual(
    events.map(({ EventType }) => EventType),
    [
      'ExecutionStarted',
      'TaskFailed',
      'TimerCreated',
      'TimerFired',
      'TaskFailed',
      'ExecutionCompleted',
    ],
  )
  const [, failed] = events
  assert.equal(failed.Reason, "Activity function 'bad' failed: no luck")
  assert.equal(failed.FunctionName, 'bad')
  assert.match(failed.Details, /http-history\.spec/)
  const { OrchestrationStatus, Result } = events.at(-1)
  assert.equal(OrchestrationStatus, 'Failed')
  assert.match(Result, /^Orchestrator function 'fails' failed: /)
})

test('what is open shows as what was scheduled, and ends show as the original has them', async (t) => {
  const { call, client } = await openApi(t, register)
  const id = await startWaiting(client, 'waits')
  await client.raiseEvent(id, 'go', { by: 'Ada' })
  await client.suspend(id, 'a pause')
  await client.resume(id, 'on')
  await client.terminate(id, 'enough')
  assert.deepEqual(await historyOf(call, id, '&showHistoryOutput=true'), [
    { EventType: 'ExecutionStarted', FunctionName: 'waits' },
    { EventType: 'EventRaised', Name: 'go', Input: { by: 'Ada' } },
    { EventType: 'ExecutionSuspended', Reason: 'a pause' },
    { EventType: 'ExecutionResumed', Reason: 'on' },
    { EventType: 'ExecutionTerminated' },
    { EventType: 'ExecutionCompleted', OrchestrationStatus: 'Terminated', Result: 'enough' },
  ])
})
