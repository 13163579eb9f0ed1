const attempts = new Map()

module.exports = (context, input) => {
  const times = (attempts.get(input) ?? 0) + 1
  attempts.set(input, times)
  if (times < 3) context.done(new Error(`attempt ${times} of ${input}`))
  else {
    attempts.delete(input)
    context.done(null, input * 10)
  }
}
