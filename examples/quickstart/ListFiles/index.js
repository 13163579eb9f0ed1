const { readdir } = require('node:fs/promises')
const { join, relative } = require('node:path')

// All regular files under a folder, by their paths in it. Links, sockets and the like are left out.
module.exports = async (_context, folder) => {
  const files = []
  const unreadable = []
  const pending = [folder]
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    try {
      for (const entry of await readdir(path, { withFileTypes: true })) {
        const child = join(path, entry.name)
        if (entry.isDirectory()) pending.push(child)
        else if (entry.isFile()) files.push(relative(folder, child))
      }
    } catch (error) {
      if (path === folder) throw error
      unreadable.push({ file: relative(folder, path), error: error.code })
    }
  }
  return { files: files.sort(), unreadable }
}
