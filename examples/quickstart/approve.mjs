// A second process: approves one backup. node approve.mjs STORE INSTANCE_ID
import * as df from 'durafn'

const [store, id] = process.argv.slice(2)
const client = await df.connect({ store })
const { outcome, reason } = await client.raiseEvent(id, 'Approve', { by: `process ${process.pid}` })
await client.close()
console.log(
  `  process ${process.pid} sent 'Approve' to ${id}: ${outcome}${reason ? `, ${reason}` : ''}`,
)
process.exit(outcome === 'delivered' ? 0 : 1)
