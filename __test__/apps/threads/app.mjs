/** What `threads.spec.mjs` runs, in the calling thread and in threads. */

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import * as df from 'durafn'

export const app = new df.App()

// ------------------------------------------------------------------ of all kinds

const double = app.activity('double', { handler: (n) => 2 * n })
app.activity('later', { handler: async (n) => await delay(1, n) })
app.activity('nothing', { handler: () => {} })
app.activity('flaky', {
  handler: (failures, { attempt }) => {
    if (attempt > failures) return attempt
    throw Object.assign(new RangeError(`attempt ${attempt}`), { attempt, cause: new Error('why') })
  },
})
app.activity('large', { handler: (length) => 'x'.repeat(length) })
app.activity('about', {
  handler: (_, context) => {
    const { functionName, instanceId, attempt, idempotencyKey, signal } = context
    return [functionName, instanceId, attempt, typeof idempotencyKey, signal.aborted]
  },
})

app.orchestration('sequence', function* (context) {
  const results = []
  for (const n of [1, 2]) results.push(yield context.df.callActivity('double', n))
  results.push(yield double(4), yield context.df.callActivity('later', { deep: [null, 'é\ud800'] }))
  results.push(yield context.df.callActivity('nothing'), yield context.df.callActivity('about'))
  return results
})
app.orchestration('sequenceAsync', async (context) => {
  const first = await context.df.call(double, 1)
  const second = await context.df.callActivity('later', 'later')
  return [first, second, context.df.newGuid().length, context.df.isReplaying, context.df.getInput()]
})
app.orchestration('fanOut', function* (context) {
  const tasks = [1, 2, 3, 4, 5].map((n) => context.df.callActivity('double', n))
  return yield context.df.Task.all(tasks, { concurrency: 2 })
})
app.orchestration('child', function* (context) {
  const { parentInstanceId } = context.df
  if (context.df.getInput() === 'fail') throw new TypeError('the child fails')
  return [parentInstanceId, yield context.df.callActivity('double', 21)]
})
app.orchestration('parent', function* (context) {
  const results = [yield context.df.callSubOrchestrator('child', 1, `${context.df.instanceId}-c`)]
  try {
    yield context.df.callSubOrchestrator('child', 'fail')
  } catch (error) {
    results.push([error.name, error.message])
  }
  return results
})
app.orchestration('timers', async (context) => {
  const now = context.df.currentUtcDateTime.getTime()
  await context.df.createTimer(new Date(now + 5))
  const late = context.df.createTimer(new Date(now + 3_600_000))
  const first = await context.df.Task.any([late, context.df.callActivity('double', 1)])
  late.cancel()
  return [first === late, context.df.currentUtcDateTime.getTime() >= now + 5]
})
app.orchestration('events', function* (context) {
  const a = context.df.waitForExternalEvent('a')
  const b = context.df.waitForExternalEvent('b')
  context.df.setCustomStatus({ waits: true })
  return yield context.df.Task.all([a, b])
})
const retry = (retryIf) => {
  return { firstRetryIntervalInMilliseconds: 1, maxNumberOfAttempts: 5, retryIf }
}
app.orchestration('retries', function* (context) {
  const asked = []
  const policy = retry((error) => {
    asked.push([error.name, error.message, error.attempt, error.cause?.message])
    return error.attempt < 3
  })
  const results = [yield context.df.callActivityWithRetry('flaky', policy, 2)]
  try {
    yield context.df.callActivityWithRetry('flaky', policy, 9)
  } catch (error) {
    results.push(`${error.name}: ${error.message}`)
  }
  return [results, asked]
})
app.orchestration('retriesAsync', async (context) => {
  const policy = retry((error) => error instanceof RangeError)
  return await context.df.callActivityWithRetry('flaky', policy, 3)
})
app.orchestration('eternal', function* (context) {
  const { n, sum } = context.df.getInput()
  const next = sum + (yield context.df.callActivity('double', n))
  if (n < 4) context.df.continueAsNew({ n: n + 1, sum: next })
  return next
})
app.orchestration('tooLarge', function* (context) {
  try {
    yield context.df.callActivity('large', 3_000)
  } catch (error) {
    return [error.code, error.message]
  }
})
app.orchestration('fails', async (context) => {
  await context.df.callActivity('flaky', 1)
})
app.orchestration('strays', async (context) => {
  const event = context.df.waitForExternalEvent('go')
  await new Promise((resolve) => setImmediate(resolve))
  await context.df.Task.any([event, context.df.callActivity('double', 1)])
})
app.orchestration('unknown', function* (context) {
  yield context.df.callActivity('nobody')
})

// ------------------------------------------------------------------ of threads

const wait = async (file, signal) => {
  while (!existsSync(file)) await delay(2, undefined, { signal })
}

