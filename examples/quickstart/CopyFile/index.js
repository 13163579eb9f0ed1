const { createHash } = require('node:crypto')
const { createWriteStream } = require('node:fs')
const { appendFile, mkdir, open } = require('node:fs/promises')
const { dirname, join } = require('node:path')
const { pipeline } = require('node:stream/promises')

// Copies one file and hashes it on the way. An activity runs at least once: after a crash it may
// run again, and then it writes the same file anew.
module.exports = async (context, { source, target, file, ledger }) => {
  let original
  try {
    original = await open(join(source, file))
  } catch (error) {
    // A file that cannot be read is a result, not a reason to stop the others.
    if (['EACCES', 'EPERM', 'ENOENT'].includes(error.code)) return { file, error: error.code }
    throw error
  }
  const hash = createHash('sha256')
  let bytes = 0
  async function* measure(chunks) {
    for await (const chunk of chunks) {
      hash.update(chunk)
      bytes += chunk.length
      yield chunk
    }
  }
  const to = join(target, file)
  await mkdir(dirname(to), { recursive: true })
  const { signal } = context
  await pipeline(original.createReadStream(), measure, createWriteStream(to), { signal })
  // Outside the store: it says what was really done, however often.
  await appendFile(ledger, `${JSON.stringify({ instance: context.instanceId, file })}\n`)
  return { file, bytes, sha256: hash.digest('hex') }
}
