import { hash } from 'node:crypto'

/** JSON in one spelling: names in order, what is undefined left out, arrays as they are. Two values are the same where their texts are. */
export function canonicalJson(value: unknown): string {
  if (value instanceof Date) return JSON.stringify(value.toISOString())
  if (Array.isArray(value)) return `[${value.map((entry) => canonicalJson(entry ?? null)).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
      .filter(([, entry]) => entry !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${canonicalJson(entry)}`).join(',')}}`
  }
  return JSON.stringify(value) ?? 'null'
}

/** SHA-256 of a value's canonical JSON, in hex. */
export function fingerprint(value: unknown): string {
  return hash('sha256', canonicalJson(value))
}

/** A list whose order means nothing: each text once, in order. */
export function asSet(values: readonly string[]): string[] {
  return [...new Set(values)].sort()
}
