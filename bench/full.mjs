/** FULL: W1 on a hub that holds many completed instances, against W1 on an empty one. Only durafn has it. */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { open } from './durafn.mjs'
import { percentile, throughput, warmUp } from './workloads.mjs'

const PAIRS = 5
const CALLERS = 200

/** Fills one hub; then measures an empty one and the full one in turn, each opened anew. */
export async function fullHub(directory, count, seconds) {
  await fill(directory, count)
  const ratios = []
  let megabytes = 0
  for (let pair = 0; pair < PAIRS; pair += 1) {
    const empty = await rate(join(directory, `empty-${pair}`), seconds)
    const full = await rate(directory, seconds)
    ratios.push(full / empty)
    megabytes = Math.max(megabytes, process.memoryUsage.rss() / 2 ** 20)
  }
  return { FULL: percentile(ratios, 0.5), 'FULL-mb': megabytes }
}

async function fill(directory, count) {
  const engine = await open(directory)
  let left = count
  const caller = async () => {
    while (left-- > 0) await engine.run('five', 0)
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  await engine.close()
}

async function rate(directory, seconds) {
  mkdirSync(directory, { recursive: true })
  const engine = await open(directory)
  await warmUp(engine)
  const { W1 } = await throughput(engine, CALLERS, seconds)
  await engine.close()
  return W1
}
