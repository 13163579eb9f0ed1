/** Random numbers that come again: mulberry32. The seed is DURAFN_TEST_SEED, else a fixed one. */

export function seeded(t, fallback = 20_26) {
  const seed = Number(process.env.DURAFN_TEST_SEED ?? fallback)
  t.diagnostic(`seed: DURAFN_TEST_SEED=${seed}`)
  let state = seed >>> 0
  const unit = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
  /** A whole number from `min` to `max`. */
  const integer = (min, max) => min + Math.floor(unit() * (max - min + 1))
  return { unit, integer }
}
