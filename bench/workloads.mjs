/**
 * What each workload does and how it is timed, once for all engines. See engines.mjs for what an
 * engine is. Every function gives figures by the name of their row in rows.mjs.
 */

const FAN_OUT_MS = 10_000

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

/** Before every measurement: at least a second of 'five', 200 at a time; none of it counts. */
export async function warmUp(engine) {
  const end = performance.now() + 1_000
  await callers(200, async () => {
    do await engine.run('five', 0)
    while (performance.now() < end)
  })
}

function callers(count, work) {
  return Promise.all(Array.from({ length: count }, work))
}

/**
 * Instances a second with `count` under way at a time. Measured for at least `seconds` and 1,000
 * instances, since a slow engine ends them in waves; but for no more than 20 seconds.
 */
export async function throughput(engine, count, seconds) {
  let done = 0
  let running = true
  const all = callers(count, async () => {
    while (running) {
      await engine.run('five', 0)
      done += 1
    }
  })
  const measured = (async () => {
    while (done < count) await delay(1)
    const [from, start] = [done, performance.now()]
    const passed = () => (performance.now() - start) / 1_000
    while ((passed() < seconds || done - from < 1_000) && passed() < 20) await delay(5)
    return (done - from) / passed()
  })()
  // `all` ends before `running` does only if a caller fails.
  const rate = await Promise.race([measured, all])
  running = false
  await all
  return { W1: rate }
}

/** Milliseconds for one instance with `width` parallel activities: median of five, or of 10 s. */
export async function fanOut(engine, width) {
  const times = []
  const end = performance.now() + FAN_OUT_MS
  while (times.length < 5 && (times.length === 0 || performance.now() < end)) {
    const start = performance.now()
    const count = await engine.run('fan', width)
    times.push(performance.now() - start)
    if (count !== width) throw new Error(`fan: ${count} results`)
  }
  return { [`W2-${width}`]: percentile(times, 0.5) }
}

/** Milliseconds an instance, one at a time. */
export async function latency(engine, seconds) {
  const times = []
  const end = performance.now() + seconds * 1_000
  while (performance.now() < end) {
    const start = performance.now()
    await engine.run('five', 0)
    times.push(performance.now() - start)
  }
  return { 'W3-p50': percentile(times, 0.5), 'W3-p99': percentile(times, 0.99) }
}

/**
 * Events a second, 500 at a time, each to a waiting instance of its own, which then ends. As many
 * instances wait as `count`, or as began to wait in five seconds.
 */
export async function events(engine, count) {
  const ids = []
  const end = performance.now() + 5_000
  while (ids.length < count && performance.now() < end) {
    const length = Math.min(500, count - ids.length)
    const more = Array.from({ length }, (_, n) => `wait-${process.pid}-${ids.length + n}`)
    await Promise.all(more.map((id) => engine.wait(id)))
    await engine.settled(more)
    ids.push(...more)
  }
  const start = performance.now()
  await inChunks(ids, 500, (id) => engine.event(id))
  return { W4: ids.length / ((performance.now() - start) / 1_000) }
}

/** One-second timers: milliseconds from the start to the last end, and overshoot of each. */
export async function timers(engine, count) {
  const start = Date.now()
  const overshoots = await Promise.all(
    Array.from({ length: count }, async () => {
      const due = Date.now() + 1_000
      await engine.run('timer', due)
      return Date.now() - due
    }),
  )
  return { 'W5-all': Date.now() - start, 'W5-p99': percentile(overshoots, 0.99) }
}

/**
 * Milliseconds a step of one long instance. An engine whose 'sequence' marks the time at the 100th
 * step, the 100th from the end and the end also gives how much slower the last hundred are.
 */
export async function sequence(engine, steps) {
  const most = Math.min(steps, engine.maxSteps ?? steps)
  const start = performance.now()
  const { marks } = await engine.run('sequence', most)
  const step = (performance.now() - start) / most
  if (!marks) return { W7: step }
  const [early, late, end] = marks
  const middle = (late - early) / (most - 200)
  return { W7: step, 'W7-last': (end - late) / 100 / middle }
}

/**
 * Signals a second to `count` entities, 2,000 of them on their way at a time: those that were sent
 * within `seconds`, over the time until the last of them is carried out.
 */
export async function signals(engine, count, seconds) {
  await engine.signal(0)
  const before = await engine.signalled(count)
  let sent = 0
  const start = performance.now()
  const passed = () => (performance.now() - start) / 1_000
  await callers(2_000, async () => {
    while (passed() < seconds) {
      const number = sent
      sent += 1
      await engine.signal(number % count)
    }
  })
  while ((await engine.signalled(count)) < before + sent) await delay(1)
  return { E: sent / passed() }
}

/** Milliseconds a generation of an eternal orchestration, and megabytes that memory grew by. */
export async function eternal(engine, generations) {
  await engine.run('eternal', 1_000)
  const before = process.memoryUsage.rss()
  const start = performance.now()
  await engine.run('eternal', generations)
  const ms = (performance.now() - start) / generations
  return { 'CAN-ms': ms, 'CAN-mb': (process.memoryUsage.rss() - before) / 2 ** 20 }
}

export async function inChunks(items, size, work) {
  for (let from = 0; from < items.length; from += size) {
    await Promise.all(items.slice(from, from + size).map(work))
  }
}

export function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
