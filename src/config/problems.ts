import type { z } from 'zod'
import { KeepsakeError } from '../media/index.ts'

/** Everything that is wrong with the settings, gathered so that one start tells it all. */
export class Problems {
  readonly #found: { readonly setting: string; readonly message: string }[] = []

  add(setting: string, message: string): void {
    this.#found.push({ setting, message })
  }

  /** @throws {KeepsakeError} `invalid_setting`, with every problem in its message, where there is one. */
  throwIfAny(): void {
    if (this.#found.length === 0) return
    const lines = this.#found.map(({ message }) => message)
    const message =
      lines.length === 1
        ? lines.join('')
        : `${lines.length} settings are not valid:\n${lines.map((l) => `- ${l}`).join('\n')}`
    throw new KeepsakeError('invalid_setting', message, {
      details: { settings: [...new Set(this.#found.map(({ setting }) => setting))].join(', ') },
    })
  }
}

/** What was found, for a message: short, and without a user and password where a URL has them. */
export function found(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? String(value)
  const bare = value.replace(/\/\/.*@/s, '//…@').replace(/[?#].*$/s, '…')
  return `'${bare.length > 100 ? `${bare.slice(0, 100)}…` : bare}'`
}

/** What was found of a secret: only how long it is. */
export function foundSecret(value: unknown): string {
  return typeof value === 'string'
    ? `a text of ${value.length} characters (not shown)`
    : `a ${typeof value} (not shown)`
}

/** A configuration's path for a message, such as `s3.credentials.secretAccessKey`. */
export function pathOf(issue: z.core.$ZodIssue): string {
  return issue.path.map(String).join('.')
}
