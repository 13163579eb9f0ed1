/** The workloads. Each goes through the public client in the worker's process. */

export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

async function one(client, name, input) {
  const id = await client.startNew(name, { input })
  const status = await client.waitForCompletion(id, { timeoutMs: 600_000 })
  if (status.runtimeStatus !== 'Completed') throw new Error(`${name}: ${JSON.stringify(status)}`)
  return status
}

/** Instances a second with `callers` under way at a time, for `seconds` after one of warm-up. */
export async function throughput(client, callers, seconds) {
  let done = 0
  let running = true
  const caller = async () => {
    while (running) {
      await one(client, 'five')
      done += 1
    }
  }
  const all = Array.from({ length: callers }, caller)
  await delay(1_000)
  const [from, start] = [done, performance.now()]
  await delay(seconds * 1_000)
  const [to, end] = [done, performance.now()]
  running = false
  await Promise.all(all)
  return (to - from) / ((end - start) / 1_000)
}

/** Milliseconds for one instance with `width` parallel activities: median of five. */
export async function fanOut(client, width) {
  const times = []
  for (let round = 0; round < 5; round += 1) {
    const start = performance.now()
    await one(client, 'fan', width)
    times.push(performance.now() - start)
  }
  return percentile(times, 0.5)
}

/** Milliseconds an instance, one at a time. */
export async function latency(client, seconds) {
  for (let warm = 0; warm < 200; warm += 1) await one(client, 'five')
  const times = []
  const end = performance.now() + seconds * 1_000
  while (performance.now() < end) {
    const start = performance.now()
    await one(client, 'five')
    times.push(performance.now() - start)
  }
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), instances: times.length }
}

/** Milliseconds a step of one long instance: of all, of the first and of the last hundred. */
export async function sequence(client, steps) {
  await one(client, 'sequence', 500)
  const start = performance.now()
  const status = await one(client, 'sequence', steps)
  const total = performance.now() - start
  const [early, late, end] = status.output.marks
  return { step: total / steps, last: (end - late) / 100, middle: (late - early) / (steps - 200) }
}

/** Events a second to waiting instances, each of which then ends. */
export async function events(client, count) {
  const ids = Array.from({ length: count }, (_, n) => `wait-${process.pid}-${n}`)
  await inChunks(ids, 500, (id) => client.startNew('wait', { instanceId: id }))
  const last = ids.at(-1)
  while ((await client.getStatus(last)) === null) await delay(5)
  const start = performance.now()
  await inChunks(ids, 500, async (id) => {
    const { outcome } = await client.raiseEvent(id, 'go', 1)
    if (outcome !== 'delivered') throw new Error(`${id}: ${outcome}`)
    await client.waitForCompletion(id, { timeoutMs: 600_000 })
  })
  return count / ((performance.now() - start) / 1_000)
}

/** One-second timers: milliseconds from the start to the last end, and overshoot of each. */
export async function timers(client, count) {
  const start = Date.now()
  const overshoots = await Promise.all(
    Array.from({ length: count }, async () => {
      const due = Date.now() + 1_000
      await one(client, 'timer', due)
      return Date.now() - due
    }),
  )
  return { all: Date.now() - start, p99: percentile(overshoots, 0.99) }
}

/** Milliseconds a generation of an eternal orchestration, and memory before and after. */
export async function eternal(client, generations) {
  await one(client, 'eternal', 1_000)
  const before = process.memoryUsage.rss()
  const start = performance.now()
  await one(client, 'eternal', generations)
  const ms = (performance.now() - start) / generations
  return { ms, grownMb: (process.memoryUsage.rss() - before) / 2 ** 20 }
}

/** Fills a hub without a worker; then the slowest of five pages of 1,000, for each filter. */
export async function listing(client, count) {
  for (let from = 0; from < count; from += 1_000) {
    await client.startMany(
      Array.from({ length: 1_000 }, (_, n) => ({
        name: `list${(from + n) % 10}`,
        instanceId: `${(from + n) % 100}-${from + n}`,
      })),
    )
  }
  const id = `${(count / 2) % 100}-${count / 2}`
  const { createdTime } = await client.getStatus(id, { pending: true })
  const filters = {
    none: {},
    name: { name: 'list7' },
    idPrefix: { idPrefix: '42-' },
    status: { runtimeStatus: ['Pending'] },
    created: { createdFrom: createdTime },
  }
  const times = {}
  for (const [name, filter] of Object.entries(filters)) {
    let slowest = 0
    let cursor
    for (let page = 0; page < 5; page += 1) {
      const start = performance.now()
      const found = await client.list({ ...filter, top: 1_000, cursor })
      slowest = Math.max(slowest, performance.now() - start)
      if (found.instances.length === 0) throw new Error(`${name}: an empty page`)
      cursor = found.cursor
    }
    times[name] = slowest
  }
  return times
}

export async function inChunks(items, size, work) {
  for (let from = 0; from < items.length; from += size) {
    await Promise.all(items.slice(from, from + size).map(work))
  }
}

export function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
