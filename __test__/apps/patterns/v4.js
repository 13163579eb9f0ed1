/** The patterns in the model of `@azure/functions` 4. */
const { app } = require('@azure/functions')
const df = require('durable-functions')

const { activities, orchestrators, entities } = require('./patterns')(df, 3)

for (const [name, handler] of Object.entries(activities)) df.app.activity(name, { handler })
for (const [name, handler] of Object.entries(orchestrators)) df.app.orchestration(name, handler)
for (const [name, handler] of Object.entries(entities)) df.app.entity(name, handler)

app.http('start', {
  route: 'start/{name}',
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const client = df.getClient(context)
    const text = await request.text()
    const input = text === '' ? undefined : JSON.parse(text)
    const id = await client.startNew(request.params.name, { input })
    return client.createCheckStatusResponse(request, id)
  },
})

app.http('tallyHttp', {
  route: 'tally/{key}',
  authLevel: 'anonymous',
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const client = df.getClient(context)
    const id = new df.EntityId('tally', request.params.key)
    if (request.method === 'GET') return { jsonBody: await client.readEntityState(id) }
    await client.signalEntity(id, 'add', await request.json())
    return { status: 202 }
  },
})
