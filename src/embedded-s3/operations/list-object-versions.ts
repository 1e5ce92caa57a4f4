import { S3Error } from '../errors.ts'
import {
  commonPrefixesXml,
  LIST_QUERY,
  lastOf,
  objectXml,
  parametersXml,
  parseListParameters,
  requireListable,
} from '../object-list.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { queryValue } from '../request.ts'
import { afterMarker } from '../store/listing.ts'
import { NULL_VERSION } from '../versions.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html: without versioning, each object is one. */
export const listObjectVersions: Operation = {
  name: 'ListObjectVersions',
  method: 'GET',
  action: 's3:ListBucketVersions',
  target: 'bucket',
  subresource: 'versions',
  query: [...LIST_QUERY, 'key-marker', 'version-id-marker'],
  async handle({ request, store, ownerId }) {
    const list = parseListParameters(request)
    const marker = queryValue(request, 'key-marker') ?? ''
    const versionMarker = queryValue(request, 'version-id-marker') ?? ''
    if (versionMarker !== '' && marker === '') {
      throw new S3Error('InvalidArgument', 'A version-id marker cannot be specified without a key marker.')
    }
    await requireListable(store)
    const page = store.list({ ...list, startAfter: '', from: afterMarker(marker, list) })
    const truncated = page.next !== undefined
    const state = `${element('VersionId', NULL_VERSION)}${element('IsLatest', 'true')}<Owner>${element('ID', ownerId)}</Owner>`
    return xmlReply(
      `${XML_DECLARATION}<ListVersionsResult xmlns="${S3_NAMESPACE}">` +
        parametersXml(list) +
        element('KeyMarker', list.encode(marker)) +
        element('VersionIdMarker', versionMarker) +
        (truncated ? element('NextKeyMarker', list.encode(lastOf(page))) : '') +
        (truncated ? element('NextVersionIdMarker', NULL_VERSION) : '') +
        element('IsTruncated', String(truncated)) +
        page.objects.map((row) => `<Version>${objectXml(row, list.encode)}${state}</Version>`).join('') +
        commonPrefixesXml(page, list.encode) +
        '</ListVersionsResult>',
    )
  },
}
