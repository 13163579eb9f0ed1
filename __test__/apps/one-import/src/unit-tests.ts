/** Unit tests of orchestrators, with contexts that are stubs. */

import * as df from 'durable-functions'
import {
  DummyOrchestrationContext,
  type DurableOrchestrationContext,
  type OrchestrationHandler,
} from 'durable-functions'

/** Steps an orchestrator by hand, and gives what it asked for. */
export function step(handler: OrchestrationHandler, answers: unknown[]): unknown[] {
  const context = new DummyOrchestrationContext('stepped', 'id-1')
  const asked: unknown[] = []
  context.df = {
    isReplaying: false,
    callActivity: (name: string, input?: unknown) => {
      asked.push([name, input])
      return { isCompleted: false, isFaulted: false } as df.Task
    },
  } as DurableOrchestrationContext
  const steps = handler(context)
  let next = steps.next()
  for (const answer of answers) next = steps.next(answer)
  return [asked, next.done, next.value, context.functionName, context.invocationId]
}

/** Carries out an operation of an entity by hand, and gives its state and result. */
export function operate(
  handler: df.EntityHandler<number>,
  operationName: string,
  state: number,
): unknown[] {
  const context = new df.DummyEntityContext<number>()
  let result: unknown
  context.df = {
    operationName,
    getState: () => state,
    getInput: () => 5,
    return: (value: unknown) => {
      result = value
    },
  } as unknown as df.DurableEntityContext<number>
  handler(context)
  return [state, result, context.options.trigger.type]
}

/** The arguments of a start, as helpers of tests name them. */
export const startArguments: Parameters<df.DurableClient['startNew']> = ['chain', { input: 1 }]

export const triggers = [df.trigger.activity(), df.trigger.orchestration(), df.trigger.entity()]
export const input: df.DurableClientInput = df.input.durableClient()
