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
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html */
export const listObjects: Operation = {
  name: 'ListObjects',
  method: 'GET',
  action: 's3:ListBucket',
  target: 'bucket',
  query: [...LIST_QUERY, 'marker'],
  async handle({ request, store, ownerId }) {
    const list = parseListParameters(request)
    const marker = queryValue(request, 'marker') ?? ''
    await requireListable(store)
    const page = store.list({ ...list, startAfter: '', from: afterMarker(marker, list) })
    const truncated = page.next !== undefined
    const owner = `<Owner>${element('ID', ownerId)}</Owner>`
    return xmlReply(
      `${XML_DECLARATION}<ListBucketResult xmlns="${S3_NAMESPACE}">` +
        parametersXml(list) +
        element('Marker', list.encode(marker)) +
        // "This element is returned only if you have the delimiter request parameter specified."
        (truncated && list.delimiter !== '' ? element('NextMarker', list.encode(lastOf(page))) : '') +
        element('IsTruncated', String(truncated)) +
        page.objects.map((row) => `<Contents>${objectXml(row, list.encode)}${owner}</Contents>`).join('') +
        commonPrefixesXml(page, list.encode) +
        '</ListBucketResult>',
    )
  },
}
