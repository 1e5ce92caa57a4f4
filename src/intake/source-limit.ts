import { formatSize, KeepsakeError } from '../media/index.ts'

/** The error for content over the limit; `size` in bytes where it is known. */
export function tooLarge(maxBytes: number, size?: number): KeepsakeError {
  // To the byte: a limit of 2 MB and two million and one bytes are both 1.9 MiB.
  const found = size === undefined ? 'more than is allowed arrived' : `it has ${size} bytes`
  return new KeepsakeError(
    'content_too_large',
    `The content is too large: ${found}. Allowed are ${maxBytes} bytes (${formatSize(maxBytes)}).`,
    { details: { maxSize: maxBytes, ...(size === undefined ? {} : { size }) } },
  )
}
