import { type AssetRecord, KeepsakeError, type UploadTerms } from '../../media/index.ts'
import {
  type MultipartUpload,
  type ObjectStore,
  type PartRange,
  partRanges,
  type SignedRequest,
} from '../../stores/index.ts'
import type { Served } from '../keep.ts'
import { announcedMetadata } from '../object-metadata.ts'

/** A request that sends a part. A secret: whoever has it may use it. */
export type UploadPart = {
  readonly partNumber: number
  readonly method: 'PUT'
  readonly url: string
  /** To be sent exactly so. Beside them the length of the body is signed, which goes by itself. */
  readonly headers: Readonly<Record<string, string>>
  readonly expiresAt: Date
}

/** How a client sends its file straight to the bucket. */
export type UploadTicket =
  | {
      readonly strategy: 'put'
      readonly method: 'PUT'
      readonly url: string
      /** To be sent exactly so. Beside them the length of the body is signed, which goes by itself. */
      readonly headers: Readonly<Record<string, string>>
      readonly expiresAt: Date
    }
  | {
      readonly strategy: 'multipart'
      /** Bytes of every part but the last, which has what remains. */
      readonly partSize: number
      readonly partCount: number
      /** The first of them; more by `uploadParts`. */
      readonly parts: readonly UploadPart[]
      /** Until when the upload may be gone on with; put off by each look for more parts. */
      readonly expiresAt: Date
    }

export type Signing = { readonly expiresIn: number; readonly at: Date }

/**
 * The one request that writes the object: type, length, create-only, whose it is and, where it is known, the SHA-256
 * are inside the signature. What the store does not know is left out of it. Of a plain upload, the type alone and the
 * length where it is known: the key is one that nobody reads, and all else is judged when its bytes are moved from there.
 */
export function signWhole(
  store: ObjectStore,
  record: AssetRecord,
  { cacheControl, contentDisposition }: Served,
  signing: Signing,
): UploadTicket {
  const { key, contentType, terms } = open(record)
  if (terms.inbox !== null) {
    const headers: Record<string, string> = { 'content-type': contentType }
    if (!terms.atMost) headers['content-length'] = String(terms.size)
    const signed = store.signPut(terms.inbox, { ...signing, headers })
    return { strategy: 'put', ...shown(signed) }
  }
  const metadata = Object.entries(announcedMetadata(record, terms.sha256))
  const signed = store.signPut(key, {
    ...signing,
    headers: {
      'content-type': contentType,
      'content-length': String(terms.size),
      'cache-control': cacheControl,
      ...(contentDisposition === undefined ? {} : { 'content-disposition': contentDisposition }),
      'if-none-match': '*',
      ...(terms.sha256 === null
        ? {}
        : { 'x-amz-checksum-sha256': Buffer.from(terms.sha256, 'hex').toString('base64') }),
      ...Object.fromEntries(metadata.map(([name, value]) => [`x-amz-meta-${name}`, value])),
    },
  })
  return { strategy: 'put', ...shown(signed) }
}

/** Requests that send parts, each with its length inside the signature. */
export function signParts(
  store: ObjectStore,
  record: AssetRecord,
  ranges: readonly PartRange[],
  signing: Signing,
): UploadPart[] {
  const upload = multipartOf(record)
  return ranges.map(({ partNumber, start, end }) => {
    const signed = store.signPart(upload, {
      ...signing,
      partNumber,
      headers: { 'content-length': String(end - start) },
    })
    return { partNumber, ...shown(signed) }
  })
}

/** The parts of an upload, in order; none for one that comes in one piece. */
export function rangesOf({ size, partSize }: UploadTerms): PartRange[] {
  return partSize === null ? [] : [...partRanges(size, { partSize, parts: Math.ceil(size / partSize) })]
}

/** The store's own upload behind an asset's. */
export function multipartOf(record: AssetRecord): MultipartUpload {
  const { key, terms } = open(record)
  if (terms.uploadId === null) {
    throw new KeepsakeError('upload_closed', 'The upload was never begun in the store. Begin a new one.')
  }
  return { key, uploadId: terms.uploadId }
}

/** An upload's row, with what is never missing from it. */
export function open(record: AssetRecord): { key: string; contentType: string; terms: UploadTerms } {
  const { key, contentType, upload: terms } = record
  if (key !== null && contentType !== null && terms !== null) return { key, contentType, terms }
  throw new KeepsakeError('internal', 'The row of an upload has no key, no type or no terms.')
}

/** A browser sets the length itself, and refuses to be told. */
function shown({ method, url, headers, expiresAt }: SignedRequest) {
  const { 'content-length': _length, ...rest } = headers
  return { method, url, headers: rest, expiresAt }
}
