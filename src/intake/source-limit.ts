import { formatSize, KeepsakeError } from '../media/index.ts'

/** The error for content over the limit; `size` in bytes where it is known. */
export function tooLarge(maxBytes: number, size?: number): KeepsakeError {
  const found = size === undefined ? 'more than that arrived' : `it has ${formatSize(size)}`
  return new KeepsakeError(
    'content_too_large',
    `The content is too large: ${found}; ${formatSize(maxBytes)} is allowed.`,
    {
      details: { maxSize: maxBytes, ...(size === undefined ? {} : { size }) },
    },
  )
}
