import { KeepsakeError } from '../media/index.ts'

/** S3 counts a key in bytes of UTF-8 (AWS, "Naming Amazon S3 objects"). */
const maxKeyBytes = 1024
/** A UTF-16 unit takes at most three bytes in UTF-8, so a key up to this length needs no counting. */
const surelyShort = Math.floor(maxKeyBytes / 3)

/**
 * Makes sure that a text can be an object's key: 1 to 1024 bytes of UTF-8 without a lone surrogate, which has no UTF-8.
 *
 * @throws {KeepsakeError} `invalid_request`
 */
export function checkObjectKey(key: string): void {
  if (key === '') throw new KeepsakeError('invalid_request', 'An object key is empty. Give at least one character.')
  if (key.length > surelyShort && Buffer.byteLength(key) > maxKeyBytes) {
    throw new KeepsakeError(
      'invalid_request',
      `An object key has ${Buffer.byteLength(key)} bytes. Allowed are ${maxKeyBytes}.`,
    )
  }
  if (!key.isWellFormed()) {
    throw new KeepsakeError('invalid_request', 'An object key has a lone surrogate, which no object store can keep.')
  }
}

/** The order of keys in a list: that of their bytes in UTF-8, which differs from `<` only where surrogates take part. */
export function compareObjectKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index)
    const right = b.charCodeAt(index)
    // A surrogate stands for a code point above U+FFFF, so it goes after every other unit.
    if (left !== right) return isSurrogate(left) === isSurrogate(right) ? left - right : isSurrogate(left) ? 1 : -1
  }
  return a.length - b.length
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}
