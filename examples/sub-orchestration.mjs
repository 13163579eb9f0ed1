// Sub-orchestrations: an orchestrator calls others like activities. Each is an instance of its own,
// with a history and a status of its own, and can be called with a retry policy.
import * as df from 'durafn'

const build = df.app.activity('build', { handler: (part) => `${part} built` })
const test = df.app.activity('test', { handler: (part) => `${part} tested` })

const release = df.app.orchestration('release', function* (context) {
  const part = context.df.getInput()
  const built = yield* context.df.call(build, part)
  const tested = yield* context.df.call(test, part)
  return `${built}, ${tested}`
})

const releaseAll = df.app.orchestration('releaseAll', function* (context) {
  const parts = context.df.getInput()
  return yield df.Task.all(
    parts.map((part) => context.df.call(release, part, { instanceId: `release-${part}` })),
  )
})

const hub = await df.open({ store: 'sqlite::memory:' })
const id = await hub.client.startNew(releaseAll, { input: ['engine', 'client'] })
console.log((await hub.client.waitForCompletion(id)).output)
const child = await hub.client.getStatus('release-engine')
console.log(
  `${child.instanceId}: ${child.runtimeStatus}, called by its parent: ${child.parentInstanceId === id}`,
)
await hub.close()
