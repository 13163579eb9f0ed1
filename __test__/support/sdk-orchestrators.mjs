/**
 * Orchestrators for the original packages, each of a pattern. All wait in their middle for the event
 * 'go', so that a hub can be closed, or its process killed, there; what they give must be the same.
 *
 * Kept apart from the suites, as child processes register them too.
 */

/** What ran how often in this process, by a key of the test's. */
export const runs = new Map()

function count(key) {
  runs.set(key, (runs.get(key) ?? 0) + 1)
  return runs.get(key)
}

/** Registers the activities that they call. */
export function registerActivities(app) {
  app.activity('echo', { handler: (value) => value })
  app.activity('hello', { handler: (name) => `Hello ${name}` })
  app.activity('count', { handler: count })
  app.activity('fail', {
    handler: (message) => {
      throw new RangeError(message)
    },
  })
  app.activity('flaky', {
    handler: (value, { attempt }) => {
      if (attempt === 1) throw new Error('the first attempt')
      return `${value} at attempt ${attempt}`
    },
  })
}

/**
 * By name: the function, and what an instance must give. `input` is that of the instance;
 * `expected` a value or, where the outcome is not known before, a check.
 */
export function patterns({ version, df }) {
  const retry = (attempts) => new df.RetryOptions(1, attempts)
  const go = (context) => context.df.waitForExternalEvent('go')
  const soon = (context, ms) => new Date(context.df.currentUtcDateTime.getTime() + ms)
  /** What a failed task says, without what is behind it. */
  const first = (error) => error.message.split(' \n ')[0]

  return {
    chain: {
      *fn(context) {
        const one = yield context.df.callActivity('hello', context.df.getInput())
        yield go(context)
        return [one, yield context.df.callActivity('hello', 'two')]
      },
      input: 'one',
      expected: ['Hello one', 'Hello two'],
    },
    fanOut: {
      *fn(context) {
        const all = (keys) =>
          context.df.Task.all(keys.map((key) => context.df.callActivity('echo', key)))
        const before = yield all([1, 'two', { three: 3 }])
        yield go(context)
        return [...before, ...(yield all([null, false, '"4"']))]
      },
      expected: [1, 'two', { three: 3 }, null, false, '"4"'],
    },
    any: {
      *fn(context) {
        const timer = context.df.createTimer(soon(context, 3_600_000))
        const event = go(context)
        const winner = yield context.df.Task.any([timer, event])
        timer.cancel()
        const second = context.df.createTimer(soon(context, 1))
        const never = context.df.waitForExternalEvent('never')
        const later = yield context.df.Task.any([never, second])
        return [winner === event, winner.result, timer.isCanceled, later === second]
      },
      expected: [true, 'went', true, true],
    },
    retry: {
      *fn(context) {
        const { df: durable } = context
        const one = yield durable.callActivityWithRetry('flaky', retry(3), 'one')
        yield go(context)
        const two = yield durable.callActivityWithRetry('flaky', retry(3), 'two')
        try {
          yield durable.callActivityWithRetry('fail', retry(3), 'no')
        } catch (error) {
          return [one, two, first(error)]
        }
        return 'it did not fail'
      },
      expected: ['one at attempt 2', 'two at attempt 2', "Activity function 'fail' failed: no"],
    },
    child: {
      *fn(context) {
        const input = context.df.getInput()
        if (input.fail) throw new Error(input.fail)
        if (input.until && (yield context.df.callActivity('count', input.until)) < 2) {
          throw new Error('the first attempt')
        }
        return [context.df.instanceId, context.df.parentInstanceId, input.value]
      },
      input: { value: 1 },
      expected: ([, parent, value]) => !parent && value === 1,
    },
    children: {
      *fn(context) {
        const { df: durable } = context
        const id = `${durable.instanceId}-child`
        const [own, parent, value] = yield durable.callSubOrchestrator('child', { value: 'x' }, id)
        yield go(context)
        const plain = yield durable.callSubOrchestrator('child', { value: 'y' })
        const until = { until: `${id}-${version}`, value: 'z' }
        const tried = yield durable.callSubOrchestratorWithRetry('child', retry(2), until)
        try {
          yield durable.callSubOrchestratorWithRetry('child', retry(2), { fail: 'no' }, `${id}-2`)
        } catch (error) {
          return [
            own === id,
            parent === durable.instanceId,
            value,
            plain[2],
            tried[2],
            first(error),
          ]
        }
        return 'it did not fail'
      },
      expected: [true, true, 'x', 'y', 'z', "Orchestrator function 'child' failed: no"],
    },
    text: {
      *fn(context) {
        const input = context.df.getInput()
        if (input !== 'top') return input
        yield go(context)
        return yield context.df.callSubOrchestrator('text', 'a string')
      },
      input: 'top',
      expected: 'a string',
    },
    again: {
      *fn(context) {
        const input = context.df.getInput()
        if (input.n === 2) yield go(context)
        if (input.n === 4) return input
        const next = context.df.continueAsNew({ n: input.n + 1, kept: input.kept })
        if (version === 1) yield next
        return null
      },
      input: { n: 0, kept: 'kept' },
      expected: { n: 4, kept: 'kept' },
    },
    againText: {
      *fn(context) {
        const input = context.df.getInput()
        yield go(context)
        if (input === 'second') return input
        const next = context.df.continueAsNew('second')
        if (version === 1) yield next
        return null
      },
      input: 'first',
      expected: 'second',
    },
    anyThenAll: {
      *fn(context) {
        const { df: durable } = context
        const counted = durable.callActivity('count', `${durable.instanceId}-${version}`)
        const event = go(context)
        const winner = yield durable.Task.any([counted, event])
        const all = yield durable.Task.all([counted, event])
        return [winner === counted, ...all]
      },
      expected: [true, 1, 'went'],
    },
    caught: {
      *fn(context) {
        const messages = []
        for (const message of ['one', 'two']) {
          try {
            yield context.df.callActivity('fail', message)
          } catch (error) {
            messages.push(first(error))
          }
          yield go(context)
        }
        return messages
      },
      expected: ["Activity function 'fail' failed: one", "Activity function 'fail' failed: two"],
    },
    same: {
      *fn(context) {
        const { df: durable } = context
        const made = () => [
          durable.newGuid('seed'),
          durable.newGuid('seed'),
          durable.currentUtcDateTime.getTime(),
        ]
        const before = made()
        const stored = yield durable.callActivity('echo', before)
        const later = made()
        yield go(context)
        return [stored, before, later, durable.currentUtcDateTime.getTime()]
      },
      expected: ([stored, before, later, time]) =>
        JSON.stringify(stored) === JSON.stringify(before) &&
        new Set([before[0], before[1], later[0], later[1]]).size === 4 &&
        before[2] <= later[2] &&
        later[2] <= time,
    },
    numbers: {
      // Retries that give up beside tasks that complete, in turns of several results.
      *fn(context) {
        const { df: durable } = context
        const echo = (value) => durable.callActivity('echo', value)
        const failing = durable.callActivityWithRetry('fail', retry(2), 'no')
        const child = durable.callSubOrchestratorWithRetry('child', retry(2), { fail: 'no' })
        const guarded = [failing, child, echo(0)]
        yield durable.Task.any([echo(1), durable.Task.any(guarded)])
        yield go(context)
        let failures = 0
        for (const task of [failing, child]) {
          try {
            yield task
          } catch {
            failures += 1
          }
          yield echo(2)
        }
        return [failures, yield echo(3)]
      },
      expected: [2, 3],
    },
  }
}

/** Registers all of them, and the activities. */
export function registerPatterns(app, sdk) {
  registerActivities(app)
  for (const [name, { fn }] of Object.entries(patterns(sdk))) sdk.register(app, name, fn)
}
