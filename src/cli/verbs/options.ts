import type { ConnectOptions } from '../connect.ts'

/** What every verb takes. */
export type CommonOptions = ConnectOptions & { readonly json?: boolean }

/** One JSON document. */
export function jsonDocument(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

export function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, value)
  return query.size === 0 ? '' : `?${query}`
}
