/** The http function of the classic models. */
const df = require('durable-functions')

module.exports = async (context, req) => {
  const client = df.getClient(context)
  const id = await client.startNew(req.params.name, undefined, req.body)
  return client.createCheckStatusResponse(context.bindingData.req, id)
}
