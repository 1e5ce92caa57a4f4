import { createHash } from 'node:crypto'
import type { Authenticator, Identity } from '../authentication.ts'
import { CHECKSUM_ALGORITHMS, createChecksum } from '../checksums.ts'
import { S3Error } from '../errors.ts'
import { FormReader } from '../form-data.ts'
import { keyTooLong } from '../keys.ts'
import { checksumHeaders, storedHeaders } from '../object-headers.ts'
import type { Operation, Reply } from '../operation.ts'
import { requireChecksumForm } from '../payload.ts'
import { checkPostPolicy, parsePostPolicy, type SizeRange } from '../post-policy.ts'
import { headerText, type S3Request } from '../request.ts'
import { MAX_OBJECT_TAGS, parseTags, type Tags } from '../tags.ts'
import { element, parseXml, XML_DECLARATION } from '../xml.ts'
import { MAX_SIZE } from './put-object.ts'

const MAX_FORM = MAX_SIZE + 64 * 1024
/** Fields named x-amz-… that are understood; others are NotImplemented. */
const KNOWN = new Set([
  ...['algorithm', 'credential', 'date', 'signature', 'security-token', 'storage-class', 'server-side-encryption'],
  ...['checksum-algorithm', ...CHECKSUM_ALGORITHMS.map((algorithm) => `checksum-${algorithm}`)],
])

/** A browser's upload by form. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html */
export const postObject: Operation = {
  name: 'PostObject',
  method: 'POST',
  target: 'bucket',
  takesBody: true,
  async handle({ request, store, payload, authenticator, authorize, now }) {
    const form = new FormReader(request.headers.get('content-type') ?? '', payload(MAX_FORM).read())
    const fields = await form.fields()
    const key = (fields.get('key') ?? '').replaceAll(/\$\{filename\}/g, () => form.filename)
    if (key === '') {
      throw new S3Error(
        'InvalidArgument',
        "Bucket POST must contain a field named 'key'. If it is specified, it must not be empty.",
      )
    }
    fields.set('key', key)
    const { identity, size: allowed } = authenticate(authenticator, request, fields, Date.now())
    const target = { ...asPut(request, fields), key: headerText('key', key) }
    const tooLong = keyTooLong(target.key)
    if (tooLong !== undefined) throw tooLong
    const tagging = fields.get('tagging')
    const tags =
      tagging === undefined ? undefined : parseTags(parseXml(headerText('tagging', tagging)), MAX_OBJECT_TAGS)
    authorize('s3:PutObject', { key: target.key, identity }, asked(request, target, tags))

    const stored = storedHeaders(target)
    const algorithm = CHECKSUM_ALGORITHMS.find((name) => fields.has(`x-amz-checksum-${name}`))
    const checksum = algorithm === undefined ? undefined : createChecksum(algorithm)
    const md5 = createHash('md5')
    const upload = store.upload()
    try {
      let size = 0
      for await (const bytes of form.file()) {
        size += bytes.length
        if (size > allowed.max) throw new S3Error('EntityTooLarge', undefined, { MaxSizeAllowed: String(allowed.max) })
        md5.update(bytes)
        checksum?.update(bytes)
        await upload.write(bytes)
      }
      if (size < allowed.min) throw new S3Error('EntityTooSmall', undefined, { MinSizeAllowed: String(allowed.min) })
      const checksums: Record<string, string> = {}
      if (algorithm !== undefined && checksum !== undefined) {
        const given = fields.get(`x-amz-checksum-${algorithm}`) ?? ''
        requireChecksumForm(algorithm, given)
        checksums[algorithm] = checksum.digest().toString('base64')
        if (checksums[algorithm] !== given) throw new S3Error('BadDigest')
      }
      const etag = md5.digest('hex')
      const record = { key: target.key, size, etag, modified: now(), ...stored, tags, checksums }
      await store.commit(request.bucket, upload, record)
      return answer(request, fields, target.key, { etag: `"${etag}"`, ...checksumHeaders(record) })
    } catch (error) {
      await upload.discard()
      throw error
    }
  },
}

