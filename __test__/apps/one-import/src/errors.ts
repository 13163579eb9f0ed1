/** Failures: what an orchestrator catches, compensates and throws. */

import * as df from 'durable-functions'

class CardDeclined extends Error {
  constructor(
    message: string,
    public readonly limit: number,
  ) {
    super(message)
    this.name = 'CardDeclined'
  }
}

df.app.setExceptionPropertiesProvider({
  getExceptionProperties(error) {
    return error instanceof CardDeclined ? { limit: error.limit, shop: 'corner' } : undefined
  },
} satisfies df.ExceptionPropertiesProvider)

df.app.activity('charge', {
  handler: (amount: number) => {
    if (amount > 100) throw new CardDeclined('too much', 100)
    return `charged ${amount}`
  },
})
df.app.activity('undo', { handler: (what: string) => `undone: ${what}` })

df.app.orchestration('saga', function* (context) {
  const undone: string[] = []
  const first: string = yield context.df.callActivity('charge', 10)
  try {
    yield context.df.callActivity('charge', 1_000)
  } catch (error) {
    if (!(error instanceof df.TaskFailedError)) throw error
    const details: df.FailureDetails = error.failureDetails
    undone.push(yield context.df.callActivity('undo', first))
    return {
      undone,
      type: details.errorType,
      properties: details.properties,
      isIt: details.isCausedBy('CardDeclined'),
    }
  }
  return undefined
})

df.app.orchestration('fails', function* (context) {
  yield context.df.callActivityWithRetry('charge', new df.RetryOptions(1, 2), 500)
})
