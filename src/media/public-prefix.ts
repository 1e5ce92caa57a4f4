import type { Collection } from './collection.ts'
import { KeepsakeError } from './errors.ts'
import { reservedPrefixes, sanitizeKeyValue } from './key-template.ts'

/** A value in a key may be cut to this many characters, and no shorter. */
const neverCut = 32

/**
 * What the key of every asset of a collection begins with: its template as far as nothing in it varies. Empty where it
 * varies from the start.
 */
export function keyPrefix({ name, key }: Pick<Collection, 'name' | 'key'>): string {
  const staysItself = name.length <= neverCut && sanitizeKeyValue(name) === name
  const source = staysItself ? key.source.replaceAll('{collection}', name) : key.source
  return source.split('{', 1)[0] ?? ''
}

/**
 * The prefixes that public collections lie under, for what tells public from private by the key alone: a CDN, a
 * bucket's policy, the embedded S3.
 *
 * @throws {KeepsakeError} `invalid_setting` where a key alone does not tell: such a prefix would open private media.
 */
export function publicPrefixes(collections: Iterable<Pick<Collection, 'name' | 'key' | 'access'>>): string[] {
  const all = [...collections].map((collection) => ({ ...collection, prefix: keyPrefix(collection) }))
  const open = all.filter(({ access }) => access === 'public')
  for (const { name, key, prefix } of open) {
    const other = all.find(
      (one) => one.access !== 'public' && (one.prefix.startsWith(prefix) || prefix.startsWith(one.prefix)),
    )
    // A prefix that ends within a segment may be how one of Keepsake's own begins: `te` opens `temp/uploads/`.
    const opensOurs = reservedPrefixes.some((own) => own.startsWith(prefix))
    if (!opensOurs && other === undefined) continue
    throw new KeepsakeError(
      'invalid_setting',
      `The collection '${name}' is public, and its keys (${key.source}) cannot be told from ` +
        (other === undefined
          ? "Keepsake's own by how they begin. "
          : `those of '${other.name}' (${other.key.source}), which is private. `) +
        `Begin its key template with a word of its own, such as '${name}/'.`,
    )
  }
  return [...new Set(open.map(({ prefix }) => prefix))].sort()
}
