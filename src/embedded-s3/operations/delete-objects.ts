import { S3Error } from '../errors.ts'
import { keyTooLong } from '../keys.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { PAYLOAD_HEADERS } from '../payload.ts'
import { deleteCondition } from '../preconditions.ts'
import { NULL_VERSION, noSuchVersion } from '../versions.ts'
import { element, parseXml, S3_NAMESPACE, XML_DECLARATION, type XmlElement } from '../xml.ts'

const MAX_KEYS = 1000
/** A thousand keys of 1,024 bytes, each byte a reference of six characters, fit three times over. */
const MAX_BODY = 20 * 1024 ** 2
const CONCURRENCY = 32

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html */
export const deleteObjects: Operation = {
  name: 'DeleteObjects',
  method: 'POST',
  target: 'bucket',
  subresource: 'delete',
  // Nothing is ever locked, so there is nothing to bypass.
  headers: [...PAYLOAD_HEADERS, 'x-amz-bypass-governance-retention'],
  takesBody: true,
  async handle({ request, identity, store, payload, authorize }) {
    // What a policy allows is decided key by key; without one a stranger's list need not even be read.
    const isOpen = store.bucket(request.bucket)?.settings.policy !== undefined
    if (identity === 'anonymous' && !isOpen) throw new S3Error('AccessDenied')
    const body = payload(MAX_BODY)
    if (!body.hasIntegrity) {
      throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5')
    }
    const { keys, quiet } = parseDelete((await body.readAll()).toString())
    const results = new Map<string, string>()
    const queue = keys.values()
    const work = async () => {
      for (const { key, etag, error } of queue) {
        try {
          const refused = error ?? keyTooLong(key)
          if (refused !== undefined) throw refused
          authorize('s3:DeleteObject', { key })
          await store.delete(request.bucket, key, deleteCondition(etag))
          if (!quiet) results.set(key, `<Deleted>${element('Key', key)}</Deleted>`)
        } catch (failure) {
          const { code, message } = failure instanceof S3Error ? failure : new S3Error('InternalError')
          results.set(
            key,
            `<Error>${element('Key', key)}${element('Code', code)}${element('Message', message)}</Error>`,
          )
        }
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, work))
    const inOrder = keys.map(({ key }) => results.get(key) ?? '').join('')
    return xmlReply(`${XML_DECLARATION}<DeleteResult xmlns="${S3_NAMESPACE}">${inOrder}</DeleteResult>`)
  },
}

type Deletion = {
  readonly key: string
  readonly etag: string | undefined
  /** Why it is refused. */
  readonly error: S3Error | undefined
}

function parseDelete(document: string): { keys: Deletion[]; quiet: boolean } {
  const root = parseXml(document)
  if (root.name !== 'Delete') throw new S3Error('MalformedXML')
  const keys = new Map<string, Deletion>()
  let quiet = false
  let count = 0
  for (const child of root.children) {
    if (child.name === 'Quiet') quiet = child.text.trim().toLowerCase() === 'true'
    else if (child.name === 'Object') {
      const deletion = parseObject(child)
      keys.set(deletion.key, deletion)
      count += 1
    } else throw new S3Error('MalformedXML')
  }
  if (count === 0 || count > MAX_KEYS) throw new S3Error('MalformedXML')
  return { keys: [...keys.values()], quiet }
}

function parseObject(object: XmlElement): Deletion {
  const [key, ...others] = object.children.filter(({ name }) => name === 'Key')
  if (key === undefined || others.length > 0 || key.text === '' || key.children.length > 0) {
    throw new S3Error('MalformedXML')
  }
  const text = (name: string) => object.children.find((child) => child.name === name)?.text
  const version = text('VersionId')
  const known = ['Key', 'VersionId', 'ETag']
  const error = object.children.some(({ name }) => !known.includes(name))
    ? new S3Error('NotImplemented')
    : version !== undefined && version !== NULL_VERSION
      ? noSuchVersion(key.text, version)
      : undefined
  return { key: key.text, etag: text('ETag'), error }
}
