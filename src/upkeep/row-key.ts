/*
 * S3 takes a NUL in a key, and PostgreSQL keeps none in a text. No key of ours has one, so an object that does is
 * somebody else's, and must not keep anybody from comparing the rest.
 */

/** Whether a row could have this key. */
export function canBeRowKey(key: string): boolean {
  return !key.includes('\0')
}

/** The last key a row could have that is not after this one: the rows up to the one are those up to the other. */
export function lastRowKeyUpTo(key: string): string {
  const end = key.indexOf('\0')
  return end === -1 ? key : key.slice(0, end)
}
