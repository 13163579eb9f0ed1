/** LIST: pages of a hub with many instances. Only durafn has it. */

import { join } from 'node:path'
import * as df from 'durafn'

const PAGE = 1_000

/** Fills a hub without a worker; then the slowest of five pages, for each filter. */
export async function listing(directory, count) {
  const store = `sqlite:${join(directory, 'hub.db')}`
  const client = await df.connect({ store, logger: false })
  await fill(client, count)
  const id = `${(count / 2) % 100}-${count / 2}`
  const { createdTime } = await client.getStatus(id, { pending: true })
  const filters = {
    none: {},
    name: { name: 'list7' },
    idPrefix: { idPrefix: '42-' },
    status: { runtimeStatus: ['Pending'] },
    created: { createdFrom: createdTime },
  }
  const figures = {}
  for (const [name, filter] of Object.entries(filters)) {
    figures[`LIST-${name}`] = await slowestPage(client, name, filter)
  }
  await client.close()
  return figures
}

async function fill(client, count) {
  for (let from = 0; from < count; from += PAGE) {
    const starts = Array.from({ length: PAGE }, (_, n) => ({
      name: `list${(from + n) % 10}`,
      instanceId: `${(from + n) % 100}-${from + n}`,
    }))
    await client.startMany(starts)
  }
}

async function slowestPage(client, name, filter) {
  let slowest = 0
  let cursor
  for (let page = 0; page < 5; page += 1) {
    const start = performance.now()
    const found = await client.list({ ...filter, top: PAGE, cursor })
    slowest = Math.max(slowest, performance.now() - start)
    if (found.instances.length === 0) throw new Error(`${name}: an empty page`)
    cursor = found.cursor
  }
  return slowest
}
