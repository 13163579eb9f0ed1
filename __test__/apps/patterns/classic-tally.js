/** The http function of the classic models that signals entities and reads them. */
const df = require('durable-functions')

module.exports = async (context, req) => {
  const client = df.getClient(context)
  const id = new df.EntityId('tally', req.params.key)
  if (req.method === 'GET') return { body: await client.readEntityState(id) }
  await client.signalEntity(id, 'add', req.body)
  return { status: 202 }
}
