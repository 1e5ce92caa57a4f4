/**
 * Exponential backoff with jitter: between half and the whole of `base * 2^failures`, at most `cap`. Seconds in, seconds
 * out. Half is kept so that a failing source is never hit at once again; the rest is spread so that many retries do not
 * arrive together (AWS Architecture Blog, "Exponential Backoff And Jitter").
 */
export function backoff(
  failures: number,
  options: { readonly base: number; readonly cap: number },
  random: () => number = Math.random,
): number {
  const whole = Math.min(options.cap, options.base * 2 ** Math.min(failures, 30))
  return whole / 2 + (whole / 2) * random()
}
