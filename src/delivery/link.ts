import { type AssetRecord, type Collection, KeepsakeError, keyPrefix, kindOf } from '../media/index.ts'
import { encodeKey, type ObjectStore, type SignedUrl } from '../stores/index.ts'

/** What signs links that read: a store, or the CDN before it. */
export type LinkSigner = Pick<ObjectStore, 'signGet'>

/** A signed URL lives at most this many seconds. */
export const maxExpiresIn = 3600
/** Seconds for which a URL with the longest life stays the same. */
const stableFor = 900

export type LinkOptions = {
  /** Seconds, an integer from 1 to 3600. */
  readonly expiresIn: number
  readonly download: boolean
  readonly fresh?: boolean
}

/**
 * @throws `invalid_request` where it is not an integer from 1 to 3600.
 */
export function checkExpiresIn(expiresIn: number): number {
  if (Number.isInteger(expiresIn) && expiresIn >= 1 && expiresIn <= maxExpiresIn) return expiresIn
  throw new KeepsakeError(
    'invalid_request',
    `expiresIn is ${expiresIn}. Allowed is an integer from 1 to ${maxExpiresIn}.`,
  )
}

/**
 * The time a URL is signed for: now, rounded down to a quarter of its life, a quarter of an hour at most. So a URL stays
 * the same for that long, and caches keep what it gives; and it never lives longer than was asked, since its life is
 * counted from the rounded time.
 */
export function signingTime(now: Date, expiresIn: number): Date {
  const step = Math.min(stableFor, Math.floor(expiresIn / 4)) * 1000
  return step === 0 ? now : new Date(Math.floor(now.getTime() / step) * step)
}

/** A link that opens a stored asset. */
export function signLink(signer: LinkSigner, record: AssetRecord, options: LinkOptions, now: Date): SignedUrl {
  const { expiresIn, download, fresh = false } = options
  if (record.key === null) throw new KeepsakeError('asset_not_stored', 'The asset has no object to link to.')
  // What a browser might run as a page is never opened in place.
  const attachment = download || kindOf(record.contentType ?? '') === 'other'
  const response = attachment ? { contentDisposition: contentDisposition(record) } : undefined
  return signer.signGet(record.key, {
    expiresIn,
    at: fresh ? now : signingTime(now, expiresIn),
    ...(response ? { response } : {}),
  })
}

/** A public asset's plain link. */
export function publicLink(baseUrl: string, key: string): string {
  return `${baseUrl.replace(/\/+$/, '')}/${encodeKey(key)}`
}

/**
 * Whether anybody may read what lies under a key of a collection. A key that the collection's template did not make
 * (of media that was moved in) may lie where nothing is open to the public.
 */
export function isPublic(collection: Collection | undefined, key: string): boolean {
  return collection?.access === 'public' && key.startsWith(keyPrefix(collection))
}

/** RFC 6266 with RFC 8187: an ASCII name for old readers and the whole one in UTF-8. */
function contentDisposition(record: AssetRecord): string {
  const name = record.filename ?? record.key?.split('/').at(-1) ?? record.id
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`
}
