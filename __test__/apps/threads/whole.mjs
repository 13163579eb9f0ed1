/** A program in one file, which opens the hub whose threads load it. */

import { isMainThread } from 'node:worker_threads'
import * as df from 'durafn'

df.app.orchestration('from', () => 'a whole program')
if (isMainThread || process.env.CARELESS) {
  const hub = await df.open({
    store: 'sqlite::memory:',
    threads: 2,
    app: import.meta.url,
    logger: false,
  })
  const id = await hub.client.startNew('from')
  console.log((await hub.client.waitForCompletion(id)).output)
  await hub.close()
}