/** Without a policy in it, a form is anybody's. */
function authenticate(
  authenticator: Authenticator,
  request: S3Request,
  fields: ReadonlyMap<string, string>,
  now: number,
): { identity: Identity; size: SizeRange } {
  const policy = fields.get('policy')
  if (policy === undefined) return { identity: 'anonymous', size: { min: 0, max: MAX_SIZE } }
  const field = (name: string) => {
    const value = fields.get(name)
    if (value !== undefined && value !== '') return value
    throw new S3Error('InvalidArgument', `Bucket POST must contain a field named '${name}'.`, { ArgumentName: name })
  }
  if (fields.has('x-amz-algorithm') || !(fields.has('awsaccesskeyid') || fields.has('signature'))) {
    authenticator.verifyForm({
      policy,
      algorithm: field('x-amz-algorithm'),
      credential: field('x-amz-credential'),
      date: field('x-amz-date'),
      signature: field('x-amz-signature'),
    })
    if (fields.has('x-amz-security-token')) throw new S3Error('InvalidToken')
  } else {
    authenticator.verifyLegacyForm({ policy, accessKeyId: field('awsaccesskeyid'), signature: field('signature') })
  }
  // Policies are text.
  const texts = [...fields].map(([name, value]): [string, string] => [name, headerText(name, value)])
  const given = new Map([...texts, ['bucket', request.bucket]])
  const { min, max } = checkPostPolicy(parsePostPolicy(policy), given, now)
  return { identity: 'owner', size: { min, max: Math.min(max, MAX_SIZE) } }
}

/** The fields as what they would be in a PutObject: its headers. */
function asPut(request: S3Request, fields: ReadonlyMap<string, string>): S3Request {
  const headers = new Map<string, string>()
  for (const [name, value] of fields) {
    if (name.startsWith('x-amz-') && !name.startsWith('x-amz-meta-') && !KNOWN.has(name.slice('x-amz-'.length))) {
      throw new S3Error('NotImplemented', undefined, { Field: name })
    }
    headers.set(name === 'acl' ? 'x-amz-acl' : name, value)
  }
  return { ...request, headers, query: [], hoisted: new Map() }
}

/** What a policy's conditions look at: the fields, and of the request what says who sent it. */
function asked(request: S3Request, put: S3Request, tags: Tags | undefined): S3Request {
  const headers = new Map(put.headers)
  for (const name of ['authorization', 'referer', 'user-agent']) headers.delete(name)
  for (const name of ['referer', 'user-agent']) {
    const sent = request.headers.get(name)
    if (sent !== undefined) headers.set(name, sent)
  }
  if (tags !== undefined) headers.set('x-amz-tagging', new URLSearchParams(tags).toString())
  return { ...put, headers }
}

function answer(
  request: S3Request,
  fields: ReadonlyMap<string, string>,
  key: string,
  headers: Readonly<Record<string, string>>,
): Reply {
  const location = `http://${request.headers.get('host') ?? ''}/${request.bucket}/${encodeURIComponent(key)}`
  const redirect = URL.parse(fields.get('success_action_redirect') ?? fields.get('redirect') ?? '')
  if (redirect !== null && /^https?:$/.test(redirect.protocol)) {
    redirect.searchParams.set('bucket', request.bucket)
    redirect.searchParams.set('key', key)
    redirect.searchParams.set('etag', headers.etag ?? '')
    return { status: 303, headers: { ...headers, location: redirect.href } }
  }
  const status = fields.get('success_action_status')
  // "If the value is set to an empty value or not 200, 201 or 204, … an empty document with a 204 status code."
  if (status === '200') return { status: 200, headers: { ...headers, location } }
  if (status !== '201') return { status: 204, headers: { ...headers, location } }
  return {
    status: 201,
    headers: { ...headers, location, 'content-type': 'application/xml' },
    body:
      `${XML_DECLARATION}<PostResponse>${element('Location', location)}${element('Bucket', request.bucket)}` +
      `${element('Key', key)}${element('ETag', headers.etag ?? '')}</PostResponse>`,
  }
}
