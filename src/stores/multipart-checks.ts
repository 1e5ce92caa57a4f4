import { KeepsakeError } from '../media/index.ts'
import { checkObjectKey } from './object-key.ts'
import type { MultipartPart, MultipartUpload } from './object-store.ts'

/** @throws {KeepsakeError} `invalid_request` */
export function checkUpload({ key, uploadId }: MultipartUpload): void {
  checkObjectKey(key)
  // An empty one would make another request of it: DELETE of the object itself, for instance.
  if (uploadId === '') throw new KeepsakeError('invalid_request', `The id of a multipart upload of '${key}' is empty.`)
}

/** @throws {KeepsakeError} `invalid_request` */
export function checkPartNumber(partNumber: number): void {
  if (Number.isInteger(partNumber) && partNumber >= 1 && partNumber <= 10_000) return
  throw new KeepsakeError('invalid_request', `A part cannot have the number ${partNumber}. Allowed is 1 to 10000.`)
}

/** @throws {KeepsakeError} `invalid_request` */
export function checkParts(key: string, parts: readonly MultipartPart[]): void {
  let last = 0
  for (const { partNumber } of parts) {
    checkPartNumber(partNumber)
    if (partNumber <= last) {
      throw new KeepsakeError(
        'invalid_request',
        `The parts of '${key}' are not named in the order of their numbers: ${partNumber} comes after ${last}.`,
      )
    }
    last = partNumber
  }
  if (last === 0)
    throw new KeepsakeError('invalid_request', `No part of '${key}' is named. An object has at least one.`)
}
