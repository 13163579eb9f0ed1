import { test } from 'node:test'
import { startChild } from './child.mjs'
test('x', async (t) => {
  const c = startChild(t, async ({ df, args, say, hear }) => {
    say({ pid: process.pid, args })
    const a = await hear()
    say({ got: a })
  }, { a: 1 })
  console.log(await c.next())
  c.tell({ hi: 1 })
  console.log(await c.next())
  await c.finish()
})
