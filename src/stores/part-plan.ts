import { KeepsakeError } from '../media/index.ts'

const mebibyte = 1024 * 1024

/** AWS, "Amazon S3 multipart upload limits"; MinIO, R2, B2 and Ceph have the same. */
export const multipartLimits = {
  /** Bytes of a part, unless it is the last. */
  minPartSize: 5 * mebibyte,
  /** Bytes of a part. */
  maxPartSize: 5 * 1024 * mebibyte,
  maxParts: 10_000,
  /** Bytes of an object. */
  maxSize: 5 * 1024 * 1024 * mebibyte,
} as const

export type PartPlan = {
  /** Bytes of every part but the last, which has what remains: R2 takes no parts of different sizes. */
  readonly partSize: number
  readonly parts: number
}

/** Where a part lies: `start` included, `end` not. */
export type PartRange = { readonly partNumber: number; readonly start: number; readonly end: number }

/**
 * How to cut a body: parts of the wanted size (bytes), or of the least number of MiB by which 10000 parts suffice.
 *
 * @throws {KeepsakeError} `content_too_large` above 5 TiB.
 */
export function planParts(size: number, wantedPartSize = 16 * mebibyte): PartPlan {
  const { minPartSize, maxPartSize, maxParts, maxSize } = multipartLimits
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new KeepsakeError('invalid_request', `A size of ${size} bytes is not possible.`)
  }
  if (size > maxSize) {
    throw new KeepsakeError('content_too_large', `${size} bytes are more than an object can have: ${maxSize} (5 TiB).`)
  }
  const least = Math.ceil(size / maxParts / mebibyte) * mebibyte
  const partSize = Math.min(maxPartSize, Math.max(minPartSize, Math.floor(wantedPartSize), least))
  return { partSize, parts: Math.max(1, Math.ceil(size / partSize)) }
}

/** The parts of a plan, one after the other. An empty object has one empty part. */
export function* partRanges(size: number, { partSize, parts }: PartPlan): Generator<PartRange> {
  for (let index = 0; index < parts; index += 1) {
    yield { partNumber: index + 1, start: index * partSize, end: Math.min(size, (index + 1) * partSize) }
  }
}
