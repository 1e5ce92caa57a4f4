import { type AssetRecord, KeepsakeError } from '../../media/index.ts'
import type { ListedPart, ObjectStore } from '../../stores/index.ts'
import { multipartOf, open, rangesOf } from './ticket.ts'

/** A part that has arrived. */
export type UploadedPart = { readonly partNumber: number; readonly etag: string; readonly size: number }

/** What a client may name at the end: the tags it was answered, to be compared with what the store has. */
export type NamedPart = { readonly partNumber: number; readonly etag: string }

/** The parts that have arrived, in order; undefined where the store knows no such upload (any more). */
export async function arrivedParts(
  store: ObjectStore,
  record: AssetRecord,
  signal: AbortSignal,
): Promise<ListedPart[] | undefined> {
  if (open(record).terms.uploadId === null) return undefined
  try {
    const parts: ListedPart[] = []
    for await (const part of store.listParts(multipartOf(record), { signal })) parts.push(part)
    return parts
  } catch (error) {
    if (KeepsakeError.is(error, 'object_missing')) return undefined
    throw error
  }
}

/**
 * Makes the object out of its parts, all of which the store must have, of the sizes planned. Nothing happens where the
 * upload is not there any more: then the object is, or never will be.
 *
 * @throws `upload_incomplete` with the numbers of what is missing.
 */
export async function joinParts(
  store: ObjectStore,
  record: AssetRecord,
  named: readonly NamedPart[] | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { terms } = open(record)
  const arrived = await arrivedParts(store, record, signal)
  if (arrived === undefined) return
  const byNumber = new Map(arrived.map((part) => [part.partNumber, part]))
  const tags = new Map(named?.map(({ partNumber, etag }) => [partNumber, bare(etag)]))
  const parts: ListedPart[] = []
  const missing: number[] = []
  for (const { partNumber, start, end } of rangesOf(terms)) {
    const part = byNumber.get(partNumber)
    const tag = tags.get(partNumber)
    const right = part !== undefined && part.size === end - start && (tag === undefined || tag === bare(part.etag))
    if (right) parts.push(part)
    else missing.push(partNumber)
  }
  if (missing.length > 0) throw incomplete(missing)
  try {
    await store.completeMultipart(multipartOf(record), parts, { size: terms.size, signal })
  } catch (error) {
    // The object is there, or the upload is gone: by somebody who was faster. A look at the object tells.
    if (!KeepsakeError.is(error, 'object_exists', 'object_missing')) throw error
  }
}

/**
 * Lets go of the parts of an upload that is given up. Where the row does not say which upload of the store it is,
 * because a crash came between, the key does: no other row ever has it.
 */
export async function dropParts(store: ObjectStore, record: AssetRecord): Promise<void> {
  const { key, upload: terms } = record
  if (key === null || terms === null || terms.partSize === null) return
  if (terms.uploadId !== null) return store.abortMultipart({ key, uploadId: terms.uploadId })
  for await (const found of store.listMultipart({ prefix: key })) {
    if (found.key === key) await store.abortMultipart({ key, uploadId: found.uploadId })
  }
}

const shownRanges = 20

function incomplete(missing: readonly number[]): KeepsakeError {
  const ranges: [first: number, last: number][] = []
  for (const number of missing) {
    const range = ranges.at(-1)
    if (range !== undefined && range[1] === number - 1) range[1] = number
    else ranges.push([number, number])
  }
  const text = ranges
    .slice(0, shownRanges)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
    .join(', ')
  const more = ranges.length > shownRanges ? ' …' : ''
  return new KeepsakeError(
    'upload_incomplete',
    `Parts are missing, or not as they were announced: ${text}${more}. Send them, then complete again.`,
    { details: { missing: 'parts', missingParts: text + more, missingCount: missing.length } },
  )
}

function bare(etag: string): string {
  return etag.replace(/^(W\/)?"|"$/g, '')
}
