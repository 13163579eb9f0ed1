const df = require('durafn')

// Copies a tree, eight files at a time, and finishes it only once somebody has approved it.
module.exports = df.orchestrator(function* (context) {
  const { source, target, ledger, approvalMs } = context.df.getInput()
  const show = (stage, copied, of) => context.df.setCustomStatus({ stage, copied, of })

  show('listing')
  const { files, unreadable } = yield context.df.callActivity('ListFiles', source)

  show('copying', 0, files.length)
  const tasks = files.map((file) =>
    context.df.callActivity('CopyFile', { source, target, file, ledger }),
  )
  const all = df.Task.all(tasks, { concurrency: 8 })
  for (const part of tenths(tasks)) {
    yield df.Task.all(part) // a tenth after the other, only to show how far it is
    show('copying', tasks.indexOf(part.at(-1)) + 1, files.length)
  }
  const copies = yield all

  show('waiting for approval', files.length, files.length)
  const approval = context.df.waitForExternalEvent('Approve')
  const deadline = new Date(context.df.currentUtcDateTime.getTime() + approvalMs)
  const timeout = context.df.createTimer(deadline)
  const first = yield df.Task.any([approval, timeout])
  if (first === timeout) throw new Error(`Nobody approved it until ${deadline.toISOString()}.`)
  timeout.cancel()

  show('writing the manifest', files.length, files.length)
  const approvedBy = approval.result?.by
  const manifest = yield context.df.callActivity('WriteManifest', { target, approvedBy, copies })
  const failed = [...unreadable, ...copies.filter((copy) => copy.error)]
  return { copied: copies.filter((copy) => !copy.error).length, approvedBy, failed, manifest }
})

function tenths(list) {
  const size = Math.ceil(list.length / 10)
  const parts = []
  for (let at = 0; at < list.length; at += size) parts.push(list.slice(at, at + size))
  return parts
}
