/** What was measured in several rounds. */
export type Figure = { readonly median: number; readonly least: number; readonly most: number; readonly rounds: number }

export function figure(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle] ?? Number.NaN
  return {
    median: (lower + upper) / 2,
    least: sorted[0] ?? Number.NaN,
    most: sorted.at(-1) ?? Number.NaN,
    rounds: sorted.length,
  }
}

/** The median, and from the least to the most in brackets. */
export function show({ median, least, most }: Figure): string {
  return `${short(median)} (${short(least)}–${short(most)})`
}

/** Three digits that count, and thousands apart. */
export function short(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits })
}
