// For `--crash`: hosts the app and starts a backup; when half of the files are copied no further
// copy ends, and the parent process is told, which kills this one.
//   node host-until-halfway.mjs STORE BACKUP_AS_JSON
import { fileURLToPath } from 'node:url'
import * as df from 'durafn'

const [store, backup] = process.argv.slice(2)
let half = 0
let copied = 0

const wrappers = {
  ListFiles: (list) => {
    half = Math.ceil(list.files.length / 2)
    if (half === 0) process.send({ copied: 0, of: 0 })
    return list
  },
  CopyFile: (copy) => {
    copied += 1
    if (copied === half) process.send({ copied })
    return copied < half ? copy : new Promise(() => {})
  },
}

class HaltingApp extends df.App {
  activity(name, options) {
    const wrap = wrappers[name] ?? ((result) => result)
    const handler = async (...args) => wrap(await options.handler(...args))
    return super.activity(name, { ...options, handler })
  }
}

const folder = fileURLToPath(new URL('.', import.meta.url))
const app = await df.openFunctionApp(folder, { store, app: new HaltingApp() })
await app.invoke('StartBackup', JSON.parse(backup))
