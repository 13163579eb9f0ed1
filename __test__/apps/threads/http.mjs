/** One call over HTTP, from a thread. */

import * as df from 'durafn'

export const app = new df.App()

app.orchestration('call', function* (context) {
  return yield context.df.callHttp({ method: 'GET', url: context.df.getInput() })
})
