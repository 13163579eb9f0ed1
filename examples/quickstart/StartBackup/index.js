// Started by hand: `durafn invoke StartBackup --input '{ … }'`, or app.invoke('StartBackup', { … }).
// What is assigned to the starter is started when this function has succeeded, all of it or nothing.
module.exports = (context, backup) => {
  const { id, ...input } = backup
  context.bindings.starter = [{ FunctionName: 'BackUp', Input: input, InstanceId: id }]
  context.done(null)
}
