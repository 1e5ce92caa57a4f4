import { KeepsakeError } from '../../media/index.ts'
import type { S3Client, S3Request } from './client.ts'
import { failureOf } from './errors.ts'
import { readXml } from './xml.ts'

export type XmlAnswer = {
  /** The texts right under the root. */
  readonly fields: Readonly<Record<string, string>>
  /** The texts right under each of the repeated elements. */
  readonly items: readonly Readonly<Record<string, string>>[]
}

const answerLimit = 16 * 1024 * 1024

/**
 * Sends, and reads an answer of XML. S3 answers some requests with 200 before it knows how they end, blanks to keep the
 * connection, and an error in the body (AWS, CompleteMultipartUpload, CopyObject, UploadPartCopy): that is an error
 * here too, and tried again where it may pass.
 */
export function sendForAnswer(client: S3Client, request: S3Request, root: string, item?: string): Promise<XmlAnswer> {
  return client.sendForText(request, answerLimit, (text) => readAnswer(client, request, text, root, item))
}

function readAnswer(client: S3Client, request: S3Request, xml: string, wanted: string, item?: string): XmlAnswer {
  const fields: Record<string, string> = {}
  const items: Record<string, string>[] = []
  let root: string | undefined
  let depth = 0
  let current: Record<string, string> | undefined
  try {
    readXml(xml, {
      open(name) {
        root ??= name
        depth += 1
        if (depth === 2 && name === item) current = {}
      },
      close(name, text) {
        if (depth === 2 && current) {
          items.push(current)
          current = undefined
        } else if (depth === 2) fields[name] = text
        else if (depth === 3 && current) current[name] = text
        depth -= 1
      },
    })
  } catch (cause) {
    throw unreadable(request, 'it is malformed or cut off', cause)
  }
  if (root === 'Error') throw failureOf(client.context(request), fields.Code || 'InternalError', fields.Message)
  if (root !== wanted) throw unreadable(request, `it is no ${wanted}`)
  return { fields, items }
}

export function unreadable({ method, key }: S3Request, why: string, cause?: unknown): KeepsakeError {
  const what = key === undefined ? 'the bucket' : `'${key}'`
  return new KeepsakeError(
    'store_unavailable',
    `The object store answered ${method} of ${what} with something that cannot be used: ${why}.`,
    cause === undefined ? {} : { cause },
  )
}

/** Entity tags stand in quotes (RFC 9110, section 8.8.3); some stores leave them away in XML. */
export function quotedEtag(etag: string | undefined): string {
  if (!etag) return ''
  return etag.startsWith('"') ? etag : `"${etag}"`
}
