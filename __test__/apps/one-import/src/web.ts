/** Calls over HTTP from an orchestrator, with its polling and a managed identity. */

import type { CallHttpOptions, TokenSource } from 'durable-functions'
import * as df from 'durable-functions'

df.app.orchestration('web', function* (context) {
  const url = context.df.getInput<string>()
  const request: CallHttpOptions = {
    method: 'POST',
    url: `${url}/jobs`,
    body: { job: 1 },
    headers: { 'Content-Type': 'application/json' },
  }
  const answer = yield context.df.callHttp(request)
  const first = yield context.df.callHttp({
    method: 'POST',
    url: `${url}/jobs`,
    enablePolling: false,
  })
  return [answer.statusCode, answer.content, first.statusCode]
})

df.app.orchestration('identity', function* (context) {
  const tokenSource: TokenSource = new df.ManagedIdentityTokenSource('https://vault.test/')
  const { statusCode } = yield context.df.callHttp({
    method: 'GET',
    url: context.df.getInput<string>(),
    tokenSource,
    asynchronousPatternEnabled: true,
  })
  return [statusCode, tokenSource.resource]
})
