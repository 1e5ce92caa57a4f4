import { KeepsakeError } from '../../media/index.ts'

/**
 * A key does not begin with a slash, so a rule for `/temp/` would quietly do nothing.
 *
 * @throws {KeepsakeError} `invalid_setting`
 */
export function checkPrefix(prefix: string, setting: string, mayBeEmpty = false): string {
  if (prefix.startsWith('/')) {
    throw new KeepsakeError(
      'invalid_setting',
      `${setting} has the prefix '${prefix}'. Keys do not begin with a slash: write '${prefix.replace(/^\/+/, '')}'.`,
    )
  }
  if (prefix === '' && !mayBeEmpty) {
    throw new KeepsakeError('invalid_setting', `${setting} has an empty prefix. Name a prefix, such as 'exports/'.`)
  }
  if (prefix.length > 200 || /[*?]|\p{Cc}/u.test(prefix)) {
    throw new KeepsakeError(
      'invalid_setting',
      `${setting} has the prefix '${prefix.slice(0, 50)}'. Allowed are up to 200 characters, without * and ?.`,
    )
  }
  return prefix
}

/**
 * An expiry without a prefix empties the bucket.
 *
 * @throws {KeepsakeError} `invalid_setting`
 */
export function checkExpiryPrefix(prefix: string, setting: string): string {
  if (prefix === '') {
    throw new KeepsakeError(
      'invalid_setting',
      `${setting} has an empty prefix: everything in the bucket would expire. Name a prefix, such as 'exports/'.`,
    )
  }
  // The mark that says whose the bucket is, without which reconciling could not tell an orphan from another's media.
  if (markPrefix.startsWith(prefix) || prefix.startsWith(markPrefix)) {
    throw new KeepsakeError(
      'invalid_setting',
      `${setting} has the prefix '${prefix}', which takes in ${markPrefix}: what Keepsake needs to know the bucket by. Name another one.`,
    )
  }
  return checkPrefix(prefix, setting)
}

const markPrefix = '.keepsake/'

/**
 * What S3 expires the catalogue would still have for stored. A template that begins with a placeholder may make any key,
 * so of that one nothing can be said.
 *
 * @throws {KeepsakeError} `invalid_setting`
 */
export function refuseCataloguedExpiry(
  retention: Readonly<Record<string, number>>,
  collections: Iterable<{ readonly name: string; readonly key: { readonly source: string } }>,
): void {
  for (const { name, key } of collections) {
    const fixed = key.source.split('{', 1)[0] ?? ''
    for (const prefix of Object.keys(retention)) {
      if (fixed === '' || prefix === '' || !(fixed.startsWith(prefix) || prefix.startsWith(fixed))) continue
      throw new KeepsakeError(
        'invalid_setting',
        `bucket.retention has the prefix '${prefix}', where the collection '${name}' keeps its media (${key.source}): ` +
          'the catalogue would still have what S3 let expire. Give the collection a retention instead.',
      )
    }
  }
}