/** Says something by a file, and whether it is the first to say it. */
const say = (dir, name) => {
  try {
    writeFileSync(join(dir, name), String(threadId), { flag: 'wx' })
    return true
  } catch {
    return false
  }
}

app.activity('threadId', { handler: () => threadId })
/** Holds its thread until the other one does the same in another. */
app.activity('meet', {
  handler: ({ dir, name, other }) => {
    say(dir, name)
    const end = performance.now() + 20_000
    while (!existsSync(join(dir, other))) if (performance.now() > end) throw new Error('alone')
    return threadId
  },
})
app.activity('gate', {
  handler: async ({ dir, name = 'gate' }, { signal, log }) => {
    signal.addEventListener('abort', () => {
      log(`aborted: ${signal.reason.name}`)
      say(dir, 'aborted')
    })
    say(dir, `${name}-runs`)
    await wait(join(dir, name), signal)
    return 'through'
  },
})
app.activity('spin', {
  handler: ({ dir }) => {
    say(dir, 'spins')
    for (;;);
  },
})
app.activity('exitOnce', {
  handler: ({ dir, name }, { idempotencyKey, log }) => {
    if (!say(dir, name)) return idempotencyKey
    log(`last words of ${name}`)
    say(dir, `key-${idempotencyKey}`)
    process.exit(1)
  },
})
app.activity('throwOnce', {
  handler: async ({ dir, name }) => {
    if (!say(dir, name)) return 'again'
    setImmediate(() => {
      throw new Error(`thrown by ${name}`)
    })
    await new Promise(() => {})
  },
})
app.activity('exitAlways', {
  handler: async () => {
    await delay(1)
    process.exit(7)
  },
})
app.activity('fill', {
  handler: () => {
    const all = []
    for (;;) all.push(new Array(1_000).fill(all.length))
  },
})

/** Calls the activity `name` with `input`; gives what it gave, or the error's code. */
app.orchestration('call', function* (context) {
  const { name, input } = context.df.getInput()
  try {
    return yield context.df.callActivity(name, input)
  } catch (error) {
    return { code: error.code, message: error.message }
  }
})
/** Calls all of them at the same time. */
app.orchestration('callAll', function* (context) {
  const calls = context.df.getInput()
  return yield context.df.Task.all(
    calls.map(({ name, input }) => context.df.callActivity(name, input)),
  )
})
app.orchestration('where', async (context) => {
  const seen = [threadId]
  for (let n = 0; n < 3; n++) {
    await context.df.callActivity('double', n)
    seen.push(threadId)
  }
  return seen
})
/** Ends its thread in the turn after this many activities, the first time or always. */
app.orchestration('killer', function* (context) {
  const { dir, after, always } = context.df.getInput()
  for (let n = 0; n < after; n++) yield context.df.callActivity('double', n)
  if (always ? !existsSync(join(dir, 'mended')) : say(dir, context.df.instanceId)) process.exit(2)
  return yield context.df.callActivity('double', after)
})
/** Ends its thread when it is replayed, the first time or always. */
app.orchestration('replayKiller', function* (context) {
  const { dir, always } = context.df.getInput()
  yield context.df.callActivity('double', 1)
  const kills = always ? !existsSync(join(dir, 'mended')) : existsSync(join(dir, 'again'))
  if (context.df.isReplaying && kills && (always || say(dir, 'killed'))) process.exit(2)
  return yield context.df.waitForExternalEvent('go')
})
app.orchestration('stray', function* (context) {
  const { dir } = context.df.getInput()
  yield context.df.callActivity('double', 1)
  if (say(dir, 'strayed')) {
    setImmediate(() => {
      throw new Error('out of the event loop')
    })
  }
  yield context.df.waitForExternalEvent('go')
  return 'done'
})
app.orchestration('raced', function* (context) {
  const gate = context.df.callActivity('gate', context.df.getInput())
  yield context.df.Task.any([gate, context.df.waitForExternalEvent('go')])
  return 'over'
})
app.orchestration('logs', function* (context) {
  for (let n = 0; n < 3; n++) {
    context.log(`orchestrator ${n}`)
    yield context.df.callActivity('logs', n)
  }
  context.warn('end')
})
app.activity('logs', {
  handler: (n, context) => {
    context.log.debug('activity', n, { of: 'three' })
    context.error(`activity ${n} ends`)
  },
})
app.orchestration('lateRegister', function* (context) {
  return yield context.df.callActivity('register')
})
app.activity('register', {
  handler: () => {
    app.activity('lateActivity', { handler: () => 'late' })
    app.orchestration('lateOrchestration', function* (context) {
      return yield context.df.callActivity('lateActivity')
    })
    return threadId
  },
})

app.orchestration('careless', async (context) => {
  void Promise.reject(new Error('astray'))
  await context.df.callActivity('nothing')
  return 'done'
})
