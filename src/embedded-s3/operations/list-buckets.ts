import { S3Error } from '../errors.ts'
import { pageSize } from '../multipart.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { queryValue } from '../request.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

const MAX = 10_000

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html */
export const listBuckets: Operation = {
  name: 'ListBuckets',
  method: 'GET',
  action: 's3:ListAllMyBuckets',
  target: 'service',
  query: ['max-buckets', 'continuation-token', 'prefix', 'bucket-region'],
  withoutBucket: true,
  handle({ request, store, ownerId, region }) {
    const max = pageSize(request, 'max-buckets', MAX)
    if (max === 0) throw new S3Error('InvalidArgument', 'max-buckets must be from 1 to 10000.')
    const prefix = queryValue(request, 'prefix') ?? ''
    const after = Buffer.from(queryValue(request, 'continuation-token') ?? '', 'base64url').toString()
    const elsewhere = (queryValue(request, 'bucket-region') ?? region) !== region
    const matching = elsewhere ? [] : store.buckets().filter(({ name }) => name.startsWith(prefix) && name > after)
    const page = matching.slice(0, max)
    const buckets = page.map(
      ({ name, created }) =>
        `<Bucket>${element('Name', name)}${element('CreationDate', new Date(created).toISOString())}</Bucket>`,
    )
    const token = matching.length > page.length ? Buffer.from(page.at(-1)?.name ?? '').toString('base64url') : ''
    return xmlReply(
      `${XML_DECLARATION}<ListAllMyBucketsResult xmlns="${S3_NAMESPACE}"><Owner>${element('ID', ownerId)}</Owner>` +
        `<Buckets>${buckets.join('')}</Buckets>${token === '' ? '' : element('ContinuationToken', token)}` +
        `${prefix === '' ? '' : element('Prefix', prefix)}</ListAllMyBucketsResult>`,
    )
  },
}
