import { KeepsakeError } from '../../media/index.ts'
import type { ObjectHead } from '../object-store.ts'
import { decodeMetadata } from './metadata.ts'

/** What the headers of HEAD and GET say of an object. @throws {KeepsakeError} `store_unavailable` where they do not. */
export function parseHead(
  key: string,
  headers: Readonly<Record<string, string>>,
): ObjectHead & { readonly contentLength: number } {
  const contentLength = wholeNumber(headers['content-length'])
  const total = wholeNumber(/^bytes \d+-\d+\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1])
  const size = headers['content-range'] === undefined ? contentLength : total
  const lastModified = new Date(headers['last-modified'] ?? Number.NaN)
  if (contentLength === undefined || size === undefined || Number.isNaN(lastModified.getTime())) {
    throw new KeepsakeError(
      'store_unavailable',
      `The object store described '${key}' without a proper Content-Length, Content-Range or Last-Modified.`,
    )
  }
  return {
    key,
    size,
    contentLength,
    etag: headers.etag ?? '',
    contentType: headers['content-type'] ?? 'application/octet-stream',
    lastModified,
    metadata: decodeMetadata(headers),
  }
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
