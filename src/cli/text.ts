import { parseDuration } from '../media/index.ts'
import { CliFailure } from './failure.ts'
import { printable } from './printable.ts'

/** Rows under a head, in columns as wide as they need to be; the last one runs free. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

/** The same with numbers: all columns but the first end flush. */
export function numberTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const lines = all.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

/** `2026-01-31 12:00:05`, in this machine's time zone. */
export function localTime(timestamp: string): string {
  const date = new Date(timestamp)
  if (Number.isNaN(date.getTime())) return timestamp
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** A time as people give it: RFC 3339, a day (UTC), or how long ago (`90m`, `24h`, `7d`). */
export function parseTime(value: string, now: Date = new Date()): string {
  if (/^\d+(\.\d+)?\s*[a-z]+$/i.test(value)) {
    return new Date(now.getTime() - secondsOf(value) * 1000).toISOString()
  }
  const date = new Date(value)
  if (/^\d{4}-\d{2}-\d{2}(T.*(Z|[+-]\d{2}:\d{2}))?$/i.test(value) && !Number.isNaN(date.getTime())) {
    return date.toISOString()
  }
  throw notATime(value)
}

function secondsOf(value: string): number {
  try {
    const seconds = parseDuration(value)
    // A date in front of 1970 helps nobody.
    if (seconds <= 50 * 365 * 86_400) return seconds
  } catch {
    // Falls through to the same refusal.
  }
  throw notATime(value)
}

function notATime(value: string): CliFailure {
  return CliFailure.usage(
    `'${value}' is not a time. Allowed: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 24h or 7d.`,
  )
}

/** `key=value` pairs as an object. */
export function parsePairs(pairs: readonly string[]): Record<string, string> {
  const result: Record<string, string> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw CliFailure.usage(`'${pair}' is not of the form key=value.`)
    result[pair.slice(0, at)] = pair.slice(at + 1)
  }
  return result
}
