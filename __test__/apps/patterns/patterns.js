/**
 * The patterns of Durable Functions, as their users write them: chaining, fan-out, monitor, human
 * interaction, aggregator, sub-orchestrations, retries, critical sections, an eternal orchestration.
 *
 * @param {object} df the package; @param {number} version of its interface
 */
module.exports = (df, version) => {
  const later = (context, ms) => new Date(context.df.currentUtcDateTime.getTime() + ms)
  const looks = new Map()

  const activities = {
    greet: (name) => `Hello ${name}!`,
    square: (n) => n * n,
    // A job that is done when it is looked at for the third time.
    look: (job) => {
      looks.set(job, (looks.get(job) ?? 0) + 1)
      return looks.get(job) < 3 ? 'busy' : 'done'
    },
    flaky: (key) => {
      looks.set(key, (looks.get(key) ?? 0) + 1)
      if (looks.get(key) < 2) throw new Error('not the first time')
      return 'at last'
    },
    broken: () => {
      throw new Error('always')
    },
  }

  const orchestrators = {
    *chaining(context) {
      const greetings = []
      for (const city of ['Tokyo', 'Seattle', 'Cairo']) {
        greetings.push(yield context.df.callActivity('greet', city))
        context.df.setCustomStatus({ greeted: greetings.length })
      }
      return greetings
    },
    *fanOut(context) {
      const tasks = context.df.getInput().map((n) => context.df.callActivity('square', n))
      const squares = yield context.df.Task.all(tasks)
      return squares.reduce((sum, n) => sum + n, 0)
    },
    *monitor(context) {
      const seen = []
      while (seen.at(-1) !== 'done') {
        if (seen.length > 0) yield context.df.createTimer(later(context, 20))
        seen.push(yield context.df.callActivity('look', context.df.instanceId))
      }
      return seen
    },
    *human(context) {
      const timer = context.df.createTimer(later(context, context.df.getInput()))
      const approval = context.df.waitForExternalEvent('Approval')
      const winner = yield context.df.Task.any([approval, timer])
      if (winner === timer) return yield context.df.callActivity('greet', 'the boss')
      timer.cancel()
      return winner.result
    },
    *child(context) {
      const { steps } = context.df.getInput()
      let total = 0
      for (let n = 1; n <= steps; n += 1) total += yield context.df.callActivity('square', n)
      return total
    },
    *parent(context) {
      const own = yield context.df.callSubOrchestrator(
        'child',
        { steps: 2 },
        `${context.df.instanceId}-child`,
      )
      const others = [3, 4].map((steps) => context.df.callSubOrchestrator('child', { steps }))
      return [own, ...(yield context.df.Task.all(others))]
    },
    *retries(context) {
      const options = new df.RetryOptions(10, 3)
      const first = yield context.df.callActivityWithRetry('flaky', options, context.df.instanceId)
      try {
        yield context.df.callActivityWithRetry('broken', options)
      } catch (error) {
        return [first, /always/.test(error.message)]
      }
      return 'it did not fail'
    },
    *eternal(context) {
      const { left, seen } = context.df.getInput()
      seen.push(yield context.df.callActivity('square', left))
      if (left === 0) return seen
      const next = context.df.continueAsNew({ left: left - 1, seen })
      if (version === 1) yield next
      return undefined
    },
    *aggregate(context) {
      const id = new df.EntityId('tally', context.df.instanceId)
      for (const n of context.df.getInput()) {
        if (version === 1) yield context.df.callEntity(id, 'add', n)
        else context.df.signalEntity(id, 'add', n)
      }
      return yield context.df.callEntity(id, 'get')
    },
    *fails(context) {
      yield context.df.callActivity('greet', 'nobody')
      throw new Error('my own')
    },
  }
  if (version === 3) {
    orchestrators.transfer = function* (context) {
      const [from, to] = ['a', 'b'].map((key) => new df.EntityId('tally', `account-${key}`))
      const lock = yield context.df.lock(from, to)
      const before = yield context.df.callEntity(from, 'get')
      yield context.df.callEntity(from, 'add', -1)
      yield context.df.callEntity(to, 'add', 1)
      const after = yield context.df.callEntity(from, 'get')
      lock.release()
      return before - after
    }
  }

  const entities = {
    tally(context) {
      const sum = context.df.getState(() => 0)
      if (context.df.operationName === 'add') context.df.setState(sum + context.df.getInput())
      else context.df.return(sum)
    },
  }
  return { activities, orchestrators, entities }
}
