/**
 * Child process of W6 and of the memory row: starts waiting instances, or opens the hub again.
 *
 * `node recovery.mjs fill STORE COUNT` prints `filled` and waits to be killed.
 * `node recovery.mjs resume STORE` prints how long the first new step took, in milliseconds.
 * `node recovery.mjs weigh STORE COUNT` prints memory and idle CPU with COUNT waiting instances.
 */

import * as df from 'durafn'
import { register } from './app.mjs'
import { delay, inChunks } from './workloads.mjs'

const [mode, store, count] = process.argv.slice(2)
const app = new df.App()
register(app)
const start = performance.now()
const hub = await df.open({ store, app, logger: false })

if (mode === 'resume') {
  await hub.client.raiseEvent('waiting-0', 'go', 1)
  await hub.client.waitForCompletion('waiting-0', { timeoutMs: 60_000 })
  console.log(JSON.stringify({ firstStepMs: performance.now() - start }))
  await hub.close()
} else {
  const before = process.memoryUsage.rss()
  const ids = Array.from({ length: Number(count) }, (_, n) => `waiting-${n}`)
  await inChunks(ids, 500, (instanceId) => hub.client.startNew('wait', { instanceId }))
  while ((await hub.client.getStatus(ids.at(-1))) === null) await delay(10)
  if (mode === 'fill') {
    console.log('filled')
  } else {
    globalThis.gc?.()
    const cpu = process.cpuUsage()
    await delay(5_000)
    const { user, system } = process.cpuUsage(cpu)
    const rss = process.memoryUsage.rss()
    console.log(
      JSON.stringify({
        rssMb: rss / 2 ** 20,
        grownMb: (rss - before) / 2 ** 20,
        idleCpuPercent: ((user + system) / 5_000_000) * 100,
      }),
    )
    await hub.close()
  }
}
