import type { SignGetOptions } from '../object-store.ts'
import { encodeRfc3986 } from './encode.ts'

/** Overrides of response headers as a canonical query, in the order that the signature wants (AWS, GetObject). */
export function responseQuery(response: SignGetOptions['response']): string {
  if (!response) return ''
  const { cacheControl, contentDisposition, contentType } = response
  let query = ''
  if (cacheControl !== undefined) query += `&response-cache-control=${encodeRfc3986(cacheControl)}`
  if (contentDisposition !== undefined) query += `&response-content-disposition=${encodeRfc3986(contentDisposition)}`
  if (contentType !== undefined) query += `&response-content-type=${encodeRfc3986(contentType)}`
  return query.slice(1)
}
