import { KeepsakeError } from '../../media/index.ts'

/** What a path says: whose it is, its attributes. */
export type PathValues = { readonly owner: string | undefined; readonly attributes: Readonly<Record<string, string>> }

/**
 * Reads a pattern such as `{owner}/{stage}/{name}.{ext}`: a placeholder stands for one or more characters of one
 * segment, as few as will do; `{path}` may span several. `{owner}` is the owner, `{name}`, `{ext}` and `{path}` are
 * passed over, every other one is a declared attribute.
 *
 * @returns The values of a path, or undefined where it does not match.
 * @throws {KeepsakeError} `invalid_request` for a pattern that makes no sense.
 */
export function parsePathPattern(
  pattern: string,
  attributes: readonly string[],
): (path: string) => PathValues | undefined {
  const refuse = (why: string): never => {
    throw new KeepsakeError('invalid_request', `The pattern '${pattern}' is refused: ${why}`)
  }
  const parts = pattern.split(/\{([^{}]*)\}/)
  const names = parts.filter((_, index) => index % 2 === 1)
  const known = ['owner', 'name', 'ext', 'path', ...attributes]
  for (const name of names) {
    if (!known.includes(name)) refuse(`{${name}} is not known. Allowed here: ${known.join(', ')}.`)
  }
  if (new Set(names).size < names.length) refuse('a placeholder stands in it twice.')
  if (parts.some((text, index) => index % 2 === 0 && /[{}]/.test(text))) refuse('a brace has no partner.')
  // Two side by side could be divided in any way.
  if (parts.some((text, index) => index % 2 === 0 && text === '' && index > 0 && index < parts.length - 1)) {
    refuse('two placeholders stand side by side.')
  }
  const expression = new RegExp(
    `^${parts.map((part, index) => (index % 2 === 0 ? escaped(part) : part === 'path' ? '(.+?)' : '([^/]+?)')).join('')}$`,
    'u',
  )
  return (path) => {
    const match = expression.exec(path)
    if (match === null) return undefined
    const values = new Map(names.map((name, index) => [name, match[index + 1] ?? '']))
    const found = attributes.flatMap((name) => {
      const value = values.get(name)
      return value === undefined ? [] : [[name, value] as const]
    })
    return { owner: values.get('owner'), attributes: Object.fromEntries(found) }
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}
