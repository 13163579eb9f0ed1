/** W6, MEM and CPU: they start processes of their own, and kill one. Only durafn has them. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

async function child(args, nodeArgs = []) {
  const script = fileURLToPath(new URL('./recovery.mjs', import.meta.url))
  const process_ = spawn(process.execPath, [...nodeArgs, script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  process_.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
    if (args[0] === 'fill' && output.includes('filled')) process_.kill('SIGKILL')
  })
  await once(process_, 'close')
  return args[0] === 'fill' ? null : JSON.parse(output)
}

export async function recovery(directory, count) {
  const store = `sqlite:${join(directory, 'hub.db')}`
  await child(['fill', store, String(count)])
  const { firstStepMs } = await child(['resume', store])
  return { W6: firstStepMs }
}

export async function memory(directory, count) {
  const store = `sqlite:${join(directory, 'hub.db')}`
  const weighed = await child(['weigh', store, String(count)], ['--expose-gc'])
  return { MEM: weighed.rssMb, CPU: weighed.idleCpuPercent }
}
