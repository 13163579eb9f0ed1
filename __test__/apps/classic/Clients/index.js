const df = require('durable-functions')

/** What a client of versions 1 and 2 is asked for, with its arguments one after the other. */
module.exports = async (context, input) => {
  const client = df.getClient(context)
  const id = await client.startNew('Approval', undefined, input)
  while ((await client.getStatus(id, true, true, false))?.runtimeStatus !== 'Running') {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await client.raiseEvent(id, 'Answer', 'yes', client.taskHubName, 'Storage')
  let status
  do status = await client.getStatus(id, true, true, false)
  while (status.runtimeStatus === 'Running')
  const from = new Date(0)
  const ended = await client.getStatusBy(from, new Date(), ['Completed'])
  const { instancesDeleted } = await client.purgeInstanceHistoryBy(from, undefined, ['Completed'])
  return {
    output: status.output,
    // In the older versions it has the name that it has over HTTP.
    hasHistory: (status.history ?? status.historyEvents)?.length > 0,
    ended: ended.length > 0,
    purged: instancesDeleted > 0,
    origins: client.uniqueWebhookOrigins.length,
  }
}
