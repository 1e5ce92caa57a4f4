import { createHash } from 'node:crypto'
import { CHECKSUM_ALGORITHMS, type Checksum, type ChecksumAlgorithm, createChecksum } from '../checksums.ts'
import { S3Error } from '../errors.ts'
import { algorithmOf, checksumElements, findUpload, MAX_PARTS } from '../multipart.ts'
import { checksumHeaders } from '../object-headers.ts'
import { type Context, type Operation, type Reply, xmlReply } from '../operation.ts'
import { PAYLOAD_HEADERS, requireChecksumForm } from '../payload.ts'
import { writeCondition } from '../preconditions.ts'
import { headerValue, queryValue, type S3Request } from '../request.ts'
import type { MultipartUpload, Part } from '../store/multipart-store.ts'
import type { ObjectRecord } from '../store/object-file.ts'
import { readSection } from '../store/read-section.ts'
import { element, parseXml, S3_NAMESPACE, XML_DECLARATION, type XmlElement } from '../xml.ts'

/** "Part size: 5 MiB to 5 GiB. There is no minimum size limit on the last part." */
const MIN_PART = 5 * 1024 ** 2
/** Ten thousand parts with every kind of checksum. */
const MAX_BODY = 8 * 1024 ** 2
const OBJECT_SIZE = 'x-amz-mp-object-size'
const TYPE = 'x-amz-checksum-type'

/**
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 *
 * The parts are written into one new file, which becomes the object like any other, by one rename: a second pass over
 * the bytes, for which an object is one file, whole or not there, whatever happens.
 */
export const completeMultipartUpload: Operation = {
  name: 'CompleteMultipartUpload',
  method: 'POST',
  action: 's3:PutObject',
  target: 'object',
  subresource: 'uploadId',
  headers: [...PAYLOAD_HEADERS, OBJECT_SIZE, TYPE],
  takesBody: true,
  takesLong: true,
  async handle(context) {
    const { request, store, payload } = context
    const condition = writeCondition(request)
    const wanted = parseParts((await payload(MAX_BODY, { ignoreChecksums: true }).readAll()).toString())
    const id = queryValue(request, 'uploadId') ?? ''
    return store.multipart.hold(id, async () => {
      const upload = store.multipart.find(request.bucket, id)
      const before = store.record(request.bucket, request.key)
      if (before !== undefined && before.uploadId === id) {
        // Asked once more, by a client that never got the answer; or the process was killed before the last step.
        if (upload !== undefined) await store.multipart.remove(request.bucket, id)
        return completed(request, before)
      }
      findUpload(context)
      if (upload === undefined) throw new S3Error('NoSuchUpload')
      condition?.(before)
      const parts = chooseParts(wanted, upload, await store.multipart.parts(request.bucket, id))
      const size = parts.reduce((sum, part) => sum + part.size, 0)
      const expected = headerValue(request, OBJECT_SIZE)
      if (expected !== undefined && expected !== String(size)) {
        throw new S3Error('InvalidRequest', `The provided ${OBJECT_SIZE} header does not match what was computed.`)
      }
      const record = await join(context, upload, parts, size, condition)
      await store.multipart.remove(request.bucket, id)
      return completed(request, record)
    })
  },
}

async function join(
  { request, store, now }: Context,
  multipart: MultipartUpload,
  parts: readonly Part[],
  size: number,
  condition: ReturnType<typeof writeCondition>,
): Promise<ObjectRecord> {
  const algorithm = algorithmOf(multipart)
  const ofWhole = algorithm !== undefined && multipart.checksumType === 'FULL_OBJECT' ? algorithm : undefined
  const whole = ofWhole === undefined ? undefined : createChecksum(ofWhole)
  const file = store.upload()
  try {
    for (const { number } of parts) {
      const part = store.multipart.openPart(request.bucket, multipart.id, number)
      if (part === undefined) throw new S3Error('InvalidPart', undefined, { PartNumber: String(number) })
      try {
        for await (const bytes of readSection(part, 0, part.record.size)) {
          whole?.update(bytes)
          await file.write(bytes)
        }
      } finally {
        part.close()
      }
    }
    const { headers, metadata, tags, id, key } = multipart
    const checksums = objectChecksum(request, algorithm, whole, parts)
    const md5s = parts.map(({ etag }) => Buffer.from(etag, 'hex'))
    const etag = `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${parts.length}`
    const record: ObjectRecord = {
      ...{ key, size, etag, modified: now(), headers, metadata, tags, checksums },
      checksumType: multipart.checksumType,
      uploadId: id,
      parts: parts.map((part) => ({ number: part.number, size: part.size, checksums: part.checksums })),
    }
    await store.commit(request.bucket, file, record, condition)
    return record
  } catch (error) {
    await file.discard()
    throw error
  }
}

