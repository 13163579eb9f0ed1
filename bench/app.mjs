/** The functions that the benchmarks run. Trivial on purpose: what is measured is the engine. */

export function register(app) {
  app.activity('inc', { handler: (n) => n + 1 })

  app.entity('counter', ({ df }) => {
    df.setState(df.getState(() => 0) + df.getInput())
  })

  app.orchestration('five', function* (context) {
    let n = 0
    for (let step = 0; step < 5; step += 1) n = yield context.df.callActivity('inc', n)
    return n
  })

  app.orchestration('sequence', function* (context) {
    const steps = context.df.getInput()
    let n = 0
    const marks = []
    for (let step = 0; step < steps; step += 1) {
      if (step === steps - 100 || step === 100) marks.push(performance.now())
      n = yield context.df.callActivity('inc', n)
    }
    marks.push(performance.now())
    return { n, marks }
  })

  app.orchestration('fan', function* (context) {
    const width = context.df.getInput()
    const tasks = []
    for (let n = 0; n < width; n += 1) tasks.push(context.df.callActivity('inc', n))
    const results = yield context.df.Task.all(tasks)
    return results.length
  })

  app.orchestration('wait', function* (context) {
    const data = yield context.df.waitForExternalEvent('go')
    return yield context.df.callActivity('inc', data ?? 0)
  })

  app.orchestration('timer', function* (context) {
    const due = new Date(context.df.getInput())
    yield context.df.createTimer(due)
    return due.getTime()
  })

  // biome-ignore lint/correctness/useYield: a generation does nothing but begin the next one.
  app.orchestration('eternal', function* (context) {
    const left = context.df.getInput()
    if (left > 1) context.df.continueAsNew(left - 1)
    return left
  })
}
