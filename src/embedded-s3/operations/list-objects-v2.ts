import { S3Error } from '../errors.ts'
import {
  commonPrefixesXml,
  LIST_QUERY,
  objectXml,
  parametersXml,
  parseListParameters,
  requireListable,
} from '../object-list.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { queryValue } from '../request.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
export const listObjectsV2: Operation = {
  name: 'ListObjectsV2',
  method: 'GET',
  action: 's3:ListBucket',
  target: 'bucket',
  subresource: 'list-type',
  query: [...LIST_QUERY, 'start-after', 'continuation-token', 'fetch-owner'],
  async handle({ request, store, ownerId }) {
    const list = parseListParameters(request)
    const invalid = (name: string, message: string) =>
      new S3Error('InvalidArgument', message, { ArgumentName: name, ArgumentValue: queryValue(request, name) ?? '' })
    if (queryValue(request, 'list-type') !== '2') throw invalid('list-type', 'Invalid List Type specified in Request')
    const token = queryValue(request, 'continuation-token')
    const from = token ? decodeToken(token) : undefined
    if (token && from === undefined) {
      throw invalid('continuation-token', 'The continuation token provided is incorrect')
    }
    const startAfter = queryValue(request, 'start-after') ?? ''
    await requireListable(store)
    const page = store.list({ ...list, startAfter, from })
    const owner = queryValue(request, 'fetch-owner') === 'true' ? `<Owner>${element('ID', ownerId)}</Owner>` : ''
    const optional = (name: string, value: string | undefined) => (value ? element(name, value) : '')
    return xmlReply(
      `${XML_DECLARATION}<ListBucketResult xmlns="${S3_NAMESPACE}">` +
        parametersXml(list) +
        optional('StartAfter', list.encode(startAfter)) +
        (token === undefined ? '' : element('ContinuationToken', token)) +
        optional('NextContinuationToken', page.next && encodeToken(page.next)) +
        element('KeyCount', String(page.objects.length + page.commonPrefixes.length)) +
        element('IsTruncated', String(page.next !== undefined)) +
        page.objects.map((row) => `<Contents>${objectXml(row, list.encode)}${owner}</Contents>`).join('') +
        commonPrefixesXml(page, list.encode) +
        '</ListBucketResult>',
    )
  },
}

/** A token is the place where the next page starts, as bytes; the leading 1 is the form's version. */
function encodeToken(from: Buffer): string {
  return `1${from.toString('base64url')}`
}

function decodeToken(token: string): Buffer | undefined {
  const bytes = Buffer.from(token.slice(1), 'base64url')
  return token.length > 1 && encodeToken(bytes) === token ? bytes : undefined
}