/** The checksum of the object, held against the one that the client gives in a header. */
function objectChecksum(
  request: S3Request,
  algorithm: ChecksumAlgorithm | undefined,
  whole: Checksum | undefined,
  parts: readonly Part[],
): Record<string, string> {
  if (algorithm === undefined) {
    const given = CHECKSUM_ALGORITHMS.find((name) => headerValue(request, `x-amz-checksum-${name}`) !== undefined)
    if (given === undefined) return {}
    throw new S3Error('InvalidRequest', `The upload was created without a checksum; found one in ${given}.`)
  }
  const name = `x-amz-checksum-${algorithm}`
  const computed = whole?.digest().toString('base64') ?? composite(algorithm, parts)
  const given = headerValue(request, name)
  if (given !== undefined) {
    // A composite one may come with or without its number of parts.
    requireChecksumForm(algorithm, given.replace(/-\d+$/, ''))
    if (given.replace(/-\d+$/, '') !== computed.replace(/-\d+$/, '')) {
      throw new S3Error(
        'BadDigest',
        `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`,
      )
    }
  }
  return { [algorithm]: computed }
}

/** "A composite checksum": of the parts' checksums, one after the other, with the number of parts. */
function composite(algorithm: ChecksumAlgorithm, parts: readonly Part[]): string {
  const checksum = createChecksum(algorithm)
  for (const part of parts) checksum.update(Buffer.from(part.checksums[algorithm] ?? '', 'base64'))
  return `${checksum.digest().toString('base64')}-${parts.length}`
}

function completed({ bucket, key, headers }: S3Request, record: ObjectRecord): Reply {
  const { 'x-amz-checksum-type': type } = checksumHeaders(record)
  return xmlReply(
    `${XML_DECLARATION}<CompleteMultipartUploadResult xmlns="${S3_NAMESPACE}">` +
      element('Location', `http://${headers.get('host') ?? ''}/${bucket}/${encodeURIComponent(key)}`) +
      element('Bucket', bucket) +
      element('Key', key) +
      element('ETag', `"${record.etag}"`) +
      checksumElements(record.checksums) +
      (type === undefined ? '' : element('ChecksumType', type)) +
      '</CompleteMultipartUploadResult>',
  )
}

type WantedPart = {
  readonly number: number
  readonly etag: string
  readonly checksums: Readonly<Record<string, string>>
}

function parseParts(document: string): WantedPart[] {
  const root = parseXml(document)
  if (root.name !== 'CompleteMultipartUpload' || root.children.length === 0) throw new S3Error('MalformedXML')
  if (root.children.length > MAX_PARTS) throw new S3Error('MalformedXML')
  return root.children.map(parsePart)
}

function parsePart(part: XmlElement): WantedPart {
  if (part.name !== 'Part') throw new S3Error('MalformedXML')
  const fields = new Map(part.children.map(({ name, text }) => [name, text.trim()]))
  const number = fields.get('PartNumber') ?? ''
  const etag = fields.get('ETag')
  if (!/^\d{1,9}$/.test(number) || etag === undefined) throw new S3Error('MalformedXML')
  const checksums = CHECKSUM_ALGORITHMS.flatMap((algorithm): [string, string][] => {
    const value = fields.get(`Checksum${algorithm.toUpperCase()}`)
    return value === undefined ? [] : [[algorithm, value]]
  })
  return { number: Number(number), etag: etag.replace(/^"(.*)"$/, '$1'), checksums: Object.fromEntries(checksums) }
}

/** The parts asked for, each as it was uploaded. */
function chooseParts(wanted: readonly WantedPart[], upload: MultipartUpload, there: readonly Part[]): Part[] {
  if (wanted.some(({ number }, i) => number <= (wanted[i - 1]?.number ?? 0))) {
    throw new S3Error('InvalidPartOrder', undefined, { UploadId: upload.id })
  }
  const byNumber = new Map(there.map((part) => [part.number, part]))
  return wanted.map(({ number, etag, checksums }, i) => {
    const part = byNumber.get(number)
    const differs = Object.entries(checksums).some(([name, value]) => part?.checksums[name] !== value)
    if (part === undefined || part.etag !== etag || differs) {
      throw new S3Error('InvalidPart', undefined, { UploadId: upload.id, PartNumber: String(number), ETag: etag })
    }
    if (part.size < MIN_PART && i < wanted.length - 1) {
      throw new S3Error('EntityTooSmall', undefined, {
        ProposedSize: String(part.size),
        MinSizeAllowed: String(MIN_PART),
        PartNumber: String(number),
        ETag: etag,
      })
    }
    return part
  })
}
