/** Times an exchange that brings nothing and is told nothing: `npm run bench:micro`. */

import { createRequire } from 'node:module'

const { NativeEngine } = createRequire(import.meta.url)('../native/index.js')

const EXCHANGES = 200_000
const SAMPLES = 9

const hold = setInterval(() => {}, 1_000) // an engine alone does not keep the process
const engine = await new Promise((opened) => {
  const opening = new NativeEngine('{"role":"worker"}', () => opened(opening))
})

function sample() {
  const begun = performance.now()
  for (let n = 0; n < EXCHANGES; n++) engine.exchange('{}')
  return ((performance.now() - begun) * 1e6) / EXCHANGES
}

const samples = Array.from({ length: SAMPLES }, sample).sort((a, b) => a - b)
const [fastest, median, slowest] = [0, (SAMPLES - 1) / 2, SAMPLES - 1].map((at) => samples[at])
console.log(`crossing/empty exchange from JavaScript: ${median.toFixed(0)} ns`)
console.log(`  (${fastest.toFixed(0)} to ${slowest.toFixed(0)})`)
clearInterval(hold)
engine.exchange('{"requests":[[1,{"close":{}}]]}')
